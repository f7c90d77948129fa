// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot.h"

#include "base/io.h"
#include "cmocka_all.h"

#include <asm/bootparam.h>
#include <assert.h>
#include <elf.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CODE_AT 0x200

/* A kernel file: one loaded segment of 64 bytes at 16 MiB, and a PVH note that points into it. */
struct kernel {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[2];
	struct {
		Elf64_Nhdr nh;
		char name[4];
		uint32_t entry;
	} note;
	uint8_t pad[CODE_AT - sizeof(Elf64_Ehdr) - 2 * sizeof(Elf64_Phdr) - 20];
	uint8_t code[64];
};
static_assert(offsetof(struct kernel, code) == CODE_AT, "layout");

static const struct kernel good = {
	.eh = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
	       .e_type = ET_EXEC,
	       .e_machine = EM_X86_64,
	       .e_version = 1,
	       .e_entry = 0x1000010,
	       .e_phoff = sizeof(Elf64_Ehdr),
	       .e_phentsize = sizeof(Elf64_Phdr),
	       .e_phnum = 2},
	.ph = {{.p_type = PT_LOAD,
		.p_offset = CODE_AT,
		.p_vaddr = 0xffffffff81000000,
		.p_paddr = 0x1000000,
		.p_filesz = 64,
		.p_memsz = 4096},
	       {.p_type = PT_NOTE,
		.p_offset = offsetof(struct kernel, note),
		.p_filesz = 20,
		.p_memsz = 20}},
	.note = {{4, 4, 18}, "Xen", 0x1000020},
};

static int parse_bytes(const void *data, size_t len, struct boot_image *ret)
{
	struct rsm_error err = RSM_ERROR_INIT;
	int fd = memfd_create("kernel", MFD_CLOEXEC), r;

	assert_int_equal(rsm_write_full(fd, data, len), 0);
	r = boot_parse(fd, ret, &err);
	close(fd);
	assert_int_equal(r < 0, err.message[0] != '\0');
	return r;
}

static int parse(const struct kernel *k, struct boot_image *ret)
{
	return parse_bytes(k, sizeof(*k), ret);
}

static void elf_with_a_pvh_note_is_entered_by_it(void **state)
{
	struct boot_image image;

	assert_int_equal(parse(&good, &image), 0);
	assert_int_equal(image.entry_kind, BOOT_ENTRY_PVH);
	assert_int_equal(image.entry.v, 0x1000020);
	assert_int_equal(image.nsegments, 1);
	assert_int_equal(image.end.v, 0x1001000);
}

static void elf_without_a_note_is_entered_by_its_entry(void **state)
{
	struct kernel k = good;
	struct boot_image image;

	k.ph[1].p_type = PT_NULL;
	assert_int_equal(parse(&k, &image), 0);
	assert_int_equal(image.entry_kind, BOOT_ENTRY_64);
	assert_int_equal(image.entry.v, 0x1000010);
	k.eh.e_entry = 0xffffffff81000018; /* virtual */
	assert_int_equal(parse(&k, &image), 0);
	assert_int_equal(image.entry.v, 0x1000018);
}

static void every_truncation_is_refused(void **state)
{
	struct boot_image image;

	for (size_t n = 0; n < sizeof(good); n++)
		assert_true(parse_bytes(&good, n, &image) < 0);
}

#define SET(field, value)                                                                          \
	{                                                                                          \
		offsetof(struct kernel, field), sizeof(((struct kernel *)0)->field), value         \
	}

static void hostile_fields_are_refused(void **state)
{
	static const struct {
		size_t at, len;
		uint64_t value;
	} cases[] = {
		SET(eh.e_machine, EM_AARCH64),
		SET(eh.e_machine, EM_386),
		SET(eh.e_ident[EI_CLASS], ELFCLASS32),
		SET(eh.e_ident[EI_DATA], ELFDATA2MSB),
		SET(eh.e_type, ET_REL),
		SET(eh.e_phentsize, 32),
		SET(eh.e_phnum, 0),
		SET(eh.e_phnum, 0xffff),
		SET(eh.e_phoff, sizeof(struct kernel)),
		SET(eh.e_phoff, UINT64_MAX),
		SET(eh.e_phoff, INT64_MAX),
		SET(ph[0].p_filesz, 65),
		SET(ph[0].p_filesz, 4097),
		SET(ph[0].p_filesz, UINT64_MAX),
		SET(ph[0].p_offset, UINT64_MAX),
		SET(ph[0].p_offset, CODE_AT + 1),
		SET(ph[0].p_memsz, 63),
		SET(ph[0].p_memsz, UINT64_MAX),
		SET(ph[0].p_paddr, 0),
		SET(ph[0].p_paddr, BOOT_KERNEL_MIN - 1),
		SET(ph[0].p_paddr, UINT64_MAX - 4095),
		SET(ph[0].p_type, PT_NULL),
		SET(ph[1].p_filesz, UINT64_MAX),
		SET(ph[1].p_filesz, 1 << 20),
		SET(ph[1].p_offset, UINT64_MAX - 3),
		SET(note.entry, 0),
		SET(note.entry, 0x1000040), /* behind what the file fills */
	};
	struct boot_image image;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct kernel k = good;

		memcpy((char *)&k + cases[i].at, &cases[i].value, cases[i].len);
		if (parse(&k, &image) >= 0)
			fail_msg("case %zu is accepted", i);
	}
}

static void notes_that_lie_about_their_length_are_passed_over(void **state)
{
	struct kernel k = good;
	struct boot_image image;

	k.note.nh.n_namesz = UINT32_MAX;
	assert_int_equal(parse(&k, &image), 0);
	assert_int_equal(image.entry_kind, BOOT_ENTRY_64);
	k = good;
	k.note.nh.n_descsz = UINT32_MAX - 2;
	assert_int_equal(parse(&k, &image), 0);
	assert_int_equal(image.entry_kind, BOOT_ENTRY_64);
	k = good;
	k.note.nh.n_descsz = 3;
	assert_int_equal(parse(&k, &image), 0);
	assert_int_equal(image.entry_kind, BOOT_ENTRY_64);
}

static void too_many_segments_are_refused(void **state)
{
	struct {
		Elf64_Ehdr eh;
		Elf64_Phdr ph[BOOT_SEGMENTS_MAX + 1];
		uint8_t code[64];
	} k = {.eh = good.eh};
	struct boot_image image;

	k.eh.e_phnum = BOOT_SEGMENTS_MAX + 1;
	for (unsigned i = 0; i < k.eh.e_phnum; i++) {
		k.ph[i] = good.ph[0];
		k.ph[i].p_offset = offsetof(typeof(k), code);
	}
	assert_true(parse_bytes(&k, sizeof(k), &image) < 0);
}

static void make_bzimage(uint8_t *file, size_t size)
{
	struct setup_header h = {.setup_sects = 1,
				 .jump = 0x66eb,
				 .header = 0x53726448,
				 .version = 0x020f,
				 .loadflags = LOADED_HIGH,
				 .xloadflags = XLF_KERNEL_64,
				 .pref_address = 0x1000000,
				 .init_size = 0x2000000};

	memset(file, 0, size);
	h.syssize = (uint32_t)((size - 1024) / 16);
	memcpy(file + 0x1f1, &h, sizeof(h));
}

static void bzimage_is_entered_at_its_64_bit_entry(void **state)
{
	struct boot_image image;
	uint8_t file[4096];

	make_bzimage(file, sizeof(file));
	assert_int_equal(parse_bytes(file, sizeof(file), &image), 0);
	assert_int_equal(image.entry_kind, BOOT_ENTRY_64);
	assert_int_equal(image.entry.v, 0x100200);
	assert_int_equal(image.end.v, 0x3000000);
	assert_int_equal(image.segments[0].offset, 1024);
	assert_int_equal(image.setup_header_len, 0x202 + 0x66 - 0x1f1);
}

static void bad_bzimages_are_refused(void **state)
{
	struct boot_image image;
	uint8_t file[4096];

	for (size_t n = 0; n <= sizeof(file) - 16; n += 15) { /* lengths are in units of 16 */
		make_bzimage(file, sizeof(file));
		assert_true(parse_bytes(file, n, &image) < 0);
	}
	make_bzimage(file, sizeof(file));
	file[0x206] = 0x0b; /* version 2.11 */
	assert_true(parse_bytes(file, sizeof(file), &image) < 0);
	make_bzimage(file, sizeof(file));
	file[0x236] = 0; /* no 64-bit entry */
	assert_true(parse_bytes(file, sizeof(file), &image) < 0);
	make_bzimage(file, sizeof(file));
	file[0x1f1] = 255; /* set-up code beyond the end */
	assert_true(parse_bytes(file, sizeof(file), &image) < 0);
	make_bzimage(file, sizeof(file));
	memset(file + 0x258, 0xff, 8); /* pref_address wraps around */
	assert_true(parse_bytes(file, sizeof(file), &image) < 0);
}

static void other_files_are_no_kernels(void **state)
{
	struct boot_image image;
	uint8_t file[4096] = "#!/bin/sh\n";

	assert_true(parse_bytes(file, sizeof(file), &image) < 0);
	assert_true(parse_bytes(file, 0, &image) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(elf_with_a_pvh_note_is_entered_by_it),
		cmocka_unit_test(elf_without_a_note_is_entered_by_its_entry),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(hostile_fields_are_refused),
		cmocka_unit_test(notes_that_lie_about_their_length_are_passed_over),
		cmocka_unit_test(too_many_segments_are_refused),
		cmocka_unit_test(bzimage_is_entered_at_its_64_bit_entry),
		cmocka_unit_test(bad_bzimages_are_refused),
		cmocka_unit_test(other_files_are_no_kernels),
	};

	return cmocka_run_group_tests_name("vmm/boot", tests, NULL, NULL);
}
