// SPDX-License-Identifier: Apache-2.0
/*
 * The device over vhost-user with a session that is made here: a request's first word says what the
 * session does with it.
 */
#include "virtiofs/virtiofs.h"

#include "cmocka_all.h"
#include "fuse/fsrv.h"
#include "vmm/vhost_user.h"
#include "vu_client.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

/* ---- the session */

enum { ECHO = 1, NO_REPLY, GARBAGE, SLEEP, SLOW_LOCK, SLOW_ECHO };

struct request {
	uint32_t len, what;
	uint64_t value;
};

struct fsrv_session {
	fsrv_deferred_fn fn;
	void *cookie;
	_Atomic(void *) tag; /* of the SLOW_LOCK that waits */
	atomic_uint handled, resets, at_once, most_at_once;
};

void fsrv_set_deferred(struct fsrv_session *s, fsrv_deferred_fn fn, void *cookie)
{
	s->fn = fn;
	s->cookie = cookie;
}

bool fsrv_is_slow(uint32_t opcode)
{
	return opcode == SLOW_LOCK || opcode == SLOW_ECHO;
}

void fsrv_session_reset(struct fsrv_session *s)
{
	s->resets++;
}

ssize_t fsrv_handle(struct fsrv_session *s, const struct iovec *out, unsigned nout,
		    const struct iovec *in, unsigned nin, void *tag)
{
	unsigned now = ++s->at_once, most = s->most_at_once;
	struct request r = {0};
	ssize_t ret;

	while (now > most && !atomic_compare_exchange_weak(&s->most_at_once, &most, now))
		;
	virtq_iov_read(out, nout, 0, &r, sizeof(r));
	switch (r.what) {
	case SLEEP:
		usleep(2000);
		/* fall through */
	case ECHO:
	case SLOW_ECHO:
		ret = (ssize_t)virtq_iov_write(in, nin, 0, &r.value, sizeof(r.value));
		break;
	case SLOW_LOCK:
		s->tag = tag;
		ret = -EINPROGRESS;
		break;
	case NO_REPLY:
		ret = 0;
		break;
	default:
		ret = -EBADMSG;
	}
	s->at_once--;
	s->handled++;
	return ret;
}

/* ---- board */

struct board {
	struct fsrv_session session;
	struct vdev *dev;
	struct rsm_loop *loop;
	struct vhost_user *vu;
	pthread_t thread;
	struct vuc c;
};

static void on_closed(void *cookie, const struct rsm_error *err)
{
	rsm_loop_stop(((struct board *)cookie)->loop, err->code);
}

static void *serve(void *arg)
{
	rsm_loop_run(((struct board *)arg)->loop);
	return NULL;
}

static int setup(void **state)
{
	struct board *b = calloc(1, sizeof(*b));
	struct virtiofs_options options = {.tag = "runsm"};
	int pair[2];

	rsm_log_to(-1, RSM_LOG_TEXT, false);
	assert_int_equal(rsm_loop_new(&b->loop), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(virtiofs_new(&options, &b->session, &b->dev, NULL), 0);
	assert_int_equal(vhost_user_new(b->loop, b->dev, pair[0], on_closed, b, &b->vu, NULL), 0);
	assert_int_equal(vuc_new(pair[1], 1 << 20, &b->c), 0);
	assert_int_equal(pthread_create(&b->thread, NULL, serve, b), 0);
	assert_int_equal(vuc_start(&b->c, 2, VDEV_RING_FEATURES), 0);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct board *b = *state;

	vuc_close(&b->c);
	pthread_join(b->thread, NULL);
	assert_int_equal(b->session.resets, 1);
	vhost_user_free(b->vu);
	virtiofs_free(b->dev);
	rsm_loop_free(b->loop);
	free(b);
	return 0;
}

static void submit(struct board *b, uint16_t slot, uint32_t what, uint64_t value)
{
	struct request *r = (struct request *)(b->c.data + slot * 64);
	struct vuc_seg out = {r, sizeof(*r)}, in = {r + 1, 16};

	*r = (struct request){sizeof(*r), what, value};
	memset(r + 1, 0, 16);
	vuc_submit(&b->c, 1, slot, &out, 1, &in, 1);
}

static uint64_t reply_of(struct board *b, uint16_t slot)
{
	uint64_t v;

	memcpy(&v, b->c.data + slot * 64 + sizeof(struct request), sizeof(v));
	return v;
}

/* Wait for one finished request and check its length; Return: its slot */
static uint16_t take(struct board *b, uint32_t want_len)
{
	uint16_t slot = UINT16_MAX;
	uint32_t len;

	assert_int_equal(vuc_wait(&b->c, 1, 5000), 0);
	assert_int_equal(vuc_reap(&b->c, 1, &slot, &len), 1);
	assert_int_equal(len, want_len);
	return slot;
}

static void every_request_of_a_deep_queue_is_answered(void **state)
{
	struct board *b = *state;

	for (unsigned round = 0; round < 2000; round++) {
		for (uint16_t i = 0; i < 64; i++)
			submit(b, i, ECHO, round * 100 + i);
		vuc_kick(&b->c, 1);
		for (unsigned i = 0; i < 64; i++) {
			uint16_t slot = take(b, 8);

			assert_int_equal(reply_of(b, slot), round * 100 + slot);
		}
	}
	assert_int_equal(b->session.most_at_once, 1); /* quick requests need no second thread */
}

static void no_kick_is_lost_at_depth_one(void **state)
{
	struct board *b = *state;

	for (unsigned round = 0; round < 20000; round++) {
		submit(b, 3, ECHO, round);
		vuc_kick(&b->c, 1);
		take(b, 8);
		if (round % 5000 == 0)
			usleep(30000); /* until the worker sleeps for certain */
	}
}

static void requests_without_reply_give_their_chain_back(void **state)
{
	struct board *b = *state;

	submit(b, 1, NO_REPLY, 0);
	submit(b, 2, GARBAGE, 0);
	vuc_kick(&b->c, 1);
	assert_int_equal(take(b, 0), 1);
	assert_int_equal(take(b, 0), 2);
}

static void slow_request_does_not_hold_up_the_others(void **state)
{
	struct board *b = *state;

	submit(b, 1, SLOW_LOCK, 0);
	submit(b, 2, ECHO, 42);
	vuc_kick(&b->c, 1);
	assert_int_equal(take(b, 8), 2);
	while (!b->session.tag)
		usleep(100);
	b->session.fn(b->session.cookie, b->session.tag, "late one", 8);
	assert_int_equal(take(b, 8), 1);
	assert_memory_equal(b->c.data + 64 + sizeof(struct request), "late one", 8);
	/* a second answer to the same request is nobody's */
	b->session.fn(b->session.cookie, b->session.tag, "too late", 8);
	assert_int_equal(vuc_wait(&b->c, 1, 20), -ETIMEDOUT);
}

static void more_threads_serve_a_deep_queue_of_slow_requests(void **state)
{
	struct board *b = *state;

	for (unsigned round = 0; round < 20; round++) {
		for (uint16_t i = 0; i < 8; i++)
			submit(b, i, SLEEP, i);
		vuc_kick(&b->c, 1);
		for (unsigned i = 0; i < 8; i++)
			take(b, 8);
	}
	assert_true(b->session.most_at_once > 4);
}

static void requests_of_helpers_and_worker_share_the_used_ring(void **state)
{
	struct board *b = *state;

	for (unsigned round = 0; round < 2000; round++) {
		for (uint16_t i = 0; i < 32; i++)
			submit(b, i, i % 2 ? ECHO : SLOW_ECHO, round + i);
		vuc_kick(&b->c, 1);
		for (unsigned i = 0; i < 32; i++) {
			uint16_t slot = take(b, 8);

			assert_int_equal(reply_of(b, slot), round + slot);
		}
	}
}

static void late_reply_survives_a_stopped_queue(void **state)
{
	struct board *b = *state;
	uint16_t bases[2];

	submit(b, 1, SLOW_LOCK, 0);
	vuc_kick(&b->c, 1);
	while (!b->session.tag)
		usleep(100);
	assert_int_equal(vuc_stop(&b->c, bases), 0);
	assert_int_equal(bases[1], 1);
	b->session.fn(b->session.cookie, b->session.tag, "late one", 8);
	assert_int_equal(vuc_wait(&b->c, 1, 20), -ETIMEDOUT);
	assert_int_equal(vuc_resume(&b->c, bases), 0);
	assert_int_equal(take(b, 8), 1);
	assert_memory_equal(b->c.data + 64 + sizeof(struct request), "late one", 8);
	submit(b, 2, ECHO, 42);
	vuc_kick(&b->c, 1);
	assert_int_equal(take(b, 8), 2);
}

static void late_reply_after_a_reset_goes_nowhere(void **state)
{
	struct board *b = *state;
	uint64_t n;

	submit(b, 1, SLOW_LOCK, 0);
	vuc_kick(&b->c, 1);
	while (!b->session.tag)
		usleep(100);
	assert_int_equal(vuc_send(&b->c, VHU_RESET_DEVICE, VHU_VERSION, NULL, 0, NULL, 0), 0);
	assert_int_equal(vuc_call(&b->c, VHU_GET_QUEUE_NUM, NULL, 0, &n, 8), 0);
	assert_int_equal(b->session.resets, 1);
	b->session.resets = 0; /* teardown expects its own */
	b->session.fn(b->session.cookie, b->session.tag, "late one", 8);
	assert_int_equal(vuc_wait(&b->c, 1, 20), -ETIMEDOUT);
}

static void stop_waits_for_what_helpers_are_doing(void **state)
{
	struct board *b = *state;
	uint16_t bases[2];

	for (unsigned round = 0; round < 50; round++) {
		for (uint16_t i = 0; i < 8; i++)
			submit(b, i, i % 3 ? SLOW_ECHO : SLEEP, i);
		vuc_kick(&b->c, 1);
		assert_int_equal(vuc_stop(&b->c, bases), 0);
		/* nothing is in flight: what was taken is answered, the rest waits in the ring */
		assert_int_equal(bases[1], b->c.q[1].used->idx);
		assert_int_equal(vuc_resume(&b->c, bases), 0);
		for (unsigned i = 0; i < 8; i++)
			take(b, 8);
	}
}

static void malformed_ring_stops_the_queue_until_a_reset(void **state)
{
	struct board *b = *state;

	submit(b, 1, ECHO, 1);
	b->c.q[1].desc[1].addr = 0;
	vuc_kick(&b->c, 1);
	assert_int_equal(vuc_wait(&b->c, 1, 50), -ETIMEDOUT);
	submit(b, 2, ECHO, 1);
	vuc_kick(&b->c, 1);
	assert_int_equal(vuc_wait(&b->c, 1, 50), -ETIMEDOUT);
	assert_int_equal(b->session.handled, 0);
}

static void configuration_space_has_tag_and_queues(void **state)
{
	struct board *b = *state;
	struct vhu_config c = {.size = 40};
	const char tag[36] = "runsm";

	assert_int_equal(
		vuc_call(&b->c, VHU_GET_CONFIG, &c, VHU_CONFIG_HEAD + 40, &c, VHU_CONFIG_HEAD + 40),
		0);
	assert_memory_equal(c.region, tag, 36);
	assert_memory_equal(c.region + 36, "\1\0\0\0", 4);
}

static void bad_options_are_refused_by_name(void **state)
{
	struct fsrv_session s = {0};
	struct vdev *d = NULL;
	struct rsm_error err = RSM_ERROR_INIT;
	struct virtiofs_options bad[] = {
		{.tag = ""},
		{.tag = "a-tag-that-is-longer-than-the-36-bytes-it-may-have"},
		{.tag = "t", .request_queues = VDEV_QUEUES_MAX},
		{.tag = "t", .helpers = 1000},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(virtiofs_new(&bad[i], &s, &d, &err), -EINVAL);
		assert_null(d);
		assert_true(strlen(err.message) > 0);
	}
}

#define t(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(every_request_of_a_deep_queue_is_answered),
		t(no_kick_is_lost_at_depth_one),
		t(requests_without_reply_give_their_chain_back),
		t(slow_request_does_not_hold_up_the_others),
		t(more_threads_serve_a_deep_queue_of_slow_requests),
		t(requests_of_helpers_and_worker_share_the_used_ring),
		t(late_reply_survives_a_stopped_queue),
		t(late_reply_after_a_reset_goes_nowhere),
		t(stop_waits_for_what_helpers_are_doing),
		t(malformed_ring_stops_the_queue_until_a_reset),
		t(configuration_space_has_tag_and_queues),
		cmocka_unit_test(bad_options_are_refused_by_name),
	};

	return cmocka_run_group_tests_name("virtiofs", tests, NULL, NULL);
}
