// SPDX-License-Identifier: Apache-2.0
#include "image/ko.h"

#include "base/math.h"
#include "cmocka_all.h"
#include "image_samples.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int add(struct img_ko_set *set, const char *name, const char *depends)
{
	struct sample s = sample_ko(depends, SAMPLE_VERSION);
	int r = img_ko_set_add(set, name, s.data, s.len, NULL);

	if (r < 0)
		sample_free(&s);
	return r;
}

static void module_names_come_from_file_names(void **state)
{
	static const struct {
		const char *file, *name;
	} cases[] = {
		{"fuse.ko", "fuse"},
		{"a/b/virtio-rng.ko", "virtio_rng"},
		{"fuse.ko.xz", "fuse"},
		{"fuse.kox", NULL},
		{".ko", NULL},
		{"modules.dep", NULL},
		{"a.ko/modules.dep", NULL},
	};
	char name[IMG_KO_NAME_MAX], longest[IMG_KO_NAME_MAX + 8];

	for (size_t i = 0; i < RSM_ARRAY_SIZE(cases); i++) {
		assert_int_equal(img_ko_name(cases[i].file, name), cases[i].name != NULL);
		if (cases[i].name)
			assert_string_equal(name, cases[i].name);
	}
	memset(longest, 'x', IMG_KO_NAME_MAX);
	strcpy(longest + IMG_KO_NAME_MAX, ".ko");
	assert_false(img_ko_name(longest, name));
}

static void a_module_tells_what_it_depends_on_and_its_kernel(void **state)
{
	struct sample s = sample_ko("virtio,virtio-ring", SAMPLE_VERSION);
	struct img_ko ko = {.name = "x", .data = s.data, .len = s.len};

	assert_int_equal(img_ko_read(&ko, NULL), 0);
	assert_string_equal(ko.depends, "virtio,virtio_ring");
	assert_string_equal(ko.vermagic, SAMPLE_VERSION);
	sample_free(&s);
}

static void a_module_cut_off_anywhere_is_refused(void **state)
{
	struct sample s = sample_ko("a", SAMPLE_VERSION);

	for (size_t len = 0; len < s.len; len++) {
		uint8_t *exact = malloc(len ? len : 1);
		struct img_ko ko = {.name = "x", .data = exact, .len = len};

		assert_non_null(exact);
		memcpy(exact, s.data, len);
		assert_int_equal(img_ko_read(&ko, NULL), -ENOEXEC);
		free(exact);
	}
	sample_free(&s);
}

static void dependencies_load_before_what_needs_them(void **state)
{
	struct img_ko_set set = {0};
	size_t order[4], n = 0;

	assert_int_equal(add(&set, "fs", "bus,core"), 0);
	assert_int_equal(add(&set, "core", ""), 0);
	assert_int_equal(add(&set, "bus", "core"), 0);
	assert_int_equal(add(&set, "unused", ""), 0);
	assert_int_equal(img_ko_order(&set, "fs", order, &n, NULL), 0);
	assert_int_equal(img_ko_order(&set, "bus", order, &n, NULL), 0);
	assert_int_equal(n, 3);
	assert_string_equal(set.ko[order[0]].name, "core");
	assert_string_equal(set.ko[order[1]].name, "bus");
	assert_string_equal(set.ko[order[2]].name, "fs");
	img_ko_set_free(&set);
}

static void a_missing_dependency_is_named(void **state)
{
	struct rsm_error err = RSM_ERROR_INIT;
	struct img_ko_set set = {0};
	size_t order[1], n = 0;

	assert_int_equal(add(&set, "fs", "bus"), 0);
	assert_int_equal(img_ko_order(&set, "fs", order, &n, &err), -ENOENT);
	assert_string_equal(err.message,
			    "kernel module 'fs' needs module 'bus', which is not there");
	assert_int_equal(img_ko_order(&set, "none", order, &n, NULL), -ENOENT);
	img_ko_set_free(&set);
}

static void a_circle_of_dependencies_ends_with_an_error(void **state)
{
	struct img_ko_set set = {0};
	size_t order[2], n = 0;

	assert_int_equal(add(&set, "a", "b"), 0);
	assert_int_equal(add(&set, "b", "a"), 0);
	assert_int_equal(img_ko_order(&set, "a", order, &n, NULL), -ELOOP);
	img_ko_set_free(&set);
}

static void a_module_is_added_once(void **state)
{
	struct img_ko_set set = {0};

	assert_int_equal(add(&set, "a", ""), 0);
	assert_int_equal(add(&set, "a", ""), -EEXIST);
	img_ko_set_free(&set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(module_names_come_from_file_names),
		cmocka_unit_test(a_module_tells_what_it_depends_on_and_its_kernel),
		cmocka_unit_test(a_module_cut_off_anywhere_is_refused),
		cmocka_unit_test(dependencies_load_before_what_needs_them),
		cmocka_unit_test(a_missing_dependency_is_named),
		cmocka_unit_test(a_circle_of_dependencies_ends_with_an_error),
		cmocka_unit_test(a_module_is_added_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
