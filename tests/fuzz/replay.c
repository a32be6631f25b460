/*
 * Runs a fuzzer's function over the files of its corpus, without libFuzzer: that is how `make
 * check` replays every input that was ever worth keeping, with any compiler. `make fuzz` links the
 * same functions with libFuzzer instead.
 */
#include <dirent.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path)
{
	CLEANUP(error_cleanup) struct error *err = NULL;
	struct file_bytes bytes;

	/* Named first: a crash then says where. */
	printf("%s\n", path);
	fflush(stdout);
	err = file_map(path, &bytes);
	if (err) {
		error_print(err, stderr);
		return 1;
	}
	/* A copy of exactly this size, so that a sanitizer sees one byte too many. */
	uint8_t *copy = malloc(bytes.size ? bytes.size : 1);
	if (!copy)
		return 1;
	if (bytes.size)
		memcpy(copy, bytes.data, bytes.size);
	LLVMFuzzerTestOneInput(copy, bytes.size);
	free(copy);
	file_bytes_deinit(&bytes);
	return 0;
}

int main(int argc, char **argv)
{
	unsigned int count = 0, failed = 0;

	for (int i = 1; i < argc; i++) {
		DIR *dir = opendir(argv[i]);
		struct dirent *entry;

		if (!dir) {
			perror(argv[i]);
			return 1;
		}
		while ((entry = readdir(dir))) {
			char path[PATH_MAX];

			if (entry->d_name[0] == '.')
				continue;
			snprintf(path, sizeof(path), "%s/%s", argv[i], entry->d_name);
			failed += (unsigned int)replay(path);
			count++;
		}
		closedir(dir);
	}
	LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
	printf("%u inputs\n", count);
	return failed || !count;
}
