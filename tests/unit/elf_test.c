/* ELF images and the .eh_frame index, on the files of this machine and on damaged copies of them.
 */
#include "tests/unit/unit.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <link.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "symbolizer/elf/eh_index.h"
#include "symbolizer/elf/image.h"

static const char *libc_path(void)
{
	static Dl_info info;

	assert_true(dladdr((void *)(uintptr_t)&gnu_get_libc_version, &info));
	return info.dli_fname;
}

/* A private copy of a file's bytes that a test may damage. */
static uint8_t *load(const char *path, size_t *ret_size)
{
	struct file_bytes f;

	assert_no_error(file_map(path, &f));
	uint8_t *copy = mem_dup(f.data, f.size);
	*ret_size = f.size;
	file_bytes_deinit(&f);
	return copy;
}

static void check_build_id(const char *path)
{
	struct image *img;
	char cmd[512], expected[256] = "", got[BUILD_ID_HEX_MAX];

	assert_no_error(image_open(path, &img));
	snprintf(cmd, sizeof(cmd), "readelf -n %s 2>/dev/null | sed -n 's/.*Build ID: //p'", path);
	FILE *p = popen(cmd, "r");
	assert_non_null(p);
	if (!fgets(expected, sizeof(expected), p))
		expected[0] = '\0';
	pclose(p);
	expected[strcspn(expected, "\n")] = '\0';
	assert_string_equal(build_id_hex(image_build_id(img), got), expected);
	assert_true(image_has_build_id(img));
	image_close(img);
}

static void test_build_id_is_readelfs(void **state)
{
	check_build_id(libc_path());
	check_build_id("/bin/bash");
}

/* Every executable mapping of this process: the address that the arithmetic gives, plus where the
 * loader put the file, is the address that the byte has. */
static int check_object(struct dl_phdr_info *info, size_t size, void *count)
{
	const char *path = info->dlpi_name[0] ? info->dlpi_name : "/proc/self/exe";
	struct image *img;

	if (access(path, R_OK) != 0)
		return 0;
	assert_no_error(image_open(path, &img));
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uint64_t vaddr, left;
		if (p->p_type != PT_LOAD || !(p->p_flags & PF_X))
			continue;
		uint64_t page = p->p_offset & ~(uint64_t)4095;
		assert_true(image_vaddr_of_offset(img, page, &vaddr));
		assert_int_equal(vaddr, p->p_vaddr & ~(uint64_t)4095);
		assert_true(image_vaddr_of_offset(img, p->p_offset + p->p_filesz - 1, &vaddr));
		assert_int_equal(vaddr, p->p_vaddr + p->p_filesz - 1);
		const uint8_t *bytes = image_at_vaddr(img, p->p_vaddr, &left);
		assert_non_null(bytes);
		assert_int_equal(left, p->p_filesz);
		assert_memory_equal(bytes, (void *)(info->dlpi_addr + p->p_vaddr),
				    MIN(p->p_filesz, 256));
		++*(int *)count;
	}
	image_close(img);
	return 0;
}

static void test_addresses_are_the_loaders(void **state)
{
	int count = 0;

	dl_iterate_phdr(check_object, &count);
	assert_true(count >= 3);
}

static void test_vaddr_is_not_offset(void **state)
{
	/* As lld lays files out: each segment's address runs ahead of its offset. */
	struct {
		Elf64_Ehdr e;
		Elf64_Phdr p[3];
		uint8_t rest[0x2000];
	} file = {
		.e = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		       .e_type = ET_DYN,
		       .e_machine = EM_X86_64,
		       .e_version = EV_CURRENT,
		       .e_phoff = sizeof(Elf64_Ehdr),
		       .e_ehsize = sizeof(Elf64_Ehdr),
		       .e_phentsize = sizeof(Elf64_Phdr),
		       .e_phnum = 3 },
		.p = { { PT_LOAD, PF_R, 0, 0, 0, 0x900, 0x900, 4096 },
		       { PT_LOAD, PF_R | PF_X, 0x900, 0x1900, 0x1900, 0x800, 0x800, 4096 },
		       { PT_LOAD, PF_R | PF_W, 0x1100, 0x3100, 0x3100, 0x100, 0x5000, 4096 } },
	};
	struct image *img;
	uint64_t vaddr, left;

	assert_no_error(image_open_memory(&file, sizeof(file), "made up", &img));
	assert_true(image_vaddr_of_offset(img, 0x950, &vaddr));
	assert_int_equal(vaddr, 0x1950);
	/* The page that the segment shares with its neighbours is mapped with it. */
	assert_true(image_vaddr_of_offset(img, 0x800, &vaddr));
	assert_int_equal(vaddr, 0x1800);
	assert_true(image_vaddr_of_offset(img, 0x1180, &vaddr));
	assert_int_equal(vaddr, 0x2180);
	assert_false(image_vaddr_of_offset(img, 0x2000, &vaddr));
	/* Only what the file holds: not the zeros behind p_filesz. */
	assert_ptr_equal(image_at_vaddr(img, 0x3150, &left), (uint8_t *)&file + 0x1150);
	assert_int_equal(left, 0xb0);
	assert_null(image_at_vaddr(img, 0x3200, &left));
	assert_int_equal(image_build_id(img)->size, 0);
	image_close(img);
}

static void test_not_an_image(void **state)
{
	static const uint8_t elf32[64] = { 0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, 1 };
	struct image *img = NULL;
	struct error *err = image_open("/etc/passwd", &img);

	assert_int_equal(error_code_of(err), ERR_FORMAT);
	assert_non_null(strstr(error_message(err), "/etc/passwd is not an ELF file"));
	error_free(err);
	err = image_open("/dev/null", &img);
	assert_int_equal(error_code_of(err), ERR_FORMAT);
	error_free(err);
	err = image_open("/nowhere", &img);
	assert_int_equal(error_code_of(err), ERR_NOT_FOUND);
	error_free(err);
	err = image_open_memory(elf32, sizeof(elf32), "x", &img);
	assert_int_equal(error_code_of(err), ERR_UNSUPPORTED);
	error_free(err);
	err = image_open_memory("\177ELF", 4, "x", &img);
	assert_int_equal(error_code_of(err), ERR_FORMAT);
	error_free(err);
	assert_null(img);
}

static void test_fifo_does_not_block(void **state)
{
	char path[] = "/tmp/cprof-elf-XXXXXX";
	struct image *img;

	assert_non_null(mkdtemp(path));
	char *fifo = mem_printf("%s/fifo", path);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	struct error *err = image_open(fifo, &img);
	assert_non_null(err);
	error_free(err);
	unlink(fifo);
	rmdir(path);
	free(fifo);
}

/* A file written over while it is mapped: what is gone reads as zeros. */
static void test_truncated_while_mapped(void **state)
{
	char path[] = "/tmp/cprof-elf-XXXXXX";
	size_t size, n;
	uint8_t *bytes = load(libc_path(), &size);
	int fd = mkstemp(path);
	struct image *img;
	struct eh_index *index, *after;
	uint64_t start, end;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), size);
	assert_no_error(image_open(path, &img));
	assert_no_error(eh_index_create(img, &index));
	assert_non_null(index);
	assert_int_equal(ftruncate(fd, 8192), 0);

	const uint8_t *mapped = image_bytes(img, &n);
	uint64_t sum = 0;
	for (size_t i = 8192; i < n; i++)
		sum += mapped[i];
	assert_int_equal(sum, 0);
	for (uint64_t vaddr = 0x28000; vaddr < 0x100000; vaddr += 512)
		assert_false(eh_index_function(index, vaddr, &start, &end));
	assert_no_error(eh_index_create(img, &after));
	assert_null(after);

	eh_index_destroy(index);
	image_close(img);
	close(fd);
	unlink(path);
	free(bytes);
}

static void test_no_sections(void **state)
{
	size_t size;
	uint8_t *bytes = load(libc_path(), &size);
	Elf64_Ehdr *e = (Elf64_Ehdr *)bytes;
	struct image *whole, *img;
	struct eh_index *index, *reference;
	uint64_t a[2], b[2];

	assert_no_error(image_open(libc_path(), &whole));
	assert_no_error(eh_index_create(whole, &reference));
	e->e_shoff = 0;
	e->e_shnum = e->e_shstrndx = 0;
	assert_no_error(image_open_memory(bytes, size, "no sections", &img));
	assert_true(build_id_equal(image_build_id(img), image_build_id(whole)));
	assert_no_error(eh_index_create(img, &index));
	assert_non_null(index);
	assert_int_equal(eh_index_count(index), eh_index_count(reference));
	for (uint64_t vaddr = 0x28000; vaddr < 0x180000; vaddr += 1023) {
		bool found = eh_index_function(index, vaddr, &a[0], &a[1]);
		assert_int_equal(found, eh_index_function(reference, vaddr, &b[0], &b[1]));
		if (found)
			assert_memory_equal(a, b, sizeof(a));
	}
	eh_index_destroy(index);
	eh_index_destroy(reference);
	image_close(img);
	image_close(whole);
	free(bytes);
}

/* --- .eh_frame --- */

/* The linker sorted .eh_frame_hdr; reading .eh_frame ourselves must come to the same. */
static void check_scan(const char *path)
{
	size_t size;
	struct image *img, *damaged;
	struct eh_index *table, *scanned;
	uint64_t hdr, hdr_size, left;

	if (access(path, R_OK) != 0)
		return;
	uint8_t *bytes = load(path, &size);
	assert_no_error(image_open(path, &img));
	assert_true(image_eh_frame_hdr(img, &hdr, &hdr_size));
	size_t n;
	const uint8_t *at = image_at_vaddr(img, hdr, &left);
	assert_non_null(at);
	bytes[at - image_bytes(img, &n)] = 99; /* the version */
	assert_no_error(image_open_memory(bytes, size, path, &damaged));
	assert_no_error(eh_index_create(img, &table));
	assert_no_error(eh_index_create(damaged, &scanned));
	assert_non_null(table);
	assert_non_null(scanned);
	assert_int_equal(eh_index_count(table), eh_index_count(scanned));
	for (size_t i = 0; i < eh_index_count(table); i++) {
		struct eh_entry a = eh_index_entry(table, i), b = eh_index_entry(scanned, i);
		assert_int_equal(a.start, b.start);
		assert_int_equal(a.fde, b.fde);
		struct eh_cie cie = { 0 };
		struct eh_fde fde;
		assert_true(eh_index_read(table, a.fde, &cie, &fde));
		assert_int_equal(fde.start, a.start);
		assert_true(fde.end > fde.start);
	}
	eh_index_destroy(table);
	eh_index_destroy(scanned);
	image_close(img);
	image_close(damaged);
	free(bytes);
}

static void test_scan_equals_table(void **state)
{
	check_scan(libc_path());
	check_scan("/proc/self/exe");
	check_scan("/usr/bin/python3");
	check_scan("/usr/lib/x86_64-linux-gnu/libcrypto.so.3");
	check_scan("/usr/lib/x86_64-linux-gnu/libstdc++.so.6");
	check_scan("/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2");
}

static void test_range_of_fdes(void **state)
{
	struct image *img;
	struct eh_index *index;
	struct eh_entry e, before;
	struct eh_cie cie = { 0 };
	struct eh_fde fde;

	assert_no_error(image_open(libc_path(), &img));
	assert_no_error(eh_index_create(img, &index));

	/* Tiling all of the addresses meets every entry once, and those that reach over a border in
	 * both tiles. */
	size_t met = 0, reached = 0;
	for (uint64_t from = 0; from < 0x200000; from += 4096) {
		struct eh_range range = eh_index_fdes(index, from, from + 4096);
		bool first = true;
		while (eh_range_next(&range, &e)) {
			assert_true(e.start < from + 4096);
			if (e.start < from) {
				assert_true(first);
				assert_true(eh_index_read(index, e.fde, &cie, &fde));
				assert_true(fde.end > from);
				reached++;
			} else {
				met++;
			}
			first = false;
		}
	}
	assert_int_equal(met, eh_index_count(index));
	assert_true(reached > 50);

	/* One address in the middle of a function: that function. */
	for (size_t i = 0; i < eh_index_count(index); i += 37) {
		before = eh_index_entry(index, i);
		assert_true(eh_index_read(index, before.fde, &cie, &fde));
		uint64_t start, end;
		assert_true(eh_index_function(index, fde.end - 1, &start, &end));
		assert_int_equal(start, fde.start);
		assert_int_equal(end, fde.end);
		struct eh_range range = eh_index_fdes(index, fde.end - 1, fde.end);
		assert_true(eh_range_next(&range, &e));
		assert_int_equal(e.start, fde.start);
		assert_false(eh_range_next(&range, &e));
	}
	struct eh_range empty = eh_index_fdes(index, 5, 5);
	assert_false(eh_range_next(&empty, &e));
	eh_index_destroy(index);
	image_close(img);
}

/* The trampoline that a signal handler returns to. */
static void test_signal_frame(void **state)
{
	struct image *img;
	struct eh_index *index;
	int signal_frames = 0;

	assert_no_error(image_open(libc_path(), &img));
	assert_no_error(eh_index_create(img, &index));
	for (size_t i = 0; i < eh_index_count(index); i++) {
		struct eh_cie cie = { 0 };
		struct eh_fde fde;
		assert_true(eh_index_read(index, eh_index_entry(index, i).fde, &cie, &fde));
		assert_int_equal(cie.return_register, 16);
		assert_int_equal(cie.data_align, -8);
		signal_frames += cie.is_signal_frame;
	}
	assert_true(signal_frames >= 1 && signal_frames < 10);
	eh_index_destroy(index);
	image_close(img);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_build_id_is_readelfs),
		cmocka_unit_test(test_addresses_are_the_loaders),
		cmocka_unit_test(test_vaddr_is_not_offset),
		cmocka_unit_test(test_not_an_image),
		cmocka_unit_test(test_fifo_does_not_block),
		cmocka_unit_test(test_truncated_while_mapped),
		cmocka_unit_test(test_no_sections),
		cmocka_unit_test(test_scan_equals_table),
		cmocka_unit_test(test_range_of_fdes),
		cmocka_unit_test(test_signal_frame),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
