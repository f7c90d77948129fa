// SPDX-License-Identifier: Apache-2.0
#include "vmm/virtq.h"

#include "cmocka_all.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define BASE   0x10000ULL /* guest-physical address of ram */
#define RAM    0x20000U
#define SIZE   16
#define DATA   0x4000U /* offset of buffers */
#define TABLES 0x8000U /* offset of indirect tables */

#define NEXT     VRING_DESC_F_NEXT
#define WRITE    VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT

static uint8_t ram[RAM] __attribute__((aligned(4096)));
static struct gmem mem;
static struct virtq vq;
static struct iovec iov[VIRTQ_SEGS_MAX];
static struct virtq_req req;

static int setup(void **state)
{
	struct gmem_region r = {.gpa = {BASE}, .len = RAM, .host = ram, .fd = -1};
	struct vring_desc valid = {.addr = BASE + DATA, .len = 1};

	memset(ram, 0, sizeof(ram));
	memset(&mem, 0, sizeof(mem));
	vq = (struct virtq){.kick_fd = eventfd(0, EFD_NONBLOCK),
			    .call_fd = eventfd(0, EFD_NONBLOCK),
			    .indirect = true};
	req = (struct virtq_req){.iov = iov};
	/* valid descriptors everywhere, so that only what a test breaks is broken */
	for (unsigned i = 0; i < 0x1000; i += sizeof(valid)) {
		memcpy(ram + i, &valid, sizeof(valid));
		memcpy(ram + TABLES + i, &valid, sizeof(valid));
	}
	return gmem_add(&mem, &r) || virtq_map(&vq, &mem, SIZE, ram, ram + 0x1000, ram + 0x2000);
}

static int teardown(void **state)
{
	close(vq.kick_fd);
	close(vq.call_fd);
	return 0;
}

static void put(struct vring_desc *table, unsigned i, uint64_t addr, uint32_t len, uint16_t flags,
		uint16_t next)
{
	table[i] = (struct vring_desc){.addr = addr, .len = len, .flags = flags, .next = next};
}

static void desc(unsigned i, uint64_t offset, uint32_t len, uint16_t flags, uint16_t next)
{
	put(vq.desc, i, BASE + offset, len, flags, next);
}

static void offer(uint16_t head)
{
	vq.avail->ring[vq.avail->idx % SIZE] = head;
	vq.avail->idx++;
}

static void assert_broken(void)
{
	assert_int_equal(virtq_pop(&vq, &req), -EBADMSG);
	assert_true(vq.broken);
	/* and it stays so */
	assert_int_equal(virtq_pop(&vq, &req), -EBADMSG);
	assert_false(virtq_pending(&vq));
}

static void chain_is_popped_with_readable_before_writable_segments(void **state)
{
	assert_int_equal(virtq_pop(&vq, &req), 0);
	desc(3, DATA, 10, NEXT, 7);
	desc(7, DATA + 0x100, 20, NEXT, 1);
	desc(1, DATA + 0x200, 30, WRITE, 0);
	offer(3);
	assert_true(virtq_pending(&vq));
	assert_int_equal(virtq_pop(&vq, &req), 1);
	assert_int_equal(req.head, 3);
	assert_int_equal(req.nout, 2);
	assert_int_equal(req.nin, 1);
	assert_ptr_equal(virtq_out(&req)[1].iov_base, ram + DATA + 0x100);
	assert_int_equal(virtq_in(&req)[0].iov_len, 30);
	assert_false(virtq_pending(&vq));
	assert_int_equal(virtq_pop(&vq, &req), 0);
	virtq_unpop(&vq);
	assert_int_equal(virtq_pop(&vq, &req), 1);
	virtq_push(&vq, req.head, 12);
	assert_int_equal(vq.used->idx, 1);
	assert_int_equal(vq.used->ring[0].id, 3);
	assert_int_equal(vq.used->ring[0].len, 12);
}

static void looping_chain_is_rejected(void **state)
{
	desc(0, DATA, 1, NEXT, 1);
	desc(1, DATA, 1, NEXT, 0);
	offer(0);
	assert_broken();
}

static void chain_linked_to_itself_is_rejected(void **state)
{
	desc(5, DATA, 1, NEXT, 5);
	offer(5);
	assert_broken();
}

static void head_outside_the_table_is_rejected(void **state)
{
	offer(SIZE);
	assert_broken();
}

static void next_outside_the_table_is_rejected(void **state)
{
	desc(0, DATA, 1, NEXT, SIZE);
	offer(0);
	assert_broken();
}

static void buffer_outside_guest_memory_is_rejected(void **state)
{
	static const struct {
		uint64_t addr;
		uint32_t len;
	} cases[] = {
		{0, 1},
		{BASE - 1, 2},
		{BASE + RAM, 1},
		{BASE + RAM - 1, 2},
		{BASE, UINT32_MAX},
		{UINT64_MAX, 1},
		{UINT64_MAX - 3, 8},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		put(vq.desc, 0, cases[i].addr, cases[i].len, 0, 0);
		offer(0);
		assert_broken();
		vq.broken = false;
		vq.last_avail = vq.avail->idx;
	}
}

static void zero_length_segment_is_rejected(void **state)
{
	desc(0, DATA, 0, 0, 0);
	offer(0);
	assert_broken();
}

static void writable_before_readable_is_rejected(void **state)
{
	desc(0, DATA, 8, WRITE | NEXT, 1);
	desc(1, DATA, 8, 0, 0);
	offer(0);
	assert_broken();
}

static void avail_index_that_jumps_ahead_is_rejected(void **state)
{
	vq.avail->idx = SIZE + 1;
	assert_broken();
}

static void avail_index_that_goes_back_is_rejected(void **state)
{
	vq.avail->idx = UINT16_MAX;
	assert_broken();
}

static void a_full_ring_is_accepted(void **state)
{
	for (uint16_t i = 0; i < SIZE; i++) {
		desc(i, DATA, 1, 0, 0);
		offer(i);
	}
	for (uint16_t i = 0; i < SIZE; i++) {
		assert_int_equal(virtq_pop(&vq, &req), 1);
		assert_int_equal(req.head, i);
	}
	assert_int_equal(virtq_pop(&vq, &req), 0);
}

/* ---- indirect tables */

static struct vring_desc *table_at(unsigned offset)
{
	return (struct vring_desc *)(ram + offset);
}

static void indirect_table_is_followed(void **state)
{
	struct vring_desc *t = table_at(TABLES);

	put(t, 0, BASE + DATA, 40, NEXT, 2);
	put(t, 2, BASE + DATA + 64, 16, WRITE, 0);
	desc(0, TABLES, 3 * 16, INDIRECT, 0);
	offer(0);
	assert_int_equal(virtq_pop(&vq, &req), 1);
	assert_int_equal(req.nout, 1);
	assert_int_equal(req.nin, 1);
	assert_int_equal(virtq_out(&req)[0].iov_len, 40);
}

static void indirect_table_may_end_a_chain(void **state)
{
	struct vring_desc *t = table_at(TABLES);

	put(t, 0, BASE + DATA, 5, WRITE, 0);
	desc(0, DATA, 7, NEXT, 1);
	desc(1, TABLES, 16, INDIRECT, 0);
	offer(0);
	assert_int_equal(virtq_pop(&vq, &req), 1);
	assert_int_equal(req.nout, 1);
	assert_int_equal(req.nin, 1);
}

static void bad_indirect_descriptor_is_rejected(void **state)
{
	static const struct {
		const char *what;
		uint64_t addr;
		uint32_t len;
		uint16_t flags;
	} cases[] = {
		{"empty", BASE + TABLES, 0, INDIRECT},
		{"no multiple of 16", BASE + TABLES, 24, INDIRECT},
		{"shorter than one entry", BASE + TABLES, 15, INDIRECT},
		{"goes on", BASE + TABLES, 16, INDIRECT | NEXT},
		{"outside", BASE + RAM, 16, INDIRECT},
		{"partly outside", BASE + RAM - 16, 32, INDIRECT},
		{"wraps", UINT64_MAX - 15, 32, INDIRECT},
		{"huge", BASE, UINT32_MAX & ~15U, INDIRECT},
	};

	put(table_at(TABLES), 0, BASE + DATA, 8, 0, 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		put(vq.desc, 0, cases[i].addr, cases[i].len, cases[i].flags, 0);
		offer(0);
		assert_broken();
		vq.broken = false;
		vq.last_avail = vq.avail->idx;
	}
}

static void nested_indirect_table_is_rejected(void **state)
{
	put(table_at(TABLES), 0, BASE + TABLES, 16, INDIRECT, 0);
	desc(0, TABLES, 16, INDIRECT, 0);
	offer(0);
	assert_broken();
}

static void indirect_table_that_was_not_negotiated_is_rejected(void **state)
{
	vq.indirect = false;
	put(table_at(TABLES), 0, BASE + DATA, 8, 0, 0);
	desc(0, TABLES, 16, INDIRECT, 0);
	offer(0);
	assert_broken();
}

static void next_outside_an_indirect_table_is_rejected(void **state)
{
	put(table_at(TABLES), 0, BASE + DATA, 8, NEXT, 1);
	desc(0, TABLES, 16, INDIRECT, 0);
	offer(0);
	assert_broken();
}

static void fill_table(unsigned n)
{
	struct vring_desc *t = table_at(TABLES);

	for (unsigned i = 0; i < n; i++)
		put(t, i, BASE + DATA, 1, i + 1 < n ? NEXT : 0, (uint16_t)(i + 1));
	desc(0, TABLES, n * 16, INDIRECT, 0);
	offer(0);
}

static void chain_of_the_greatest_length_is_accepted(void **state)
{
	fill_table(VIRTQ_SEGS_MAX);
	assert_int_equal(virtq_pop(&vq, &req), 1);
	assert_int_equal(req.nout, VIRTQ_SEGS_MAX);
}

static void chain_that_is_too_long_is_rejected(void **state)
{
	fill_table(VIRTQ_SEGS_MAX + 1);
	assert_broken();
}

/* ---- rings */

static void rings_of_bad_size_place_or_alignment_are_refused(void **state)
{
	static const uint16_t sizes[] = {0, 3, 24, 2048, 0x8000};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		assert_int_equal(virtq_map(&vq, &mem, sizes[i], ram, ram + 0x1000, ram + 0x2000),
				 -EINVAL);
	assert_int_equal(virtq_map(&vq, &mem, SIZE, ram + 8, ram + 0x1000, ram + 0x2000), -EINVAL);
	assert_int_equal(virtq_map(&vq, &mem, SIZE, ram, ram + 0x1001, ram + 0x2000), -EINVAL);
	assert_int_equal(virtq_map(&vq, &mem, SIZE, ram, ram + 0x1000, ram + 0x2002), -EINVAL);
	/* what gmem_ptr() answers for a ring outside RAM, or one that only begins inside */
	assert_int_equal(virtq_map(&vq, &mem, SIZE,
				   gmem_ptr(&mem, (gpa_t){BASE + RAM - 16}, virtq_desc_bytes(SIZE)),
				   ram + 0x1000, ram + 0x2000),
			 -EINVAL);
}

static void ring_parts_have_the_sizes_of_the_spec(void **state)
{
	/* virtio 1.2, 2.7: 16n, 6 + 2n, 6 + 8n */
	assert_int_equal(virtq_desc_bytes(256), 4096);
	assert_int_equal(virtq_avail_bytes(256), 6 + 512);
	assert_int_equal(virtq_used_bytes(256), 6 + 2048);
}

static void unconfigured_queue_is_empty(void **state)
{
	struct virtq none = {.kick_fd = -1, .call_fd = -1};

	assert_int_equal(virtq_pop(&none, &req), 0);
	assert_false(virtq_pending(&none));
	assert_false(virtq_enable_kicks(&none));
	virtq_disable_kicks(&none);
	virtq_clear_kick(&none);
}

static void indexes_run_freely_through_65536(void **state)
{
	desc(4, DATA, 1, 0, 0);
	vq.last_avail = vq.avail->idx = UINT16_MAX - 1;
	vq.used_idx = vq.used->idx = UINT16_MAX - 1;
	for (int i = 0; i < 5; i++) {
		offer(4);
		assert_int_equal(virtq_pop(&vq, &req), 1);
		virtq_push(&vq, req.head, 1);
	}
	assert_int_equal(vq.avail->idx, 3);
	assert_int_equal(vq.used->idx, 3);
	assert_int_equal(virtq_pop(&vq, &req), 0);
}

/* ---- notification */

static bool interrupted(void)
{
	uint64_t n;

	return read(vq.call_fd, &n, sizeof(n)) == sizeof(n);
}

static void serve_one(void)
{
	offer(4);
	assert_int_equal(virtq_pop(&vq, &req), 1);
	virtq_push(&vq, req.head, 1);
}

static void driver_is_interrupted_once_per_batch(void **state)
{
	desc(4, DATA, 1, 0, 0);
	serve_one();
	serve_one();
	virtq_notify(&vq);
	assert_true(interrupted());
	virtq_notify(&vq);
	assert_false(interrupted());
	vq.avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	serve_one();
	virtq_notify(&vq);
	assert_false(interrupted());
}

static void event_index_says_which_push_interrupts(void **state)
{
	uint16_t *used_event = &vq.avail->ring[SIZE];

	desc(4, DATA, 1, 0, 0);
	vq.event_idx = true;
	serve_one();
	virtq_notify(&vq);
	assert_true(interrupted()); /* the first time nothing is known: always */
	*used_event = 2;
	serve_one();
	virtq_notify(&vq);
	assert_false(interrupted());
	serve_one();
	virtq_notify(&vq);
	assert_true(interrupted());
}

static void event_index_wraps_around(void **state)
{
	uint16_t *used_event = &vq.avail->ring[SIZE];

	desc(4, DATA, 1, 0, 0);
	vq.event_idx = true;
	vq.used_idx = vq.used->idx = UINT16_MAX;
	vq.signalled_used = UINT16_MAX;
	vq.signalled_used_valid = true;
	*used_event = 0;
	serve_one(); /* used index 65535 → 0: entry 65535, not the one waited for */
	virtq_notify(&vq);
	assert_false(interrupted());
	serve_one();
	virtq_notify(&vq);
	assert_true(interrupted());
}

static void kicks_are_asked_for_and_refused(void **state)
{
	uint16_t *avail_event = (uint16_t *)&vq.used->ring[SIZE];

	desc(4, DATA, 1, 0, 0);
	virtq_disable_kicks(&vq);
	assert_int_equal(vq.used->flags, VRING_USED_F_NO_NOTIFY);
	assert_false(virtq_enable_kicks(&vq));
	assert_int_equal(vq.used->flags, 0);
	vq.event_idx = true;
	serve_one();
	assert_false(virtq_enable_kicks(&vq));
	assert_int_equal(*avail_event, 1);
	offer(4);
	assert_true(virtq_enable_kicks(&vq));
}

static void clearing_a_kick_never_blocks(void **state)
{
	int blocking = eventfd(3, 0);
	uint64_t n;

	close(vq.kick_fd);
	vq.kick_fd = blocking;
	virtq_clear_kick(&vq);
	virtq_clear_kick(&vq); /* nothing there any more, and the fd blocks */
	assert_int_equal(eventfd_write(blocking, 7), 0);
	assert_int_equal(read(blocking, &n, sizeof(n)), sizeof(n));
	assert_int_equal(n, 7);
}

static void chain_can_be_resolved_again_by_its_head(void **state)
{
	desc(4, DATA, 8, NEXT, 5);
	desc(5, DATA, 8, WRITE, 0);
	offer(4);
	assert_int_equal(virtq_pop(&vq, &req), 1);
	req.nout = req.nin = 99;
	assert_int_equal(virtq_get(&vq, 4, &req), 0);
	assert_int_equal(req.nout, 1);
	assert_int_equal(req.nin, 1);
	vq.desc[5].addr = 1;
	assert_int_equal(virtq_get(&vq, 4, &req), -EBADMSG);
}

static void segment_helpers_are_bounded_by_the_chain(void **state)
{
	char a[4] = "abcd", b[3] = "efg", buf[16] = {0};
	struct iovec v[] = {{a, 4}, {NULL, 0}, {b, 3}};

	assert_int_equal(virtq_iov_len(v, 3), 7);
	assert_int_equal(virtq_iov_read(v, 3, 2, buf, sizeof(buf)), 5);
	assert_memory_equal(buf, "cdefg", 5);
	assert_int_equal(virtq_iov_read(v, 3, 7, buf, 1), 0);
	assert_int_equal(virtq_iov_read(v, 3, SIZE_MAX, buf, 1), 0);
	assert_int_equal(virtq_iov_write(v, 3, 3, "XYZ!!!", 6), 4);
	assert_memory_equal(a, "abcX", 4);
	assert_memory_equal(b, "YZ!", 3);
	assert_int_equal(virtq_iov_write(v, 3, 0, "", 0), 0);
}

#define t(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(chain_is_popped_with_readable_before_writable_segments),
		t(looping_chain_is_rejected),
		t(chain_linked_to_itself_is_rejected),
		t(head_outside_the_table_is_rejected),
		t(next_outside_the_table_is_rejected),
		t(buffer_outside_guest_memory_is_rejected),
		t(zero_length_segment_is_rejected),
		t(writable_before_readable_is_rejected),
		t(avail_index_that_jumps_ahead_is_rejected),
		t(avail_index_that_goes_back_is_rejected),
		t(a_full_ring_is_accepted),
		t(indirect_table_is_followed),
		t(indirect_table_may_end_a_chain),
		t(bad_indirect_descriptor_is_rejected),
		t(nested_indirect_table_is_rejected),
		t(indirect_table_that_was_not_negotiated_is_rejected),
		t(next_outside_an_indirect_table_is_rejected),
		t(chain_of_the_greatest_length_is_accepted),
		t(chain_that_is_too_long_is_rejected),
		t(rings_of_bad_size_place_or_alignment_are_refused),
		t(ring_parts_have_the_sizes_of_the_spec),
		t(unconfigured_queue_is_empty),
		t(indexes_run_freely_through_65536),
		t(driver_is_interrupted_once_per_batch),
		t(event_index_says_which_push_interrupts),
		t(event_index_wraps_around),
		t(kicks_are_asked_for_and_refused),
		t(clearing_a_kick_never_blocks),
		t(chain_can_be_resolved_again_by_its_head),
		t(segment_helpers_are_bounded_by_the_chain),
	};

	return cmocka_run_group_tests_name("vmm/virtq", tests, NULL, NULL);
}
