/*
 * Loads the kernel program out of object files and prints what the kernel's verifier had to do for
 * each of its programs, and again as it is loaded inside of a pid namespace:
 *
 *     load BUDGET OBJECT...     exit status 1 where an object takes more instructions than BUDGET
 *
 * A program's time is that of an object with this program alone, less the same without any program.
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "profiler/bpf/bridge.h"

static double thread_cpu_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

struct cost {
	double ms;
	uint32_t verified, jited_bytes;
};

/* The constant that the sampler sets there. False: the object has none of that name. */
static bool set_in_pid_namespace(struct bpf_object *object)
{
	const struct btf *btf = bpf_object__btf(object);
	int section = btf__find_by_name_kind(btf, ".rodata", BTF_KIND_DATASEC);
	const struct btf_type *t = section < 0 ? NULL : btf__type_by_id(btf, (uint32_t)section);
	struct bpf_map *map = bpf_object__find_map_by_name(object, ".rodata");
	size_t size;
	uint8_t *constants = map ? (uint8_t *)bpf_map__initial_value(map, &size) : NULL;

	for (uint32_t i = 0; t && constants && i < btf_vlen(t); i++) {
		const struct btf_var_secinfo *v = btf_var_secinfos(t) + i;
		const struct btf_type *var = btf__type_by_id(btf, v->type);

		if (strcmp(btf__name_by_offset(btf, var->name_off), "in_pid_namespace") != 0)
			continue;
		constants[v->offset] = 1;
		return true;
	}
	return false;
}

static struct error *load(const char *path, const char *only, bool in_pid_namespace,
			  struct cost *ret)
{
	double started = thread_cpu_ms();
	struct bpf_object *object = bpf_object__open_file(path, NULL);
	struct bpf_program *p;
	struct error *err;
	int result;

	if (!object)
		return error_errno(errno, "%s", path);
	err = kern_object_size(object, kern_cpus_possible(), KERN_TARGET_PROCESSES,
			       in_pid_namespace);
	if (!err && in_pid_namespace && !set_in_pid_namespace(object))
		err = error_new(ERR_FAILED, "%s: no constant in_pid_namespace", path);
	bpf_object__for_each_program(p, object)
	{
		bpf_program__set_autoload(p, strcmp(bpf_program__name(p), only) == 0);
	}
	result = err ? 0 : bpf_object__load(object);
	if (result < 0)
		err = error_errno(-result, "%s: program %s (%s)", path, only, kern_object_words());
	*ret = (struct cost){ .ms = thread_cpu_ms() - started };
	bpf_object__for_each_program(p, object)
	{
		struct bpf_prog_info info = { 0 };
		uint32_t size = sizeof(info);

		if (!err && bpf_program__autoload(p) &&
		    bpf_obj_get_info_by_fd(bpf_program__fd(p), &info, &size) == 0) {
			ret->verified = info.verified_insns;
			ret->jited_bytes = info.jited_prog_len;
		}
	}
	bpf_object__close(object);
	return err;
}

/* The names of an object's programs, with commas between. */
static char *program_names(const char *path)
{
	struct bpf_object *object = bpf_object__open_file(path, NULL);
	char *names = mem_strdup("");
	struct bpf_program *p;

	if (!object)
		return names;
	bpf_object__for_each_program(p, object)
	{
		char *more = mem_printf("%s%s%s", names, *names ? "," : "", bpf_program__name(p));

		free(names);
		names = more;
	}
	bpf_object__close(object);
	return names;
}

static struct error *check(const char *path, bool in_pid_namespace, uint32_t budget, bool *ret_over)
{
	char *names = program_names(path), *next = names, *name;
	uint32_t verified = 0;
	struct cost maps, c;
	double ms;
	struct error *err = load(path, "", in_pid_namespace, &maps);

	ms = maps.ms;
	printf("%s%s\n", in_pid_namespace ? "in a pid namespace: " : "", path);
	while (!err && (name = strsep(&next, ","))) {
		err = load(path, name, in_pid_namespace, &c);
		if (err)
			break;
		printf("  %-16s %8u instructions verified %8.1f ms %8u bytes\n", name, c.verified,
		       c.ms - maps.ms, c.jited_bytes);
		verified += c.verified;
		ms += c.ms - maps.ms;
	}
	free(names);
	if (err)
		return err;
	*ret_over = verified > budget || !verified;
	printf("  %-16s %8u of at most %u  %8.1f ms with the maps%s\n", "all", verified, budget, ms,
	       *ret_over ? "  OVER THE BUDGET" : "");
	return NULL;
}

static bool is_bad(const char *path, bool in_pid_namespace, uint32_t budget)
{
	bool over = true;
	struct error *err;

	kern_object_forget_words();
	err = check(path, in_pid_namespace, budget, &over);
	if (err) {
		error_print(err, stdout);
		error_free(err);
	}
	return over;
}

int main(int argc, char **argv)
{
	struct error *err = kern_probe();
	bool failed = argc < 3;

	if (err) {
		printf("BPF programs cannot be loaded here: %s\n", error_message(err));
		error_free(err);
		return 77;
	}
	kern_object_take_words();
	for (int i = 2; i < argc; i++) {
		failed |= is_bad(argv[i], false, (uint32_t)strtoul(argv[1], NULL, 10));
		failed |= is_bad(argv[i], true, (uint32_t)strtoul(argv[1], NULL, 10));
	}
	return failed;
}
