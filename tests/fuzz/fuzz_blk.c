// SPDX-License-Identifier: Apache-2.0
/*
 * A hostile driver of the block device. Input: one byte of options, then guest memory from address
 * 0, where the rings are. Whatever it asks for, the file stays as long as it was.
 */
#include "vmm/blk.h"

#include "base/math.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RAM   16384U
#define DISK  65536U
#define AVAIL 256U
#define USED  512U

/* The queue's thread has its time, and is then stopped in whatever it does. */
#define LOOKS   100
#define LOOK_US 50

static bool failed;

static void needs_reset(void *cookie, struct vdev *d)
{
	__atomic_store_n(&failed, true, __ATOMIC_RELEASE);
}

static void run(struct vdev *d, uint16_t until)
{
	failed = false;
	if (d->ops->queue_start(d, 0) < 0)
		abort();
	for (int i = 0; i < LOOKS && !__atomic_load_n(&failed, __ATOMIC_ACQUIRE); i++) {
		if (__atomic_load_n(&d->vq[0].last_avail, __ATOMIC_RELAXED) == until)
			break;
		usleep(LOOK_US);
	}
	d->ops->queue_stop(d, 0);
	d->ops->reset(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gmem mem = {0};
	struct gmem_region r = {.len = RAM, .fd = -1};
	struct rsm_error err = RSM_ERROR_INIT;
	struct vdev *d;
	struct virtq *vq;
	struct stat st;
	uint8_t *ram;
	int fd;

	if (!size)
		return 0;
	rsm_log_set_level(RSM_LOG_ERROR);
	fd = memfd_create("disk", MFD_CLOEXEC);
	ram = aligned_alloc(4096, RAM);
	if (!ram || fd < 0 || ftruncate(fd, DISK) < 0 ||
	    blk_new(fcntl(fd, F_DUPFD_CLOEXEC, 0), &d, &err) < 0)
		abort();
	memset(ram, 0, RAM);
	memcpy(ram, data + 1, rsm_min(size - 1, (size_t)RAM));
	r.host = ram;
	(void)gmem_add(&mem, &r);
	d->mem = &mem;
	d->acked = d->offered;
	d->needs_reset = needs_reset;
	vq = &d->vq[0];
	vq->indirect = data[0] & 1;
	vq->event_idx = data[0] & 2;
	vq->kick_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	vq->call_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (virtq_map(vq, &mem, (uint16_t)(1U << (data[0] >> 2 & 3)), ram, ram + AVAIL,
		      ram + USED) == 0)
		run(d, ((struct vring_avail *)(ram + AVAIL))->idx);
	if (fstat(fd, &st) < 0 || st.st_size != DISK)
		abort();
	close(vq->kick_fd);
	close(vq->call_fd);
	blk_free(d);
	close(fd);
	free(ram);
	return 0;
}
