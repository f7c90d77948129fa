// SPDX-License-Identifier: Apache-2.0
/* The registers, driven as a vCPU would, with a device that only takes notes. */
#include "vmm/mmio_transport.h"

#include "base/math.h"
#include "cmocka_all.h"

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <string.h>
#include <sys/eventfd.h>

#define RAM   0x100000
#define DESC  0x1000
#define AVAIL 0x2000
#define USED  0x3000
#define ACK   VIRTIO_CONFIG_S_ACKNOWLEDGE
#define DRV   VIRTIO_CONFIG_S_DRIVER
#define FOK   VIRTIO_CONFIG_S_FEATURES_OK
#define DOK   VIRTIO_CONFIG_S_DRIVER_OK
#define RESET VIRTIO_CONFIG_S_NEEDS_RESET

struct notes {
	struct vdev d;
	unsigned starts[2], stops[2], resets;
	int fail_start;
	uint8_t config[12];
};

struct fixture {
	struct gmem mem;
	struct notes dev;
	struct mmio_transport *t;
	int irq;
	unsigned bound;
};

static uint8_t ram[RAM];

static void read_config(struct vdev *d, uint32_t offset, void *buf, uint32_t len)
{
	struct notes *n = rsm_container_of(d, struct notes, d);

	assert_true(offset + len <= sizeof(n->config));
	memcpy(buf, n->config + offset, len);
}

static void write_config(struct vdev *d, uint32_t offset, const void *buf, uint32_t len)
{
	struct notes *n = rsm_container_of(d, struct notes, d);

	assert_true(offset + len <= sizeof(n->config));
	memcpy(n->config + offset, buf, len);
}

static int queue_start(struct vdev *d, unsigned i)
{
	struct notes *n = rsm_container_of(d, struct notes, d);

	n->starts[i]++;
	return n->fail_start;
}

static void queue_stop(struct vdev *d, unsigned i)
{
	rsm_container_of(d, struct notes, d)->stops[i]++;
}

static void reset(struct vdev *d)
{
	rsm_container_of(d, struct notes, d)->resets++;
}

static const struct vdev_ops ops = {
	.name = "notes",
	.device_id = 26,
	.nqueues = 2,
	.queue_size = 64,
	.config_len = 12,
	.read_config = read_config,
	.write_config = write_config,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
	.reset = reset,
};

static void call(void *cookie, void (*fn)(void *arg), void *arg)
{
	fn(arg);
}

static int ioeventfd(void *cookie, int fd, gpa_t addr, uint32_t value)
{
	struct fixture *f = cookie;

	assert_int_equal(addr.v, 0xd0000050);
	f->bound++;
	return 0;
}

static int irqfd(void *cookie, int fd, uint32_t gsi)
{
	((struct fixture *)cookie)->irq = fd;
	return 0;
}

static int setup(void **state)
{
	static struct fixture f;
	struct gmem_region region = {.len = RAM, .host = ram, .fd = -1};
	struct mmio_board board = {call, ioeventfd, irqfd, &f};

	memset(&f, 0, sizeof(f));
	memset(ram, 0, sizeof(ram));
	gmem_add(&f.mem, &region);
	vdev_init(&f.dev.d, &ops, 1ULL << 5 | 1ULL << 40);
	memcpy(f.dev.config, "configspace", 12);
	*state = &f;
	return mmio_transport_new(&board, &f.dev.d, &f.mem, (gpa_t){0xd0000000}, 6, &f.t, NULL);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	mmio_transport_free(f->t);
	return 0;
}

static uint32_t rd(struct fixture *f, uint64_t offset)
{
	uint32_t value = 0xdeadbeef;

	mmio_transport_ops.read(f->t, offset, &value, 4);
	return value;
}

static void wr(struct fixture *f, uint64_t offset, uint32_t value)
{
	mmio_transport_ops.write(f->t, offset, &value, 4);
}

static void features(struct fixture *f, uint64_t bits)
{
	wr(f, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	wr(f, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)bits);
	wr(f, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	wr(f, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(bits >> 32));
}

static void negotiate(struct fixture *f)
{
	wr(f, VIRTIO_MMIO_STATUS, ACK);
	wr(f, VIRTIO_MMIO_STATUS, ACK | DRV);
	features(f, 1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_RING_F_EVENT_IDX);
	wr(f, VIRTIO_MMIO_STATUS, ACK | DRV | FOK);
	assert_int_equal(rd(f, VIRTIO_MMIO_STATUS), ACK | DRV | FOK);
}

static void queue(struct fixture *f, unsigned i, uint32_t num, uint64_t desc, uint64_t avail,
		  uint64_t used)
{
	wr(f, VIRTIO_MMIO_QUEUE_SEL, i);
	wr(f, VIRTIO_MMIO_QUEUE_NUM, num);
	wr(f, VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)desc);
	wr(f, VIRTIO_MMIO_QUEUE_DESC_HIGH, (uint32_t)(desc >> 32));
	wr(f, VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint32_t)avail);
	wr(f, VIRTIO_MMIO_QUEUE_AVAIL_HIGH, (uint32_t)(avail >> 32));
	wr(f, VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)used);
	wr(f, VIRTIO_MMIO_QUEUE_USED_HIGH, (uint32_t)(used >> 32));
	wr(f, VIRTIO_MMIO_QUEUE_READY, 1);
}

static void run(struct fixture *f)
{
	negotiate(f);
	queue(f, 0, 64, DESC, AVAIL, USED);
	wr(f, VIRTIO_MMIO_STATUS, ACK | DRV | FOK | DOK);
}

static bool interrupted(struct fixture *f)
{
	eventfd_t count;

	return eventfd_read(f->irq, &count) == 0;
}

static void identity_registers_say_virtio_1_of_this_device(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(rd(f, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	assert_int_equal(rd(f, VIRTIO_MMIO_VERSION), 2);
	assert_int_equal(rd(f, VIRTIO_MMIO_DEVICE_ID), 26);
	assert_int_equal(f->bound, 2);
}

static void features_come_in_two_halves_and_nothing_beyond(void **state)
{
	struct fixture *f = *state;

	wr(f, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	assert_int_equal(rd(f, VIRTIO_MMIO_DEVICE_FEATURES), 1u << 5 | 1u << 28 | 1u << 29);
	wr(f, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	assert_int_equal(rd(f, VIRTIO_MMIO_DEVICE_FEATURES), 1u << 8 | 1u << 0);
	wr(f, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 2);
	assert_int_equal(rd(f, VIRTIO_MMIO_DEVICE_FEATURES), 0);
	wr(f, VIRTIO_MMIO_DEVICE_FEATURES_SEL, UINT32_MAX);
	assert_int_equal(rd(f, VIRTIO_MMIO_DEVICE_FEATURES), 0);
}

static void features_beyond_the_offered_are_not_ok(void **state)
{
	struct fixture *f = *state;

	wr(f, VIRTIO_MMIO_STATUS, ACK | DRV);
	features(f, 1ULL << VIRTIO_F_VERSION_1 | 1);
	wr(f, VIRTIO_MMIO_STATUS, ACK | DRV | FOK);
	assert_int_equal(rd(f, VIRTIO_MMIO_STATUS), ACK | DRV);
	features(f, 1ULL << 5); /* not VERSION_1 */
	wr(f, VIRTIO_MMIO_STATUS, ACK | DRV | FOK);
	assert_int_equal(rd(f, VIRTIO_MMIO_STATUS), ACK | DRV);
	assert_int_equal(f->dev.d.acked, 0);
}

static void features_are_frozen_once_accepted(void **state)
{
	struct fixture *f = *state;

	negotiate(f);
	features(f, ~0ULL);
	assert_int_equal(f->dev.d.acked,
			 1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_RING_F_EVENT_IDX);
	wr(f, VIRTIO_MMIO_STATUS, ACK | DRV | FOK | DOK);
	assert_int_equal(rd(f, VIRTIO_MMIO_STATUS), ACK | DRV | FOK | DOK);
}

static void driver_ok_starts_the_ready_queues(void **state)
{
	struct fixture *f = *state;

	run(f);
	assert_int_equal(rd(f, VIRTIO_MMIO_STATUS), ACK | DRV | FOK | DOK);
	assert_int_equal(f->dev.starts[0], 1);
	assert_int_equal(f->dev.starts[1], 0);
	assert_ptr_equal(f->dev.d.vq[0].desc, ram + DESC);
	assert_true(f->dev.d.vq[0].event_idx);
	assert_false(f->dev.d.vq[0].indirect);
	queue(f, 1, 32, DESC, AVAIL, USED); /* later is allowed too */
	assert_int_equal(f->dev.starts[1], 1);
}

static void bad_queues_need_a_reset_of_the_device_only(void **state)
{
	static const struct {
		uint32_t num;
		uint64_t desc, avail, used;
	} cases[] = {
		{0, DESC, AVAIL, USED},
		{63, DESC, AVAIL, USED},
		{128, DESC, AVAIL, USED},
		{0x10040, DESC, AVAIL, USED},
		{UINT32_MAX, DESC, AVAIL, USED},
		{64, RAM, AVAIL, USED},
		{64, RAM - 64 * 16 + 16, AVAIL, USED},
		{64, DESC, RAM - 130, USED},
		{64, DESC, AVAIL, RAM - 64 * 8},
		{64, DESC + 8, AVAIL, USED},
		{64, DESC, AVAIL + 1, USED},
		{64, DESC, AVAIL, USED + 2},
		{64, UINT64_MAX - 15, AVAIL, USED},
		{64, DESC, UINT64_MAX - 1, USED},
		{64, DESC, AVAIL, UINT64_MAX - 3},
		{64, 1ULL << 32 | DESC, AVAIL, USED},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < RSM_ARRAY_SIZE(cases); i++) {
		negotiate(f);
		assert_false(interrupted(f));
		queue(f, 1, cases[i].num, cases[i].desc, cases[i].avail, cases[i].used);
		if (!(rd(f, VIRTIO_MMIO_STATUS) & RESET))
			fail_msg("case %zu is accepted", i);
		assert_int_equal(rd(f, VIRTIO_MMIO_QUEUE_READY), 0);
		assert_true(interrupted(f));
		assert_int_equal(rd(f, VIRTIO_MMIO_INTERRUPT_STATUS), 3);
		wr(f, VIRTIO_MMIO_STATUS, ACK | DRV | FOK | DOK);
		assert_int_equal(f->dev.starts[1], 0);
		wr(f, VIRTIO_MMIO_STATUS, 0);
		assert_int_equal(rd(f, VIRTIO_MMIO_STATUS), 0);
		assert_int_equal(rd(f, VIRTIO_MMIO_INTERRUPT_STATUS), 1);
	}
	run(f); /* and it works afterwards */
	assert_int_equal(f->dev.starts[0], 1);
}

static void states_out_of_order_need_a_reset(void **state)
{
	struct fixture *f = *state;

	wr(f, VIRTIO_MMIO_STATUS, ACK | DRV | DOK);
	assert_true(rd(f, VIRTIO_MMIO_STATUS) & RESET);
	assert_int_equal(f->dev.starts[0], 0);
	wr(f, VIRTIO_MMIO_STATUS, 0);
	wr(f, VIRTIO_MMIO_STATUS, ACK | DRV);
	queue(f, 0, 64, DESC, AVAIL, USED);
	assert_true(rd(f, VIRTIO_MMIO_STATUS) & RESET);
	wr(f, VIRTIO_MMIO_STATUS, 0);
	run(f);
	wr(f, VIRTIO_MMIO_STATUS, ACK | DRV);
	assert_true(rd(f, VIRTIO_MMIO_STATUS) & RESET);
	assert_int_equal(f->dev.stops[0], 1);
}

static void reset_stops_queues_and_forgets_everything(void **state)
{
	struct fixture *f = *state;

	run(f);
	eventfd_write(f->dev.d.vq[0].kick_fd, 3); /* a stale kick */
	wr(f, VIRTIO_MMIO_STATUS, 0);
	assert_int_equal(f->dev.stops[0], 1);
	assert_int_equal(f->dev.stops[1], 0);
	assert_int_equal(f->dev.resets, 1);
	assert_int_equal(f->dev.d.acked, 0);
	assert_int_equal(f->dev.d.vq[0].size, 0);
	assert_int_equal(rd(f, VIRTIO_MMIO_QUEUE_READY), 0);
	for (int i = 0; i < 100; i++)
		wr(f, VIRTIO_MMIO_STATUS, 0);
	assert_int_equal(f->dev.stops[0], 1);
	run(f);
	assert_int_equal(f->dev.starts[0], 2);
}

static void registers_of_a_ready_queue_are_frozen(void **state)
{
	struct fixture *f = *state;

	run(f);
	wr(f, VIRTIO_MMIO_QUEUE_DESC_LOW, 0x5000);
	wr(f, VIRTIO_MMIO_QUEUE_READY, 1);
	assert_ptr_equal(f->dev.d.vq[0].desc, ram + DESC);
	assert_int_equal(f->dev.starts[0], 1);
	wr(f, VIRTIO_MMIO_QUEUE_READY, 0);
	assert_int_equal(f->dev.stops[0], 1);
	assert_int_equal(rd(f, VIRTIO_MMIO_QUEUE_READY), 0);
}

static void queues_that_do_not_exist_are_not_there(void **state)
{
	static const uint32_t none[] = {2, 15, 16, 0x10000, UINT32_MAX};
	struct fixture *f = *state;

	negotiate(f);
	for (size_t i = 0; i < RSM_ARRAY_SIZE(none); i++) {
		queue(f, none[i], 64, DESC, AVAIL, USED);
		assert_int_equal(rd(f, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
		assert_int_equal(rd(f, VIRTIO_MMIO_QUEUE_READY), 0);
		wr(f, VIRTIO_MMIO_QUEUE_NOTIFY, none[i]);
	}
	assert_false(rd(f, VIRTIO_MMIO_STATUS) & RESET);
}

static void kick_without_ioeventfd_reaches_the_queue(void **state)
{
	struct fixture *f = *state;
	eventfd_t count;

	wr(f, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	assert_int_equal(eventfd_read(f->dev.d.vq[1].kick_fd, &count), 0);
	assert_int_equal(eventfd_read(f->dev.d.vq[0].kick_fd, &count), -1);
}

static void device_fault_shows_as_needs_reset_and_interrupts(void **state)
{
	struct fixture *f = *state;

	run(f);
	vdev_fail(&f->dev.d, "test");
	vdev_fail(&f->dev.d, "test");
	assert_true(interrupted(f));
	assert_int_equal(rd(f, VIRTIO_MMIO_STATUS), ACK | DRV | FOK | DOK | RESET);
	assert_int_equal(rd(f, VIRTIO_MMIO_INTERRUPT_STATUS), 3);
	wr(f, VIRTIO_MMIO_INTERRUPT_ACK, 3);
	assert_int_equal(rd(f, VIRTIO_MMIO_INTERRUPT_STATUS), 1);
}

static void configuration_is_read_inside_its_bounds_only(void **state)
{
	struct fixture *f = *state;
	uint8_t buf[8];

	mmio_transport_ops.read(f->t, 0x100, buf, 8);
	assert_memory_equal(buf, "configsp", 8);
	mmio_transport_ops.read(f->t, 0x10b, buf, 1);
	assert_int_equal(buf[0], 0);
	memset(buf, 0xaa, sizeof(buf));
	mmio_transport_ops.read(f->t, 0x108, buf, 8); /* half outside */
	assert_memory_equal(buf, "\0\0\0\0\0\0\0\0", 8);
	mmio_transport_ops.read(f->t, 0xffc, buf, 4);
	assert_memory_equal(buf, "\0\0\0\0", 4);
	mmio_transport_ops.write(f->t, 0x104, "XY", 2);
	mmio_transport_ops.write(f->t, 0x10b, "XY", 2);
	mmio_transport_ops.read(f->t, 0x104, buf, 4);
	assert_memory_equal(buf, "XYsp", 4);
}

static void changed_configuration_interrupts_with_a_new_generation(void **state)
{
	struct fixture *f = *state;
	uint32_t before = rd(f, VIRTIO_MMIO_CONFIG_GENERATION);

	f->dev.config[0] = 'K';
	assert_int_equal(rd(f, VIRTIO_MMIO_CONFIG) & 0xff, 'c');
	mmio_transport_config_changed(f->t);
	assert_int_equal(rd(f, VIRTIO_MMIO_CONFIG) & 0xff, 'K');
	assert_int_not_equal(rd(f, VIRTIO_MMIO_CONFIG_GENERATION), before);
	assert_true(interrupted(f));
	assert_int_equal(rd(f, VIRTIO_MMIO_INTERRUPT_STATUS), 3);
}

static void shared_memory_is_announced_by_id(void **state)
{
	struct fixture *f = *state;

	mmio_transport_set_shm(f->t, 0, (gpa_t){0x1200000000}, 0x340000000);
	assert_int_equal(rd(f, VIRTIO_MMIO_SHM_BASE_HIGH), 0x12);
	assert_int_equal(rd(f, VIRTIO_MMIO_SHM_LEN_HIGH), 0x3);
	assert_int_equal(rd(f, VIRTIO_MMIO_SHM_LEN_LOW), 0x40000000);
	wr(f, VIRTIO_MMIO_SHM_SEL, 1);
	assert_int_equal(rd(f, VIRTIO_MMIO_SHM_LEN_LOW), UINT32_MAX);
	wr(f, VIRTIO_MMIO_SHM_SEL, UINT32_MAX);
	assert_int_equal(rd(f, VIRTIO_MMIO_SHM_LEN_HIGH), UINT32_MAX);
}

static void accesses_of_other_widths_do_nothing(void **state)
{
	struct fixture *f = *state;
	uint64_t value = 0;

	wr(f, VIRTIO_MMIO_STATUS, ACK);
	mmio_transport_ops.write(f->t, VIRTIO_MMIO_STATUS, &value, 1);
	mmio_transport_ops.write(f->t, VIRTIO_MMIO_STATUS, &value, 8);
	assert_int_equal(rd(f, VIRTIO_MMIO_STATUS), ACK);
	mmio_transport_ops.read(f->t, VIRTIO_MMIO_MAGIC_VALUE, &value, 8);
	assert_int_equal(value, 0);
}

static void quiesce_stops_running_queues_and_resume_starts_them(void **state)
{
	struct fixture *f = *state;

	run(f);
	mmio_transport_quiesce(f->t);
	assert_int_equal(f->dev.stops[0], 1);
	assert_int_equal(f->dev.stops[1], 0);
	mmio_transport_resume(f->t);
	mmio_transport_resume(f->t);
	assert_int_equal(f->dev.starts[0], 2);
	assert_int_equal(f->dev.starts[1], 0);
	assert_int_equal(f->dev.resets, 0);
}

static void queue_that_cannot_start_fails_the_device(void **state)
{
	struct fixture *f = *state;

	f->dev.fail_start = -11;
	run(f);
	assert_true(rd(f, VIRTIO_MMIO_STATUS) & RESET);
	f->dev.fail_start = 0;
	wr(f, VIRTIO_MMIO_STATUS, 0);
	assert_int_equal(f->dev.stops[0], 0);
}

static void every_register_survives_any_write(void **state)
{
	static const uint32_t values[] = {0, 1, 2, 0xff, 0x80000000, UINT32_MAX};
	struct fixture *f = *state;

	for (unsigned round = 0; round < 3; round++)
		for (uint64_t offset = 0; offset < 0x120; offset++)
			for (size_t i = 0; i < RSM_ARRAY_SIZE(values); i++) {
				wr(f, offset, values[i]);
				(void)rd(f, offset);
			}
	wr(f, VIRTIO_MMIO_STATUS, 0);
	run(f);
	assert_int_equal(rd(f, VIRTIO_MMIO_STATUS), ACK | DRV | FOK | DOK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(identity_registers_say_virtio_1_of_this_device),
		TEST(features_come_in_two_halves_and_nothing_beyond),
		TEST(features_beyond_the_offered_are_not_ok),
		TEST(features_are_frozen_once_accepted),
		TEST(driver_ok_starts_the_ready_queues),
		TEST(bad_queues_need_a_reset_of_the_device_only),
		TEST(states_out_of_order_need_a_reset),
		TEST(reset_stops_queues_and_forgets_everything),
		TEST(registers_of_a_ready_queue_are_frozen),
		TEST(queues_that_do_not_exist_are_not_there),
		TEST(kick_without_ioeventfd_reaches_the_queue),
		TEST(device_fault_shows_as_needs_reset_and_interrupts),
		TEST(configuration_is_read_inside_its_bounds_only),
		TEST(changed_configuration_interrupts_with_a_new_generation),
		TEST(shared_memory_is_announced_by_id),
		TEST(accesses_of_other_widths_do_nothing),
		TEST(quiesce_stops_running_queues_and_resume_starts_them),
		TEST(queue_that_cannot_start_fails_the_device),
		TEST(every_register_survives_any_write),
	};

	return cmocka_run_group_tests_name("vmm/mmio_transport", tests, NULL, NULL);
}
