// SPDX-License-Identifier: Apache-2.0
#include "dax/dax.h"

#include "base/math.h"
#include "cmocka_all.h"

#include <errno.h>
#include <string.h>

#define UNIT   4096ULL
#define WINDOW (16 * UNIT)

/* A mapper that records what it is told, and fails where it is told to. */
struct recorder {
	struct call {
		bool map;
		uint64_t offset, len, fd_offset;
		int fd;
		unsigned prot;
	} calls[64];
	unsigned n;
	int map_error;
	uint64_t bad_unmap; /* offset whose unmap fails; UINT64_MAX for none */
};

static int record_map(void *cookie, uint64_t offset, uint64_t len, int fd, uint64_t fd_offset,
		      unsigned prot)
{
	struct recorder *r = cookie;

	r->calls[r->n++] = (struct call){true, offset, len, fd_offset, fd, prot};
	return r->map_error;
}

static int record_unmap(void *cookie, uint64_t offset, uint64_t len)
{
	struct recorder *r = cookie;

	r->calls[r->n++] = (struct call){.map = false, .offset = offset, .len = len};
	return offset == r->bad_unmap ? -EIO : 0;
}

static const struct dax_mapper mapper = {record_map, record_unmap};

static struct dax_window *window(struct recorder *r)
{
	struct dax_window *w;

	*r = (struct recorder){.bad_unmap = UINT64_MAX};
	assert_int_equal(dax_window_new(WINDOW, UNIT, &mapper, r, &w), 0);
	return w;
}

static void window_must_be_whole_units_of_a_power_of_two(void **state)
{
	struct dax_window *w;

	assert_int_equal(dax_window_new(0, UNIT, &mapper, NULL, &w), -EINVAL);
	assert_int_equal(dax_window_new(UNIT, 2048, &mapper, NULL, &w), -EINVAL);
	assert_int_equal(dax_window_new(3 * UNIT, 3 * UNIT, &mapper, NULL, &w), -EINVAL);
	assert_int_equal(dax_window_new(UNIT + 1, UNIT, &mapper, NULL, &w), -EINVAL);
}

static void mapping_is_passed_on_as_asked(void **state)
{
	struct recorder r;
	struct dax_window *w = window(&r);

	assert_int_equal(dax_map(w, 2 * UNIT, 3 * UNIT, 7, 5 * UNIT, DAX_READ | DAX_WRITE), 0);
	assert_int_equal(r.n, 1);
	assert_true(r.calls[0].map);
	assert_int_equal(r.calls[0].offset, 2 * UNIT);
	assert_int_equal(r.calls[0].len, 3 * UNIT);
	assert_int_equal(r.calls[0].fd, 7);
	assert_int_equal(r.calls[0].fd_offset, 5 * UNIT);
	assert_int_equal(r.calls[0].prot, DAX_READ | DAX_WRITE);
	assert_int_equal(dax_window_used(w), 3 * UNIT);
	dax_window_free(w);
}

static void nothing_outside_the_window_or_unaligned_reaches_the_mapper(void **state)
{
	static const struct {
		uint64_t offset, len, fd_offset;
	} bad[] = {
		{0, 0, 0},
		{WINDOW, UNIT, 0},
		{WINDOW - UNIT, 2 * UNIT, 0},
		{0, WINDOW + UNIT, 0},
		{UINT64_MAX - UNIT + 1, UNIT, 0},
		{UNIT, UINT64_MAX - UNIT + 1, 0},
		{1, UNIT, 0},
		{0, UNIT + 1, 0},
		{0, UNIT, 1},
		{0, UNIT, UINT64_MAX - UNIT + 1},
		{0, UNIT, INT64_MAX - UNIT + 1},
	};
	struct recorder r;
	struct dax_window *w = window(&r);

	for (size_t i = 0; i < RSM_ARRAY_SIZE(bad); i++)
		assert_int_equal(
			dax_map(w, bad[i].offset, bad[i].len, 3, bad[i].fd_offset, DAX_READ),
			-EINVAL);
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(dax_unmap(w, bad[i].offset, bad[i].len), -EINVAL);
	assert_int_equal(r.n, 0);
	assert_int_equal(dax_window_used(w), 0);
	dax_window_free(w);
}

static void remapping_counts_once(void **state)
{
	struct recorder r;
	struct dax_window *w = window(&r);

	assert_int_equal(dax_map(w, 0, 4 * UNIT, 3, 0, DAX_READ), 0);
	assert_int_equal(dax_map(w, 2 * UNIT, 4 * UNIT, 4, 0, DAX_READ), 0);
	assert_int_equal(dax_window_used(w), 6 * UNIT);
	dax_window_free(w);
}

static void unmap_touches_only_what_is_mapped(void **state)
{
	struct recorder r;
	struct dax_window *w = window(&r);

	dax_map(w, 1 * UNIT, UNIT, 3, 0, DAX_READ);
	dax_map(w, 4 * UNIT, 2 * UNIT, 3, 0, DAX_READ);
	r.n = 0;
	assert_int_equal(dax_unmap(w, 0, 5 * UNIT), 0);
	assert_int_equal(r.n, 2);
	assert_int_equal(r.calls[0].offset, 1 * UNIT);
	assert_int_equal(r.calls[0].len, UNIT);
	assert_int_equal(r.calls[1].offset, 4 * UNIT);
	assert_int_equal(r.calls[1].len, UNIT);
	assert_int_equal(dax_window_used(w), UNIT);
	assert_int_equal(dax_unmap(w, 8 * UNIT, 8 * UNIT), 0);
	assert_int_equal(r.n, 2);
	dax_window_free(w);
}

static void failed_unmap_is_reported_first_and_tried_again_later(void **state)
{
	struct recorder r;
	struct dax_window *w = window(&r);

	dax_map(w, 0, UNIT, 3, 0, DAX_READ);
	dax_map(w, 2 * UNIT, UNIT, 3, 0, DAX_READ);
	r.n = 0;
	r.bad_unmap = 0;
	assert_int_equal(dax_unmap(w, 0, WINDOW), -EIO);
	assert_int_equal(r.n, 2); /* the second run was unmapped all the same */
	assert_int_equal(dax_window_used(w), UNIT);
	r.bad_unmap = UINT64_MAX;
	assert_int_equal(dax_reset(w), 0);
	assert_int_equal(dax_window_used(w), 0);
	dax_window_free(w);
}

static void failed_map_is_cleaned_up_by_reset(void **state)
{
	struct recorder r;
	struct dax_window *w = window(&r);

	r.map_error = -ENOMEM;
	assert_int_equal(dax_map(w, UNIT, 2 * UNIT, 3, 0, DAX_READ), -ENOMEM);
	r.n = 0;
	assert_int_equal(dax_reset(w), 0);
	assert_int_equal(r.n, 1);
	assert_false(r.calls[0].map);
	assert_int_equal(r.calls[0].offset, UNIT);
	assert_int_equal(r.calls[0].len, 2 * UNIT);
	dax_window_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(window_must_be_whole_units_of_a_power_of_two),
		cmocka_unit_test(mapping_is_passed_on_as_asked),
		cmocka_unit_test(nothing_outside_the_window_or_unaligned_reaches_the_mapper),
		cmocka_unit_test(remapping_counts_once),
		cmocka_unit_test(unmap_touches_only_what_is_mapped),
		cmocka_unit_test(failed_unmap_is_reported_first_and_tried_again_later),
		cmocka_unit_test(failed_map_is_cleaned_up_by_reset),
	};

	return cmocka_run_group_tests_name("dax", tests, NULL, NULL);
}
