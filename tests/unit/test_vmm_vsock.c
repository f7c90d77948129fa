// SPDX-License-Identifier: Apache-2.0
#include "fake_guest.h"

#include <errno.h>

#define PORT 1024U
#define FROM 5000U

/* An endpoint that takes @room bytes, and has @source_len bytes to give. */
struct endpoint {
	struct vsock_stream *stream;
	char got[1 << 20];
	size_t got_len, room, source_len, source_at;
	bool source_eof, broken;
	int eofs, closes, unblocks, error;
};

static ssize_t ep_write(void *cookie, const struct iovec *iov, unsigned n)
{
	struct endpoint *e = cookie;
	size_t len = virtq_iov_len(iov, n);

	if (e->broken)
		return -EPIPE;
	if (len > e->room)
		len = e->room;
	if (len == 0)
		return -EAGAIN;
	assert_true(e->got_len + len <= sizeof(e->got));
	(void)virtq_iov_read(iov, n, 0, e->got + e->got_len, len);
	e->got_len += len;
	e->room -= len;
	return (ssize_t)len;
}

static void ep_eof(void *cookie)
{
	((struct endpoint *)cookie)->eofs++;
}

static ssize_t ep_read(void *cookie, const struct iovec *iov, unsigned n)
{
	struct endpoint *e = cookie;
	size_t len = e->source_len - e->source_at;

	if (len == 0)
		return e->source_eof ? 0 : -EAGAIN;
	if (len > virtq_iov_len(iov, n))
		len = virtq_iov_len(iov, n);
	for (size_t i = 0; i < len; i++) {
		char c = (char)((e->source_at + i) * 7);

		(void)virtq_iov_write(iov, n, i, &c, 1);
	}
	e->source_at += len;
	return (ssize_t)len;
}

static void ep_unblock(void *cookie)
{
	((struct endpoint *)cookie)->unblocks++;
}

static void ep_closed(void *cookie, int error)
{
	struct endpoint *e = cookie;

	e->closes++;
	e->error = error;
	e->stream = NULL;
}

static const struct vsock_stream_ops ep_ops = {
	.write = ep_write,
	.eof = ep_eof,
	.read = ep_read,
	.unblock = ep_unblock,
	.closed = ep_closed,
};

static int ep_accept(void *cookie, struct vsock_stream *s)
{
	struct endpoint *e = cookie;

	e->stream = s;
	vsock_stream_attach(s, &ep_ops, e);
	return 0;
}

static struct fake_guest g;
static struct endpoint e;
static char big[VSOCK_BUF_ALLOC + 4096];

static int setup(void **state)
{
	fg_start(&g);
	memset(&e, 0, sizeof(e));
	e.room = SIZE_MAX;
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 13 + i / 251);
	return vsock_listen(g.vsock, PORT, ep_accept, &e);
}

static int teardown(void **state)
{
	fg_stop(&g);
	return 0;
}

static void connect_stream(void)
{
	fg_give_rx(&g, 16);
	fg_send(&g, FROM, PORT, VIRTIO_VSOCK_OP_REQUEST, 0, NULL, 0);
	fg_expect(&g, VIRTIO_VSOCK_OP_RESPONSE);
	assert_non_null(e.stream);
}

static void send_data(const char *data, uint32_t len)
{
	for (uint32_t at = 0, part; at < len; at += part) {
		part = len - at < 65536 ? len - at : 65536;
		fg_send(&g, FROM, PORT, VIRTIO_VSOCK_OP_RW, 0, data + at, part);
	}
}

static void a_connection_is_answered_and_its_data_reaches_the_endpoint(void **state)
{
	struct virtio_vsock_hdr hdr;

	fg_give_rx(&g, 4);
	fg_send(&g, FROM, PORT, VIRTIO_VSOCK_OP_REQUEST, 0, NULL, 0);
	assert_int_equal(fg_recv(&g, &hdr, NULL), VIRTIO_VSOCK_OP_RESPONSE);
	assert_int_equal(le32toh(hdr.buf_alloc), VSOCK_BUF_ALLOC);
	assert_int_equal(le64toh(hdr.src_cid), 2);
	assert_int_equal(le64toh(hdr.dst_cid), VSOCK_GUEST_CID);
	assert_int_equal(le32toh(hdr.src_port), PORT);
	assert_int_equal(le32toh(hdr.dst_port), FROM);
	fg_send(&g, FROM, PORT, VIRTIO_VSOCK_OP_RW, 0, "hello", 5);
	assert_int_equal(e.got_len, 5);
	assert_memory_equal(e.got, "hello", 5);
	assert_int_equal(vsock_stream_taken(e.stream), 5);
}

static void a_port_nobody_waits_on_is_refused(void **state)
{
	struct virtio_vsock_hdr hdr;

	fg_give_rx(&g, 4);
	fg_send(&g, FROM, 77, VIRTIO_VSOCK_OP_REQUEST, 0, NULL, 0);
	assert_int_equal(fg_recv(&g, &hdr, NULL), VIRTIO_VSOCK_OP_RST);
	assert_int_equal(le32toh(hdr.src_port), 77);
	assert_int_equal(le32toh(hdr.dst_port), FROM);
}

static void an_expected_port_takes_one_connection(void **state)
{
	uint32_t port;

	assert_int_equal(vsock_expect(g.vsock, ep_accept, &e, &port), 0);
	assert_true(port >= VSOCK_PORT_DYNAMIC);
	fg_give_rx(&g, 4);
	fg_send(&g, FROM, port, VIRTIO_VSOCK_OP_REQUEST, 0, NULL, 0);
	fg_expect(&g, VIRTIO_VSOCK_OP_RESPONSE);
	fg_send(&g, FROM + 1, port, VIRTIO_VSOCK_OP_REQUEST, 0, NULL, 0);
	fg_expect(&g, VIRTIO_VSOCK_OP_RST);
}

static int refuse(void *cookie, struct vsock_stream *s)
{
	return -EBUSY;
}

static void an_accept_that_fails_refuses(void **state)
{
	assert_int_equal(vsock_listen(g.vsock, 9, refuse, NULL), 0);
	assert_int_equal(vsock_listen(g.vsock, 9, refuse, NULL), -EADDRINUSE);
	fg_give_rx(&g, 4);
	fg_send(&g, FROM, 9, VIRTIO_VSOCK_OP_REQUEST, 0, NULL, 0);
	fg_expect(&g, VIRTIO_VSOCK_OP_RST);
	fg_expect(&g, 0);
}

static void the_response_waits_for_an_rx_buffer(void **state)
{
	fg_send(&g, FROM, PORT, VIRTIO_VSOCK_OP_REQUEST, 0, NULL, 0);
	fg_expect(&g, 0);
	fg_give_rx(&g, 1);
	fg_expect(&g, VIRTIO_VSOCK_OP_RESPONSE);
}

static void what_the_endpoint_does_not_take_is_kept_in_order(void **state)
{
	connect_stream();
	e.room = 1000;
	send_data(big, 3000);
	assert_int_equal(e.got_len, 1000);
	send_data(big + 3000, 70000);
	for (int i = 0; i < 40; i++) {
		e.room = 2000;
		vsock_stream_writable(e.stream);
		if (i == 5) /* the ring wraps around */
			send_data(big + 73000, 5000);
	}
	assert_int_equal(e.got_len, 78000);
	assert_memory_equal(e.got, big, 78000);
}

static void a_guest_that_sends_beyond_its_credit_is_reset(void **state)
{
	connect_stream();
	e.room = 0;
	send_data(big, VSOCK_BUF_ALLOC);
	fg_expect(&g, 0);
	send_data(big, 1);
	fg_expect(&g, VIRTIO_VSOCK_OP_RST);
	assert_int_equal(e.closes, 0); /* what was within its credit is still delivered */
	e.room = SIZE_MAX;
	vsock_stream_writable(e.stream);
	assert_int_equal(e.got_len, VSOCK_BUF_ALLOC);
	assert_memory_equal(e.got, big, VSOCK_BUF_ALLOC);
	assert_int_equal(e.closes, 1);
	assert_int_equal(e.error, -ECONNRESET);
}

static void freed_credit_is_told_unasked_and_when_asked(void **state)
{
	struct virtio_vsock_hdr hdr;

	connect_stream();
	e.room = 0;
	send_data(big, VSOCK_BUF_ALLOC);
	e.room = SIZE_MAX;
	vsock_stream_writable(e.stream);
	assert_int_equal(fg_recv(&g, &hdr, NULL), VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	assert_int_equal(le32toh(hdr.fwd_cnt), VSOCK_BUF_ALLOC);
	send_data(big, 10);
	fg_expect(&g, 0);
	fg_send(&g, FROM, PORT, VIRTIO_VSOCK_OP_CREDIT_REQUEST, 0, NULL, 0);
	assert_int_equal(fg_recv(&g, &hdr, NULL), VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	assert_int_equal(le32toh(hdr.fwd_cnt), VSOCK_BUF_ALLOC + 10);
}

static void data_to_the_guest_stops_at_its_credit(void **state)
{
	struct virtio_vsock_hdr hdr;
	char data[FG_RX_BUF];
	size_t got = 0;

	g.buf_alloc = 10000;
	connect_stream();
	e.source_len = 15000;
	assert_false(vsock_stream_readable(e.stream));
	while (fg_recv(&g, &hdr, data) == VIRTIO_VSOCK_OP_RW) {
		for (size_t i = 0; i < le32toh(hdr.len); i++)
			assert_int_equal(data[i], (char)((got + i) * 7));
		got += le32toh(hdr.len);
	}
	assert_int_equal(le16toh(hdr.op), VIRTIO_VSOCK_OP_CREDIT_REQUEST);
	assert_int_equal(got, 10000);
	assert_int_equal(e.unblocks, 0);
	g.fwd_cnt = 4000;
	fg_send(&g, FROM, PORT, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, NULL, 0);
	assert_int_equal(e.unblocks, 1);
	assert_false(vsock_stream_readable(e.stream));
	assert_int_equal(e.source_at, 14000);
}

static void data_to_the_guest_waits_for_rx_buffers(void **state)
{
	fg_give_rx(&g, 1);
	fg_send(&g, FROM, PORT, VIRTIO_VSOCK_OP_REQUEST, 0, NULL, 0);
	fg_expect(&g, VIRTIO_VSOCK_OP_RESPONSE);
	e.source_len = 100;
	assert_false(vsock_stream_readable(e.stream));
	assert_int_equal(e.source_at, 0);
	fg_give_rx(&g, 2);
	assert_int_equal(e.unblocks, 1);
	assert_true(vsock_stream_readable(e.stream));
	fg_expect(&g, VIRTIO_VSOCK_OP_RW);
}

static void a_lying_forward_count_gives_no_credit(void **state)
{
	connect_stream();
	g.fwd_cnt = 1; /* more than was ever sent */
	fg_send(&g, FROM, PORT, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, NULL, 0);
	e.source_len = 100;
	assert_false(vsock_stream_readable(e.stream));
	assert_int_equal(e.source_at, 0);
}

static void the_end_of_the_source_is_told_after_its_data_and_only_closes_that_way(void **state)
{
	struct virtio_vsock_hdr hdr;

	connect_stream();
	e.source_len = 3;
	e.source_eof = true;
	assert_false(vsock_stream_readable(e.stream));
	fg_expect(&g, VIRTIO_VSOCK_OP_RW);
	assert_int_equal(fg_recv(&g, &hdr, NULL), VIRTIO_VSOCK_OP_SHUTDOWN);
	assert_int_equal(le32toh(hdr.flags), VIRTIO_VSOCK_SHUTDOWN_SEND);
	send_data("still", 5);
	assert_int_equal(e.got_len, 5);
	assert_int_equal(e.closes, 0);
}

static void the_guests_end_is_told_after_its_data_was_taken(void **state)
{
	connect_stream();
	e.room = 0;
	send_data("tail", 4);
	fg_send(&g, FROM, PORT, VIRTIO_VSOCK_OP_SHUTDOWN, VIRTIO_VSOCK_SHUTDOWN_SEND, NULL, 0);
	assert_int_equal(e.eofs, 0);
	e.room = 4;
	vsock_stream_writable(e.stream);
	assert_memory_equal(e.got, "tail", 4);
	assert_int_equal(e.eofs, 1);
	/* the other direction lives on */
	e.source_len = 1;
	assert_true(vsock_stream_readable(e.stream));
	fg_expect(&g, VIRTIO_VSOCK_OP_RW);
	fg_send(&g, FROM, PORT, VIRTIO_VSOCK_OP_SHUTDOWN, VIRTIO_VSOCK_SHUTDOWN_RCV, NULL, 0);
	fg_expect(&g, VIRTIO_VSOCK_OP_RST);
	assert_int_equal(e.closes, 1);
	assert_int_equal(e.error, 0);
	assert_int_equal(e.eofs, 1);
}

static void a_closed_socket_is_acknowledged_at_once_and_its_data_delivered_later(void **state)
{
	connect_stream();
	e.room = 0;
	send_data("last words", 10);
	fg_send(&g, FROM, PORT, VIRTIO_VSOCK_OP_SHUTDOWN, 3, NULL, 0);
	fg_expect(&g, VIRTIO_VSOCK_OP_RST);
	assert_int_equal(e.closes, 0);
	/* the port pair is free again */
	struct vsock_stream *old = e.stream;
	fg_send(&g, FROM, PORT, VIRTIO_VSOCK_OP_REQUEST, 0, NULL, 0);
	fg_expect(&g, VIRTIO_VSOCK_OP_RESPONSE);
	assert_ptr_not_equal(e.stream, old);
	e.room = SIZE_MAX;
	vsock_stream_writable(old);
	assert_memory_equal(e.got, "last words", 10);
	assert_int_equal(e.closes, 1);
	assert_int_equal(e.error, 0);
}

static void data_after_the_guests_own_end_is_a_fault(void **state)
{
	connect_stream();
	fg_send(&g, FROM, PORT, VIRTIO_VSOCK_OP_SHUTDOWN, VIRTIO_VSOCK_SHUTDOWN_SEND, NULL, 0);
	send_data("x", 1);
	fg_expect(&g, VIRTIO_VSOCK_OP_RST);
	assert_int_equal(e.error, -ECONNRESET);
	assert_int_equal(e.got_len, 0);
}

static void an_endpoint_that_breaks_makes_the_guest_stop(void **state)
{
	struct virtio_vsock_hdr hdr;

	connect_stream();
	e.broken = true;
	send_data("x", 1);
	assert_int_equal(fg_recv(&g, &hdr, NULL), VIRTIO_VSOCK_OP_SHUTDOWN);
	assert_int_equal(le32toh(hdr.flags), VIRTIO_VSOCK_SHUTDOWN_RCV);
	/* what was under way is dropped, and counted as taken, so that nothing stalls */
	for (int i = 0; i < 8; i++)
		send_data(big, 65536);
	assert_int_equal(fg_recv(&g, &hdr, NULL), VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	fg_send(&g, FROM, PORT, VIRTIO_VSOCK_OP_SHUTDOWN, 3, NULL, 0);
	assert_int_equal(e.closes, 1);
	assert_int_equal(e.eofs, 0);
}

static void our_close_resets_the_guest_and_calls_nothing(void **state)
{
	connect_stream();
	vsock_stream_close(e.stream);
	fg_expect(&g, VIRTIO_VSOCK_OP_RST);
	send_data("x", 1);
	fg_expect(&g, VIRTIO_VSOCK_OP_RST);
	assert_int_equal(e.closes, 0);
	assert_int_equal(e.got_len, 0);
}

static void a_guest_reset_delivers_what_is_kept_then_closes(void **state)
{
	connect_stream();
	e.room = 0;
	send_data("abc", 3);
	fg_send(&g, FROM, PORT, VIRTIO_VSOCK_OP_RST, 0, NULL, 0);
	fg_expect(&g, 0);
	assert_int_equal(e.closes, 0);
	e.room = 3;
	vsock_stream_writable(e.stream);
	assert_int_equal(e.got_len, 3);
	assert_int_equal(e.error, -ECONNRESET);
}

static void unknown_operations_and_spoofed_addresses_are_answered_with_rst(void **state)
{
	fg_give_rx(&g, 16);
	fg_send(&g, FROM, PORT, VIRTIO_VSOCK_OP_RW, 0, "x", 1); /* no such stream */
	fg_expect(&g, VIRTIO_VSOCK_OP_RST);
	fg_send(&g, FROM, PORT, VIRTIO_VSOCK_OP_RESPONSE, 0, NULL, 0);
	fg_expect(&g, VIRTIO_VSOCK_OP_RST);
	fg_send(&g, FROM, PORT, 0xffff, 0, NULL, 0);
	fg_expect(&g, VIRTIO_VSOCK_OP_RST);
	g.src_cid = 99;
	fg_send(&g, FROM, PORT, VIRTIO_VSOCK_OP_REQUEST, 0, NULL, 0);
	fg_expect(&g, VIRTIO_VSOCK_OP_RST);
	assert_null(e.stream);
	g.src_cid = VSOCK_GUEST_CID;
	fg_send(&g, FROM, PORT, VIRTIO_VSOCK_OP_RST, 0, NULL, 0); /* never answered */
	fg_expect(&g, 0);
	connect_stream();
	fg_send(&g, FROM, PORT, VIRTIO_VSOCK_OP_REQUEST, 0, NULL, 0); /* it is connected */
	fg_expect(&g, VIRTIO_VSOCK_OP_RST);
	assert_int_equal(e.error, -ECONNRESET);
}

static void a_length_beyond_the_chain_resets_the_stream(void **state)
{
	struct virtio_vsock_hdr hdr = {.src_cid = htole64(3),
				       .dst_cid = htole64(2),
				       .src_port = htole32(FROM),
				       .dst_port = htole32(PORT),
				       .len = htole32(0xffffffff),
				       .type = htole16(1),
				       .op = htole16(VIRTIO_VSOCK_OP_RW)};

	connect_stream();
	fg_send_raw(&g, &hdr, sizeof(hdr));
	fg_run(&g);
	fg_expect(&g, VIRTIO_VSOCK_OP_RST);
	assert_int_equal(e.error, -ECONNRESET);
}

static bool failed;

static void needs_reset(void *cookie, struct vdev *d)
{
	failed = true;
}

static void a_packet_shorter_than_its_header_fails_the_device(void **state)
{
	vsock_vdev(g.vsock)->needs_reset = needs_reset;
	failed = false;
	connect_stream();
	fg_send_raw(&g, "short", 5);
	fg_run(&g);
	assert_true(failed);
	assert_int_equal(e.closes, 1);
	assert_int_equal(e.error, -ECONNRESET);
	fg_send(&g, FROM, PORT, VIRTIO_VSOCK_OP_REQUEST, 0, NULL, 0); /* nobody listens */
	fg_expect(&g, 0);
}

static void an_rx_buffer_too_small_for_a_packet_fails_the_device(void **state)
{
	vsock_vdev(g.vsock)->needs_reset = needs_reset;
	failed = false;
	fg_desc(&g, 0)[0] = (struct vring_desc){FG_RX_AT, 44, VRING_DESC_F_WRITE, 0};
	fg_publish(&g, 0, 0);
	fg_send(&g, FROM, PORT, VIRTIO_VSOCK_OP_REQUEST, 0, NULL, 0);
	assert_true(failed);
}

static void a_flood_without_rx_buffers_stalls_the_guest_and_nothing_else(void **state)
{
	unsigned got = 0;

	for (int i = 0; i < 1000; i++) {
		/* the ring is the guest's: it may not overrun it */
		if ((uint16_t)(g.avail[1] - fg_used(&g, 1)->idx) == FG_QSIZE)
			break;
		fg_queue(&g, (uint32_t)i, 4, VIRTIO_VSOCK_OP_REQUEST, 0, NULL, 0);
		fg_run(&g);
		got++;
	}
	assert_int_equal(got, 64 + FG_QSIZE); /* VSOCK_RSTS_MAX answers are kept */
	for (unsigned rsts = 0; rsts < got; rsts++) {
		fg_give_rx(&g, 1);
		fg_expect(&g, VIRTIO_VSOCK_OP_RST);
	}
	fg_give_rx(&g, 1);
	fg_expect(&g, 0);
}

static void streams_are_capped(void **state)
{
	fg_give_rx(&g, 1);
	for (uint32_t i = 0; i < VSOCK_STREAMS_MAX; i++) {
		fg_queue(&g, i, PORT, VIRTIO_VSOCK_OP_REQUEST, 0, NULL, 0);
		if (i % 32 == 0)
			fg_run(&g);
		if (i > 0)
			fg_give_rx(&g, 1);
		fg_expect(&g, VIRTIO_VSOCK_OP_RESPONSE);
	}
	fg_give_rx(&g, 1);
	fg_send(&g, FROM * 100, PORT, VIRTIO_VSOCK_OP_REQUEST, 0, NULL, 0);
	fg_expect(&g, VIRTIO_VSOCK_OP_RST);
}

static void a_reset_of_the_device_closes_streams_after_delivery(void **state)
{
	struct vdev *d = vsock_vdev(g.vsock);

	connect_stream();
	e.room = 0;
	send_data("kept", 4);
	d->ops->queue_stop(d, 0);
	d->ops->queue_stop(d, 1);
	d->ops->reset(d);
	assert_int_equal(e.closes, 0);
	e.room = SIZE_MAX;
	vsock_stream_writable(e.stream);
	assert_memory_equal(e.got, "kept", 4);
	assert_int_equal(e.closes, 1);
}

static void freeing_the_device_closes_every_stream(void **state)
{
	connect_stream();
	e.room = 0;
	send_data("stuck", 5);
	/* teardown frees; the endpoint outlives it */
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_connection_is_answered_and_its_data_reaches_the_endpoint),
		T(a_port_nobody_waits_on_is_refused),
		T(an_expected_port_takes_one_connection),
		T(an_accept_that_fails_refuses),
		T(the_response_waits_for_an_rx_buffer),
		T(what_the_endpoint_does_not_take_is_kept_in_order),
		T(a_guest_that_sends_beyond_its_credit_is_reset),
		T(freed_credit_is_told_unasked_and_when_asked),
		T(data_to_the_guest_stops_at_its_credit),
		T(data_to_the_guest_waits_for_rx_buffers),
		T(a_lying_forward_count_gives_no_credit),
		T(the_end_of_the_source_is_told_after_its_data_and_only_closes_that_way),
		T(the_guests_end_is_told_after_its_data_was_taken),
		T(a_closed_socket_is_acknowledged_at_once_and_its_data_delivered_later),
		T(data_after_the_guests_own_end_is_a_fault),
		T(an_endpoint_that_breaks_makes_the_guest_stop),
		T(our_close_resets_the_guest_and_calls_nothing),
		T(a_guest_reset_delivers_what_is_kept_then_closes),
		T(unknown_operations_and_spoofed_addresses_are_answered_with_rst),
		T(a_length_beyond_the_chain_resets_the_stream),
		T(a_packet_shorter_than_its_header_fails_the_device),
		T(an_rx_buffer_too_small_for_a_packet_fails_the_device),
		T(a_flood_without_rx_buffers_stalls_the_guest_and_nothing_else),
		T(streams_are_capped),
		T(a_reset_of_the_device_closes_streams_after_delivery),
		T(freeing_the_device_closes_every_stream),
	};

	return cmocka_run_group_tests_name("vmm/vsock", tests, NULL, NULL);
}
