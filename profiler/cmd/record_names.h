/* The names of what was hit, at the end of `cprof record`. */
#ifndef CPROF_CMD_RECORD_NAMES_H
#define CPROF_CMD_RECORD_NAMES_H

#include <signal.h>

#include "profiler/capture/capture.h"
#include "profiler/recording/recording.h"

/* Adds them to what the session recorded; where *stop becomes non-zero, the rest has none. */
void record_embed_names(struct capture *c, struct recording_writer *w,
			const volatile sig_atomic_t *stop);

#endif
