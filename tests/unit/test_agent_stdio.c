// SPDX-License-Identifier: Apache-2.0
/* stdio, extra fds and terminals of containers of a real agent, natively. */
#include "agent_rig.h"

#include "base/cleanup.h"

#include "cmocka_all.h"

#include <signal.h>
#include <string.h>
#include <sys/socket.h>

static struct rig *rig(void **state)
{
	if (!*state) {
		print_message("%s\n", rig_missing());
		skip();
	}
	return *state;
}

static void stdin_arrives_and_its_end_too(void **state)
{
	struct rig *r = rig(state);
	Runsm__WaitResponse status;
	struct rig_spec s;

	rig_spec(&s, "c", "cat; echo end");
	assert_int_equal(rig_create(r, &s), 0);
	assert_int_equal(rig_start(r, "c"), 0);
	assert_int_equal(write(r->ports[1].conn, "hello\n", 6), 6);
	rig_wait_text(r, 2, "hello\n");
	shutdown(r->ports[1].conn, SHUT_WR);
	assert_int_equal(rig_wait(r, "c", "", &status), 0);
	rig_wait_end(r, 2);
	assert_string_equal(r->ports[2].got.data, "hello\nend\n");
}

static void process_that_closes_its_stdin_ends_the_stream(void **state)
{
	struct rig *r = rig(state);
	struct rig_spec s;

	rig_spec(&s, "c", "exec <&-; sleep 1000");
	assert_int_equal(rig_create(r, &s), 0);
	assert_int_equal(rig_start(r, "c"), 0);
	rig_wait_end(r, 1);
}

static void streams_without_a_port_are_dev_null(void **state)
{
	struct rig *r = rig(state);
	struct rig_spec s;

	rig_spec(&s, "c", "cat; readlink /proc/self/fd/0; readlink /proc/self/fd/2");
	s.io.stdin_port = s.io.stderr_port = 0;
	assert_int_equal(rig_run(r, &s, NULL), 0);
	assert_string_equal(r->ports[2].got.data, "/dev/null\n/dev/null\n");
}

static void host_that_does_not_read_holds_the_process_back_and_loses_nothing(void **state)
{
	struct rig *r = rig(state);
	Runsm__WaitResponse status;
	struct rig_spec s;

	rig_spec(&s, "c", "dd if=/dev/zero bs=1000 count=5000 2>&-; echo done >&2");
	assert_int_equal(rig_create(r, &s), 0);
	rig_wait_connected(r, 2);
	r->ports[2].stalled = true;
	assert_int_equal(rig_start(r, "c"), 0);
	for (int i = 0; i < 20; i++)
		assert_int_equal(rsm_loop_once(r->loop, 10), 0);
	assert_int_equal(r->ports[3].got.len, 0);
	r->ports[2].stalled = false;
	assert_int_equal(rsm_source_set_events(r->ports[2].source, EPOLLIN), 0);
	assert_int_equal(rig_wait(r, "c", "", &status), 0);
	rig_wait_end(r, 2);
	assert_int_equal(r->ports[2].got.len, 5000000);
	assert_int_equal(status.stdout_bytes, 5000000);
}

static void note_answer(void *cookie, const ProtobufCMessage *reply, const struct rsm_error *err)
{
	++*(int *)cookie;
}

static void exit_is_not_told_before_the_output_is_on_its_stream(void **state)
{
	Runsm__ProcessRequest request = RUNSM__PROCESS_REQUEST__INIT;
	struct rig *r = rig(state);
	Runsm__WaitResponse status;
	struct rig_spec s;
	int answers = 0;

	/* The writer is killed with init while its pipe is full. */
	rig_spec(&s, "c", "dd if=/dev/zero bs=1024 count=100000 2>&- & echo d >&2; sleep 0.3");
	request.id = s.request.id;
	assert_int_equal(rig_create(r, &s), 0);
	rig_wait_connected(r, 2);
	r->ports[2].stalled = true;
	assert_int_equal(rig_start(r, "c"), 0);
	assert_int_equal(ttrpc_call_async(r->agent, &runsm__agent__descriptor, "Wait",
					  &request.base, NULL, 0, note_answer, &answers),
			 0);
	rig_wait_end(r, 3); /* everybody is dead */
	for (int i = 0; i < 20; i++)
		assert_int_equal(rsm_loop_once(r->loop, 10), 0);
	assert_int_equal(answers, 0);
	r->ports[2].stalled = false;
	assert_int_equal(rsm_source_set_events(r->ports[2].source, EPOLLIN), 0);
	assert_int_equal(rig_wait(r, "c", "", &status), 0);
	assert_int_equal(answers, 1);
	rig_wait_end(r, 2);
	assert_true(status.stdout_bytes > 65536);
	assert_int_equal(r->ports[2].got.len, status.stdout_bytes);
}

static void host_that_closes_stdout_gives_sigpipe(void **state)
{
	struct rig *r = rig(state);
	Runsm__WaitResponse status;
	struct rig_spec s;

	rig_spec(&s, "c", "sh -c 'while echo y; do :; done'; echo $? >&2");
	assert_int_equal(rig_create(r, &s), 0);
	rig_wait_connected(r, 2);
	assert_int_equal(rig_start(r, "c"), 0);
	rsm_loop_remove(r->ports[2].source);
	r->ports[2].source = NULL;
	rsm_close(&r->ports[2].conn);
	assert_int_equal(rig_wait(r, "c", "", &status), 0);
	rig_wait_end(r, 3);
	assert_non_null(strstr(r->ports[3].got.data, "141")); /* 128 + SIGPIPE */
}

static void missing_port_fails_the_creation_by_name(void **state)
{
	struct rig *r = rig(state);
	struct rig_spec s;

	rig_spec(&s, "c", "true");
	assert_int_equal(rig_create(r, &s), 0);
	assert_int_equal(rig_signal(r, "c", "", SIGKILL, false), 0);
	rig_spec(&s, "d", "true");
	s.io.stdout_port = 0;
	s.io.stderr_port = 0;
	s.io.stdin_port = 0;
	s.process.terminal = true;
	assert_int_equal(rig_create(r, &s), -EINVAL);
	s.io.tty_port = 9;
	rig_listen(r, 9);
	assert_int_equal(unlink(rig_path(r, "ports/9")), 0);
	s.request.id = (char *)"e";
	assert_int_equal(rig_create_only(r, &s), -ENOENT);
	assert_non_null(strstr(r->err.message, "connect to port 9 of the host"));
}

static void extra_fd_is_a_stream_of_both_directions(void **state)
{
	Runsm__ExtraFd extra = RUNSM__EXTRA_FD__INIT, *list[1] = {&extra};
	struct rig *r = rig(state);
	struct rig_spec s;

	rig_spec(&s, "c", "read x <&5; echo got $x >&5; ls /proc/self/fd");
	extra.fd = 5;
	extra.port = 6;
	s.io.extra = list;
	s.io.n_extra = 1;
	rig_listen(r, 6);
	assert_int_equal(rig_create(r, &s), 0);
	rig_wait_connected(r, 6);
	assert_int_equal(write(r->ports[6].conn, "word\n", 5), 5);
	assert_int_equal(rig_start(r, "c"), 0);
	rig_wait_text(r, 6, "got word\n");
	rig_wait_end(r, 2);
	assert_string_equal(r->ports[2].got.data, "0\n1\n2\n3\n5\n");
}

/* Let @s have fd 4 to read from, port 6, and fd 5 to write to, port 7. */
static void add_one_way_fds(struct rig *r, Runsm__Stdio *io, Runsm__ExtraFd *extra,
			    Runsm__ExtraFd **list)
{
	for (unsigned i = 0; i < 2; i++) {
		runsm__extra_fd__init(&extra[i]);
		extra[i].fd = 4 + i;
		extra[i].port = 6 + i;
		list[i] = &extra[i];
		rig_listen(r, 6 + i);
	}
	extra[0].access = RUNSM__FD_ACCESS__READ_ONLY;
	extra[1].access = RUNSM__FD_ACCESS__WRITE_ONLY;
	io->extra = list;
	io->n_extra = 2;
}

static void extra_fd_of_one_direction_is_a_pipe_that_its_user_can_open(void **state)
{
	Runsm__ExtraFd extra[2], *list[2];
	struct rig *r = rig(state);
	Runsm__WaitResponse status;
	struct rig_spec s;

	rig_spec(&s, "c", "cat /proc/self/fd/4 >/proc/self/fd/5; echo end >&5");
	s.user.uid = 1000;
	add_one_way_fds(r, &s.io, extra, list);
	assert_int_equal(rig_create(r, &s), 0);
	rig_wait_connected(r, 6);
	assert_int_equal(write(r->ports[6].conn, "word\n", 5), 5);
	shutdown(r->ports[6].conn, SHUT_WR);
	assert_int_equal(rig_start(r, "c"), 0);
	assert_int_equal(rig_wait(r, "c", "", &status), 0);
	assert_int_equal(status.status, 0);
	rig_wait_end(r, 7);
	assert_string_equal(r->ports[7].got.data, "word\nend\n");
}

static void exit_of_exec_is_not_told_before_its_extra_fds_are_drained(void **state)
{
	Runsm__ProcessRequest request = RUNSM__PROCESS_REQUEST__INIT;
	Runsm__ExtraFd extra[2], *list[2];
	struct rig *r = rig(state);
	struct rig_spec s, x;
	int answers = 0;

	rig_spec(&s, "c", "exec sleep 1000");
	assert_int_equal(rig_create(r, &s), 0);
	assert_int_equal(rig_start(r, "c"), 0);
	/* More than the socket between us holds, and less than the pipe. */
	rig_spec(&x, "c", "dd if=/dev/zero bs=1000 count=60 2>&- >&5; echo done >&2");
	add_one_way_fds(r, &x.io, extra, list);
	x.io.stdin_port = 0;
	rig_listen(r, 2);
	rig_listen(r, 3);
	r->ports[7].stalled = true;
	assert_int_equal(rig_exec(r, "c", "e", &x.process), 0);
	request.id = s.request.id;
	request.exec_id = (char *)"e";
	assert_int_equal(ttrpc_call_async(r->agent, &runsm__agent__descriptor, "Wait",
					  &request.base, NULL, 0, note_answer, &answers),
			 0);
	rig_wait_end(r, 3);
	for (int i = 0; i < 20; i++)
		assert_int_equal(rsm_loop_once(r->loop, 10), 0);
	assert_int_equal(answers, 0);
	r->ports[7].stalled = false;
	assert_int_equal(rsm_source_set_events(r->ports[7].source, EPOLLIN), 0);
	rig_wait_end(r, 7);
	assert_int_equal(r->ports[7].got.len, 60000);
	while (answers == 0)
		assert_int_equal(rsm_loop_once(r->loop, 100), 0);
}

/* ---------------------------------------------------------------- terminal */

static void tty_spec(struct rig_spec *s, const char *script)
{
	rig_spec(s, "c", script);
	s->process.terminal = true;
	s->process.rows = 24;
	s->process.cols = 81;
	memset(&s->io, 0, sizeof(s->io));
	runsm__stdio__init(&s->io);
	s->io.tty_port = 4;
}

static void terminal_is_controlling_sized_and_at_dev_console(void **state)
{
	struct rig *r = rig(state);
	Runsm__WaitResponse status;
	struct rig_spec s;

	tty_spec(&s, "tty; stty size; echo on-tty > /dev/tty; echo on-console > /dev/console");
	assert_int_equal(rig_create(r, &s), 0);
	assert_int_equal(rig_start(r, "c"), 0);
	assert_int_equal(rig_wait(r, "c", "", &status), 0);
	rig_wait_end(r, 4);
	assert_string_equal(r->ports[4].got.data,
			    "/dev/pts/0\r\n24 81\r\non-tty\r\non-console\r\n");
	assert_int_equal(status.tty_bytes, r->ports[4].got.len);
}

static void terminal_takes_input_control_characters_and_resize(void **state)
{
	struct rig *r = rig(state);
	Runsm__WaitResponse status;
	struct rig_spec s;

	tty_spec(&s, "trap 'stty size' WINCH; trap 'echo int; exit 3' INT; echo ready; "
		     "while :; do sleep 0.1; done");
	assert_int_equal(rig_create(r, &s), 0);
	assert_int_equal(rig_start(r, "c"), 0);
	rig_wait_text(r, 4, "ready");
	assert_int_equal(rig_resize(r, "c", 30, 90), 0);
	rig_wait_text(r, 4, "30 90");
	assert_int_equal(write(r->ports[4].conn, "\003", 1), 1);
	rig_wait_text(r, 4, "int");
	assert_int_equal(rig_wait(r, "c", "", &status), 0);
	assert_int_equal(status.status, 3);
}

static void host_that_goes_away_hangs_the_terminal_up(void **state)
{
	struct rig *r = rig(state);
	Runsm__WaitResponse status;
	struct rig_spec s;

	tty_spec(&s, "trap 'exit 5' HUP; echo ready; while :; do sleep 0.1; done");
	assert_int_equal(rig_create(r, &s), 0);
	assert_int_equal(rig_start(r, "c"), 0);
	rig_wait_text(r, 4, "ready");
	rsm_loop_remove(r->ports[4].source);
	r->ports[4].source = NULL;
	rsm_close(&r->ports[4].conn);
	assert_int_equal(rig_wait(r, "c", "", &status), 0);
	assert_int_equal(status.status, 5);
}

#define ROW(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(stdin_arrives_and_its_end_too),
		ROW(process_that_closes_its_stdin_ends_the_stream),
		ROW(streams_without_a_port_are_dev_null),
		ROW(host_that_does_not_read_holds_the_process_back_and_loses_nothing),
		ROW(exit_is_not_told_before_the_output_is_on_its_stream),
		ROW(host_that_closes_stdout_gives_sigpipe),
		ROW(missing_port_fails_the_creation_by_name),
		ROW(extra_fd_is_a_stream_of_both_directions),
		ROW(extra_fd_of_one_direction_is_a_pipe_that_its_user_can_open),
		ROW(exit_of_exec_is_not_told_before_its_extra_fds_are_drained),
		ROW(terminal_is_controlling_sized_and_at_dev_console),
		ROW(terminal_takes_input_control_characters_and_resize),
		ROW(host_that_goes_away_hangs_the_terminal_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
