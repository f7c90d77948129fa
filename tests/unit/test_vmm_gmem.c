// SPDX-License-Identifier: Apache-2.0
#include "vmm/gmem.h"

#include "cmocka_all.h"

#include <errno.h>

static uint8_t block_a[0x1000], block_b[0x1000];

static struct gmem two_regions(void)
{
	struct gmem mem = {0};
	struct gmem_region a = {
		.gpa = {0x1000}, .len = 0x1000, .host = block_a, .user = 0x7f0000000000, .fd = -1};
	struct gmem_region b = {
		.gpa = {0x2000}, .len = 0x1000, .host = block_b, .user = 0x7e0000000000, .fd = -1};

	assert_int_equal(gmem_add(&mem, &a), 0);
	assert_int_equal(gmem_add(&mem, &b), 0);
	return mem;
}

static void pointers_are_given_only_inside_one_region(void **state)
{
	static const struct {
		uint64_t gpa, len;
		void *want;
	} cases[] = {
		{0x1000, 0x1000, block_a},
		{0x1fff, 1, block_a + 0xfff},
		{0x2000, 1, block_b},
		{0x1000, 0, block_a},
		{0x1fff, 2, NULL}, /* spans both */
		{0x1000, 0x1001, NULL},
		{0xfff, 1, NULL},
		{0x3000, 0, NULL},
		{0x3000, 1, NULL},
		{0, 0, NULL},
		{0x1800, UINT64_MAX, NULL}, /* wraps */
		{UINT64_MAX, 1, NULL},
		{UINT64_MAX, UINT64_MAX, NULL},
	};
	struct gmem mem = two_regions();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_ptr_equal(gmem_ptr(&mem, (gpa_t){cases[i].gpa}, cases[i].len),
				 cases[i].want);
}

static void user_addresses_are_resolved_apart_from_guest_addresses(void **state)
{
	struct gmem mem = two_regions();

	assert_ptr_equal(gmem_user_ptr(&mem, 0x7e0000000010, 0x10), block_b + 0x10);
	assert_ptr_equal(gmem_user_ptr(&mem, 0x7f0000000ff0, 0x10), block_a + 0xff0);
	assert_null(gmem_user_ptr(&mem, 0x7f0000000ff0, 0x11));
	assert_null(gmem_user_ptr(&mem, 0x1000, 1));
}

static void regions_that_overlap_or_wrap_are_refused(void **state)
{
	static const struct {
		uint64_t gpa, len, user;
	} bad[] = {
		{0x1fff, 1, 0},     {0, 0x1001, 0},
		{0, 0x10000, 0},    {0x1000, 0x1000, 0},
		{UINT64_MAX, 2, 0}, {0x10000, UINT64_MAX, 0},
		{0x10000, 0, 0},    {0x10000, 0x1000, UINT64_MAX - 10},
	};
	struct gmem mem = two_regions();

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct gmem_region r = {.gpa = {bad[i].gpa},
					.len = bad[i].len,
					.host = block_a,
					.user = bad[i].user,
					.fd = -1};

		assert_int_equal(gmem_add(&mem, &r), -EINVAL);
	}
	assert_int_equal(mem.n, 2);
}

static void the_table_of_regions_is_bounded(void **state)
{
	struct gmem mem = {0};
	struct gmem_region r = {.len = 16, .host = block_a, .fd = -1};

	for (unsigned i = 0; i < GMEM_REGIONS_MAX; i++) {
		r.gpa.v = i * 16;
		assert_int_equal(gmem_add(&mem, &r), 0);
	}
	r.gpa.v = 0x10000;
	assert_int_equal(gmem_add(&mem, &r), -ENOSPC);
	gmem_clear(&mem);
	assert_int_equal(mem.n, 0);
	assert_null(gmem_ptr(&mem, (gpa_t){0}, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pointers_are_given_only_inside_one_region),
		cmocka_unit_test(user_addresses_are_resolved_apart_from_guest_addresses),
		cmocka_unit_test(regions_that_overlap_or_wrap_are_refused),
		cmocka_unit_test(the_table_of_regions_is_bounded),
	};

	return cmocka_run_group_tests_name("vmm/gmem", tests, NULL, NULL);
}
