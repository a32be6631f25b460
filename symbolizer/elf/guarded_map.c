#include "symbolizer/elf/guarded_map.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"

/* The signal handler walks this list, so nodes are never freed: a node whose map is gone has size 0
 * and is taken again by a later one. The size is written last and cleared first. */
struct guarded_range {
	_Atomic uintptr_t start;
	_Atomic size_t size;
	struct guarded_range *next;
};

static _Atomic(struct guarded_range *) ranges;
static pthread_mutex_t ranges_lock = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction action_before;
static long page_size;

static bool is_guarded(uintptr_t address)
{
	for (struct guarded_range *r = atomic_load(&ranges); r; r = r->next) {
		size_t size = atomic_load(&r->size);
		uintptr_t start = atomic_load(&r->start);
		if (address - start < size)
			return true;
	}
	return false;
}

static void mend_fault(int signo, siginfo_t *info, void *context)
{
	int saved = errno;
	uintptr_t address = (uintptr_t)info->si_addr;
	void *page = (void *)(address & ~(uintptr_t)(page_size - 1));

	if (info->si_code <= 0 || !is_guarded(address) ||
	    mmap(page, (size_t)page_size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		 0) == MAP_FAILED) {
		/* Not ours: the access is repeated and meets who was there before us. A signal that
		 * somebody sent does not repeat itself. */
		sigaction(SIGBUS, &action_before, NULL);
		if (info->si_code <= 0)
			raise(signo);
	}
	errno = saved;
}

/* Somebody may have put a handler of his own over ours since the last mapping: then ours comes
 * first again and falls back to his. */
static void install_handler(void)
{
	struct sigaction now, action = { .sa_sigaction = mend_fault,
					 .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART };

	page_size = sysconf(_SC_PAGESIZE);
	if (sigaction(SIGBUS, NULL, &now) == 0 && now.sa_sigaction == mend_fault)
		return;
	action_before = now;
	sigemptyset(&action.sa_mask);
	sigaction(SIGBUS, &action, NULL);
}

static struct guarded_range *take_range(uintptr_t start, size_t size)
{
	struct guarded_range *r;

	pthread_mutex_lock(&ranges_lock);
	install_handler();
	for (r = atomic_load(&ranges); r; r = r->next)
		if (atomic_load(&r->size) == 0)
			break;
	if (!r) {
		r = mem_calloc(1, sizeof(*r));
		r->next = atomic_load(&ranges);
		atomic_store(&ranges, r);
	}
	atomic_store(&r->start, start);
	atomic_store(&r->size, size);
	pthread_mutex_unlock(&ranges_lock);
	return r;
}

struct error *guarded_map_fd(int fd, const char *name, struct guarded_map *ret)
{
	struct guarded_map m = { 0 };

	TRY(file_map_fd(fd, name, &m.bytes));
	if (m.bytes.size)
		m.range = take_range((uintptr_t)m.bytes.data, m.bytes.size);
	*ret = m;
	return NULL;
}

void guarded_map_deinit(struct guarded_map *m)
{
	file_bytes_deinit(&m->bytes);
	if (m->range)
		atomic_store(&m->range->size, 0);
	*m = (struct guarded_map){ 0 };
}
