// SPDX-License-Identifier: Apache-2.0
#include "image/deb.h"

#include "base/io.h"
#include "base/math.h"
#include "cmocka_all.h"
#include "image_samples.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char control[] = "Package: linux-image-test\nSource: linux\n"
			      "Version: 6.1-1\nArchitecture: amd64\nDescription: x\n more\n";

static int read_bytes(const void *data, size_t len, struct img_deb *ret, struct rsm_error *err)
{
	int fd = memfd_create("deb", MFD_CLOEXEC);
	int r;

	assert_true(fd >= 0);
	assert_int_equal(rsm_write_full(fd, data, len), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	r = img_deb_read(fd, ret, err);
	close(fd);
	return r;
}

static struct sample kernel_package(void)
{
	struct sample kernel = sample_text("kernel"), ko = sample_ko("", SAMPLE_VERSION);
	struct sample builtin = sample_text("kernel/fs/fuse/fuse.ko\n");
	struct sample_file files[] = {
		{"./boot/vmlinuz-6.1", kernel},
		{"./lib/modules/6.1/kernel/a-b.ko", ko},
		{"./lib/modules/6.1/modules.builtin", builtin},
		{"./usr/share/doc/x.ko", kernel},
	};
	struct sample deb = sample_deb(control, files, RSM_ARRAY_SIZE(files));

	sample_free(&kernel);
	sample_free(&ko);
	sample_free(&builtin);
	return deb;
}

static void a_kernel_package_gives_kernel_modules_and_names(void **state)
{
	struct sample s = kernel_package();
	struct rsm_error err = RSM_ERROR_INIT;
	struct img_deb d;

	assert_int_equal(read_bytes(s.data, s.len, &d, &err), 0);
	assert_string_equal(d.package, "linux-image-test");
	assert_string_equal(d.version, "6.1-1");
	assert_int_equal(d.kernel_len, 6);
	assert_memory_equal(d.kernel, "kernel", 6);
	assert_int_equal(d.modules.n, 1);
	assert_string_equal(d.modules.ko[0].name, "a_b");
	assert_string_equal(d.builtin, "kernel/fs/fuse/fuse.ko\n");
	img_deb_free(&d);
	sample_free(&s);
}

static void a_package_cut_off_anywhere_is_refused(void **state)
{
	struct sample s = kernel_package();
	struct img_deb d;

	/* ar pads its last member to an even length: without the padding nothing is lost */
	for (size_t len = 0; len + 1 < s.len; len += 7)
		assert_true(read_bytes(s.data, len, &d, NULL) < 0);
	sample_free(&s);
}

static void a_damaged_package_is_refused_where_it_matters(void **state)
{
	struct sample s = kernel_package();

	for (size_t i = 0; i < s.len; i += 3) {
		struct img_deb d;

		s.data[i] ^= 0x41;
		if (read_bytes(s.data, s.len, &d, NULL) == 0) {
			assert_int_equal(d.kernel_len, 6);
			assert_memory_equal(d.kernel, "kernel", 6);
			assert_string_equal(d.version, "6.1-1");
			img_deb_free(&d);
		}
		s.data[i] ^= 0x41;
	}
	sample_free(&s);
}

static void another_architecture_is_refused_by_name(void **state)
{
	struct sample kernel = sample_text("kernel");
	struct sample_file file = {"./boot/vmlinuz-6.1", kernel};
	struct sample s = sample_deb("Package: x\nArchitecture: arm64\n", &file, 1);
	struct rsm_error err = RSM_ERROR_INIT;
	struct img_deb d;

	assert_int_equal(read_bytes(s.data, s.len, &d, &err), -ENOEXEC);
	assert_non_null(strstr(err.message, "arm64"));
	sample_free(&s);
	sample_free(&kernel);
}

static void a_package_without_a_kernel_is_refused_by_name(void **state)
{
	struct sample s = sample_deb("Package: hello\nArchitecture: amd64\n", NULL, 0);
	struct rsm_error err = RSM_ERROR_INIT;
	struct img_deb d;

	assert_int_equal(read_bytes(s.data, s.len, &d, &err), -ENOENT);
	assert_non_null(strstr(err.message, "'hello'"));
	sample_free(&s);
}

static void control_fields_are_found_by_whole_name(void **state)
{
	char value[16] = "none";

	img_control_field("Pre-Depends: a\nDepends:b (= 1)\n\nDepends: c\n", "Depends", value,
			  sizeof(value));
	assert_string_equal(value, "b (= 1)");
	strcpy(value, "none");
	img_control_field("A: b\n\nDepends: c\n", "Depends", value, sizeof(value));
	assert_string_equal(value, "none");
	img_control_field("Depends: 0123456789abcdef\n", "Depends", value, sizeof(value));
	assert_string_equal(value, "none");
	img_control_field("Depends:\n", "Depends", value, sizeof(value));
	assert_string_equal(value, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_kernel_package_gives_kernel_modules_and_names),
		cmocka_unit_test(a_package_cut_off_anywhere_is_refused),
		cmocka_unit_test(a_damaged_package_is_refused_where_it_matters),
		cmocka_unit_test(another_architecture_is_refused_by_name),
		cmocka_unit_test(a_package_without_a_kernel_is_refused_by_name),
		cmocka_unit_test(control_fields_are_found_by_whole_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
