/*
 * A stopped process as the unwinder's input: its executable mappings with their compiled tables,
 * and a copy of its stack. For tests: reads /proc/PID/maps each time it is asked to.
 */
#ifndef CPROF_TESTS_LIVE_PROCESS_H
#define CPROF_TESTS_LIVE_PROCESS_H

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <unistd.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/vec.h"
#include "profiler/unwind/walk.h"
#include "symbolizer/elf/image.h"

struct live_file {
	char *path;
	struct image *img;
	struct unwind_table *table;
	uint8_t *memory; /* the vDSO's bytes */
};

struct live_process {
	pid_t pid;
	struct unwind_tables *tables;
	VEC(struct live_file) files; /* kept over reloads */
	VEC(struct unwind_mapping) mappings;
	VEC(struct unwind_table *) mapping_tables;
	VEC(uint32_t) mapping_files;
	struct unwind_space space;
	uint8_t *stack;
	struct unwind_memory memory;
};

#define LIVE_STACK_MAX (1u << 20)

static inline bool live_read(pid_t pid, uint64_t address, void *bytes, size_t size)
{
	struct iovec to = { bytes, size }, from = { (void *)(uintptr_t)address, size };

	return process_vm_readv(pid, &to, 1, &from, 1, 0) == (ssize_t)size;
}

static inline bool live_read_code(void *context, uint64_t address, void *bytes, uint32_t size)
{
	const struct live_process *p = context;

	return live_read(p->pid, address, bytes, size);
}

static inline struct live_file *live_open(struct live_process *p, const char *path, uint64_t start,
					  uint64_t end)
{
	for (size_t i = 0; i < p->files.count; i++)
		if (strcmp(p->files.items[i].path, path) == 0)
			return &p->files.items[i];

	struct live_file f = { .path = mem_strdup(path) };
	struct error *err;
	if (strcmp(path, "[vdso]") == 0) {
		f.memory = mem_alloc(end - start);
		err = live_read(p->pid, start, f.memory, end - start)
			      ? image_open_memory(f.memory, end - start, path, &f.img)
			      : error_new(ERR_FAILED, "no vdso");
	} else {
		err = image_open(path, &f.img);
	}
	if (!err)
		err = unwind_table_create(p->tables, f.img, &f.table);
	error_free(err);
	vec_push(&p->files, f);
	return vec_last(&p->files);
}

static inline void live_add_mapping(struct live_process *p, uint64_t start, uint64_t end,
				    uint64_t offset, const char *path)
{
	struct unwind_mapping m = { .start = start, .end = end, .kind = UNWIND_MAP_FP_JIT };
	struct unwind_table *table = NULL;
	uint32_t file = UINT32_MAX;

	if (strcmp(path, "[uprobes]") == 0) {
		m.kind = UNWIND_MAP_UPROBES;
	} else if (path[0] == '/' || strcmp(path, "[vdso]") == 0) {
		struct live_file *f = live_open(p, path, start, end);
		uint64_t vaddr;

		m.kind = UNWIND_MAP_NO_TABLE;
		if (f->table && image_vaddr_of_offset(f->img, offset, &vaddr)) {
			m.bias = start - vaddr;
			unwind_table_describe(f->table, &m);
			table = f->table;
		}
		file = (uint32_t)(f - p->files.items);
	}
	vec_push(&p->mappings, m);
	vec_push(&p->mapping_tables, table);
	vec_push(&p->mapping_files, file);
}

/* Reads what is mapped now. */
static inline void live_reload(struct live_process *p)
{
	char path[64], line[4500];

	p->mappings.count = p->mapping_tables.count = p->mapping_files.count = 0;
	snprintf(path, sizeof(path), "/proc/%d/maps", p->pid);
	FILE *f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		unsigned long start, end, offset;
		char perms[8], name[4200] = "";

		if (sscanf(line, "%lx-%lx %7s %lx %*s %*s %4199[^\n]", &start, &end, perms, &offset,
			   name) >= 4 &&
		    perms[2] == 'x' && strcmp(name, "[vsyscall]") != 0)
			live_add_mapping(p, start, end, offset, name);
	}
	if (f)
		fclose(f);
	p->space = (struct unwind_space){
		.mappings = p->mappings.items,
		.tables = p->mapping_tables.items,
		.count = (uint32_t)p->mappings.count,
		.read_code = live_read_code,
		.context = p,
	};
}

static inline void live_init(struct live_process *p, pid_t pid)
{
	*p = (struct live_process){ .pid = pid, .tables = unwind_tables_create(NULL) };
	p->stack = mem_alloc(LIVE_STACK_MAX);
	live_reload(p);
}

static inline void live_deinit(struct live_process *p)
{
	unwind_tables_destroy(p->tables);
	for (size_t i = 0; i < p->files.count; i++) {
		image_close(p->files.items[i].img);
		free(p->files.items[i].memory);
		free(p->files.items[i].path);
	}
	vec_deinit(&p->files);
	vec_deinit(&p->mappings);
	vec_deinit(&p->mapping_tables);
	vec_deinit(&p->mapping_files);
	free(p->stack);
}

/* Copies the stack from an address on, page by page up to the first that is not there. */
static inline void live_copy_stack(struct live_process *p, uint64_t sp, size_t max)
{
	size_t n = 0;

	max = MIN(max, LIVE_STACK_MAX);
	while (n < max) {
		size_t part = MIN(max - n, 4096 - ((sp + n) & 4095));
		if (!live_read(p->pid, sp + n, p->stack + n, part))
			break;
		n += part;
	}
	p->memory = (struct unwind_memory){ .bytes = p->stack, .base = sp, .size = n };
}

static inline void live_regs(const struct user_regs_struct *u, struct unwind_regs *ret)
{
	*ret = (struct unwind_regs){
		.ip = u->rip,
		.gpr = { u->rax, u->rdx, u->rcx, u->rbx, u->rsi, u->rdi, u->rbp, u->rsp, u->r8,
			 u->r9, u->r10, u->r11, u->r12, u->r13, u->r14, u->r15 },
	};
}

#endif
