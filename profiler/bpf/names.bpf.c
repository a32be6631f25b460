/*
 * Names of kernel addresses, as the kernel itself finds them: a program that user space runs, and
 * that no event is behind.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "profiler/bpf/names_shared.h"

char licence[] SEC("license") = "Dual MIT/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct kern_names);
} names SEC(".maps");

static long name_one(__u32 i, void *unused)
{
	__u32 zero = 0;
	struct kern_names *n = bpf_map_lookup_elem(&names, &zero);

	if (!n || i >= KERN_NAMES_MAX || i >= n->count)
		return 1;
	BPF_SNPRINTF(n->texts[i], sizeof(n->texts[i]), "%pS", n->addresses[i]);
	return 0;
}

SEC("raw_tp")
int name_all(void *ctx)
{
	bpf_loop(KERN_NAMES_MAX, name_one, 0, 0);
	return 0;
}
