// SPDX-License-Identifier: Apache-2.0
#include "vmm/console.h"

#include "cmocka_all.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct rsm_loop *loop;
static struct console *console;
static int guest;
static char text[8192];

static int setup(void **state)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0 || rsm_loop_new(&loop) < 0)
		return -1;
	guest = fds[1];
	return console_new(loop, fds[0], &console);
}

static int teardown(void **state)
{
	console_free(console);
	rsm_loop_free(loop);
	close(guest);
	return 0;
}

static void say(const char *s)
{
	assert_int_equal(write(guest, s, strlen(s)), strlen(s));
	assert_int_equal(rsm_loop_once(loop, 0), 0);
}

static void the_last_lines_are_given_without_the_ones_before(void **state)
{
	assert_int_equal(console_last_lines(console, 3, text, sizeof(text)), 0);
	say("one\r\ntwo\r\nthree\r\n");
	assert_int_equal(console_last_lines(console, 2, text, sizeof(text)), 9);
	assert_string_equal(text, "two\nthree");
	assert_int_equal(console_last_lines(console, 9, text, sizeof(text)), 13);
}

static void only_so_much_is_kept_and_cut_at_the_front(void **state)
{
	char line[101];

	memset(line, 'x', 99);
	line[99] = '\n';
	line[100] = '\0';
	for (int i = 0; i < 200; i++)
		say(line);
	say("end");
	assert_true(console_last_lines(console, 10000, text, sizeof(text)) < 8192);
	assert_string_equal(text + strlen(text) - 4, "\nend");
	assert_int_equal(console_last_lines(console, 10000, text, 4), 3);
	assert_string_equal(text, "end");
}

static void control_characters_do_not_get_through(void **state)
{
	say("\033[31mred\a\xff\n");
	(void)console_last_lines(console, 1, text, sizeof(text));
	assert_string_equal(text, "?[31mred??");
}

static void a_panic_is_remembered_beyond_its_stack_trace(void **state)
{
	assert_int_equal(console_panic(console, text, sizeof(text)), 0);
	say("[    0.5] Kernel panic - not syncing: No working init\n");
	for (int i = 0; i < 1000; i++)
		say("[    0.5]  trace of a function\n");
	assert_true(console_panic(console, text, sizeof(text)) > 0);
	assert_non_null(strstr(text, "No working init"));
}

static void what_is_left_after_the_guests_death_can_be_drained(void **state)
{
	assert_int_equal(write(guest, "Kernel panic - last", 19), 19);
	close(guest);
	guest = -1;
	console_drain(console);
	assert_true(console_panic(console, text, sizeof(text)) > 0);
	console_drain(console);
	assert_int_equal(rsm_loop_once(loop, 0), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_last_lines_are_given_without_the_ones_before),
		T(only_so_much_is_kept_and_cut_at_the_front),
		T(control_characters_do_not_get_through),
		T(a_panic_is_remembered_beyond_its_stack_trace),
		T(what_is_left_after_the_guests_death_can_be_drained),
	};

	return cmocka_run_group_tests_name("vmm/console", tests, NULL, NULL);
}
