/*
 * Names of kernel addresses, asked of the kernel by a small BPF program (bpf_snprintf's %pS): a few
 * microseconds each, where /proc/kallsyms is 5 MB of text whatever is asked. Shown also where
 * kptr_restrict hides that file's addresses.
 */
#ifndef CPROF_BPF_NAMES_H
#define CPROF_BPF_NAMES_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct kern_namer;

/* Loads the program. An error says why this machine or user may not. */
struct error *kern_namer_open(struct kern_namer **ret) MUST_USE;
void kern_namer_close(struct kern_namer *n); /* takes NULL */

/* Calls found(context, i, start, name, len) for each address, by its index, that has a name;
 * `start` is its function's, the name is borrowed for the call. An error: the kernel ran it not. */
struct error *kern_namer_ask(struct kern_namer *n, const uint64_t *addresses, size_t count,
			     void (*found)(void *context, size_t i, uint64_t start,
					   const char *name, size_t len),
			     void *context) MUST_USE;

/* Takes apart what the kernel wrote about an address. False: it has no name. */
bool kern_name_parse(const char *text, uint64_t address, uint64_t *ret_start, size_t *ret_len);

#endif
