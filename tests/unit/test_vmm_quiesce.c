// SPDX-License-Identifier: Apache-2.0
/*
 * Pause as the point at which a snapshot can be taken: a guest whose vCPUs write to memory and have
 * requests in flight stands still, all of it, and goes on as if nothing had been.
 */
#include "vmm/machine.h"

#include "base/math.h"
#include "cmocka_all.h"
#include "tests/guest/protocol.h"

#include <errno.h>
#include <linux/virtio_ids.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define GUESTS	   "tests/guest/guests"
#define MEMORY	   (64ULL << 20)
#define LOOKED_AT  (4U << 20) /* the guest uses no more */
#define LONG_MS	   30000
#define IN_FLIGHT  500 /* µs between taking a request and answering it */
#define STAND_MS   30
#define ROUNDS_MAX 8

/**
 * struct counter - A device that answers each request with the number of those before it
 * @inside:	its thread works on a request; atomic
 */
struct counter {
	struct vdev d;
	pthread_t thread;
	bool running, stop, inside;
	uint32_t served, starts;
	struct iovec iov[VIRTQ_SEGS_MAX];
};

struct fixture {
	struct rsm_loop *loop;
	struct machine *m;
	struct counter c;
	int console[2];
	bool exited;
	struct rsm_error why;
	unsigned done;
};

static void *serve(void *cookie)
{
	struct counter *c = cookie;
	struct virtq *vq = &c->d.vq[0];
	struct virtq_req req = {.iov = c->iov};

	while (!__atomic_load_n(&c->stop, __ATOMIC_SEQ_CST)) {
		if (virtq_pop(vq, &req) <= 0) {
			poll(&(struct pollfd){.fd = vq->kick_fd, .events = POLLIN}, 1, 1);
			virtq_clear_kick(vq);
			continue;
		}
		__atomic_store_n(&c->inside, true, __ATOMIC_SEQ_CST);
		usleep(IN_FLIGHT);
		virtq_iov_write(virtq_in(&req), req.nin, 0, &c->served, sizeof(c->served));
		c->served++;
		virtq_push(vq, req.head, sizeof(c->served));
		virtq_notify(vq);
		__atomic_store_n(&c->inside, false, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

static int queue_start(struct vdev *d, unsigned i)
{
	struct counter *c = rsm_container_of(d, struct counter, d);

	c->stop = false;
	c->starts++;
	c->running = pthread_create(&c->thread, NULL, serve, c) == 0;
	return c->running ? 0 : -EAGAIN;
}

static void queue_stop(struct vdev *d, unsigned i)
{
	struct counter *c = rsm_container_of(d, struct counter, d);

	__atomic_store_n(&c->stop, true, __ATOMIC_SEQ_CST);
	if (c->running)
		pthread_join(c->thread, NULL);
	c->running = false;
}

static void read_config(struct vdev *d, uint32_t offset, void *buf, uint32_t len)
{
}

static void reset(struct vdev *d)
{
}

static const struct vdev_ops counter_ops = {
	.name = "counter",
	.device_id = VIRTIO_ID_RNG,
	.nqueues = 1,
	.queue_size = 8,
	.read_config = read_config,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
	.reset = reset,
};

static void on_exit_(void *cookie, const struct rsm_error *why)
{
	struct fixture *f = cookie;

	f->exited = true;
	f->why = *why;
}

static void on_done(void *cookie, const struct rsm_error *err)
{
	struct fixture *f = cookie;

	assert_int_equal(err->code, 0);
	f->done++;
}

static int setup(void **state)
{
	struct rsm_error err = RSM_ERROR_INIT;
	struct fixture *f;
	struct vdev *devices[1];
	struct machine_config config = {
		.kernel = GUESTS,
		.cmdline = "ring_busy",
		.memory = MEMORY,
		.vcpus = 2,
		.devices = devices,
		.ndevices = 1,
	};

	if (access("/dev/kvm", R_OK | W_OK) < 0) {
		if (getenv("RUNSM_TEST_STRICT"))
			fail_msg("/dev/kvm: %s", strerror(errno));
		print_message("# /dev/kvm: %s\n", strerror(errno));
		skip();
	}
	f = calloc(1, sizeof(*f));
	assert_non_null(f);
	assert_int_equal(rsm_loop_new(&f->loop), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, f->console), 0);
	vdev_init(&f->c.d, &counter_ops, 0);
	devices[0] = &f->c.d;
	config.console_fd = f->console[1];
	if (machine_create(&machine_kvm, f->loop, &config, on_exit_, f, &f->m, &err) < 0 ||
	    machine_start(f->m, &err) < 0)
		fail_msg("%s", err.message);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (!f)
		return 0;
	machine_free(f->m);
	rsm_loop_free(f->loop);
	close(f->console[0]);
	close(f->console[1]);
	free(f);
	return 0;
}

/* Serve the machine until the device has answered @served requests, or it has ended. */
static void run_until_served(struct fixture *f, uint32_t served)
{
	for (int ms = 0; ms < LONG_MS && !f->exited; ms++) {
		if (__atomic_load_n(&f->c.served, __ATOMIC_SEQ_CST) >= served)
			return;
		assert_int_equal(rsm_loop_once(f->loop, 1), 0);
	}
	assert_true(f->exited);
}

static void run_until_done(struct fixture *f, unsigned done)
{
	for (int ms = 0; f->done < done && ms < LONG_MS; ms++)
		assert_int_equal(rsm_loop_once(f->loop, 1), 0);
	assert_int_equal(f->done, done);
}

static void copy_memory(struct fixture *f, uint8_t *to)
{
	memcpy(to, gmem_ptr(f->c.d.mem, (gpa_t){0}, LOOKED_AT), LOOKED_AT);
}

static void a_paused_machine_stands_still_and_loses_nothing(void **state)
{
	struct fixture *f = *state;
	uint8_t *at_pause = malloc(LOOKED_AT), *later = malloc(LOOKED_AT);
	unsigned rounds = 0;

	assert_true(at_pause && later);
	while (rounds < ROUNDS_MAX && !f->exited) {
		uint32_t served = f->c.served + GUEST_BUSY_REQUESTS / (2 * ROUNDS_MAX);

		run_until_served(f, served);
		if (f->exited)
			break;
		assert_int_equal(machine_pause(f->m, on_done, f), 0);
		copy_memory(f, at_pause);
		assert_false(f->c.inside);
		served = f->c.served;
		run_until_done(f, 2 * rounds + 1);
		usleep(STAND_MS * 1000);
		copy_memory(f, later);
		assert_memory_equal(at_pause, later, LOOKED_AT);
		assert_int_equal(f->c.served, served);
		assert_int_equal(machine_resume(f->m, on_done, f), 0);
		run_until_done(f, 2 * rounds + 2);
		rounds++;
	}
	run_until_served(f, GUEST_BUSY_REQUESTS + 1);
	assert_true(f->exited);
	if (f->why.code)
		fail_msg("%s", f->why.message); /* an answer lost, or one too many */
	assert_int_equal(f->c.served, GUEST_BUSY_REQUESTS);
	assert_true(rounds >= ROUNDS_MAX / 2); /* the device may be quick */
	assert_int_equal(f->c.starts, rounds + 1);
	/* and it was not as quiet while it ran */
	copy_memory(f, later);
	assert_memory_not_equal(at_pause, later, LOOKED_AT);
	free(at_pause);
	free(later);
}

static void a_paused_machine_may_be_freed(void **state)
{
	struct fixture *f = *state;

	run_until_served(f, 3);
	assert_int_equal(machine_pause(f->m, on_done, f), 0);
	machine_free(f->m);
	f->m = NULL;
	assert_false(f->c.running);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_paused_machine_stands_still_and_loses_nothing,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_paused_machine_may_be_freed, setup, teardown),
	};

	return cmocka_run_group_tests_name("vmm/quiesce", tests, NULL, NULL);
}
