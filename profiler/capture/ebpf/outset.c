/*
 * How soon after its exec a program's stacks are walked in the kernel, for the program with the
 * most samples: until then each one is sent as a whole and walked here.
 */
#include "profiler/capture/ebpf/ebpf.h"

#define WINDOW_NS      20000000ull
#define WINDOW_SAMPLES 5 /* that say something */
#define STEADY_PERCENT 90

static void end_window(struct ebpf_outset *o)
{
	if (!o->steady_ns && o->in_window >= WINDOW_SAMPLES &&
	    o->walked_in_window * 100 >= o->in_window * STEADY_PERCENT)
		o->steady_ns = MAX(1, o->window * WINDOW_NS);
	o->in_window = o->walked_in_window = 0;
}

static void keep(struct ebpf_state *e, struct ebpf_outset *o)
{
	end_window(o);
	if (o->exec_ns && o->samples > e->outset.samples)
		e->outset = *o;
}

void ebpf_begin_program(struct capture *c, uint32_t process, uint64_t time_ns)
{
	struct ebpf_outset *o = &ebpf_process_at(c, process)->outset;

	keep(ebpf_of(c), o);
	*o = (struct ebpf_outset){ .exec_ns = time_ns };
}

void ebpf_count_outset(struct capture *c, uint32_t process, const struct kern_sample *sample)
{
	struct ebpf_outset *o = &ebpf_process_at(c, process)->outset;
	bool was_walked = sample->status == UNWIND_OK_STOP;
	uint64_t since;

	if (!o->exec_ns || sample->record.time_ns <= o->exec_ns)
		return;
	since = sample->record.time_ns - o->exec_ns;
	if (since / WINDOW_NS != o->window)
		end_window(o);
	o->window = since / WINDOW_NS;
	o->samples++;
	o->in_window++;
	o->walked_in_window += was_walked;
	if (was_walked && !o->first_ns)
		o->first_ns = since;
}

void ebpf_write_outset(struct capture *c)
{
	struct ebpf_state *e = ebpf_of(c);

	for (size_t i = 0; i < e->processes.count; i++)
		keep(e, &e->processes.items[i].outset);
	if (e->outset.first_ns)
		session_fact(c, "first_kernel_walk_ns", e->outset.first_ns);
	if (e->outset.steady_ns)
		session_fact(c, "steady_kernel_walk_ns", e->outset.steady_ns);
}
