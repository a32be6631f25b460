#include "symbolizer/perf_map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/vec.h"
#include "symbolizer/hex.h"
#include "symbolizer/module.h"
#include "symbolizer/root_file.h"

#define PERF_MAP_MAX_BYTES ((size_t)512 << 20)

/* No compiled function is larger: such a line would only hide others. */
#define FUNCTION_MAX_BYTES ((uint64_t)256 << 20)

struct compiled {
	uint64_t start, end;
	uint32_t line; /* the later one is in force: code is replaced in place */
	uint32_t name; /* offset in the text */
	uint32_t name_len;
};

struct perf_map {
	struct symbol_module base;
	char *text;
	VEC(struct compiled) functions; /* by start */
};

/* --- the text --- */

/* A number with or without 0x; NULL where there is none. */
static const char *parse_hex(const char *p, const char *end, uint64_t *ret)
{
	if (end - p > 2 && p[0] == '0' && (p[1] | 0x20) == 'x')
		p += 2;
	return hex_u64(p, end, ret);
}

/* `START SIZE NAME`; the name goes to the end of the line and may hold blanks. */
static bool parse_line(const char *text, const char *p, const char *end, struct compiled *ret)
{
	uint64_t size;

	p = parse_hex(p, end, &ret->start);
	if (!p || p == end || *p != ' ')
		return false;
	p = parse_hex(p + 1, end, &size);
	if (!p || p == end || *p != ' ')
		return false;
	p++;
	if (end > p && end[-1] == '\r')
		end--;
	if (p == end || size == 0 || size > FUNCTION_MAX_BYTES || size > UINT64_MAX - ret->start)
		return false;
	ret->end = ret->start + size;
	ret->name = (uint32_t)(p - text);
	ret->name_len = (uint32_t)(end - p);
	return true;
}

static int compare_starts(const void *pa, const void *pb)
{
	const struct compiled *a = pa, *b = pb;

	return a->start < b->start ? -1 : a->start > b->start;
}

/* --- looking up --- */

/* A heap of functions, the latest line on top. */
struct heap {
	VEC(const struct compiled *) items;
};

static void heap_push(struct heap *h, const struct compiled *c)
{
	size_t at = h->items.count;

	vec_push(&h->items, c);
	for (; at && h->items.items[(at - 1) / 2]->line < c->line; at = (at - 1) / 2)
		h->items.items[at] = h->items.items[(at - 1) / 2];
	h->items.items[at] = c;
}

static void heap_pop(struct heap *h)
{
	const struct compiled **items = h->items.items, *last = items[--h->items.count];
	size_t n = h->items.count, at = 0;

	for (size_t child; (child = 2 * at + 1) < n; at = child) {
		if (child + 1 < n && items[child + 1]->line > items[child]->line)
			child++;
		if (items[child]->line < last->line)
			break;
		items[at] = items[child];
	}
	items[at] = last;
}

/* Of the functions that cover an address the one of the latest line holds. Addresses ascend:
 * functions that begin at or below go into the heap, and one that is on top and has ended is of no
 * more use. */
static void perf_map_batch(struct symbol_module *base, const uint64_t *addresses, size_t n,
			   struct symbol_chain *chains, struct symbol_result *result)
{
	struct perf_map *m = (struct perf_map *)base;
	struct heap open = { 0 };
	size_t next = 0;

	for (size_t i = 0; i < n; i++) {
		for (; next < m->functions.count && m->functions.items[next].start <= addresses[i];
		     next++)
			heap_push(&open, &m->functions.items[next]);
		while (open.items.count && open.items.items[0]->end <= addresses[i])
			heap_pop(&open);
		if (!open.items.count)
			continue;
		const struct compiled *c = open.items.items[0];
		chain_set(chains, i, result, c->start, m->text + c->name, c->name_len, false);
	}
	vec_deinit(&open.items);
}

/* --- the module --- */

static void perf_map_close(struct symbol_module *base)
{
	struct perf_map *m = (struct perf_map *)base;

	vec_deinit(&m->functions);
	free(m->text);
	free(m);
}

struct symbol_module *perf_map_parse(char *take_text, size_t size)
{
	struct perf_map *m = mem_calloc(1, sizeof(*m));
	const char *text = take_text, *newline;
	uint32_t line = 0;

	m->base = (struct symbol_module){ .batch = perf_map_batch, .close = perf_map_close };
	m->text = take_text;
	for (const char *p = text; size && (newline = memchr(p, '\n', (size_t)(text + size - p)));
	     p = newline + 1) {
		struct compiled c = { .line = line++ };
		if (parse_line(text, p, newline, &c))
			vec_push(&m->functions, c);
		if (newline + 1 == text + size)
			break;
	}
	if (m->functions.count)
		qsort(m->functions.items, m->functions.count, sizeof(*m->functions.items),
		      compare_starts);
	return &m->base;
}

/* Its own copy: the process goes on writing to the file. */
static struct error *read_all(int fd, const char *name, char **ret, size_t *ret_size)
{
	struct buf b = { 0 };

	while (b.len < PERF_MAP_MAX_BYTES) {
		buf_reserve(&b, (size_t)1 << 18);
		ssize_t n = read(fd, b.data + b.len, MIN(b.capacity, PERF_MAP_MAX_BYTES) - b.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			buf_deinit(&b);
			return error_errno(errno, "cannot read %s", name);
		}
		if (n == 0)
			break;
		b.len += (size_t)n;
	}
	*ret_size = b.len;
	*ret = b.data;
	return NULL;
}

static struct error *open_owned(const char *root, uint32_t pid, uint32_t uid, char **ret_path,
				int *ret_fd)
{
	char *path = mem_printf("/tmp/perf-%u.map", pid);
	CLEANUP(fd_cleanup) int fd = -1;
	struct error *err = root_file_open(root, path, &fd);
	struct stat st;

	if (!err && fstat(fd, &st) < 0)
		err = error_errno(errno, "cannot stat %s", path);
	if (!err && st.st_uid != uid)
		err = error_new(ERR_PERMISSION,
				"%s belongs to user %u, not to the process's user %u: not used",
				path, (unsigned int)st.st_uid, uid);
	if (err) {
		free(path);
		return err;
	}
	*ret_path = path;
	*ret_fd = fd;
	fd = -1;
	return NULL;
}

struct error *symbol_module_perf_map(uint32_t pid, uint32_t ns_pid, const char *root, uint32_t uid,
				     struct symbol_module **ret)
{
	CLEANUP(fd_cleanup) int fd = -1;
	CLEANUP(mem_cleanup) char *path = NULL;
	char *text = NULL;
	size_t size = 0;
	struct error *err = open_owned(root, ns_pid, uid, &path, &fd);

	if (err && (*root || ns_pid != pid)) {
		struct error *here = open_owned("", pid, uid, &path, &fd);
		/* A file that is not this process's says more than one that is not there. */
		if (!here || error_code_of(err) == ERR_NOT_FOUND) {
			error_free(err);
			err = here;
		} else {
			error_free(here);
		}
	}
	TRY(err);
	TRY(read_all(fd, path, &text, &size));
	*ret = perf_map_parse(text, size);
	return NULL;
}
