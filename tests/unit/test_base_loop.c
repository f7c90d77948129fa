// SPDX-License-Identifier: Apache-2.0
#include "base/loop.h"

#include "cmocka_all.h"

#include <unistd.h>

struct pair {
	struct rsm_loop *loop;
	struct rsm_source *a, *b;
	int calls;
};

static void remove_both(void *cookie, int fd, uint32_t events)
{
	struct pair *p = cookie;

	p->calls++;
	rsm_loop_remove(p->a);
	rsm_loop_remove(p->b);
}

static void removed_source_is_not_called_in_the_same_round(void **state)
{
	struct pair p = { 0 };
	int one[2], two[2];

	assert_int_equal(pipe(one), 0);
	assert_int_equal(pipe(two), 0);
	assert_int_equal(rsm_loop_new(&p.loop), 0);
	assert_int_equal(rsm_loop_add(p.loop, one[0], EPOLLIN, remove_both, &p, &p.a), 0);
	assert_int_equal(rsm_loop_add(p.loop, two[0], EPOLLIN, remove_both, &p, &p.b), 0);
	assert_int_equal(write(one[1], "x", 1), 1);
	assert_int_equal(write(two[1], "x", 1), 1);
	assert_int_equal(rsm_loop_once(p.loop, 0), 0);
	assert_int_equal(rsm_loop_once(p.loop, 0), 0);
	assert_int_equal(p.calls, 1);
	rsm_loop_free(p.loop);
	close(one[0]), close(one[1]), close(two[0]), close(two[1]);
}

static char order[8];
static struct rsm_loop *timer_loop;

static void add_letter(void *cookie)
{
	char *letter = cookie;
	size_t n = 0;

	while (order[n])
		n++;
	order[n] = *letter;
	if (*letter == 'c')
		rsm_loop_stop(timer_loop, 7);
}

static void timers_fire_in_order_of_time_and_removed_ones_do_not(void **state)
{
	struct rsm_source *gone;

	assert_int_equal(rsm_loop_new(&timer_loop), 0);
	assert_int_equal(rsm_loop_timer(timer_loop, 3000000, add_letter, (void *)"c", NULL), 0);
	assert_int_equal(rsm_loop_timer(timer_loop, 1000000, add_letter, (void *)"a", NULL), 0);
	assert_int_equal(rsm_loop_timer(timer_loop, 2000000, add_letter, (void *)"b", NULL), 0);
	assert_int_equal(rsm_loop_timer(timer_loop, 1500000, add_letter, (void *)"x", &gone), 0);
	rsm_loop_remove(gone);
	assert_int_equal(rsm_loop_run(timer_loop), 7);
	assert_string_equal(order, "abc");
	rsm_loop_free(timer_loop);
}

static void count(void *cookie, int fd, uint32_t events)
{
	(*(int *)cookie)++;
}

static void paused_source_is_silent_until_events_are_set(void **state)
{
	struct rsm_source *source;
	struct rsm_loop *loop;
	int fds[2], calls = 0;

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(rsm_loop_new(&loop), 0);
	assert_int_equal(rsm_loop_add(loop, fds[0], EPOLLIN, count, &calls, &source), 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_int_equal(rsm_source_pause(source), 0);
	assert_int_equal(rsm_loop_once(loop, 0), 0);
	assert_int_equal(calls, 0);
	assert_int_equal(rsm_source_set_events(source, EPOLLIN), 0);
	assert_int_equal(rsm_loop_once(loop, 0), 0);
	assert_int_equal(calls, 1);
	rsm_loop_free(loop);
	close(fds[0]), close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(removed_source_is_not_called_in_the_same_round),
		cmocka_unit_test(timers_fire_in_order_of_time_and_removed_ones_do_not),
		cmocka_unit_test(paused_source_is_silent_until_events_are_set),
	};

	return cmocka_run_group_tests_name("base/loop", tests, NULL, NULL);
}
