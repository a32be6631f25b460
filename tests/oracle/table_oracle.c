/*
 * Compares the compiled tables of the files named (`-`: of those that stdin names, one a line) with
 * libdw, row by row. `make oracle` gives it every ELF file on the machine. Exit 1 on any
 * difference.
 */
#include "tests/support/table_oracle.h"

static struct oracle_stats total;
static unsigned int files;

static void one(const char *path)
{
	struct oracle_stats s = { 0 };

	if (!oracle_file(path, 1, &s))
		return;
	files++;
	total.rows += s.rows;
	total.differences += s.differences;
	total.unsupported += s.unsupported;
	total.below_sp += s.below_sp;
	total.unreadable += s.unreadable;
	total.no_cfa += s.no_cfa;
	if (s.differences)
		printf("%s: %lu of %lu rows differ\n", path, (unsigned long)s.differences,
		       (unsigned long)s.rows);
}

int main(int argc, char **argv)
{
	char line[4096];

	elf_version(EV_CURRENT);
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-") != 0) {
			one(argv[i]);
			continue;
		}
		while (fgets(line, sizeof(line), stdin)) {
			line[strcspn(line, "\n")] = '\0';
			one(line);
		}
	}
	printf("%u files, %lu rows, %lu differences\n", files, (unsigned long)total.rows,
	       (unsigned long)total.differences);
	printf("explained: %lu rows with a frame pointer below sp, %lu probes where libdw has no "
	       "CFA\n",
	       (unsigned long)total.below_sp, (unsigned long)total.no_cfa);
	printf("not supported: %lu rows; refused by libdw: %lu functions\n",
	       (unsigned long)total.unsupported, (unsigned long)total.unreadable);
	return total.differences || !files;
}
