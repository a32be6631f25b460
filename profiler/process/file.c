#include "profiler/process/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "profiler/process/maps.h"
#include "profiler/process/namespace.h"

#define TROUBLES_MAX 20

/* Times that a file which could not be opened is tried again, with other mappings of it. */
#define ATTEMPTS_MAX 16

void proc_files_init(struct proc_files *f, struct unwind_tables *tables,
		     struct recording_writer *writer)
{
	*f = (struct proc_files){ .tables = tables, .writer = writer };
}

void proc_files_deinit(struct proc_files *f)
{
	for (size_t i = 0; i < f->all.count; i++) {
		image_close(f->all.items[i].image);
		free(f->all.items[i].path);
	}
	vec_deinit(&f->all);
	map_deinit(&f->by_build_id);
	map_deinit(&f->by_inode);
	map_deinit(&f->by_path);
}

const struct image *proc_files_image(const struct proc_files *f, uint32_t id)
{
	for (size_t i = 0; i < f->all.count; i++)
		if (f->all.items[i].id == id && f->all.items[i].image)
			return f->all.items[i].image;
	return NULL;
}

/* Build ids are hashes already. */
static uint64_t build_id_key(const struct build_id *id)
{
	uint64_t key = 0;

	memcpy(&key, id->bytes, MIN(sizeof(key), id->size));
	return key;
}

static uint64_t path_key(const char *path)
{
	uint64_t h = 14695981039346656037ull; /* FNV-1a */

	for (; *path; path++)
		h = (h ^ (uint8_t)*path) * 1099511628211ull;
	return h;
}

static uint64_t inode_key(const struct proc_file_key *key)
{
	return key->inode * 0x9e3779b97f4a7c15ull ^ ((uint64_t)key->major << 20 | key->minor);
}

static bool is_the_same(const struct proc_file *file, const struct proc_file_key *key)
{
	if (key->build_id.size)
		return build_id_equal(&file->build_id, &key->build_id);
	if (key->inode)
		return !file->is_outdated && file->inode == key->inode &&
		       file->major == key->major && file->minor == key->minor &&
		       (!file->generation || !key->generation ||
			file->generation == key->generation) &&
		       !strcmp(file->path, key->path);
	return file->inode == 0 && !file->id_was_told && !strcmp(file->path, key->path);
}

/* Names of mappings that are no files, or memory that the kernel gives a name. */
static bool is_memory(const char *path)
{
	return !*path || !strncmp(path, "//anon", 6) || path[0] == '[' ||
	       !strncmp(path, "/dev/zero", 9) || !strncmp(path, "/anon_hugepage", 14) ||
	       !strncmp(path, "/SYSV", 5) || !strncmp(path, "anon_inode:", 11);
}

static enum recording_file_kind kind_of(const char *path)
{
	if (!strcmp(path, "[vdso]"))
		return RECORDING_FILE_VDSO;
	if (!strcmp(path, "[vsyscall]") || !strcmp(path, "[uprobes]"))
		return RECORDING_FILE_OTHER;
	return is_memory(path) ? RECORDING_FILE_JIT : RECORDING_FILE_ELF;
}

/* Whether a file that is being mapped was written to since it was opened. Where its path leads to
 * another file, it cannot be told: then it cannot be written to by that name either. */
static bool was_rewritten(const struct proc_file *file, const struct proc_file_key *key)
{
	CLEANUP(mem_cleanup) char *path = mem_printf("/proc/%u/root%s", key->pid, key->path);
	struct stat st;

	if (stat(path, &st) != 0 || st.st_ino != file->inode)
		return false;
	return st.st_mtim.tv_sec != file->changed.tv_sec ||
	       st.st_mtim.tv_nsec != file->changed.tv_nsec;
}

/* A file that is known is mapped (again). Its index; MAP_NONE: it is another one by now. */
static uint32_t meet_again(struct proc_files *f, uint32_t index, const struct proc_file_key *key)
{
	struct proc_file *file = &f->all.items[f->all.items[index].same_as];

	if (file->state == PROC_FILE_CLOSED && file->kind == RECORDING_FILE_OTHER &&
	    file->attempts && file->attempts < ATTEMPTS_MAX) {
		/* perhaps it was gone before we came, and stays this time */
		file->state = PROC_FILE_NEW;
		file->kind = kind_of(file->path);
		file->id = 0;
	}
	if (file->state == PROC_FILE_OPEN && key->inode && key->pid && was_rewritten(file, key)) {
		f->all.items[index].is_outdated = true;
		return MAP_NONE;
	}
	return f->all.items[index].same_as;
}

uint32_t proc_files_intern(struct proc_files *f, const struct proc_file_key *key)
{
	struct map *by = key->build_id.size ? &f->by_build_id
			 : key->inode	    ? &f->by_inode
					    : &f->by_path;
	uint64_t k = key->build_id.size ? build_id_key(&key->build_id)
		     : key->inode	? inode_key(key)
					: path_key(key->path);
	uint32_t *slot, index = (uint32_t)f->all.count;

	/* two keys may collide: the next number is tried then */
	while (*(slot = map_at(by, k)) != MAP_NONE) {
		uint32_t known = is_the_same(&f->all.items[*slot], key) ? meet_again(f, *slot, key)
									: MAP_NONE;

		if (known != MAP_NONE)
			return known;
		k++;
	}
	*slot = index;
	vec_push(&f->all, (struct proc_file){
				  .kind = kind_of(key->path),
				  .path = mem_strdup(key->path),
				  .build_id = key->build_id,
				  .id_was_told = key->build_id.size > 0,
				  .major = key->major,
				  .minor = key->minor,
				  .inode = key->inode,
				  .generation = key->generation,
				  .same_as = index,
			  });
	return index;
}

/* Whether something was as it is now before a moment of the kernel's records; the times of files
 * are as coarse as a tick. */
static bool was_before(const struct timespec *t, uint64_t time_ns)
{
	struct timespec real, tick;
	int64_t offset_ns;

	clock_gettime(CLOCK_REALTIME, &real);
	clock_getres(CLOCK_REALTIME_COARSE, &tick);
	offset_ns = real.tv_sec * 1000000000 + real.tv_nsec - (int64_t)proc_now();
	return t->tv_sec * 1000000000 + t->tv_nsec + 2 * tick.tv_nsec <
	       (int64_t)time_ns + offset_ns;
}

/*
 * Whether an open file without a build id is the one that was mapped at that time. Numbers of
 * deleted files are given to new ones, so it must also have the same generation, where the file
 * system has those, or not have changed since.
 */
static bool is_mapped_file(const struct proc_file *file, int fd, const struct stat *st,
			   uint64_t time_ns)
{
	struct statfs fs;
	struct statx born;
	int generation;

	if (st->st_ino != file->inode)
		return false;
	if (fstatfs(fd, &fs) == 0 && fs.f_type == TMPFS_MAGIC)
		return true; /* memory files too: they count on */
	if (file->generation && ioctl(fd, FS_IOC_GETVERSION, &generation) == 0)
		return (uint32_t)generation == (uint32_t)file->generation;
	if (was_before(&st->st_ctim, time_ns))
		return true;
	if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &born) != 0 || !(born.stx_mask & STATX_BTIME))
		return false;
	/* renamed or unlinked since, and not written to */
	return was_before(&(struct timespec){ born.stx_btime.tv_sec, born.stx_btime.tv_nsec },
			  time_ns) &&
	       was_before(&st->st_mtim, time_ns);
}

/* What was found where a file should have been. */
struct findings {
	bool was_other, is_no_image;
};

/* The image of a mapping from one of the places where its file may be; NULL where it is in none.
 * Only what the build id, or the inode, proves to be the mapped file is taken: even the link of a
 * mapping itself may be that of another one by now. */
static struct image *open_at(struct proc_file *file, const char *path, uint64_t time_ns,
			     struct findings *f)
{
	CLEANUP(fd_cleanup) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct image *img;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return NULL;
	if (!file->build_id.size && !is_mapped_file(file, fd, &st, time_ns)) {
		f->was_other = true;
		return NULL;
	}
	struct error *err = image_open_fd(fd, file->path, &img);

	if (err) {
		log_debug("process", "%s: %s", path, error_message(err));
		error_free(err);
		f->is_no_image = true;
		return NULL;
	}
	if (file->build_id.size && !build_id_equal(image_build_id(img), &file->build_id)) {
		f->was_other = true;
		image_close(img);
		return NULL;
	}
	file->changed = st.st_mtim;
	return img;
}

static struct image *open_image(struct proc_file *file, uint32_t pid, uint64_t start, uint64_t end,
				uint64_t time_ns, struct findings *f)
{
	CLEANUP(mem_cleanup) char *in_root = mem_printf("/proc/%u/root%s", pid, file->path);
	char map_file[96], exe[32];
	struct findings of_exe = { 0 };
	struct image *img;

	snprintf(map_file, sizeof(map_file), "/proc/%u/map_files/%llx-%llx", pid,
		 (unsigned long long)start, (unsigned long long)end);
	snprintf(exe, sizeof(exe), "/proc/%u/exe", pid);
	img = open_at(file, map_file, time_ns, f);
	if (!img)
		img = open_at(file, in_root, time_ns, f);
	if (!img)
		img = open_at(file, file->path, time_ns, f);
	if (!img) /* deleted, or in a folder that is closed to us: the program itself has a link */
		img = open_at(file, exe, time_ns, &of_exe);
	return img;
}

/* The vDSO is the same in every process: ours is read. */
static struct image *open_vdso(void)
{
	const void *at = (const void *)getauxval(AT_SYSINFO_EHDR);
	struct image *img = NULL;
	struct proc_maps maps;
	struct error *err = at ? proc_maps_read((uint32_t)getpid(), &maps) : NULL;

	if (!at || err) {
		error_free(err);
		return NULL;
	}
	for (size_t i = 0; i < maps.maps.count && !img; i++) {
		const struct proc_map *m = &maps.maps.items[i];

		if (m->start == (uint64_t)at)
			err = image_open_memory(at, m->end - m->start, "[vdso]", &img);
	}
	error_free(err);
	proc_maps_deinit(&maps);
	return img;
}

/* Another file of the same build id that was opened before takes this one's place. */
static bool join_known(struct proc_files *f, uint32_t index)
{
	struct proc_file *file = &f->all.items[index];
	struct proc_file_key key = { .path = file->path, .build_id = *image_build_id(file->image) };
	bool had_id = file->build_id.size;
	uint32_t known;

	if (had_id || !key.build_id.size || file->kind != RECORDING_FILE_ELF)
		return false;
	file->build_id = key.build_id;
	known = proc_files_intern(f, &key);
	file = &f->all.items[index];
	if (f->all.items[known].state != PROC_FILE_OPEN) {
		/* the one just added is only a name for this one */
		f->all.items[known].same_as = index;
		return false;
	}
	image_close(file->image);
	file->image = NULL;
	file->same_as = known;
	return true;
}

/* What the user should know of a file. On a machine where programs are built there is no end of
 * those that are gone, or others by now. */
static void PRINTF_LIKE(3, 4)
	tell_trouble(struct proc_files *f, uint64_t time_ns, const char *fmt, ...)
{
	va_list args;
	char *text;

	if (f->troubles++ > TROUBLES_MAX)
		return;
	va_start(args, fmt);
	text = f->troubles > TROUBLES_MAX
		       ? mem_strdup("what there is to say of more files is left out")
		       : mem_vprintf(fmt, args);
	va_end(args);
	recording_add_diagnostic(f->writer, time_ns, "%s", text);
	free(text);
}

uint32_t proc_files_open(struct proc_files *f, uint32_t index, uint32_t pid, uint64_t start,
			 uint64_t end, uint64_t time_ns)
{
	struct proc_file *file = &f->all.items[index];
	struct findings findings = { 0 };

	if (file->state != PROC_FILE_NEW || file->same_as != index)
		return file->same_as;
	file->state = PROC_FILE_CLOSED;
	if (file->kind == RECORDING_FILE_VDSO)
		file->image = open_vdso();
	else if (file->kind == RECORDING_FILE_ELF)
		file->image = open_image(file, pid, start, end, time_ns, &findings);
	if (!file->image) {
		file->attempts++;
		/* memory files that are not ELF hold code made at run time (.NET's double mapping)
		 */
		if (file->kind == RECORDING_FILE_ELF)
			file->kind = findings.is_no_image && !strncmp(file->path, "/memfd:", 7)
					     ? RECORDING_FILE_JIT
					     : RECORDING_FILE_OTHER;
		if (findings.was_other && file->attempts == 1)
			tell_trouble(f, time_ns,
				     "%s on disk is not the file that was mapped: its "
				     "functions have no names, and stacks end there",
				     file->path);
		else if (*file->path == '/' && access(file->path, R_OK) != 0 && errno == EACCES)
			tell_trouble(f, time_ns,
				     "%s may be run, but not read, by this user: its "
				     "functions have no names, and stacks end there "
				     "(run as root)",
				     file->path);
		return index;
	}
	file->state = PROC_FILE_OPEN;
	if (join_known(f, index))
		return f->all.items[index].same_as;
	file = &f->all.items[index];
	if (!file->build_id.size)
		file->build_id = *image_build_id(file->image);

	struct error *err = unwind_table_create(f->tables, file->image, &file->table);

	if (err) {
		tell_trouble(f, time_ns, "%s: %s", file->path, error_message(err));
		error_free(err);
	}
	return index;
}

uint32_t proc_files_id(struct proc_files *f, uint32_t index)
{
	struct proc_file *file = &f->all.items[index];

	if (!file->id)
		file->id = recording_add_file(
			f->writer, &(struct recording_file){
					   .kind = file->kind,
					   .path = recording_add_string(f->writer, file->path,
									strlen(file->path)),
					   .build_id = file->build_id,
				   });
	return file->id;
}
