/* Where a frame runs, told from what text and files say about it. */
#ifndef CPROF_FLAMEGRAPH_FRAME_KIND_H
#define CPROF_FLAMEGRAPH_FRAME_KIND_H

#include "flamegraph/model/profile.h"

/* By the file its code is in: `[kernel.kallsyms]`, `vmlinux-6.1`, `x.ko` are the kernel's,
 * `/tmp/perf-12.map`, `/tmp/jitted-1-2.so`, `//anon` hold JIT code. */
enum frame_kind frame_kind_of_file(const char *file);

/* Is the name one of the frames that are no code: `[truncated: REASON]`, `[guessed]`,
 * `[kernel, not visible]`, and the separators `-` and `--` of folded text? */
bool frame_is_sentinel(const char *name, size_t len);

#endif
