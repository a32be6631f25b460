/*
 * The symbolizer: addresses in, chains of frames out. A module is one thing that has names (an ELF
 * file known by its build id, the kernel, the vDSO, a process's perf map); it is asked once for all
 * of its addresses, sorted. Names come out raw, as the symbol table has them; demangle.h makes them
 * readable, once for each unique name.
 *
 * Today a chain has one frame (symbol tables); inlined frames and lines will come from DWARF
 * through the same call.
 */
#ifndef CPROF_SYMBOLIZER_H
#define CPROF_SYMBOLIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/intern.h"
#include "base/vec.h"
#include "symbolizer/elf/build_id.h"
#include "symbolizer/elf/image.h"

struct symbol_frame {
	uint32_t name;	/* string of the result: raw, mangled where the table has it so; 0: none
			   known */
	uint32_t file;	/* string: source file; 0: unknown */
	uint32_t line;	/* 0: unknown */
	bool inlined;	/* not for the last frame of a chain */
	bool is_folded; /* several symbols share this code (identical code folding) */
};

/* An address's chain: frames[first .. first + count), innermost first. count is 0 where nothing is
 * known of the address. `start` is where the function (symbol, or unwind entry without a name)
 * starts, as an address of the same space as the query; the query itself where not even that is
 * known. */
struct symbol_chain {
	uint32_t first, count;
	uint64_t start;
};

/* The answers to one or more batches. */
struct symbol_result {
	struct intern strings;
	VEC(struct symbol_frame) frames;
};

void symbol_result_init(struct symbol_result *r);
void symbol_result_deinit(struct symbol_result *r);

struct symbol_module;

/*
 * Opens an ELF file for names. Candidates are tried in order: `path` below each of `roots`
 * ("/proc/PID/root", "" for here; ended by NULL), the file's separate debug files
 * (build-id folders, debuglink) for a fuller symbol table. A file whose build id is not `expected`
 * (size 0: not known, then any) gives no names: the error says so. The module is the caller's.
 */
struct error *symbol_module_open(const char *path, const char *const *roots,
				 const struct build_id *expected,
				 struct symbol_module **ret) MUST_USE;

/* The same for a file that is open already: it may be gone since it was mapped. The image is
 * borrowed and must outlive the module. */
struct symbol_module *symbol_module_of_image(const struct image *img, const char *path,
					     const char *const *roots);

/* The running kernel from /proc/kallsyms: addresses are absolute. The error of hidden symbols
 * (kptr_restrict) says what to do. */
struct error *symbol_module_kernel(struct symbol_module **ret) MUST_USE;

/* The running kernel by who knows its names: name_all() calls found(found_context, i, start, name,
 * len) for each of n addresses that has one. False: it cannot tell after all, and /proc/kallsyms
 * is read. Both are borrowed. */
struct symbol_kernel {
	bool (*name_all)(void *context, const uint64_t *addresses, size_t n,
			 void (*found)(void *found_context, size_t i, uint64_t start,
				       const char *name, size_t len),
			 void *found_context);
	void *context;
};
struct symbol_module *symbol_module_kernel_by(const struct symbol_kernel *kernel);

/* The vDSO of this process (the same image in all of them). Addresses are ELF virtual addresses. */
struct error *symbol_module_vdso(struct symbol_module **ret) MUST_USE;

/*
 * /tmp/perf-PID.map of a process that compiles code at run time: addresses are absolute. `pid` is
 * as seen here; `ns_pid` the process's own number for itself; `root` its root folder ("" for here).
 * The file must belong to the process's user `uid`. ERR_NOT_FOUND where there is none.
 */
struct error *symbol_module_perf_map(uint32_t pid, uint32_t ns_pid, const char *root, uint32_t uid,
				     struct symbol_module **ret) MUST_USE;

void symbol_module_close(struct symbol_module *m); /* takes NULL */

/*
 * Names n addresses, sorted ascending and unique; callers have already moved return addresses back
 * into their call (ip - 1). Fills chains[0..n). Never fails: what is not known has count 0.
 */
void symbol_batch(struct symbol_module *m, const uint64_t *addresses, size_t n,
		  struct symbol_chain *chains, struct symbol_result *result);

#endif
