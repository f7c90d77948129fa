// SPDX-License-Identifier: Apache-2.0
/* The block device, with a driver that is a few lines. */
#include "vmm/blk.h"

#include "cmocka_all.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define RAM     (1U << 20)
#define QSIZE   64
#define HEADER  0x10000U
#define STATUS  0x11000U
#define DATA    0x20000U
#define DISK    (4U << 20)
#define SECTORS (DISK / 512)
#define LONG_MS 5000

struct guest {
	struct gmem mem;
	uint8_t *ram;
	struct vdev *d;
	int fd; /* the file */
	uint16_t avail, seen;
	bool failed;
};

/* One piece of a request; @write: the device writes it. */
struct piece {
	uint64_t addr;
	uint32_t len;
	bool write;
};

static struct vring_desc *desc(struct guest *g)
{
	return (void *)g->ram;
}

static struct vring_avail *avail(struct guest *g)
{
	return (void *)(g->ram + 0x1000);
}

static struct vring_used *used(struct guest *g)
{
	return (void *)(g->ram + 0x2000);
}

static void failed(void *cookie, struct vdev *d)
{
	struct guest *g = d->transport;

	__atomic_store_n(&g->failed, true, __ATOMIC_RELEASE);
}

static int setup(void **state)
{
	struct guest *g = calloc(1, sizeof(*g));
	struct gmem_region r = {.len = RAM, .fd = -1};
	struct rsm_error err = RSM_ERROR_INIT;

	assert_non_null(g);
	g->ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(g->ram, MAP_FAILED);
	r.host = g->ram;
	assert_int_equal(gmem_add(&g->mem, &r), 0);
	g->fd = memfd_create("disk", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(ftruncate(g->fd, DISK + 100), 0);
	assert_int_equal(blk_new(fcntl(g->fd, F_DUPFD_CLOEXEC, 0), &g->d, &err), 0);
	g->d->mem = &g->mem;
	g->d->acked = g->d->offered;
	g->d->needs_reset = failed;
	g->d->transport = g;
	g->d->vq[0].kick_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	g->d->vq[0].call_fd = eventfd(0, EFD_CLOEXEC);
	assert_int_equal(virtq_map(&g->d->vq[0], &g->mem, QSIZE, desc(g), avail(g), used(g)), 0);
	assert_int_equal(g->d->ops->queue_start(g->d, 0), 0);
	*state = g;
	return 0;
}

static int teardown(void **state)
{
	struct guest *g = *state;

	g->d->ops->queue_stop(g->d, 0);
	close(g->d->vq[0].kick_fd);
	close(g->d->vq[0].call_fd);
	blk_free(g->d);
	close(g->fd);
	munmap(g->ram, RAM);
	free(g);
	return 0;
}

static void submit(struct guest *g, const struct piece *p, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		desc(g)[i] = (struct vring_desc){
			p[i].addr, p[i].len,
			(p[i].write ? VRING_DESC_F_WRITE : 0) | (i + 1 < n ? VRING_DESC_F_NEXT : 0),
			(uint16_t)(i + 1)};
	avail(g)->ring[g->avail % QSIZE] = 0;
	__atomic_store_n(&avail(g)->idx, ++g->avail, __ATOMIC_RELEASE);
	eventfd_write(g->d->vq[0].kick_fd, 1);
}

/* Until it is answered. Return: bytes the device says it wrote */
static uint32_t await(struct guest *g)
{
	for (int i = 0; i < LONG_MS; i++) {
		if (__atomic_load_n(&used(g)->idx, __ATOMIC_ACQUIRE) == (uint16_t)(g->seen + 1))
			return used(g)->ring[g->seen++ % QSIZE].len;
		usleep(1000);
	}
	fail_msg("no answer");
	return 0;
}

static void header(struct guest *g, uint32_t type, uint64_t sector)
{
	struct virtio_blk_outhdr h = {.type = htole32(type), .sector = htole64(sector)};

	memcpy(g->ram + HEADER, &h, sizeof(h));
	g->ram[STATUS] = 0xff;
}

/* A request with @len bytes of data in one piece. Return: its status */
static uint8_t request(struct guest *g, uint32_t type, uint64_t sector, uint32_t len)
{
	bool in = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;
	const struct piece p[] = {{HEADER, 16, false}, {DATA, len, in}, {STATUS, 1, true}};

	header(g, type, sector);
	submit(g, p, 3);
	await(g);
	return g->ram[STATUS];
}

static uint8_t clear(struct guest *g, uint32_t type, uint64_t sector, uint32_t n, uint32_t flags)
{
	struct virtio_blk_discard_write_zeroes r = {htole64(sector), htole32(n), htole32(flags)};

	memcpy(g->ram + DATA, &r, sizeof(r));
	return request(g, type, sector, sizeof(r));
}

static blkcnt_t blocks(struct guest *g)
{
	struct stat st;

	assert_int_equal(fstat(g->fd, &st), 0);
	return st.st_blocks;
}

static void what_is_written_is_read_again(void **state)
{
	struct guest *g = *state;

	memset(g->ram + DATA, 'x', 8192);
	assert_int_equal(request(g, VIRTIO_BLK_T_OUT, 8, 8192), VIRTIO_BLK_S_OK);
	memset(g->ram + DATA, 0, 8192);
	assert_int_equal(request(g, VIRTIO_BLK_T_IN, 15, 1024), VIRTIO_BLK_S_OK);
	assert_int_equal(g->ram[DATA], 'x');
	assert_int_equal(g->ram[DATA + 1023], 'x');
	assert_int_equal(g->ram[DATA + 1024], 0);
	assert_int_equal(request(g, VIRTIO_BLK_T_IN, 7, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(g->ram[DATA], 0);
}

static void pieces_may_be_cut_anywhere(void **state)
{
	const struct piece write[] = {{HEADER, 7, false},    {HEADER + 7, 9, false},
				      {DATA, 500, false},    {DATA + 500, 1, false},
				      {DATA + 501, 11, false}, {STATUS, 1, true}};
	const struct piece together[] = {{HEADER, 16, false}, {DATA, 100, true}, {DATA + 100, 413, true}};
	struct guest *g = *state;

	for (int i = 0; i < 512; i++)
		g->ram[DATA + i] = (uint8_t)(i * 7);
	header(g, VIRTIO_BLK_T_OUT, 3);
	submit(g, write, 6);
	assert_int_equal(await(g), 1);
	assert_int_equal(g->ram[STATUS], VIRTIO_BLK_S_OK);
	memset(g->ram + DATA, 0xee, 600);
	header(g, VIRTIO_BLK_T_IN, 3);
	submit(g, together, 3);
	assert_int_equal(await(g), 513);
	for (int i = 0; i < 512; i++)
		assert_int_equal(g->ram[DATA + i], (uint8_t)(i * 7));
	assert_int_equal(g->ram[DATA + 512], VIRTIO_BLK_S_OK); /* the last byte, not one of its own */
	assert_int_equal(g->ram[DATA + 513], 0xee);
}

static void what_is_not_on_the_disk_is_an_error(void **state)
{
	const struct {
		uint64_t sector;
		uint32_t len;
	} bad[] = {{SECTORS, 512},    {SECTORS - 1, 1024}, {0, 511},
		   {UINT64_MAX, 512}, {UINT64_MAX / 512 + 1, 512}, {1ULL << 55, 512}};
	struct guest *g = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(request(g, VIRTIO_BLK_T_IN, bad[i].sector, bad[i].len),
				 VIRTIO_BLK_S_IOERR);
		assert_int_equal(request(g, VIRTIO_BLK_T_OUT, bad[i].sector, bad[i].len),
				 VIRTIO_BLK_S_IOERR);
	}
	assert_int_equal(request(g, VIRTIO_BLK_T_IN, SECTORS - 1, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(clear(g, VIRTIO_BLK_T_DISCARD, SECTORS - 1, 2, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(clear(g, VIRTIO_BLK_T_DISCARD, UINT64_MAX - 7, 16, 0), VIRTIO_BLK_S_IOERR);
}

static void unknown_requests_are_not_supported(void **state)
{
	struct guest *g = *state;

	assert_int_equal(request(g, 99, 0, 512), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(request(g, VIRTIO_BLK_T_FLUSH, 0, 512), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(clear(g, VIRTIO_BLK_T_DISCARD, 0, 8, 1), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(clear(g, VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 6), VIRTIO_BLK_S_UNSUPP);
}

static void what_is_discarded_is_given_back_and_reads_as_zero(void **state)
{
	struct guest *g = *state;
	blkcnt_t empty = blocks(g), full;

	memset(g->ram + DATA, 'x', 0x20000);
	assert_int_equal(request(g, VIRTIO_BLK_T_OUT, 0, 0x20000), VIRTIO_BLK_S_OK);
	full = blocks(g);
	assert_true(full > empty);
	assert_int_equal(clear(g, VIRTIO_BLK_T_WRITE_ZEROES, 0, 128, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(clear(g, VIRTIO_BLK_T_DISCARD, 128, 128, 0), VIRTIO_BLK_S_OK);
	assert_true(blocks(g) < full);
	assert_int_equal(request(g, VIRTIO_BLK_T_IN, 0, 0x20000), VIRTIO_BLK_S_OK);
	for (size_t i = 0; i < 0x20000; i++)
		assert_int_equal(g->ram[DATA + i], 0);
}

static void full_host_disk_is_an_error(void **state)
{
	struct guest *g = *state;

	/* as good as a full disk: the file may not be written any more */
	assert_int_equal(fcntl(g->fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
	assert_int_equal(request(g, VIRTIO_BLK_T_OUT, 0, 512), VIRTIO_BLK_S_IOERR);
}

static void request_without_room_for_its_parts_fails_the_device(void **state)
{
	const struct piece no_status[] = {{HEADER, 16, false}, {DATA, 512, false}};
	struct guest *g = *state;

	header(g, VIRTIO_BLK_T_OUT, 0);
	submit(g, no_status, 2);
	for (int i = 0; i < LONG_MS && !__atomic_load_n(&g->failed, __ATOMIC_ACQUIRE); i++)
		usleep(1000);
	assert_true(g->failed);
	assert_int_equal(used(g)->idx, 0);
}

static void short_header_fails_the_device(void **state)
{
	const struct piece p[] = {{HEADER, 15, false}, {STATUS, 1, true}};
	struct guest *g = *state;

	submit(g, p, 2);
	for (int i = 0; i < LONG_MS && !__atomic_load_n(&g->failed, __ATOMIC_ACQUIRE); i++)
		usleep(1000);
	assert_true(g->failed);
}

static void disk_tells_its_size_and_name(void **state)
{
	struct guest *g = *state;
	struct virtio_blk_config c;

	g->d->ops->read_config(g->d, 0, &c, sizeof(c));
	assert_int_equal(le64toh(c.capacity), SECTORS); /* 100 bytes too many are left out */
	assert_int_equal(request(g, VIRTIO_BLK_T_GET_ID, 0, VIRTIO_BLK_ID_BYTES), VIRTIO_BLK_S_OK);
	assert_string_equal((char *)g->ram + DATA, "runsm-scratch");
}

static void only_files_become_disks(void **state)
{
	struct rsm_error err = RSM_ERROR_INIT;
	struct vdev *d = NULL;
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC), empty = memfd_create("empty", MFD_CLOEXEC);

	assert_int_equal(blk_new(fd, &d, &err), -EINVAL);
	assert_int_equal(blk_new(empty, &d, &err), -EINVAL);
	close(fd);
	close(empty);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_written_is_read_again),
		TEST(pieces_may_be_cut_anywhere),
		TEST(what_is_not_on_the_disk_is_an_error),
		TEST(unknown_requests_are_not_supported),
		TEST(what_is_discarded_is_given_back_and_reads_as_zero),
		TEST(full_host_disk_is_an_error),
		TEST(request_without_room_for_its_parts_fails_the_device),
		TEST(short_header_fails_the_device),
		TEST(disk_tells_its_size_and_name),
		cmocka_unit_test(only_files_become_disks),
	};

	return cmocka_run_group_tests_name("vmm/blk", tests, NULL, NULL);
}
