/*
 * The kernel's records, taken apart. Everything is read through bounds-checked reads; pointers lead
 * into the record and live as long as it does.
 */
#ifndef CPROF_PERF_RECORD_H
#define CPROF_PERF_RECORD_H

#include <linux/perf_event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "symbolizer/elf/build_id.h"

/* How the records of a session are laid out: they all come from events that agree in this. */
struct pev_format {
	uint64_t sample_type, read_format, regs_mask;
};

enum pev_record_kind {
	PEV_RECORD_OTHER, /* a kind that cprof has no use for */
	PEV_RECORD_DAMAGED,
	PEV_RECORD_SAMPLE,
	PEV_RECORD_MMAP,
	PEV_RECORD_COMM,
	PEV_RECORD_FORK,
	PEV_RECORD_EXIT,
	PEV_RECORD_LOST,	 /* records, for which there was no room */
	PEV_RECORD_LOST_SAMPLES, /* samples that the hardware dropped */
	PEV_RECORD_THROTTLE,
	PEV_RECORD_UNTHROTTLE,
	PEV_RECORD_READ, /* the count of a thread that ended */
};

#define PEV_REGS_MAX 64

struct pev_sample {
	uint64_t ip, id, period;
	uint64_t count;		  /* of the thread's event so far; 0 where samples carry none */
	const uint8_t *callchain; /* callchain_count words; NULL without callchains */
	uint64_t callchain_count;
	uint64_t abi;	     /* PERF_SAMPLE_REGS_ABI_*: NONE has no registers */
	const uint8_t *regs; /* one word for each bit of regs_mask; NULL without */
	const uint8_t *stack;
	uint64_t stack_size; /* bytes that were copied */
	uint64_t stack_room; /* bytes that could have been */
};

struct pev_mmap {
	uint64_t start, size, offset;
	uint32_t major, minor;	    /* 0 where there is a build id */
	uint64_t inode, generation; /* a number is given to another file, with another generation */
	struct build_id build_id;
	const char *path;
};

struct pev_record {
	enum pev_record_kind kind;
	uint64_t time; /* 0 where the record has none */
	uint32_t cpu;
	uint32_t pid, tid;
	bool in_kernel; /* samples: the ip is the kernel's */
	union {
		struct pev_sample sample;
		struct pev_mmap mmap;
		struct {
			const char *name;
			bool is_exec;
		} comm;
		struct {
			uint32_t ppid, ptid;
		} task;		 /* FORK, EXIT */
		uint64_t lost;	 /* LOST, LOST_SAMPLES */
		uint64_t stream; /* THROTTLE, UNTHROTTLE: the event (of one thread and CPU) */
		uint64_t count;	 /* READ */
	};
};

/* Takes one record of `size` bytes apart. Never fails: what makes no sense is PEV_RECORD_DAMAGED.
 */
void pev_record_parse(const void *bytes, size_t size, const struct pev_format *format,
		      struct pev_record *ret);

/* The time only: cheap, for ordering. UINT64_MAX where there is none. */
uint64_t pev_record_time(const void *bytes, size_t size, const struct pev_format *format);

#endif
