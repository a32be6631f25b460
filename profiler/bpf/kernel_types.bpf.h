/*
 * The few fields of kernel types that the programs read. libbpf finds where they are on the running
 * kernel (CO-RE): names must be the kernel's, order and what is left out do not matter. Registers
 * of the sample itself come from the UAPI (linux/bpf_perf_event.h), which needs no relocation.
 */
#ifndef CPROF_BPF_KERNEL_TYPES_BPF_H
#define CPROF_BPF_KERNEL_TYPES_BPF_H

#include <linux/types.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct mm_struct {
	unsigned long start_stack; /* of the main thread: above are arguments and environment */
};

struct bpf_map {
	__u32 id;
};

struct vm_area_struct {
	unsigned long vm_end;
};

/* A number in a namespace. Read as a whole: its layout is the kernel's. */
struct upid {
	int nr;
	struct pid_namespace *ns;
};

/* What has a number in each namespace from the first one (level 0) down to its own. */
struct pid {
	unsigned int level;
	struct upid numbers[1];
};

enum pid_type { PIDTYPE_PID, PIDTYPE_TGID, PIDTYPE_MAX };

typedef struct {
	int counter;
} atomic_t;

struct signal_struct {
	struct pid *pids[PIDTYPE_MAX];
	atomic_t live; /* threads that have not begun to exit */
};

struct thread_struct {
	unsigned long fsbase; /* of x86: the thread pointer, as set when the thread was made */
};

struct task_struct {
	unsigned int flags;
	int pid, tgid; /* a thread, its process: the kernel's own numbers */
	struct pid *thread_pid;
	struct signal_struct *signal;
	struct mm_struct *mm;
	struct task_struct *group_leader;
	__u64 start_time, start_boottime;
	unsigned int in_execve : 1;
	struct thread_struct thread;
};

/* The user's registers, as the entry into the kernel saved them. The UAPI has a type of this name
 * and other field names; what follows ___ is not looked at. */
struct pt_regs___kernel {
	unsigned long r15, r14, r13, r12, bp, bx;
	unsigned long r11, r10, r9, r8, ax, cx, dx, si, di;
	unsigned long orig_ax, ip, cs, flags, sp, ss;
};

#pragma clang attribute pop

/* task_struct.flags (linux/sched.h) */
#define PF_IO_WORKER   0x00000010
#define PF_USER_WORKER 0x00004000 /* from Linux 6.4 on; before, a flag no user task has set */
#define PF_KTHREAD     0x00200000

#define USER32_CS 0x23

#endif
