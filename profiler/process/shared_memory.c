/* Processes that have one memory together. */
#include "profiler/process/model.h"

void proc_model_leave_memory(struct proc_model *m, uint32_t process)
{
	struct proc_process *p = proc_process_at(m, process);
	uint32_t before = process;

	while (proc_process_at(m, before)->memory_next != process)
		before = proc_process_at(m, before)->memory_next;
	proc_process_at(m, before)->memory_next = p->memory_next;
	p->memory_next = process;
}

static bool has_memory_of(struct proc_model *m, uint32_t process, uint32_t with)
{
	for (uint32_t i = proc_process_at(m, process)->memory_next; i != process;
	     i = proc_process_at(m, i)->memory_next)
		if (i == with)
			return true;
	return process == with;
}

void proc_model_share_memory(struct proc_model *m, uint32_t process, uint32_t with)
{
	struct proc_process *p = proc_process_at(m, process), *other = proc_process_at(m, with);

	if (has_memory_of(m, process, with))
		return;
	proc_model_leave_memory(m, process);
	p->memory_next = other->memory_next;
	other->memory_next = process;
	if (!other->space)
		return;
	proc_space_release(p->space);
	p->space = proc_space_share(other->space);
	p->scan_ns = MAX(p->scan_ns, other->scan_ns);
	p->epoch = ++m->last_epoch;
}
