/* What names.bpf.c and names.c share. */
#ifndef CPROF_BPF_NAMES_SHARED_H
#define CPROF_BPF_NAMES_SHARED_H

#include <linux/types.h>

#define KERN_NAMES_MAX 128
#define KERN_NAME_TEXT 256

/* Questions and answers of one run. A text is `NAME+0xOFFSET/0xSIZE`, for a module `... [MODULE]`
 * behind it; the bare address where there is no name, and without its end where it has no room. */
struct kern_names {
	__u32 count;
	__u32 pad;
	__u64 addresses[KERN_NAMES_MAX];
	char texts[KERN_NAMES_MAX][KERN_NAME_TEXT];
};

#endif
