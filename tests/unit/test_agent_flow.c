// SPDX-License-Identifier: Apache-2.0
#include "agent/flow.h"

#include "base/io.h"

#include "cmocka_all.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* source pipe → flow → socket; the test holds @in and @out. */
struct rig {
	struct rsm_loop *loop;
	struct flow *flow;
	int in, out;
	int done;
};

static void count_done(void *cookie)
{
	((struct rig *)cookie)->done++;
}

static void setup(struct rig *r)
{
	int p[2], sv[2], room = 16384; /* less than the pipe holds */

	memset(r, 0, sizeof(*r));
	assert_int_equal(rsm_loop_new(&r->loop), 0);
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	assert_int_equal(setsockopt(sv[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)), 0);
	assert_int_equal(flow_new(r->loop, p[0], sv[0], count_done, r, &r->flow), 0);
	r->in = p[1];
	r->out = sv[1];
	assert_int_equal(rsm_set_nonblock(r->in, true), 0);
	assert_int_equal(rsm_set_nonblock(r->out, true), 0);
}

static void teardown(struct rig *r)
{
	flow_free(r->flow);
	rsm_loop_free(r->loop);
	if (r->in >= 0)
		close(r->in);
	if (r->out >= 0)
		close(r->out);
}

static void spin(struct rig *r)
{
	for (int i = 0; i < 20; i++)
		assert_int_equal(rsm_loop_once(r->loop, 0), 0);
}

static size_t read_all(struct rig *r)
{
	char buf[65536];
	size_t total = 0;
	ssize_t n;

	for (int i = 0; i < 200; i++) {
		assert_int_equal(rsm_loop_once(r->loop, 0), 0);
		while ((n = read(r->out, buf, sizeof(buf))) > 0)
			total += (size_t)n;
	}
	return total;
}

static void bytes_pass_and_the_end_closes_the_other_side(void **state)
{
	struct rig r;
	char buf[8] = "";

	setup(&r);
	assert_int_equal(write(r.in, "abc", 3), 3);
	spin(&r);
	assert_int_equal(read(r.out, buf, sizeof(buf)), 3);
	assert_string_equal(buf, "abc");
	assert_true(flow_alive(r.flow));
	assert_int_equal(r.done, 0);
	assert_int_equal(write(r.in, "d", 1), 1);
	close(r.in);
	r.in = -1;
	spin(&r);
	assert_int_equal(read(r.out, buf, sizeof(buf)), 1);
	assert_int_equal(read(r.out, buf, sizeof(buf)), 0);
	assert_false(flow_alive(r.flow));
	assert_int_equal(flow_bytes(r.flow), 4);
	assert_int_equal(r.done, 1);
	teardown(&r);
}

static void full_reader_holds_the_writer_back(void **state)
{
	static char block[4096];
	struct rig r;
	size_t put = 0;
	ssize_t n;

	setup(&r);
	for (int idle = 0; idle < 50; idle++) {
		while ((n = write(r.in, block, sizeof(block))) > 0) {
			put += (size_t)n;
			idle = 0;
		}
		assert_int_equal(rsm_loop_once(r.loop, 0), 0);
	}
	assert_true(put < 4U << 20); /* it stopped */
	assert_int_equal(read_all(&r), put);
	assert_int_equal(flow_bytes(r.flow), put);
	teardown(&r);
}

static void reader_that_goes_away_ends_an_idle_flow(void **state)
{
	struct rig r;

	setup(&r);
	close(r.out);
	r.out = -1;
	spin(&r);
	assert_false(flow_alive(r.flow));
	assert_int_equal(r.done, 1);
	assert_int_equal(write(r.in, "x", 1), -1);
	assert_int_equal(errno, EPIPE);
	teardown(&r);
}

static void drain_of_an_idle_flow_has_nothing_to_wait_for(void **state)
{
	struct rig r;

	setup(&r);
	assert_true(flow_drain(r.flow, 0));
	assert_true(flow_drain(r.flow, 1 << 20));
	spin(&r);
	assert_int_equal(r.done, 0);
	teardown(&r);
}

static void drain_waits_for_what_was_written_before_and_no_more(void **state)
{
	static char block[65536];
	struct rig r;
	size_t before = 0;
	ssize_t n;

	setup(&r);
	/* fill everything between here and the reader */
	for (int idle = 0; idle < 50; idle++) {
		while ((n = write(r.in, block, sizeof(block))) > 0) {
			before += (size_t)n;
			idle = 0;
		}
		assert_int_equal(rsm_loop_once(r.loop, 0), 0);
	}
	assert_false(flow_drain(r.flow, 65536)); /* what the pipe holds */
	assert_int_equal(r.done, 0);
	assert_int_equal(read_all(&r), before);
	assert_int_equal(r.done, 1);
	assert_int_equal(flow_bytes(r.flow), before);
	/* still open, and still relayed */
	assert_true(flow_alive(r.flow));
	assert_int_equal(write(r.in, "y", 1), 1);
	assert_int_equal(read_all(&r), 1);
	assert_int_equal(r.done, 1);
	teardown(&r);
}

static void drain_is_not_held_back_by_somebody_who_goes_on_writing(void **state)
{
	static char block[65536];
	struct rig r;
	char buf[16384];
	size_t before = 0, got = 0;
	ssize_t n;

	setup(&r);
	for (int idle = 0; idle < 50; idle++) {
		while ((n = write(r.in, block, sizeof(block))) > 0) {
			before += (size_t)n;
			idle = 0;
		}
		assert_int_equal(rsm_loop_once(r.loop, 0), 0);
	}
	assert_false(flow_drain(r.flow, 65536));
	/* neither the pipe nor the socket is ever empty */
	while (got < 4 * before && !r.done) {
		while (write(r.in, block, sizeof(block)) > 0)
			;
		assert_int_equal(rsm_loop_once(r.loop, 0), 0);
		n = read(r.out, buf, sizeof(buf));
		got += n > 0 ? (size_t)n : 0;
	}
	assert_int_equal(r.done, 1);
	assert_true(got <= before + sizeof(block));
	teardown(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_pass_and_the_end_closes_the_other_side),
		cmocka_unit_test(full_reader_holds_the_writer_back),
		cmocka_unit_test(reader_that_goes_away_ends_an_idle_flow),
		cmocka_unit_test(drain_of_an_idle_flow_has_nothing_to_wait_for),
		cmocka_unit_test(drain_waits_for_what_was_written_before_and_no_more),
		cmocka_unit_test(drain_is_not_held_back_by_somebody_who_goes_on_writing),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
