// SPDX-License-Identifier: Apache-2.0
/*
 * Guests with a virtio driver that breaks the rules, each in one way. The device is the entropy
 * device at GUEST_DEVICE, unless the test is about another. A test reports the device's status
 * after the offence, resets the device, and reports how a good request fares then.
 */
#include "guest.h"

#define REG_FEATURES    0x020
#define REG_FEATURE_SEL 0x024
#define REG_QUEUE_SEL   0x030
#define REG_QUEUE_NUM   0x038
#define REG_QUEUE_READY 0x044
#define REG_NOTIFY      0x050
#define REG_STATUS      0x070
#define REG_DESC        0x080
#define REG_AVAIL       0x090
#define REG_USED        0x0a0

#define QUEUE_SIZE         8
#define DESC_NEXT          1
#define DESC_WRITE         2
#define DESC_INDIRECT      4
#define STATUS_RUNNING     0x0f
#define STATUS_NEEDS_RESET 0x40

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

static struct {
	_Alignas(16) struct desc desc[QUEUE_SIZE];
	_Alignas(16) struct desc indirect[QUEUE_SIZE];
	_Alignas(4) struct {
		uint16_t flags, idx, ring[QUEUE_SIZE], event;
	} avail;
	_Alignas(4) struct {
		uint16_t flags, idx;
		struct {
			uint32_t id, len;
		} ring[QUEUE_SIZE];
		uint16_t event;
	} used;
	uint8_t buf[64];
} ring;

/* The device and its queue that all of this is about. */
static uintptr_t device = GUEST_DEVICE;
static uint32_t queue;

static uint32_t get(uint32_t reg)
{
	return read32(device + reg);
}

static void set(uint32_t reg, uint32_t value)
{
	write32(device + reg, value);
}

static void set64(uint32_t reg, uint64_t value)
{
	set(reg, (uint32_t)value);
	set(reg + 4, (uint32_t)(value >> 32));
}

static void negotiate(void)
{
	memset(&ring, 0, sizeof(ring));
	set(REG_STATUS, 0);
	set(REG_STATUS, 1);
	set(REG_STATUS, 3);
	set(REG_FEATURE_SEL, 0);
	set(REG_FEATURES, 1u << 28); /* indirect descriptors */
	set(REG_FEATURE_SEL, 1);
	set(REG_FEATURES, 1); /* VERSION_1 */
	set(REG_STATUS, 0x0b);
	set(REG_QUEUE_SEL, queue);
	set(REG_QUEUE_NUM, QUEUE_SIZE);
	set64(REG_DESC, (uintptr_t)ring.desc);
	set64(REG_AVAIL, (uintptr_t)&ring.avail);
	set64(REG_USED, (uintptr_t)&ring.used);
}

static void start(void)
{
	negotiate();
	set(REG_QUEUE_READY, 1);
	set(REG_STATUS, STATUS_RUNNING);
	ring.desc[0] = (struct desc){(uintptr_t)ring.buf, sizeof(ring.buf), DESC_WRITE, 0};
}

/* Make @n more entries of the available ring visible and kick. */
static void offer(uint16_t n)
{
	__atomic_store_n(&ring.avail.idx, (uint16_t)(ring.avail.idx + n), __ATOMIC_SEQ_CST);
	set(REG_NOTIFY, queue);
}

/* Wait for the device: it used a buffer, or it wants a reset. Each look is an exit of the guest. */
static uint32_t settle(void)
{
	for (uint32_t i = 0; i < 100000; i++) {
		if (get(REG_STATUS) & STATUS_NEEDS_RESET)
			break;
		if (__atomic_load_n(&ring.used.idx, __ATOMIC_SEQ_CST))
			break;
	}
	return get(REG_STATUS);
}

/* A good request: reports the status and how many bytes came. */
static void good(void)
{
	start();
	offer(1);
	report(settle());
	report(ring.used.ring[0].len);
}

static void offend(void)
{
	offer(1);
	report(settle());
	good();
}

static void ring_works(void)
{
	good();
}

static void ring_loop(void)
{
	start();
	ring.desc[0].flags |= DESC_NEXT;
	ring.desc[0].next = 1;
	ring.desc[1] = ring.desc[0];
	ring.desc[1].next = 0;
	offend();
}

static void ring_next(void)
{
	start();
	ring.desc[0].flags |= DESC_NEXT;
	ring.desc[0].next = QUEUE_SIZE;
	offend();
}

static void ring_head(void)
{
	start();
	ring.avail.ring[0] = QUEUE_SIZE;
	offend();
}

static void ring_index(void)
{
	start();
	offer(QUEUE_SIZE + 1);
	report(settle());
	good();
}

static void ring_index_back(void)
{
	start();
	offer(0xffff);
	report(settle());
	good();
}

static void buffer_at(uint64_t addr, uint32_t len)
{
	start();
	ring.desc[0].addr = addr;
	ring.desc[0].len = len;
	offend();
}

static void ring_buffer_behind(void)
{
	buffer_at(GUEST_RAM - 4, 8);
}

static void ring_buffer_wraps(void)
{
	buffer_at(~0ULL - 3, 8);
}

static void ring_buffer_huge(void)
{
	buffer_at(0, ~0u);
}

static void ring_buffer_mmio(void)
{
	buffer_at(GUEST_DEVICE, 64);
}

static void ring_buffer_readonly(void)
{
	buffer_at(GUEST_READONLY_BASE, 64);
}

static void indirect(uint32_t len, uint16_t flags, uint16_t next)
{
	start();
	ring.indirect[0] = (struct desc){(uintptr_t)ring.buf, 8, flags, next};
	ring.desc[0] = (struct desc){(uintptr_t)ring.indirect, len, DESC_INDIRECT, 0};
	offend();
}

static void ring_indirect_length(void)
{
	indirect(17, DESC_WRITE, 0);
}

static void ring_indirect_nested(void)
{
	indirect(16, DESC_INDIRECT, 0);
}

static void ring_indirect_loop(void)
{
	indirect(16 * 2, DESC_WRITE | DESC_NEXT, 0);
}

static void queue_at(uint64_t desc, uint64_t avail, uint64_t used)
{
	negotiate();
	set64(REG_DESC, desc);
	set64(REG_AVAIL, avail);
	set64(REG_USED, used);
	set(REG_QUEUE_READY, 1);
	set(REG_STATUS, STATUS_RUNNING);
	set(REG_NOTIFY, 0);
	report(get(REG_STATUS));
	good();
}

static void queue_outside(void)
{
	queue_at(GUEST_RAM - 64, (uintptr_t)&ring.avail, (uintptr_t)&ring.used);
}

static void queue_in_hole(void)
{
	queue_at((uintptr_t)ring.desc, GUEST_HOLE_BASE, (uintptr_t)&ring.used);
}

static void queue_wraps(void)
{
	queue_at((uintptr_t)ring.desc, (uintptr_t)&ring.avail, ~0ULL << 4);
}

/* The queue lies in its own descriptors' way: odd, and allowed. */
static void queue_on_itself(void)
{
	negotiate();
	set64(REG_USED, (uintptr_t)ring.desc);
	set(REG_QUEUE_READY, 1);
	set(REG_STATUS, STATUS_RUNNING);
	offer(1);
	for (int i = 0; i < 100; i++)
		(void)get(REG_STATUS);
	report(0);
	good();
}

static void reset_loop(void)
{
	for (int i = 0; i < 200; i++) {
		start();
		offer(1);
	}
	report(0);
	good();
}

static volatile bool stop_ap, ap_stopped;

/* Rewrites descriptors and ring under the device's hands. */
static void rewrite(void)
{
	uint32_t seed = 1;

	while (!stop_ap) {
		seed = seed * 1103515245 + 12345;
		ring.desc[seed >> 8 & 7].addr = seed & 0x10000 ? ~0ULL : (uintptr_t)ring.buf;
		ring.desc[seed >> 11 & 7].flags = seed >> 20 & 7;
		ring.desc[seed >> 14 & 7].next = seed >> 24 & 15;
		ring.avail.ring[seed >> 17 & 7] = seed >> 25 & 15;
	}
	ap_stopped = true;
}

static void ring_race(void)
{
	guest_ap = rewrite;
	guest_start_others();
	for (int i = 0; i < 300; i++) {
		start();
		offer(QUEUE_SIZE);
		(void)get(REG_STATUS);
	}
	stop_ap = true;
	while (!ap_stopped)
		__asm__ volatile("pause");
	report(0);
	good();
}

static void scribble(void)
{
	uint32_t seed = 7;

	while (!stop_ap) {
		seed = seed * 1103515245 + 12345;
		set(seed >> 16 & 0xfc, seed & 0x2000 ? seed : seed & 0xf);
	}
	ap_stopped = true;
}

/* Two vCPUs write registers as they like. */
static void register_storm(void)
{
	uint32_t seed = 99;

	guest_ap = scribble;
	guest_start_others();
	for (int i = 0; i < 2000; i++) {
		seed = seed * 1103515245 + 12345;
		set(seed >> 16 & 0x1fc, seed >> 8);
		(void)get(seed >> 20 & 0x1fc);
	}
	stop_ap = true;
	while (!ap_stopped)
		__asm__ volatile("pause");
	report(0);
	good();
}

static volatile uint64_t busy_words[2048];

static void write_on(void)
{
	for (uint32_t i = 0;; i++)
		busy_words[i % 2048]++;
}

/*
 * The device counts its answers, and the guest counts with it, while another vCPU writes to memory
 * all the time. Nothing may get lost or come twice: that is an invalid instruction without a
 * handler.
 */
static void ring_busy(void)
{
	guest_ap = write_on;
	guest_start_others();
	start();
	for (uint32_t i = 0; i < GUEST_BUSY_REQUESTS; i++) {
		offer(1);
		while (__atomic_load_n(&ring.used.idx, __ATOMIC_SEQ_CST) == (uint16_t)i)
			__asm__ volatile("pause");
		if (read32((uintptr_t)ring.buf) != i)
			__asm__ volatile("ud2");
	}
}

/*
 * A looping chain on queue @q of the device at @base: reports its status, how a good request to the
 * entropy device fares meanwhile, and the first one's status again. It is reset and set up then.
 */
static void offend_at(uintptr_t base, uint32_t q)
{
	device = base;
	queue = q;
	start();
	ring.desc[0] = (struct desc){(uintptr_t)ring.buf, 16, DESC_NEXT, 1};
	ring.desc[1] = (struct desc){(uintptr_t)ring.buf, 16, DESC_NEXT, 0};
	offer(1);
	report(settle());
	device = GUEST_DEVICE;
	queue = 0;
	good();
	device = base;
	queue = q;
	report(get(REG_STATUS));
	start();
}

static void blk_ring(void)
{
	offend_at(GUEST_BLK, 0);
	ring.buf[0] = 8; /* VIRTIO_BLK_T_GET_ID */
	ring.desc[0] = (struct desc){(uintptr_t)ring.buf, 16, DESC_NEXT, 1};
	ring.desc[1] =
		(struct desc){(uintptr_t)ring.buf + 16, GUEST_BLK_ID_BYTES + 1, DESC_WRITE, 0};
	offer(1);
	report(settle());
	report(ring.used.ring[0].len);
}

static void net_ring(void)
{
	offend_at(GUEST_NET, 1);
	ring.desc[0] = (struct desc){(uintptr_t)ring.buf, sizeof(ring.buf), 0, 0};
	offer(1);
	report(settle());
	report(ring.used.idx);
}

const struct guest_test ring_tests[] = {
	{"blk_ring", blk_ring},
	{"net_ring", net_ring},
	{"ring_busy", ring_busy},
	{"ring_works", ring_works},
	{"ring_loop", ring_loop},
	{"ring_next", ring_next},
	{"ring_head", ring_head},
	{"ring_index", ring_index},
	{"ring_index_back", ring_index_back},
	{"ring_buffer_behind", ring_buffer_behind},
	{"ring_buffer_wraps", ring_buffer_wraps},
	{"ring_buffer_huge", ring_buffer_huge},
	{"ring_buffer_mmio", ring_buffer_mmio},
	{"ring_buffer_readonly", ring_buffer_readonly},
	{"ring_indirect_length", ring_indirect_length},
	{"ring_indirect_nested", ring_indirect_nested},
	{"ring_indirect_loop", ring_indirect_loop},
	{"queue_outside", queue_outside},
	{"queue_in_hole", queue_in_hole},
	{"queue_wraps", queue_wraps},
	{"queue_on_itself", queue_on_itself},
	{"reset_loop", reset_loop},
	{"ring_race", ring_race},
	{"register_storm", register_storm},
	{NULL, NULL},
};
