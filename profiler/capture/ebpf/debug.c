#include "profiler/capture/ebpf/debug.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/sink.h"

/* Only ever a new file; a device (/dev/null) is written to as it is. */
static struct error *open_file(const char *path, int *ret)
{
	struct stat st;
	bool is_device = lstat(path, &st) == 0 && S_ISCHR(st.st_mode);
	int flags = is_device ? 0 : O_CREAT | O_EXCL;

	if (!is_device && lstat(path, &st) == 0 && (S_ISREG(st.st_mode) || S_ISLNK(st.st_mode)) &&
	    unlink(path) != 0)
		return error_errno(errno, "cannot replace %s", path);
	*ret = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
	if (*ret < 0)
		return error_errno(errno, "cannot create %s", path);
	return is_device ? NULL : sink_give_to_owner(*ret, path);
}

struct error *debug_stacks_open(struct debug_stacks *d, const char *path)
{
	static const uint32_t version[2] = { DEBUG_STACKS_VERSION };
	struct error *err;
	int fd = -1;

	err = open_file(path, &fd);
	if (err) {
		if (fd >= 0)
			close(fd);
		return err;
	}
	d->file = fdopen(fd, "w");
	d->path = mem_strdup(path);
	d->frames = mem_alloc(UNWIND_MAX_FRAMES * sizeof(*d->frames));
	d->words = mem_alloc(UNWIND_MAX_FRAMES * sizeof(*d->words));
	fwrite(DEBUG_STACKS_MAGIC, 1, 8, d->file);
	fwrite(version, 1, sizeof(version), d->file);
	return NULL;
}

struct error *debug_stacks_close(struct debug_stacks *d)
{
	struct error *err = NULL;

	if (!d->file)
		return NULL;
	bool failed = ferror(d->file);

	if (fclose(d->file) != 0 || failed)
		err = error_errno(errno, "cannot write %s", d->path);
	d->file = NULL;
	free(d->path);
	free(d->frames);
	free(d->words);
	return err;
}

/* Code that was made at run time is read from the process, which may have made other code there
 * since the kernel program read it. */
struct live_code {
	const struct unwind_space *of;
	bool was_read;
};

static bool read_live_code(void *context, uint64_t address, void *bytes, uint32_t size)
{
	struct live_code *live = context;

	live->was_read = true;
	return live->of->read_code && live->of->read_code(live->of->context, address, bytes, size);
}

/* As the kernel program did it: with the mappings that it had, and nothing compiled. True where it
 * depends on code as it is now. */
static bool walk_again(struct debug_stacks *d, const struct debug_sample *s,
		       struct unwind_result *ret)
{
	struct live_code live = { .of = &s->space };
	const uint64_t *regs =
		(const uint64_t *)(s->sample + 1) + s->sample->kernel_count + s->sample->user_count;
	struct unwind_space space = s->space;
	struct unwind_regs at = { .ip = regs[0] };

	memcpy(at.gpr, regs + 1, sizeof(at.gpr));
	space.mappings = (const struct unwind_mapping *)(s->maps + 1);
	space.count = s->maps->count;
	space.tables = NULL;
	space.read_code = read_live_code;
	space.context = &live;
	unwind_walk(s->tables, &space, &at, &s->stack, false, d->frames, UNWIND_MAX_FRAMES, ret);
	for (uint32_t i = 0; i < ret->count; i++) {
		const struct unwind_frame *f = &d->frames[i];

		d->words[i] = f->ip;
		if (f->flags & UNWIND_FRAME_RETURN)
			d->words[i] |= KERN_FRAME_RETURN;
		if (f->flags & UNWIND_FRAME_GUESSED)
			d->words[i] |= KERN_FRAME_GUESSED;
	}
	return live.was_read;
}

/* A word that the kernel program could read, and that was not sent. */
static bool needs_more(const struct debug_sample *s, const struct unwind_result *result)
{
	uint64_t offset = result->fault_address - s->stack.base;

	if (result->status != UNWIND_EFAULT_RA && result->status != UNWIND_EFAULT_FP &&
	    result->status != UNWIND_EFAULT_DEREF)
		return false;
	return s->stack.size < 8 || offset > s->stack.size - 8;
}

static enum debug_verdict compare(const struct debug_stacks *d, const struct debug_sample *s,
				  const struct unwind_result *result)
{
	const struct kern_sample *k = s->sample;
	const uint64_t *words = (const uint64_t *)(k + 1) + k->kernel_count;
	bool same_end = k->status == result->status && k->user_count == result->count &&
			k->fault_address == result->fault_address;

	if (!same_end && (!needs_more(s, result) || result->count > k->user_count))
		return DEBUG_DIFFERS;
	for (uint32_t i = 0; i < result->count; i++)
		if (words[i] != d->words[i])
			return DEBUG_DIFFERS;
	return same_end ? DEBUG_EQUAL : DEBUG_OPEN;
}

static void write_record(struct debug_stacks *d, const struct debug_sample *s,
			 const struct unwind_result *result, enum debug_verdict verdict)
{
	static const uint8_t zeros[8];
	const struct kern_sample *k = s->sample;
	const uint64_t *words = (const uint64_t *)(k + 1) + k->kernel_count;
	size_t fill = (8 - s->stack.size % 8) % 8;
	struct debug_record r = {
		.verdict = verdict,
		.time_ns = k->record.time_ns,
		.pid = k->tgid,
		.tid = k->tid,
		.cpu = s->cpu,
		.in_kernel = k->record.flags & KERN_SAMPLE_IN_KERNEL,
		.maps = k->maps,
		.kernel_status = k->status,
		.host_status = result->status,
		.kernel_count = k->user_count,
		.host_count = result->count,
		.kernel_fault = k->fault_address,
		.host_fault = result->fault_address,
		.stack_base = s->stack.base,
		.stack_bytes = (uint32_t)s->stack.size,
	};

	memcpy(r.stack_absent, s->stack.absent, sizeof(r.stack_absent));
	r.bytes = (uint32_t)(sizeof(r) + (KERN_REGS + k->user_count + result->count) * 8 +
			     s->stack.size + fill);
	fwrite(&r, 1, sizeof(r), d->file);
	fwrite(words + k->user_count, 8, KERN_REGS, d->file);
	fwrite(words, 8, k->user_count, d->file);
	fwrite(d->words, 8, result->count, d->file);
	fwrite(s->stack.bytes, 1, s->stack.size, d->file);
	fwrite(zeros, 1, fill, d->file);
}

void debug_stacks_add(struct debug_stacks *d, const struct debug_sample *s)
{
	const struct kern_sample *k = s->sample;
	struct unwind_result result = { .status = UNWIND_DEFER };
	enum debug_verdict verdict = DEBUG_DEFERRED;

	if (k->status != UNWIND_DEFER && s->maps) {
		bool by_live_code = walk_again(d, s, &result);

		verdict = compare(d, s, &result);
		if (verdict == DEBUG_DIFFERS && by_live_code)
			verdict = DEBUG_OPEN;
		d->compared++;
		d->frames_compared += result.count;
		d->differ += verdict == DEBUG_DIFFERS;
		d->open += verdict == DEBUG_OPEN;
	}
	if (verdict == DEBUG_DIFFERS)
		log_debug("debug", "%u/%u: kernel %s, %u frames, %#llx; here %s, %u frames, %#llx",
			  k->tgid, k->tid, unwind_status_name((enum unwind_status)k->status),
			  k->user_count, (unsigned long long)k->fault_address,
			  unwind_status_name(result.status), result.count,
			  (unsigned long long)result.fault_address);
	write_record(d, s, &result, verdict);
}
