/*
 * Pages of stacks that are not in memory (swapped out, or never read in by this process): the
 * kernel program cannot wait for them. A thread reads a byte of each through /proc/PID/mem, and the
 * samples after that are whole. It is a thread of its own since such a read may take its time, or
 * for ever (userfaultfd).
 */
#ifndef CPROF_CAPTURE_TOUCHER_H
#define CPROF_CAPTURE_TOUCHER_H

#include <stdint.h>

struct ebpf_toucher;

struct ebpf_toucher *ebpf_toucher_create(void);	   /* NULL: no thread */
void ebpf_toucher_destroy(struct ebpf_toucher *t); /* takes NULL */

/* The page of an address, and some that lie further out, unless they were asked for just before. */
void ebpf_toucher_add(struct ebpf_toucher *t, uint32_t pid, uint64_t address, uint64_t time_ns);

uint64_t ebpf_toucher_pages(const struct ebpf_toucher *t); /* read so far; takes NULL */

#endif
