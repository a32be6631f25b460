#include "profiler/bpf/names.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "profiler/bpf/names_shared.h"

bool kern_name_parse(const char *text, uint64_t address, uint64_t *ret_start, size_t *ret_len)
{
	const char *plus = strrchr(text, '+');
	unsigned long long offset;
	char *end;

	if (!plus || plus == text || plus[1] != '0' || plus[2] != 'x')
		return false;
	offset = strtoull(plus + 1, &end, 16);
	if (*end != '/' || offset > address)
		return false;
	*ret_start = address - offset;
	*ret_len = (size_t)(plus - text);
	return true;
}

#ifdef __x86_64__
#include "profiler/bpf/names.skel.h"

struct kern_namer {
	struct names_bpf *programs;
	struct kern_names *shared; /* NULL: not mapped */
};

static size_t shared_bytes(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (sizeof(struct kern_names) + page - 1) / page * page;
}

static struct error *open_namer(struct kern_namer *n)
{
	void *at;

	n->programs = names_bpf__open_and_load();
	if (!n->programs)
		return error_errno(errno, "cannot load the program that names kernel addresses");
	at = mmap(NULL, shared_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED,
		  bpf_map__fd(n->programs->maps.names), 0);
	if (at == MAP_FAILED)
		return error_errno(errno, "cannot share memory with the kernel");
	n->shared = at;
	return NULL;
}

struct error *kern_namer_open(struct kern_namer **ret)
{
	struct kern_namer *n = mem_calloc(1, sizeof(*n));
	struct error *err = open_namer(n);

	if (err)
		kern_namer_close(n);
	else
		*ret = n;
	return err;
}

void kern_namer_close(struct kern_namer *n)
{
	if (!n)
		return;
	if (n->shared)
		munmap(n->shared, shared_bytes());
	names_bpf__destroy(n->programs);
	free(n);
}

static struct error *run(struct kern_namer *n)
{
	LIBBPF_OPTS(bpf_test_run_opts, options);

	if (bpf_prog_test_run_opts(bpf_program__fd(n->programs->progs.name_all), &options) != 0)
		return error_errno(errno, "cannot ask the kernel for names");
	return NULL;
}

struct error *kern_namer_ask(struct kern_namer *n, const uint64_t *addresses, size_t count,
			     void (*found)(void *context, size_t i, uint64_t start,
					   const char *name, size_t len),
			     void *context)
{
	struct kern_names *shared = n->shared;

	for (size_t first = 0; first < count; first += shared->count) {
		shared->count = (uint32_t)MIN(count - first, (size_t)KERN_NAMES_MAX);
		memcpy(shared->addresses, addresses + first, shared->count * sizeof(*addresses));
		TRY(run(n));
		for (uint32_t i = 0; i < shared->count; i++) {
			uint64_t start;
			size_t len;

			if (kern_name_parse(shared->texts[i], addresses[first + i], &start, &len))
				found(context, first + i, start, shared->texts[i], len);
		}
	}
	return NULL;
}
#else
struct error *kern_namer_open(struct kern_namer **ret)
{
	return error_new(ERR_UNSUPPORTED, "names from the kernel: not on this architecture yet");
}

void kern_namer_close(struct kern_namer *n)
{
}

struct error *kern_namer_ask(struct kern_namer *n, const uint64_t *addresses, size_t count,
			     void (*found)(void *context, size_t i, uint64_t start,
					   const char *name, size_t len),
			     void *context)
{
	return error_new(ERR_UNSUPPORTED, "names from the kernel: not on this architecture yet");
}
#endif
