/*
 * Names for the locations of a recording. At the end of a capture they are embedded, while the
 * files and processes are most likely still there; a recording whose cprof was killed is named when
 * it is read, as far as the same files (by build id) and the same boot are still there.
 */
#ifndef CPROF_ANALYSIS_NAMING_H
#define CPROF_ANALYSIS_NAMING_H

#include <signal.h>

#include "profiler/recording/recording.h"
#include "symbolizer/symbolizer.h"

/* What the capture has at hand while it is there. */
struct naming_sources {
	/* The image of a file of the recording that is still open, borrowed; NULL: it is not. The
	 * file may be gone from its folder. */
	const struct image *(*find_image)(void *context, uint32_t file);
	/* Where the files below a root folder of the recording can be reached, borrowed; it may be
	 * gone by its own name. */
	const char *(*find_root)(void *context, const char *name);
	void *context;

	const struct symbol_kernel *kernel; /* NULL: /proc/kallsyms is read */
};

/*
 * Names every location that the writer has and that has no name yet, by adding symbols to it. What
 * could not be named for a reason (a file that is gone, or another than the mapped one; hidden
 * kernel symbols) becomes a diagnostic. Where `stop` (may be NULL) becomes non-zero the rest stays
 * without names. `sources` may be NULL. The caller flushes or closes the writer.
 */
void naming_embed(struct recording_writer *w, const struct naming_sources *sources,
		  const volatile sig_atomic_t *stop);

/* Names what a recording that was read does not name itself, where it was cut or never named. Files
 * only, and the kernel if it is still the same boot: a perf map may be another process's by now. */
void naming_complete(struct recording *r);

/* The address whose name a location bears: inside the call instruction for a return address. */
static inline uint64_t naming_address(const struct recording_location *l)
{
	return l->address - l->is_return;
}

#endif
