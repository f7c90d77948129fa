// SPDX-License-Identifier: Apache-2.0
#include "vmm/mmio_bus.h"

#include "cmocka_all.h"

#include <errno.h>
#include <string.h>

struct last {
	uint64_t offset;
	uint32_t len;
	unsigned writes;
};

static void on_read(void *cookie, uint64_t offset, void *data, uint32_t len)
{
	struct last *l = cookie;

	l->offset = offset;
	l->len = len;
	memset(data, 0x11, len);
}

static void on_write(void *cookie, uint64_t offset, const void *data, uint32_t len)
{
	struct last *l = cookie;

	l->offset = offset;
	l->len = len;
	l->writes++;
}

static const struct mmio_ops ops = {.read = on_read, .write = on_write};

static void ranges_may_come_in_any_order_and_not_overlap(void **state)
{
	struct mmio_bus bus = {0};

	assert_int_equal(mmio_bus_add(&bus, 0x3000, 0x1000, &ops, NULL), 0);
	assert_int_equal(mmio_bus_add(&bus, 0x1000, 0x1000, &ops, NULL), 0);
	assert_int_equal(mmio_bus_add(&bus, 0x2000, 0x1000, &ops, NULL), 0);
	assert_int_equal(mmio_bus_add(&bus, 0x1fff, 2, &ops, NULL), -EEXIST);
	assert_int_equal(mmio_bus_add(&bus, 0, 0x1001, &ops, NULL), -EEXIST);
	assert_int_equal(mmio_bus_add(&bus, 0, 0x8000, &ops, NULL), -EEXIST);
	assert_int_equal(mmio_bus_add(&bus, 0x3fff, 1, &ops, NULL), -EEXIST);
	assert_int_equal(mmio_bus_add(&bus, 0x4000, 0, &ops, NULL), -EINVAL);
	assert_int_equal(mmio_bus_add(&bus, UINT64_MAX, 2, &ops, NULL), -EINVAL);
	assert_int_equal(mmio_bus_add(&bus, UINT64_MAX, 1, &ops, NULL), 0);
	for (unsigned i = 1; i < bus.n; i++)
		assert_true(bus.ranges[i - 1].base < bus.ranges[i].base);
}

static void full_bus_refuses(void **state)
{
	struct mmio_bus bus = {0};

	for (unsigned i = 0; i < MMIO_BUS_RANGES_MAX; i++)
		assert_int_equal(mmio_bus_add(&bus, i, 1, &ops, NULL), 0);
	assert_int_equal(mmio_bus_add(&bus, 1000, 1, &ops, NULL), -ENOSPC);
}

static void access_reaches_the_range_that_holds_all_of_it(void **state)
{
	static const struct {
		uint64_t addr;
		uint32_t len;
		bool answered;
		unsigned which;
		uint64_t offset;
	} cases[] = {
		{0xfff, 1, false, 0, 0},          {0xfff, 2, false, 0, 0},
		{0x1000, 4, true, 0, 0},          {0x1ffc, 4, true, 0, 0xffc},
		{0x1ffd, 4, false, 0, 0},         {0x2000, 1, false, 0, 0},
		{0x3000, 8, true, 1, 0},          {0x3007, 1, true, 1, 7},
		{0x3001, 8, false, 0, 0},         {UINT64_MAX, 1, false, 0, 0},
		{UINT64_MAX - 3, 8, false, 0, 0},
	};
	struct last last[2] = {0};
	struct mmio_bus bus = {0};
	char text[100];

	assert_int_equal(mmio_bus_add(&bus, 0x1000, 0x1000, &ops, &last[0]), 0);
	assert_int_equal(mmio_bus_add(&bus, 0x3000, 8, &ops, &last[1]), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t data = 0;

		assert_int_equal(mmio_bus_read(&bus, cases[i].addr, &data, cases[i].len),
				 cases[i].answered);
		assert_int_equal(data & 0xff, cases[i].answered ? 0x11 : 0xff);
		assert_int_equal(mmio_bus_write(&bus, cases[i].addr, &data, cases[i].len),
				 cases[i].answered);
		if (!cases[i].answered)
			continue;
		assert_int_equal(last[cases[i].which].offset, cases[i].offset);
		assert_int_equal(last[cases[i].which].len, cases[i].len);
	}
	assert_int_equal(last[0].writes, 2);
	assert_int_equal(last[1].writes, 2);
	/* a read and a write of each */
	mmio_bus_describe(&bus, text, sizeof(text));
	assert_string_equal(text, "unanswered: 14, 0x1000: 4, 0x3000: 4");
	mmio_bus_describe(&bus, text, 20);
	assert_string_equal(text, "unanswered: 14, 0x1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges_may_come_in_any_order_and_not_overlap),
		cmocka_unit_test(full_bus_refuses),
		cmocka_unit_test(access_reaches_the_range_that_holds_all_of_it),
	};

	return cmocka_run_group_tests_name("vmm/mmio_bus", tests, NULL, NULL);
}
