// SPDX-License-Identifier: Apache-2.0
#include "image/kernel_image.h"

#include "base/math.h"
#include "cmocka_all.h"
#include "image_samples.h"

#include <archive.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const int filters[] = {ARCHIVE_FILTER_NONE, ARCHIVE_FILTER_GZIP, ARCHIVE_FILTER_XZ,
			      ARCHIVE_FILTER_ZSTD, ARCHIVE_FILTER_LZ4,  ARCHIVE_FILTER_BZIP2,
			      ARCHIVE_FILTER_LZMA};

static void an_elf_kernel_with_a_pvh_note_is_taken_as_it_is(void **state)
{
	struct sample s = sample_elf(0);
	struct img_kernel k;

	assert_int_equal(img_kernel_read(s.data, s.len, &k, NULL), 0);
	assert_true(k.pvh);
	assert_false(k.mmio_cmdline);
	assert_string_equal(k.version, SAMPLE_VERSION);
	assert_int_equal(k.len, s.len);
	assert_memory_equal(k.data, s.data, s.len);
	img_kernel_free(&k);
	sample_free(&s);
}

static void a_kernel_that_takes_devices_on_its_command_line_is_recognised(void **state)
{
	struct sample s = sample_elf(SAMPLE_MMIO);
	struct img_kernel k;

	assert_int_equal(img_kernel_read(s.data, s.len, &k, NULL), 0);
	assert_true(k.mmio_cmdline);
	assert_true(k.no_acpi);
	img_kernel_free(&k);
	sample_free(&s);
}

static void the_kernel_is_taken_out_of_a_bzimage_however_packed(void **state)
{
	struct sample elf = sample_elf(0);

	for (size_t i = 0; i < RSM_ARRAY_SIZE(filters); i++) {
		struct sample bz = sample_bzimage(elf, filters[i]);
		struct rsm_error err = RSM_ERROR_INIT;
		struct img_kernel k;

		assert_int_equal(img_kernel_read(bz.data, bz.len, &k, &err), 0);
		assert_true(k.pvh);
		assert_string_equal(k.version, SAMPLE_VERSION);
		assert_int_equal(k.len, elf.len);
		assert_memory_equal(k.data, elf.data, elf.len);
		img_kernel_free(&k);
		sample_free(&bz);
	}
	sample_free(&elf);
}

static void a_bzimage_without_a_pvh_note_stays_a_bzimage(void **state)
{
	struct sample elf = sample_elf(SAMPLE_NO_PVH);
	struct sample bz = sample_bzimage(elf, ARCHIVE_FILTER_XZ);
	struct img_kernel k;

	assert_int_equal(img_kernel_read(bz.data, bz.len, &k, NULL), 0);
	assert_false(k.pvh);
	assert_string_equal(k.version, SAMPLE_VERSION);
	assert_int_equal(k.len, bz.len);
	assert_memory_equal(k.data, bz.data, bz.len);
	img_kernel_free(&k);
	sample_free(&elf);
	sample_free(&bz);
}

static void refuse(struct sample s, int code, const char *says)
{
	struct rsm_error err = RSM_ERROR_INIT;
	struct img_kernel k;

	assert_int_equal(img_kernel_read(s.data, s.len, &k, &err), -code);
	assert_non_null(strstr(err.message, says));
	sample_free(&s);
}

static void what_is_no_kernel_is_refused_with_the_reason(void **state)
{
	refuse(sample_text("#!/bin/sh\n"), ENOEXEC, "not a kernel");
	refuse(sample_elf(SAMPLE_NO_PVH), ENOEXEC, "CONFIG_PVH");
	refuse(sample_elf(SAMPLE_AARCH64), ENOEXEC, "another architecture");
}

static void a_kernel_cut_off_anywhere_is_refused(void **state)
{
	struct sample elf = sample_elf(0);

	for (size_t i = 0; i < RSM_ARRAY_SIZE(filters); i++) {
		struct sample bz = sample_bzimage(elf, filters[i]);

		for (size_t len = 0; len < bz.len; len++) {
			uint8_t *exact = malloc(len ? len : 1);
			struct img_kernel k;

			assert_non_null(exact);
			memcpy(exact, bz.data, len);
			assert_true(img_kernel_read(exact, len, &k, NULL) < 0);
			free(exact);
		}
		sample_free(&bz);
	}
	sample_free(&elf);
}

static void a_damaged_payload_is_refused(void **state)
{
	struct sample elf = sample_elf(0);
	struct sample bz = sample_bzimage(elf, ARCHIVE_FILTER_XZ);

	bz.data[bz.len / 2 + 512] ^= 0x55;
	refuse(bz, EBADMSG, "kernel payload");
	bz = sample_bzimage(elf, ARCHIVE_FILTER_ZSTD);
	bz.data[bz.len - 4]++; /* the unpacked length */
	refuse(bz, EBADMSG, "instead of");
	bz = sample_bzimage(elf, ARCHIVE_FILTER_GZIP);
	memset(bz.data + 0x24c, 0xff, 4);
	refuse(bz, EBADMSG, "cut off");
	bz = sample_bzimage(elf, ARCHIVE_FILTER_LZ4);
	memset(bz.data + bz.len - 4, 0xff, 4);
	refuse(bz, EFBIG, "unpacks to more");
	sample_free(&elf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_elf_kernel_with_a_pvh_note_is_taken_as_it_is),
		cmocka_unit_test(a_kernel_that_takes_devices_on_its_command_line_is_recognised),
		cmocka_unit_test(the_kernel_is_taken_out_of_a_bzimage_however_packed),
		cmocka_unit_test(a_bzimage_without_a_pvh_note_stays_a_bzimage),
		cmocka_unit_test(what_is_no_kernel_is_refused_with_the_reason),
		cmocka_unit_test(a_kernel_cut_off_anywhere_is_refused),
		cmocka_unit_test(a_damaged_payload_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
