#include "profiler/process/namespace.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

/* Inodes of the first namespaces: PROC_PID_INIT_INO and PROC_TIME_INIT_INO of the kernel. */
#define FIRST_PID_NAMESPACE  0xeffffffcul
#define FIRST_TIME_NAMESPACE 0xeffffffaul

#define MOUNT_HINT                                                                                 \
	"mount -t proc proc /proc (unshare does so with --mount-proc, containers by themselves)"

/* 0: not known. */
static uint64_t inode_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_ino : 0;
}

bool proc_in_pid_namespace(void)
{
	uint64_t inode = inode_of("/proc/self/ns/pid");

	return inode && inode != FIRST_PID_NAMESPACE;
}

struct error *proc_check_status(const char *status, uint32_t own_pid)
{
	const char *at = strstr(status, "\nNSpid:");
	uint32_t there, deeper;
	int n = at ? sscanf(at, "\nNSpid: %" SCNu32 "%*[ \t]%" SCNu32, &there, &deeper) : 0;

	/* the numbers from the namespace that /proc is of to the process's own */
	if (n < 1 || (n == 1 && there == own_pid))
		return NULL;
	return error_hint(
		error_new(ERR_UNSUPPORTED,
			  "/proc is that of another pid namespace: cprof is process %" PRIu32
			  " there, and %" PRIu32 " here",
			  there, own_pid),
		MOUNT_HINT);
}

struct error *proc_check_mount(void)
{
	CLEANUP(mem_cleanup) char *status = NULL;
	struct error *err = file_read_proc("/proc/self/status", 65536, &status, NULL);

	if (!err)
		return proc_check_status(status, (uint32_t)getpid());
	error_free(err);
	if (access("/proc/stat", F_OK) == 0)
		return error_hint(
			error_new(ERR_UNSUPPORTED,
				  "/proc is that of another pid namespace, in which cprof "
				  "is no process"),
			MOUNT_HINT);
	return error_hint(error_new(ERR_UNSUPPORTED, "there is no /proc here"), MOUNT_HINT);
}

bool proc_clock_offset_parse(const char *text, int64_t *ret_ns)
{
	const char *at = strstr(text, "monotonic");
	int64_t seconds, ns;

	if (!at || sscanf(at, "monotonic %" SCNd64 " %" SCNd64, &seconds, &ns) != 2)
		return false;
	*ret_ns = seconds * 1000000000 + ns;
	return true;
}

static int64_t clock_offset_ns;

struct error *proc_set_clock(void)
{
	uint64_t own = inode_of("/proc/self/ns/time");
	CLEANUP(mem_cleanup) char *text = NULL;

	clock_offset_ns = 0;
	if (!own || own == FIRST_TIME_NAMESPACE)
		return NULL;
	/* what the file tells is the children's */
	if (own == inode_of("/proc/self/ns/time_for_children")) {
		TRY(file_read_proc("/proc/self/timens_offsets", 4096, &text, NULL));
		if (proc_clock_offset_parse(text, &clock_offset_ns))
			return NULL;
	}
	return error_hint(
		error_new(ERR_UNSUPPORTED,
			  "cprof runs in a time namespace, and the kernel does not tell how "
			  "far its clocks are off"),
		"start cprof by a process that is in the namespace already (unshare -T "
		"with --fork)");
}

uint64_t proc_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec - (uint64_t)clock_offset_ns;
}
