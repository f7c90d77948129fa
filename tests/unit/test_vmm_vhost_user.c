// SPDX-License-Identifier: Apache-2.0
/* The back end with a device that returns each request's bytes, driven by the client in bench/. */
#include "vmm/vhost_user.h"

#include "cmocka_all.h"
#include "vu_client.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#define MEM (1U << 20)

/* A device on the loop's thread: copies out to in. Queue 1 is never served. */
struct echo {
	struct vdev d;
	struct rsm_loop *loop;
	struct rsm_source *source[2];
	uint8_t config[8];
	unsigned starts, stops, resets;
};

static void echo_kick(void *cookie, int fd, uint32_t events)
{
	struct echo *e = cookie;
	struct virtq *vq = &e->d.vq[0];
	struct iovec iov[VIRTQ_SEGS_MAX];
	struct virtq_req r = {.iov = iov};
	int n;

	virtq_clear_kick(vq);
	do {
		while ((n = virtq_pop(vq, &r)) > 0) {
			size_t len =
				virtq_iov_write(virtq_in(&r), r.nin, 0, virtq_out(&r)[0].iov_base,
						virtq_out(&r)[0].iov_len);

			virtq_push(vq, r.head, (uint32_t)len);
		}
		if (n < 0) {
			vdev_fail(&e->d, "bad ring");
			rsm_source_pause(e->source[0]);
			return;
		}
	} while (virtq_enable_kicks(vq));
	virtq_notify(vq);
}

static int echo_start(struct vdev *d, unsigned i)
{
	struct echo *e = (struct echo *)d;
	int ret = rsm_loop_add(e->loop, d->vq[i].kick_fd, EPOLLIN, echo_kick, e, &e->source[i]);

	if (ret == 0) {
		e->starts++;
		virtq_enable_kicks(&d->vq[i]);
		echo_kick(e, d->vq[i].kick_fd, EPOLLIN);
	}
	return ret;
}

static void echo_stop(struct vdev *d, unsigned i)
{
	struct echo *e = (struct echo *)d;

	rsm_loop_remove(e->source[i]);
	e->source[i] = NULL;
	e->stops++;
}

static void echo_reset(struct vdev *d)
{
	((struct echo *)d)->resets++;
}

static void echo_read_config(struct vdev *d, uint32_t offset, void *buf, uint32_t len)
{
	memcpy(buf, ((struct echo *)d)->config + offset, len);
}

static const struct vdev_ops echo_ops = {
	.name = "echo",
	.nqueues = 2,
	.queue_size = 128,
	.config_len = 8,
	.read_config = echo_read_config,
	.queue_start = echo_start,
	.queue_stop = echo_stop,
	.reset = echo_reset,
};

/* ---- the back end on a thread of its own, as the client blocks */

struct bench {
	struct echo e;
	struct rsm_loop *loop;
	struct vhost_user *vu;
	pthread_t thread;
	int closed; /* how often; the loop ends with it */
	int closed_code;
	struct vuc c;
};

static void on_closed(void *cookie, const struct rsm_error *err)
{
	struct bench *b = cookie;

	b->closed++;
	b->closed_code = err->code;
	rsm_loop_stop(b->loop, 0);
}

static void *serve(void *arg)
{
	struct bench *b = arg;

	rsm_loop_run(b->loop);
	return NULL;
}

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	int pair[2];

	rsm_log_set_level(RSM_LOG_ERROR);
	assert_int_equal(rsm_loop_new(&b->loop), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	vdev_init(&b->e.d, &echo_ops, 0);
	b->e.loop = b->loop;
	memcpy(b->e.config, "01234567", 8);
	assert_int_equal(vhost_user_new(b->loop, &b->e.d, pair[0], on_closed, b, &b->vu, NULL), 0);
	assert_int_equal(vuc_new(pair[1], MEM, &b->c), 0);
	assert_int_equal(pthread_create(&b->thread, NULL, serve, b), 0);
	*state = b;
	return 0;
}

/* Wait for the back end to notice that the connection is over. */
static void join(struct bench *b)
{
	pthread_join(b->thread, NULL);
	b->thread = 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	vuc_close(&b->c);
	if (b->thread)
		join(b);
	vhost_user_free(b->vu);
	rsm_loop_free(b->loop);
	free(b);
	return 0;
}

static void start(struct bench *b)
{
	assert_int_equal(vuc_start(&b->c, 2, VDEV_RING_FEATURES), 0);
}

static void echo_one(struct bench *b, const char *text)
{
	struct vuc_seg out = {b->c.data, 8}, in = {b->c.data + 64, 16};
	uint16_t slot;
	uint32_t len;

	memset(in.buf, 0, 16);
	memcpy(out.buf, text, 8);
	vuc_submit(&b->c, 0, 5, &out, 1, &in, 1);
	vuc_kick(&b->c, 0);
	assert_int_equal(vuc_wait(&b->c, 0, 5000), 0);
	assert_int_equal(vuc_reap(&b->c, 0, &slot, &len), 1);
	assert_int_equal(slot, 5);
	assert_int_equal(len, 8);
	assert_memory_equal(in.buf, text, 8);
}

static void requests_go_through_a_ring_in_the_masters_memory(void **state)
{
	struct bench *b = *state;

	start(b);
	echo_one(b, "request1");
	echo_one(b, "request2");
	assert_int_equal(b->e.d.acked & VDEV_RING_FEATURES, VDEV_RING_FEATURES);
	vuc_close(&b->c);
	join(b);
	assert_int_equal(b->closed_code, 0);
	assert_int_equal(b->e.stops, b->e.starts);
	assert_int_equal(b->e.resets, 1);
	assert_int_equal(b->e.d.mem->n, 0);
}

static void stopped_queue_resumes_where_it_was(void **state)
{
	struct bench *b = *state;
	uint16_t bases[2];

	start(b);
	echo_one(b, "before!!");
	assert_int_equal(vuc_stop(&b->c, bases), 0);
	assert_int_equal(bases[0], 1);
	assert_int_equal(bases[1], 0);
	assert_int_equal(vuc_resume(&b->c, bases), 0);
	echo_one(b, "after!!!");
	/* a pause is no reset: the device keeps its state */
	assert_int_equal(b->e.resets, 0);
}

static void driver_that_starts_over_resets_the_device(void **state)
{
	struct bench *b = *state;

	start(b);
	echo_one(b, "before!!");
	assert_int_equal(vuc_stop(&b->c, NULL), 0);
	start(b);
	echo_one(b, "after!!!");
	assert_int_equal(b->e.resets, 1);
}

static void memory_table_can_change_while_queues_run(void **state)
{
	struct bench *b = *state;

	start(b);
	echo_one(b, "before!!");
	assert_int_equal(vuc_set_mem_table(&b->c), 0);
	echo_one(b, "after!!!");
}

static void new_call_fd_gets_the_interrupt_the_old_one_may_have_missed(void **state)
{
	struct bench *b = *state;
	uint64_t index = 0, n;
	int fd = eventfd(0, 0);

	start(b);
	assert_int_equal(vuc_send(&b->c, VHU_SET_VRING_CALL, VHU_VERSION, &index, 8, &fd, 1), 0);
	assert_int_equal(vuc_call(&b->c, VHU_GET_QUEUE_NUM, NULL, 0, &n, 8), 0);
	assert_int_equal(n, 2);
	assert_int_equal(read(fd, &n, 8), 8);
	close(fd);
}

static void configuration_space_is_read_within_its_bounds(void **state)
{
	struct bench *b = *state;
	struct vhu_config c = {.offset = 2, .size = 4};

	assert_int_equal(
		vuc_call(&b->c, VHU_GET_CONFIG, &c, VHU_CONFIG_HEAD + 4, &c, VHU_CONFIG_HEAD + 4),
		0);
	assert_memory_equal(c.region, "2345", 4);
	c = (struct vhu_config){.offset = 5, .size = 4};
	assert_int_equal(vuc_call(&b->c, VHU_GET_CONFIG, &c, VHU_CONFIG_HEAD + 4, &c, 0), 0);
	c = (struct vhu_config){.offset = UINT32_MAX, .size = 2};
	assert_int_equal(vuc_call(&b->c, VHU_GET_CONFIG, &c, VHU_CONFIG_HEAD + 2, &c, 0), 0);
	c = (struct vhu_config){.offset = 0, .size = UINT32_MAX};
	assert_int_equal(vuc_call(&b->c, VHU_GET_CONFIG, &c, VHU_CONFIG_HEAD, &c, 0), 0);
}

static void unsupported_request_is_refused_and_the_connection_lives(void **state)
{
	struct bench *b = *state;
	uint64_t answer = 0;

	start(b);
	assert_int_equal(vuc_send(&b->c, VHU_SET_BACKEND_REQ_FD, VHU_VERSION | VHU_FLAG_NEED_REPLY,
				  NULL, 0, NULL, 0),
			 0);
	assert_int_equal(vuc_recv(&b->c, NULL, &answer, sizeof(answer)), sizeof(answer));
	assert_int_not_equal(answer, 0);
	echo_one(b, "goes on!");
}

static void device_reset_forgets_what_was_negotiated(void **state)
{
	struct bench *b = *state;
	uint64_t n;

	start(b);
	assert_int_equal(vuc_send(&b->c, VHU_RESET_DEVICE, VHU_VERSION, NULL, 0, NULL, 0), 0);
	assert_int_equal(vuc_call(&b->c, VHU_GET_QUEUE_NUM, NULL, 0, &n, 8), 0);
	assert_int_equal(b->e.resets, 1);
	assert_int_equal(b->e.d.acked, 0);
	assert_int_equal(b->e.stops, b->e.starts);
	assert_int_equal(b->e.d.vq[0].kick_fd, -1);
}

static void broken_ring_is_reported_and_the_connection_lives(void **state)
{
	struct bench *b = *state;
	uint64_t index = 0, n;
	int fd = eventfd(0, 0);
	struct vuc_seg out = {b->c.data, 8};

	rsm_log_to(-1, RSM_LOG_TEXT, false);
	start(b);
	assert_int_equal(vuc_send(&b->c, VHU_SET_VRING_ERR, VHU_VERSION, &index, 8, &fd, 1), 0);
	assert_int_equal(vuc_call(&b->c, VHU_GET_QUEUE_NUM, NULL, 0, &n, 8), 0);
	vuc_submit(&b->c, 0, 1, &out, 1, NULL, 0);
	b->c.q[0].desc[1].addr = 1;
	vuc_kick(&b->c, 0);
	for (int i = 0; i < 5000 && read(fd, &n, 8) != 8; i++)
		usleep(1000);
	assert_int_equal(n, 1);
	assert_int_equal(vuc_call(&b->c, VHU_GET_QUEUE_NUM, NULL, 0, &n, 8), 0);
	close(fd);
}

/* ---- malformed messages: each closes the connection */

struct bad {
	const char *what;
	uint32_t request, flags, size;
	union vhu_payload p;
	unsigned nfds;
};

#define BAD(req, len, ...)                                                                         \
	VHU_##req, VHU_VERSION, len,                                                               \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}

static const struct bad bad_messages[] = {
	{"unknown request", 200, VHU_VERSION, 0, {0}, 0},
	{"request 0", 0, VHU_VERSION, 0, {0}, 0},
	{"huge request number", UINT32_MAX, VHU_VERSION, 0, {0}, 0},
	{"wrong version", VHU_GET_FEATURES, 2, 0, {0}, 0},
	{"a reply", VHU_GET_FEATURES, VHU_VERSION | VHU_FLAG_REPLY, 0, {0}, 0},
	{"payload where none belongs", BAD(GET_FEATURES, 8, .u64 = 0), 0},
	{"too short", BAD(SET_FEATURES, 4, .u64 = 0), 0},
	{"too long", BAD(SET_FEATURES, 16, .u64 = 0), 0},
	{"size beyond any message", BAD(SET_FEATURES, UINT32_MAX, .u64 = 0), 0},
	{"unoffered feature", BAD(SET_FEATURES, 8, .u64 = 1ULL << 63), 0},
	{"unoffered protocol feature", BAD(SET_PROTOCOL_FEATURES, 8, .u64 = 1ULL << 40), 0},
	{"fd where none belongs", BAD(SET_FEATURES, 8, .u64 = 0), 1},
	{"queue out of range", BAD(SET_VRING_NUM, 8, .state = {2, 128}), 0},
	{"queue far out of range", BAD(SET_VRING_BASE, 8, .state = {UINT32_MAX, 0}), 0},
	{"queue size 0", BAD(SET_VRING_NUM, 8, .state = {0, 0}), 0},
	{"queue size no power of two", BAD(SET_VRING_NUM, 8, .state = {0, 100}), 0},
	{"queue size too great", BAD(SET_VRING_NUM, 8, .state = {0, 2048}), 0},
	{"queue size beyond 16 bits", BAD(SET_VRING_NUM, 8, .state = {0, 0x10000}), 0},
	{"ring index beyond 16 bits", BAD(SET_VRING_BASE, 8, .state = {0, 0x10000}), 0},
	{"ring address of no queue", BAD(SET_VRING_ADDR, 40, .addr = {.index = 9}), 0},
	{"dirty logging", BAD(SET_VRING_ADDR, 40, .addr = {.flags = VHU_VRING_F_LOG}), 0},
	{"base of no queue", BAD(GET_VRING_BASE, 8, .state = {7, 0}), 0},
	{"kick of no queue", BAD(SET_VRING_KICK, 8, .u64 = 9), 1},
	{"kick without its fd", BAD(SET_VRING_KICK, 8, .u64 = 0), 0},
	{"polled queue", BAD(SET_VRING_KICK, 8, .u64 = VHU_VRING_NOFD), 0},
	{"call with fd and without", BAD(SET_VRING_CALL, 8, .u64 = VHU_VRING_NOFD), 1},
	{"call with unknown flags", BAD(SET_VRING_CALL, 8, .u64 = 1ULL << 32), 1},
	{"call with two fds", BAD(SET_VRING_CALL, 8, .u64 = 0), 2},
	{"enable by 2", BAD(SET_VRING_ENABLE, 8, .state = {0, 2}), 0},
	{"enable no queue", BAD(SET_VRING_ENABLE, 8, .state = {2, 1}), 0},
	{"memory table cut short", BAD(SET_MEM_TABLE, 16, .mem = {.n = 1}), 1},
	{"memory table with too few fds", BAD(SET_MEM_TABLE, 72, .mem = {.n = 2}), 1},
	{"memory table with too many regions", BAD(SET_MEM_TABLE, 264, .mem = {.n = 9}), 8},
	{"memory table with regions without number",
	 BAD(SET_MEM_TABLE, 8, .mem = {.n = UINT32_MAX}), 0},
	{"empty memory region", BAD(SET_MEM_TABLE, 40, .mem = {.n = 1}), 1},
	{"memory region beyond its file",
	 BAD(SET_MEM_TABLE, 40, .mem = {.n = 1, .regions = {{0, MEM + 1, 0, 0}}}), 1},
	{"memory region that wraps",
	 BAD(SET_MEM_TABLE, 40, .mem = {.n = 1, .regions = {{0, 4096, 0, UINT64_MAX - 100}}}), 1},
	{"memory region at the end of time",
	 BAD(SET_MEM_TABLE, 40, .mem = {.n = 1, .regions = {{UINT64_MAX, 4096, 0, 0}}}), 1},
	{"overlapping memory regions",
	 BAD(SET_MEM_TABLE, 72, .mem = {.n = 2, .regions = {{0, 8192, 0, 0}, {4096, 4096, 0, 0}}}),
	 2},
	{"config write", BAD(SET_CONFIG, 16, .config = {.size = 4}), 0},
	{"config write beyond the message", BAD(SET_CONFIG, 16, .config = {.size = 8}), 0},
	{"config without its head", BAD(GET_CONFIG, 8, .config = {.size = 4}), 0},
};

static void malformed_messages_close_the_connection(void **state)
{
	for (size_t i = 0; i < sizeof(bad_messages) / sizeof(bad_messages[0]); i++) {
		const struct bad *m = &bad_messages[i];
		struct bench *b;
		int fds[8];
		uint64_t answer;

		setup((void **)&b);
		start(b);
		for (unsigned j = 0; j < 8; j++)
			fds[j] = b->c.mem_fd;
		assert_int_equal(
			vuc_send(&b->c, m->request, m->flags, &m->p, m->size, fds, m->nfds), 0);
		/* UINT32_MAX: the back end gives up at the header, and may do so while we write */
		if (vuc_recv(&b->c, NULL, &answer, sizeof(answer)) != -ECONNRESET)
			fail_msg("\"%s\" was taken", m->what);
		join(b);
		assert_int_not_equal(b->closed_code, 0);
		assert_int_equal(b->e.starts, b->e.stops);
		teardown((void **)&b);
	}
}

static void hang_up_within_a_message_is_an_error(void **state)
{
	struct bench *b = *state;
	uint32_t half = VHU_GET_FEATURES;

	assert_int_equal(write(b->c.sock, &half, sizeof(half)), sizeof(half));
	vuc_close(&b->c);
	join(b);
	assert_int_equal(b->closed_code, EPROTO);
}

static void message_in_small_pieces_is_put_together(void **state)
{
	struct bench *b = *state;
	uint32_t msg[] = {VHU_GET_VRING_BASE, VHU_VERSION, 8, 1, 0};
	struct vhu_vring_state s;

	for (size_t i = 0; i < sizeof(msg); i++) {
		assert_int_equal(write(b->c.sock, (char *)msg + i, 1), 1);
		usleep(200);
	}
	assert_int_equal(vuc_recv(&b->c, NULL, &s, sizeof(s)), sizeof(s));
	assert_int_equal(s.index, 1);
}

static void two_messages_in_one_piece_are_both_served(void **state)
{
	struct bench *b = *state;
	uint32_t msg[] = {VHU_GET_QUEUE_NUM, VHU_VERSION, 0, VHU_GET_FEATURES, VHU_VERSION, 0};
	uint64_t answer;

	assert_int_equal(write(b->c.sock, msg, sizeof(msg)), sizeof(msg));
	assert_int_equal(vuc_recv(&b->c, NULL, &answer, 8), 8);
	assert_int_equal(answer, 2);
	assert_int_equal(vuc_recv(&b->c, NULL, &answer, 8), 8);
	assert_true(answer & VHU_F_PROTOCOL_FEATURES);
}

#define t(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(requests_go_through_a_ring_in_the_masters_memory),
		t(stopped_queue_resumes_where_it_was),
		t(driver_that_starts_over_resets_the_device),
		t(memory_table_can_change_while_queues_run),
		t(new_call_fd_gets_the_interrupt_the_old_one_may_have_missed),
		t(configuration_space_is_read_within_its_bounds),
		t(unsupported_request_is_refused_and_the_connection_lives),
		t(device_reset_forgets_what_was_negotiated),
		t(broken_ring_is_reported_and_the_connection_lives),
		cmocka_unit_test(malformed_messages_close_the_connection),
		t(hang_up_within_a_message_is_an_error),
		t(message_in_small_pieces_is_put_together),
		t(two_messages_in_one_piece_are_both_served),
	};

	return cmocka_run_group_tests_name("vmm/vhost_user", tests, NULL, NULL);
}
