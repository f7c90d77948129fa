// SPDX-License-Identifier: Apache-2.0
/* The devices that the main loop serves: entropy and balloon, with a driver that is a few lines. */
#include "vmm/balloon.h"
#include "vmm/rng.h"

#include "cmocka_all.h"

#include <endian.h>
#include <linux/virtio_balloon.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define RAM   (1U << 20)
#define QSIZE 64
#define QUEUE 0x4000U /* bytes per queue, from 0 */
#define DATA  0x20000U
#define PAGES 0x40000U

struct guest {
	struct rsm_loop *loop;
	struct gmem mem;
	uint8_t *ram;
	struct vdev *d;
	uint16_t avail[3];
};

static struct vring_desc *desc(struct guest *g, unsigned q)
{
	return (void *)(g->ram + q * QUEUE);
}

static struct vring_avail *avail(struct guest *g, unsigned q)
{
	return (void *)(g->ram + q * QUEUE + 0x1000);
}

static struct vring_used *used(struct guest *g, unsigned q)
{
	return (void *)(g->ram + q * QUEUE + 0x2000);
}

static void start(struct guest *g, int (*make)(struct rsm_loop *, struct vdev **))
{
	struct gmem_region r = {.len = RAM, .fd = -1};

	memset(g, 0, sizeof(*g));
	g->ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(g->ram, MAP_FAILED);
	r.host = g->ram;
	assert_int_equal(gmem_add(&g->mem, &r), 0);
	assert_int_equal(rsm_loop_new(&g->loop), 0);
	assert_int_equal(make(g->loop, &g->d), 0);
	g->d->mem = &g->mem;
	g->d->acked = g->d->offered;
	for (unsigned q = 0; q < g->d->nqueues; q++) {
		g->d->vq[q].kick_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		g->d->vq[q].call_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		assert_int_equal(virtq_map(&g->d->vq[q], &g->mem, QSIZE, desc(g, q), avail(g, q),
					   used(g, q)),
				 0);
		assert_int_equal(g->d->ops->queue_start(g->d, q), 0);
	}
}

static void stop(struct guest *g, void (*destroy)(struct vdev *))
{
	for (unsigned q = 0; q < g->d->nqueues; q++) {
		g->d->ops->queue_stop(g->d, q);
		close(g->d->vq[q].kick_fd);
		close(g->d->vq[q].call_fd);
	}
	destroy(g->d);
	rsm_loop_free(g->loop);
	munmap(g->ram, RAM);
}

static void offer(struct guest *g, unsigned q, uint64_t addr, uint32_t len, uint16_t flags)
{
	uint16_t i = g->avail[q]++ % QSIZE;

	desc(g, q)[i] = (struct vring_desc){addr, len, flags, 0};
	avail(g, q)->ring[i] = i;
	__atomic_store_n(&avail(g, q)->idx, g->avail[q], __ATOMIC_RELEASE);
}

static void kick(struct guest *g, unsigned q)
{
	eventfd_write(g->d->vq[q].kick_fd, 1);
	for (int i = 0; i < 40; i++)
		assert_int_equal(rsm_loop_once(g->loop, 0), 0);
}

static void entropy_fills_buffers_with_different_bytes(void **state)
{
	struct guest g;

	start(&g, rng_new);
	offer(&g, 0, DATA, 64, VRING_DESC_F_WRITE);
	offer(&g, 0, DATA + 64, 64, VRING_DESC_F_WRITE);
	kick(&g, 0);
	assert_int_equal(used(&g, 0)->idx, 2);
	assert_int_equal(used(&g, 0)->ring[0].len, 64);
	assert_memory_not_equal(g.ram + DATA, g.ram + DATA + 64, 64);
	assert_int_equal(g.ram[DATA + 128], 0);
	stop(&g, rng_free);
}

static void entropy_is_rationed_and_a_full_queue_served(void **state)
{
	struct guest g;

	start(&g, rng_new);
	for (int i = 0; i < QSIZE; i++)
		offer(&g, 0, DATA, 0x10000, VRING_DESC_F_WRITE);
	kick(&g, 0);
	assert_int_equal(used(&g, 0)->idx, QSIZE);
	assert_int_equal(used(&g, 0)->ring[QSIZE - 1].len, 256);
	stop(&g, rng_free);
}

static void entropy_wants_nothing_readable(void **state)
{
	struct guest g;

	start(&g, rng_new);
	offer(&g, 0, DATA, 64, 0);
	kick(&g, 0);
	assert_int_equal(used(&g, 0)->ring[0].len, 0);
	stop(&g, rng_free);
}

/* Is the page's contents gone? */
static bool dropped(struct guest *g, uint32_t at)
{
	return g->ram[at] == 0 && g->ram[at + 4095] == 0;
}

static void fill_pages(struct guest *g)
{
	memset(g->ram + PAGES, 0xaa, 16 * 4096);
}

static void reported_pages_go_back_to_the_host(void **state)
{
	struct guest g;

	start(&g, balloon_new);
	fill_pages(&g);
	offer(&g, 2, PAGES + 4096, 2 * 4096, VRING_DESC_F_WRITE);
	offer(&g, 2, PAGES + 5 * 4096 + 1, 2 * 4096, VRING_DESC_F_WRITE); /* one whole page in it */
	kick(&g, 2);
	assert_int_equal(used(&g, 2)->idx, 2);
	assert_false(dropped(&g, PAGES));
	assert_true(dropped(&g, PAGES + 1 * 4096));
	assert_true(dropped(&g, PAGES + 2 * 4096));
	assert_false(dropped(&g, PAGES + 3 * 4096));
	assert_false(dropped(&g, PAGES + 5 * 4096));
	assert_true(dropped(&g, PAGES + 6 * 4096));
	assert_int_equal(g.ram[PAGES + 7 * 4096], 0xaa);
	stop(&g, balloon_free);
}

static void poisoned_pages_are_kept(void **state)
{
	uint32_t poison = htole32(0xaaaaaaaa);
	struct guest g;

	start(&g, balloon_new);
	fill_pages(&g);
	g.d->ops->write_config(g.d, offsetof(struct virtio_balloon_config, poison_val), &poison, 4);
	offer(&g, 2, PAGES, 4096, VRING_DESC_F_WRITE);
	kick(&g, 2);
	assert_int_equal(used(&g, 2)->idx, 1);
	assert_false(dropped(&g, PAGES));
	stop(&g, balloon_free);
}

static void inflated_pages_go_back_and_others_are_ignored(void **state)
{
	uint32_t pfns[] = {htole32((PAGES >> 12) + 3), htole32((PAGES >> 12) + 2),
			   htole32(RAM >> 12), htole32(UINT32_MAX), htole32((PAGES >> 12) + 7)};
	struct guest g;

	start(&g, balloon_new);
	fill_pages(&g);
	memcpy(g.ram + DATA, pfns, sizeof(pfns));
	offer(&g, 0, DATA, sizeof(pfns), 0);
	offer(&g, 0, DATA, 3, 0); /* less than a number */
	kick(&g, 0);
	assert_int_equal(used(&g, 0)->idx, 2);
	assert_true(dropped(&g, PAGES + 2 * 4096));
	assert_true(dropped(&g, PAGES + 3 * 4096));
	assert_false(dropped(&g, PAGES + 4 * 4096));
	assert_true(dropped(&g, PAGES + 7 * 4096));
	stop(&g, balloon_free);
}

static void driver_sets_its_own_fields_only(void **state)
{
	struct virtio_balloon_config c;
	struct guest g;

	start(&g, balloon_new);
	balloon_set_target(g.d, 1000);
	memset(&c, 0x55, sizeof(c));
	g.d->ops->write_config(g.d, 0, &c, sizeof(c));
	g.d->ops->read_config(g.d, 0, &c, sizeof(c));
	assert_int_equal(le32toh(c.num_pages), 1000);
	assert_int_equal(balloon_actual(g.d), 0x55555555);
	stop(&g, balloon_free);
}

static void malformed_ring_fails_the_device(void **state)
{
	struct guest g;

	rsm_log_to(-1, RSM_LOG_TEXT, false);
	start(&g, balloon_new);
	offer(&g, 1, RAM, 4, 0);
	kick(&g, 1);
	assert_true(g.d->vq[1].broken);
	stop(&g, balloon_free);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entropy_fills_buffers_with_different_bytes),
		cmocka_unit_test(entropy_is_rationed_and_a_full_queue_served),
		cmocka_unit_test(entropy_wants_nothing_readable),
		cmocka_unit_test(reported_pages_go_back_to_the_host),
		cmocka_unit_test(poisoned_pages_are_kept),
		cmocka_unit_test(inflated_pages_go_back_and_others_are_ignored),
		cmocka_unit_test(driver_sets_its_own_fields_only),
		cmocka_unit_test(malformed_ring_fails_the_device),
	};

	return cmocka_run_group_tests_name("vmm/small_devices", tests, NULL, NULL);
}
