// SPDX-License-Identifier: Apache-2.0
#include "vmm/mmio_transport.h"

#include "base/cleanup.h"
#include "base/math.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#define MAGIC   0x74726976 /* "virt" */
#define VERSION 2
#define VENDOR  0x4d535552 /* "RUSM": no one is registered for this transport */

#define STATUS_BITS                                                                                \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_DRIVER_OK |        \
	 VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_FAILED)

/* ---- the device asks for a reset; any thread */

static void fail_device(struct mmio_transport *t)
{
	if (__atomic_exchange_n(&t->failed, true, __ATOMIC_SEQ_CST))
		return;
	__atomic_store_n(&t->config_changed, true, __ATOMIC_SEQ_CST);
	eventfd_write(t->irq_fd, 1);
}

static void needs_reset(void *cookie, struct vdev *d)
{
	fail_device(cookie);
}

/* The driver broke a rule of the transport. Context: main thread */
static void driver_fault(struct mmio_transport *t, const char *why)
{
	for (unsigned i = 0; i < t->d->nqueues; i++)
		if (t->q[i].started) {
			t->d->ops->queue_stop(t->d, i);
			t->q[i].started = false;
		}
	vdev_fail(t->d, why);
}

/* ---- what is done on the main thread, with the lock held */

static void read_config(struct mmio_transport *t)
{
	if (t->d->ops->config_len)
		t->d->ops->read_config(t->d, 0, t->config, t->d->ops->config_len);
}

static void reset(struct mmio_transport *t)
{
	struct vdev *d = t->d;

	for (unsigned i = 0; i < d->nqueues; i++) {
		if (t->q[i].started)
			d->ops->queue_stop(d, i);
		t->q[i] = (struct mmio_queue){0};
		d->vq[i].size = 0;
		d->vq[i].last_avail = 0;
		virtq_clear_kick(&d->vq[i]);
	}
	d->ops->reset(d);
	d->acked = 0;
	t->status = 0;
	t->driver_features = 0;
	t->device_features_sel = t->driver_features_sel = t->queue_sel = t->shm_sel = 0;
	__atomic_store_n(&t->failed, false, __ATOMIC_SEQ_CST);
	__atomic_store_n(&t->config_changed, false, __ATOMIC_SEQ_CST);
	read_config(t);
}

static void start_queue(struct mmio_transport *t, unsigned i)
{
	struct mmio_queue *q = &t->q[i];

	if (!q->ready || q->started || !(t->status & VIRTIO_CONFIG_S_DRIVER_OK) || t->failed)
		return;
	if (t->d->ops->queue_start(t->d, i) < 0)
		driver_fault(t, "a queue cannot be started"); /* out of threads or fds */
	else
		q->started = true;
}

static void write_status(struct mmio_transport *t, uint32_t value)
{
	uint32_t added = value & ~t->status;

	if (value == 0) {
		reset(t);
		return;
	}
	value &= STATUS_BITS;
	if (t->status & ~value) {
		driver_fault(t, "status bits taken back");
		return;
	}
	if (added & VIRTIO_CONFIG_S_FEATURES_OK) {
		/* refused by not setting the bit, which the driver reads back (3.1.1) */
		if ((t->driver_features & ~t->d->offered) ||
		    !(t->driver_features & 1ULL << VIRTIO_F_VERSION_1))
			value &= ~(uint32_t)VIRTIO_CONFIG_S_FEATURES_OK;
		else
			t->d->acked = t->driver_features;
	}
	if (value & VIRTIO_CONFIG_S_DRIVER_OK && !(value & VIRTIO_CONFIG_S_FEATURES_OK)) {
		driver_fault(t, "DRIVER_OK before FEATURES_OK");
		return;
	}
	t->status = value;
	if (added & VIRTIO_CONFIG_S_DRIVER_OK)
		for (unsigned i = 0; i < t->d->nqueues; i++)
			start_queue(t, i);
}

static void queue_ready(struct mmio_transport *t, unsigned i)
{
	const struct gmem *mem = t->d->mem;
	struct virtq *vq = &t->d->vq[i];
	struct mmio_queue *q = &t->q[i];
	uint16_t size = (uint16_t)q->num;

	if (q->ready)
		return;
	if (!(t->status & VIRTIO_CONFIG_S_FEATURES_OK)) {
		driver_fault(t, "a queue made ready before FEATURES_OK");
		return;
	}
	if (q->num > t->d->ops->queue_size ||
	    virtq_map(vq, mem, size, gmem_ptr(mem, (gpa_t){q->desc}, virtq_desc_bytes(size)),
		      gmem_ptr(mem, (gpa_t){q->avail}, virtq_avail_bytes(size)),
		      gmem_ptr(mem, (gpa_t){q->used}, virtq_used_bytes(size))) < 0) {
		driver_fault(t, "a queue of a bad size or outside memory");
		return;
	}
	vq->last_avail = 0;
	vq->event_idx = t->d->acked & 1ULL << VIRTIO_RING_F_EVENT_IDX;
	vq->indirect = t->d->acked & 1ULL << VIRTIO_RING_F_INDIRECT_DESC;
	q->ready = true;
	start_queue(t, i);
}

static void queue_not_ready(struct mmio_transport *t, unsigned i)
{
	if (t->q[i].started)
		t->d->ops->queue_stop(t->d, i);
	t->q[i].started = t->q[i].ready = false;
	t->d->vq[i].size = 0;
}

/* ---- carried over from a vCPU */

struct slow_write {
	struct mmio_transport *t;
	uint64_t offset;
	uint32_t len;
	uint64_t value;
};

static void slow_write(void *arg)
{
	struct slow_write *w = arg;
	struct mmio_transport *t = w->t;
	struct vdev *d = t->d;

	pthread_mutex_lock(&t->lock);
	if (w->offset == VIRTIO_MMIO_STATUS)
		write_status(t, (uint32_t)w->value);
	else if (w->offset == VIRTIO_MMIO_QUEUE_READY && t->queue_sel < d->nqueues && w->value & 1)
		queue_ready(t, t->queue_sel);
	else if (w->offset == VIRTIO_MMIO_QUEUE_READY && t->queue_sel < d->nqueues)
		queue_not_ready(t, t->queue_sel);
	else if (w->offset >= VIRTIO_MMIO_CONFIG && d->ops->write_config) {
		d->ops->write_config(d, (uint32_t)(w->offset - VIRTIO_MMIO_CONFIG), &w->value,
				     w->len);
		read_config(t);
	}
	pthread_mutex_unlock(&t->lock);
}

/* ---- registers; vCPU threads */

static struct mmio_queue *selected_queue(struct mmio_transport *t)
{
	return t->queue_sel < t->d->nqueues ? &t->q[t->queue_sel] : NULL;
}

static uint64_t shm_field(const struct mmio_transport *t, bool base)
{
	const struct mmio_shm *shm =
		t->shm_sel < MMIO_TRANSPORT_SHM_MAX ? &t->shm[t->shm_sel] : NULL;

	if (!shm || !shm->len)
		return ~0ULL; /* no such region (4.2.2) */
	return base ? shm->base : shm->len;
}

static uint32_t read_status(const struct mmio_transport *t)
{
	bool failed = __atomic_load_n(&t->failed, __ATOMIC_SEQ_CST);

	return t->status | (failed ? VIRTIO_CONFIG_S_NEEDS_RESET : 0);
}

static uint32_t read_register(struct mmio_transport *t, uint64_t offset)
{
	const struct mmio_queue *q = selected_queue(t);

	switch (offset) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return MAGIC;
	case VIRTIO_MMIO_VERSION:
		return VERSION;
	case VIRTIO_MMIO_DEVICE_ID:
		return t->d->ops->device_id;
	case VIRTIO_MMIO_VENDOR_ID:
		return VENDOR;
	case VIRTIO_MMIO_DEVICE_FEATURES:
		return t->device_features_sel < 2
			       ? (uint32_t)(t->d->offered >> (32 * t->device_features_sel))
			       : 0;
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
		return q ? t->d->ops->queue_size : 0;
	case VIRTIO_MMIO_QUEUE_READY:
		return q && q->ready;
	case VIRTIO_MMIO_INTERRUPT_STATUS:
		return VIRTIO_MMIO_INT_VRING |
		       (__atomic_load_n(&t->config_changed, __ATOMIC_SEQ_CST)
				? VIRTIO_MMIO_INT_CONFIG
				: 0);
	case VIRTIO_MMIO_STATUS:
		return read_status(t);
	case VIRTIO_MMIO_SHM_LEN_LOW:
		return (uint32_t)shm_field(t, false);
	case VIRTIO_MMIO_SHM_LEN_HIGH:
		return (uint32_t)(shm_field(t, false) >> 32);
	case VIRTIO_MMIO_SHM_BASE_LOW:
		return (uint32_t)shm_field(t, true);
	case VIRTIO_MMIO_SHM_BASE_HIGH:
		return (uint32_t)(shm_field(t, true) >> 32);
	case VIRTIO_MMIO_CONFIG_GENERATION:
		return t->generation;
	default:
		return 0;
	}
}

static void set_low(uint64_t *field, uint32_t value)
{
	*field = (*field & ~0xffffffffULL) | value;
}

static void set_high(uint64_t *field, uint32_t value)
{
	*field = (*field & 0xffffffffULL) | (uint64_t)value << 32;
}

static void set_driver_features(struct mmio_transport *t, uint32_t value)
{
	if (t->status & VIRTIO_CONFIG_S_FEATURES_OK)
		return; /* too late; what was accepted counts */
	if (t->driver_features_sel == 0)
		set_low(&t->driver_features, value);
	else if (t->driver_features_sel == 1)
		set_high(&t->driver_features, value);
}

/* A queue's registers are frozen while it is ready (4.2.2.2). */
static void write_queue_register(struct mmio_transport *t, uint64_t offset, uint32_t value)
{
	struct mmio_queue *q = selected_queue(t);

	if (!q || q->ready)
		return;
	switch (offset) {
	case VIRTIO_MMIO_QUEUE_NUM:
		q->num = value;
		break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
		set_low(&q->desc, value);
		break;
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
		set_high(&q->desc, value);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
		set_low(&q->avail, value);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
		set_high(&q->avail, value);
		break;
	case VIRTIO_MMIO_QUEUE_USED_LOW:
		set_low(&q->used, value);
		break;
	case VIRTIO_MMIO_QUEUE_USED_HIGH:
		set_high(&q->used, value);
		break;
	default:
		break;
	}
}

static void write_register(struct mmio_transport *t, uint64_t offset, uint32_t value)
{
	switch (offset) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		t->device_features_sel = value;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		set_driver_features(t, value);
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		t->driver_features_sel = value;
		break;
	case VIRTIO_MMIO_QUEUE_SEL:
		t->queue_sel = value;
		break;
	case VIRTIO_MMIO_QUEUE_NOTIFY: /* only where no ioeventfd catches it */
		if (value < t->d->nqueues)
			eventfd_write(t->d->vq[value].kick_fd, 1);
		break;
	case VIRTIO_MMIO_INTERRUPT_ACK:
		if (value & VIRTIO_MMIO_INT_CONFIG)
			__atomic_store_n(&t->config_changed, false, __ATOMIC_SEQ_CST);
		break;
	case VIRTIO_MMIO_SHM_SEL:
		t->shm_sel = value;
		break;
	default:
		write_queue_register(t, offset, value);
	}
}

static void transport_read(void *cookie, uint64_t offset, void *data, uint32_t len)
{
	struct mmio_transport *t = cookie;
	uint32_t value;

	memset(data, 0, len);
	pthread_mutex_lock(&t->lock);
	if (offset >= VIRTIO_MMIO_CONFIG) {
		offset -= VIRTIO_MMIO_CONFIG;
		if (offset < t->d->ops->config_len && len <= t->d->ops->config_len - offset)
			memcpy(data, t->config + offset, len);
	} else if (len == 4) { /* 4.2.2.2: the driver uses aligned 32-bit accesses only */
		value = read_register(t, offset);
		memcpy(data, &value, sizeof(value));
	}
	pthread_mutex_unlock(&t->lock);
}

static void transport_write(void *cookie, uint64_t offset, const void *data, uint32_t len)
{
	struct mmio_transport *t = cookie;
	struct slow_write slow = {.t = t, .offset = offset, .len = len};
	uint32_t config_len = t->d->ops->config_len, value;

	memcpy(&slow.value, data, rsm_min(len, (uint32_t)sizeof(slow.value)));
	if (offset >= VIRTIO_MMIO_CONFIG) {
		offset -= VIRTIO_MMIO_CONFIG;
		if (t->d->ops->write_config && offset < config_len && len <= config_len - offset)
			t->board.call(t->board.cookie, slow_write, &slow);
		return;
	}
	if (len != 4)
		return;
	if (offset == VIRTIO_MMIO_STATUS || offset == VIRTIO_MMIO_QUEUE_READY) {
		t->board.call(t->board.cookie, slow_write, &slow);
		return;
	}
	memcpy(&value, data, sizeof(value));
	pthread_mutex_lock(&t->lock);
	write_register(t, offset, value);
	pthread_mutex_unlock(&t->lock);
}

const struct mmio_ops mmio_transport_ops = {.read = transport_read, .write = transport_write};

/* ---- making and unmaking */

static void config_changed(void *cookie)
{
	mmio_transport_config_changed(cookie);
}

static int bind_queues(struct mmio_transport *t, uint32_t gsi)
{
	gpa_t notify = {t->base.v + VIRTIO_MMIO_QUEUE_NOTIFY};
	int r = t->board.irqfd(t->board.cookie, t->irq_fd, gsi);

	for (unsigned i = 0; r == 0 && i < t->d->nqueues; i++) {
		struct virtq *vq = &t->d->vq[i];

		vq->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (vq->kick_fd < 0)
			return -errno;
		vq->call_fd = t->irq_fd;
		r = t->board.ioeventfd(t->board.cookie, vq->kick_fd, notify, i);
	}
	return r;
}

int mmio_transport_new(const struct mmio_board *board, struct vdev *d, struct gmem *mem, gpa_t base,
		       uint32_t gsi, struct mmio_transport **ret, struct rsm_error *err)
{
	struct mmio_transport *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return rsm_fail_errno(err, ENOMEM, "%s device", d->ops->name);
	rsm_assert(d->ops->config_len <= MMIO_TRANSPORT_CONFIG_MAX);
	t->d = d;
	t->board = *board;
	t->base = base;
	pthread_mutex_init(&t->lock, NULL);
	d->mem = mem;
	d->transport = t;
	d->needs_reset = needs_reset;
	d->config_changed = config_changed;
	t->irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = t->irq_fd < 0 ? -errno : bind_queues(t, gsi);
	if (r < 0) {
		mmio_transport_free(t);
		return rsm_fail_errno(err, -r, "%s device", d->ops->name);
	}
	read_config(t);
	*ret = t;
	return 0;
}

void mmio_transport_free(struct mmio_transport *t)
{
	struct vdev *d;

	if (!t)
		return;
	d = t->d;
	reset(t);
	for (unsigned i = 0; i < d->nqueues; i++) {
		rsm_close(&d->vq[i].kick_fd);
		d->vq[i].call_fd = -1;
	}
	d->needs_reset = NULL;
	d->config_changed = NULL;
	d->transport = NULL;
	rsm_close(&t->irq_fd);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

void mmio_transport_set_shm(struct mmio_transport *t, unsigned id, gpa_t base, uint64_t len)
{
	rsm_assert(id < MMIO_TRANSPORT_SHM_MAX);
	t->shm[id] = (struct mmio_shm){base.v, len};
}

void mmio_transport_config_changed(struct mmio_transport *t)
{
	pthread_mutex_lock(&t->lock);
	read_config(t);
	t->generation++;
	pthread_mutex_unlock(&t->lock);
	__atomic_store_n(&t->config_changed, true, __ATOMIC_SEQ_CST);
	eventfd_write(t->irq_fd, 1);
}

void mmio_transport_quiesce(struct mmio_transport *t)
{
	for (unsigned i = 0; i < t->d->nqueues; i++)
		if (t->q[i].started)
			t->d->ops->queue_stop(t->d, i);
	t->quiesced = true;
}

void mmio_transport_resume(struct mmio_transport *t)
{
	if (!t->quiesced)
		return;
	t->quiesced = false;
	for (unsigned i = 0; i < t->d->nqueues; i++)
		if (t->q[i].started && t->d->ops->queue_start(t->d, i) < 0) {
			t->q[i].started = false;
			driver_fault(t, "a queue cannot be started again");
		}
}
