// SPDX-License-Identifier: Apache-2.0
/* The network device over a socket pair that stands for the tap. */
#include "net_guest.h"

#include <sys/socket.h>

#define BUF  1536U
#define ALL  (~0ULL)
#define PING 64

static int peer;

static void start(struct net_guest *g, uint64_t features)
{
	struct net_config config = {.mtu = 1500, .mac = {2, 0, 0, 1, 2, 3}};
	int fds[2];

	rsm_log_to(-1, RSM_LOG_TEXT, false);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
			 0);
	config.fd = fds[0];
	peer = fds[1];
	ng_start(g, &config, features);
}

static void stop(struct net_guest *g)
{
	ng_stop(g);
	close(peer);
}

/* A packet of @len bytes behind a header that says nothing. */
static uint8_t *frame(size_t len)
{
	static uint8_t packet[80000];

	assert_true(NG_HDR + len <= sizeof(packet));
	memset(packet, 0, NG_HDR);
	for (size_t i = 0; i < len; i++)
		packet[NG_HDR + i] = (uint8_t)(i * 7 + len);
	return packet;
}

static void from_tap(size_t len)
{
	assert_int_equal(send(peer, frame(len), NG_HDR + len, 0), NG_HDR + len);
}

static void expect_packet(struct net_guest *g, size_t len)
{
	static uint8_t got[80000];

	assert_int_equal(ng_recv(g, BUF, got, sizeof(got)), NG_HDR + len);
	assert_memory_equal(got + NG_HDR, frame(len) + NG_HDR, len);
}

static void expect_sent(size_t len)
{
	static uint8_t got[80000];

	assert_int_equal(recv(peer, got, sizeof(got), 0), NG_HDR + len);
	assert_memory_equal(got, frame(len), NG_HDR + len);
}

static void configuration_has_mac_mtu_and_link(void **state)
{
	struct virtio_net_config c;
	struct net_guest g;

	start(&g, ALL);
	assert_true(g.d->offered & NG_F(MAC) && g.d->offered & NG_F(MTU) &&
		    g.d->offered & NG_F(STATUS));
	g.d->ops->read_config(g.d, 0, &c, g.d->ops->config_len);
	assert_int_equal(c.mac[5], 3);
	assert_int_equal(le16toh(c.mtu), 1500);
	assert_int_equal(le16toh(c.status), VIRTIO_NET_S_LINK_UP);
	stop(&g);
}

static void random_mac_is_a_local_station(void **state)
{
	struct rsm_loop *loop;
	struct net_config config = {0};
	uint8_t a[6], b[6];
	struct vdev *d;

	assert_int_equal(rsm_loop_new(&loop), 0);
	config.fd = eventfd(0, 0);
	assert_int_equal(net_new(loop, &config, &d, NULL), 0);
	net_mac(d, a);
	assert_int_equal(a[0] & 3, 2);
	assert_false(d->offered & NG_F(MTU));
	net_free(d);
	config.fd = eventfd(0, 0);
	assert_int_equal(net_new(loop, &config, &d, NULL), 0);
	net_mac(d, b);
	assert_memory_not_equal(a, b, 6);
	net_free(d);
	rsm_loop_free(loop);
}

static void impossible_configurations_are_refused(void **state)
{
	const struct net_config group = {.fd = 0, .mac = {1}}, small = {.fd = 0, .mtu = 67};
	struct rsm_error err = RSM_ERROR_INIT;
	struct rsm_loop *loop;
	struct vdev *d;

	assert_int_equal(rsm_loop_new(&loop), 0);
	assert_int_equal(net_new(loop, &group, &d, &err), -EINVAL);
	assert_non_null(strstr(err.message, "MAC"));
	assert_int_equal(net_new(loop, &small, &d, &err), -EINVAL);
	assert_non_null(strstr(err.message, "MTU 67"));
	rsm_loop_free(loop);
}

static void packets_go_both_ways(void **state)
{
	struct net_guest g;

	start(&g, ALL);
	ng_give(&g, 4, BUF);
	from_tap(PING);
	from_tap(1500);
	ng_run(&g);
	expect_packet(&g, PING);
	expect_packet(&g, 1500);
	ng_send(&g, frame(100), NG_HDR + 100);
	expect_sent(100);
	assert_int_equal(ng_nused(&g, 1), 1);
	assert_int_equal(net_stats(g.d).rx_packets, 2);
	assert_int_equal(net_stats(g.d).tx_packets, 1);
	stop(&g);
}

static void large_packet_is_spread_over_merged_buffers(void **state)
{
	struct net_guest g;

	start(&g, ALL);
	ng_give(&g, 100, BUF);
	for (int i = 0; i < 3; i++) { /* by the tail first, then straight into the buffers */
		from_tap(40000);
		ng_run(&g);
		assert_int_equal(ng_nused(&g, 0), (NG_HDR + 40000 + BUF - 1) / BUF);
		expect_packet(&g, 40000);
	}
	from_tap(PING); /* and the next small one takes one buffer */
	ng_run(&g);
	assert_int_equal(ng_nused(&g, 0), 1);
	expect_packet(&g, PING);
	stop(&g);
}

static void packet_waits_for_buffers_and_is_not_torn(void **state)
{
	struct net_guest g;

	start(&g, ALL);
	ng_give(&g, 3, BUF);
	from_tap(20000);
	from_tap(PING);
	ng_run(&g);
	assert_int_equal(ng_nused(&g, 0), 0);
	memset(g.ram + NG_RX, 0xee, 3 * BUF); /* buffers are the driver's while they wait */
	ng_give(&g, 3, BUF);
	assert_int_equal(ng_nused(&g, 0), 0);
	ng_give(&g, 20, BUF);
	expect_packet(&g, 20000);
	expect_packet(&g, PING);
	assert_int_equal(net_stats(g.d).rx_dropped, 0);
	stop(&g);
}

static void packet_that_waits_survives_a_pause(void **state)
{
	struct net_guest g;

	start(&g, ALL);
	ng_give(&g, 1, BUF);
	from_tap(9000);
	ng_run(&g);
	g.d->ops->queue_stop(g.d, 0);
	ng_run(&g);
	assert_int_equal(g.d->ops->queue_start(g.d, 0), 0);
	ng_give(&g, 10, BUF);
	expect_packet(&g, 9000);
	stop(&g);
}

static void stopped_queue_reads_nothing(void **state)
{
	struct net_guest g;

	start(&g, ALL);
	ng_give(&g, 4, BUF);
	g.d->ops->queue_stop(g.d, 0);
	from_tap(PING);
	ng_run(&g);
	assert_int_equal(ng_nused(&g, 0), 0);
	assert_int_equal(g.d->ops->queue_start(g.d, 0), 0);
	ng_run(&g);
	expect_packet(&g, PING);
	stop(&g);
}

static void without_merging_what_is_too_large_is_dropped(void **state)
{
	struct net_guest g;

	start(&g, ALL & ~NG_F(MRG_RXBUF));
	ng_give(&g, 4, BUF);
	from_tap(2000);
	from_tap(PING);
	ng_run(&g);
	expect_packet(&g, PING);
	assert_int_equal(ng_nused(&g, 0), 0);
	assert_int_equal(net_stats(g.d).rx_dropped, 1);
	stop(&g);
}

static void queue_can_be_drained_and_refilled_many_times(void **state)
{
	struct net_guest g;

	start(&g, ALL);
	for (int round = 0; round < 600; round++) { /* through 2^16 buffers would take 1 s */
		ng_give(&g, 2, BUF);
		from_tap(PING);
		from_tap(700);
		ng_run(&g);
		expect_packet(&g, PING);
		expect_packet(&g, 700);
	}
	stop(&g);
}

static void full_tap_holds_packets_back_until_it_drains(void **state)
{
	struct net_guest g;
	unsigned sent = 0;
	int small = 1;

	start(&g, ALL);
	assert_int_equal(setsockopt(peer, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	while (ng_nused(&g, 1) == sent && sent < 250) {
		ng_send(&g, frame(60000), NG_HDR + 60000);
		sent++;
	}
	assert_true(sent < 250);
	for (unsigned i = 0; i < sent; i++) {
		expect_sent(60000);
		ng_run(&g);
	}
	assert_int_equal(ng_nused(&g, 1), sent);
	assert_int_equal(net_stats(g.d).tx_dropped, 0);
	stop(&g);
}

static void bad_headers_lose_the_packet_only(void **state)
{
	static const struct bad {
		uint8_t flags, gso;
		uint16_t hdr_len, gso_size, start, offset;
	} bads[] = {
		{1, 0, 0, 0, 99, 0},                               /* checksum at the very end */
		{1, 0, 0, 0, 65535, 65535}, {0, 1, 40, 500, 0, 0}, /* segments without a checksum */
		{1, 1, 40, 0, 14, 6},                              /* of no size */
		{1, 1, 101, 500, 14, 6},   /* headers longer than the packet */
		{1, 3, 40, 500, 14, 6},    /* UFO, not offered */
		{1, 0x80, 40, 500, 14, 6}, /* ECN of nothing */
		{1, 77, 40, 500, 14, 6},
	};
	struct net_guest g;
	uint8_t none;

	start(&g, ALL);
	for (size_t i = 0; i < sizeof(bads) / sizeof(*bads); i++) {
		struct virtio_net_hdr_v1 h = {
			.flags = bads[i].flags,
			.gso_type = bads[i].gso,
			.hdr_len = htole16(bads[i].hdr_len),
			.gso_size = htole16(bads[i].gso_size),
			.csum_start = htole16(bads[i].start),
			.csum_offset = htole16(bads[i].offset),
		};
		uint8_t *p = frame(100);

		memcpy(p, &h, sizeof(h));
		ng_send(&g, p, NG_HDR + 100);
		assert_int_equal(net_stats(g.d).tx_dropped, i + 1);
		assert_int_equal(ng_nused(&g, 1), i + 1);
	}
	assert_int_equal(recv(peer, &none, 1, 0), -1);
	assert_int_equal(g.resets, 0);
	stop(&g);
}

static void offloads_not_negotiated_are_refused(void **state)
{
	struct virtio_net_hdr_v1 h = {.flags = 1,
				      .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
				      .hdr_len = htole16(54),
				      .gso_size = htole16(40),
				      .csum_start = htole16(34),
				      .csum_offset = htole16(16)};
	uint8_t *p = frame(200);
	struct net_guest g;

	start(&g, ALL & ~NG_F(HOST_TSO4));
	memcpy(p, &h, sizeof(h));
	ng_send(&g, p, NG_HDR + 200);
	assert_int_equal(net_stats(g.d).tx_dropped, 1);
	ng_reset(&g);
	ng_negotiate(&g, ALL & ~NG_F(CSUM));
	ng_send(&g, p, NG_HDR + 200);
	assert_int_equal(net_stats(g.d).tx_dropped, 2);
	ng_reset(&g);
	ng_negotiate(&g, ALL);
	ng_send(&g, p, NG_HDR + 200);
	assert_int_equal(net_stats(g.d).tx_packets, 1);
	stop(&g);
}

static void header_and_runts_alone_are_dropped(void **state)
{
	struct net_guest g;

	start(&g, ALL);
	ng_send(&g, frame(0), NG_HDR);
	ng_send(&g, frame(13), NG_HDR + 13);
	ng_send(&g, frame(70000), NG_HDR + 70000);
	assert_int_equal(ng_nused(&g, 1), 3);
	assert_int_equal(net_stats(g.d).tx_dropped, 3);
	assert_int_equal(g.resets, 0);
	stop(&g);
}

static void header_may_lie_in_many_pieces(void **state)
{
	struct net_guest g;
	uint8_t *p = frame(100);

	start(&g, ALL);
	memcpy(g.ram + NG_TX, p, NG_HDR + 100);
	for (uint16_t i = 0; i < 7; i++)
		ng_desc(&g, 1)[i] =
			(struct vring_desc){NG_TX + i * 5U, i < 6 ? 5 : NG_HDR + 70,
					    i < 6 ? VRING_DESC_F_NEXT : 0, (uint16_t)(i + 1)};
	ng_publish(&g, 1, 0);
	ng_kick(&g, 1);
	expect_sent(100);
	stop(&g);
}

/* After an offence: the device asks for a reset, takes nothing more, and works after the reset. */
static void recovers(struct net_guest *g)
{
	unsigned used = ng_nused(g, 1);

	assert_int_equal(g->resets, 1);
	ng_send(g, frame(PING), NG_HDR + PING);
	from_tap(PING);
	ng_run(g);
	assert_int_equal(ng_nused(g, 1), used);
	ng_reset(g);
	ng_negotiate(g, ALL);
	ng_send(g, frame(PING), NG_HDR + PING);
	expect_sent(PING);
	ng_give(g, 1, BUF);
	expect_packet(g, PING);
	assert_int_equal(g->resets, 1);
	stop(g);
}

static void one_tx(struct net_guest *g, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	start(g, ALL);
	ng_desc(g, 1)[0] = (struct vring_desc){addr, len, flags, next};
	ng_publish(g, 1, 0);
	ng_kick(g, 1);
}

static void one_rx(struct net_guest *g, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	start(g, ALL);
	ng_desc(g, 0)[0] = (struct vring_desc){addr, len, flags, next};
	ng_publish(g, 0, 0);
	ng_kick(g, 0);
}

static void sending_from_a_looping_chain_needs_a_reset(void **state)
{
	struct net_guest g;

	one_tx(&g, NG_TX, 100, VRING_DESC_F_NEXT, 0);
	recovers(&g);
}

static void sending_a_short_header_needs_a_reset(void **state)
{
	struct net_guest g;

	one_tx(&g, NG_TX, NG_HDR - 1, 0, 0);
	recovers(&g);
}

static void sending_a_writable_buffer_needs_a_reset(void **state)
{
	struct net_guest g;

	one_tx(&g, NG_TX, 100, VRING_DESC_F_WRITE, 0);
	recovers(&g);
}

static void sending_an_empty_segment_needs_a_reset(void **state)
{
	struct net_guest g;

	one_tx(&g, NG_TX, 0, 0, 0);
	recovers(&g);
}

static void sending_from_outside_memory_needs_a_reset(void **state)
{
	struct net_guest g;

	one_tx(&g, NG_MEM - 50, 100, 0, 0);
	recovers(&g);
}

static void receiving_to_a_readable_buffer_needs_a_reset(void **state)
{
	struct net_guest g;

	one_rx(&g, NG_RX, BUF, 0, 0);
	recovers(&g);
}

static void receiving_to_less_than_a_header_needs_a_reset(void **state)
{
	struct net_guest g;

	one_rx(&g, NG_RX, NG_HDR - 1, VRING_DESC_F_WRITE, 0);
	recovers(&g);
}

static void receiving_to_a_looping_chain_needs_a_reset(void **state)
{
	struct net_guest g;

	one_rx(&g, NG_RX, 100, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 0);
	recovers(&g);
}

static void receiving_past_the_end_of_the_index_needs_a_reset(void **state)
{
	struct net_guest g;

	start(&g, ALL);
	ng_avail(&g, 0)->idx = NG_QSIZE + 1;
	ng_kick(&g, 0);
	recovers(&g);
}

static void one_byte_pieces_are_no_endless_work(void **state)
{
	struct net_guest g;

	start(&g, ALL);
	/* 20 chains of 13 bytes in 13 pieces: no way to put 64 KiB there, and no reason to wait */
	for (uint16_t c = 0; c < 19; c++) {
		for (uint16_t i = 0; i < 13; i++)
			ng_desc(&g, 0)[c * 13 + i] = (struct vring_desc){
				NG_RX, 1, VRING_DESC_F_WRITE | (i < 12 ? VRING_DESC_F_NEXT : 0),
				(uint16_t)(c * 13 + i + 1)};
		ng_publish(&g, 0, (uint16_t)(c * 13));
	}
	for (int i = 0; i < 230; i++)
		ng_publish(&g, 0, 0);
	ng_kick(&g, 0);
	from_tap(60000);
	ng_run(&g);
	assert_int_equal(net_stats(g.d).rx_dropped, 1);
	assert_int_equal(g.resets, 0);
	stop(&g);
}

static void deleted_tap_takes_the_link_down(void **state)
{
	struct virtio_net_config c;
	struct net_guest g;

	start(&g, ALL);
	ng_give(&g, 2, BUF);
	close(peer);
	peer = -1;
	ng_run(&g);
	assert_int_equal(g.changes, 1);
	g.d->ops->read_config(g.d, 0, &c, g.d->ops->config_len);
	assert_int_equal(c.status, 0);
	ng_send(&g, frame(PING), NG_HDR + PING);
	assert_int_equal(net_stats(g.d).tx_dropped, 1);
	assert_int_equal(ng_nused(&g, 1), 1);
	ng_stop(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(configuration_has_mac_mtu_and_link),
		cmocka_unit_test(random_mac_is_a_local_station),
		cmocka_unit_test(impossible_configurations_are_refused),
		cmocka_unit_test(packets_go_both_ways),
		cmocka_unit_test(large_packet_is_spread_over_merged_buffers),
		cmocka_unit_test(packet_waits_for_buffers_and_is_not_torn),
		cmocka_unit_test(packet_that_waits_survives_a_pause),
		cmocka_unit_test(stopped_queue_reads_nothing),
		cmocka_unit_test(without_merging_what_is_too_large_is_dropped),
		cmocka_unit_test(queue_can_be_drained_and_refilled_many_times),
		cmocka_unit_test(full_tap_holds_packets_back_until_it_drains),
		cmocka_unit_test(bad_headers_lose_the_packet_only),
		cmocka_unit_test(offloads_not_negotiated_are_refused),
		cmocka_unit_test(header_and_runts_alone_are_dropped),
		cmocka_unit_test(header_may_lie_in_many_pieces),
		cmocka_unit_test(sending_from_a_looping_chain_needs_a_reset),
		cmocka_unit_test(sending_a_short_header_needs_a_reset),
		cmocka_unit_test(sending_a_writable_buffer_needs_a_reset),
		cmocka_unit_test(sending_an_empty_segment_needs_a_reset),
		cmocka_unit_test(sending_from_outside_memory_needs_a_reset),
		cmocka_unit_test(receiving_to_a_readable_buffer_needs_a_reset),
		cmocka_unit_test(receiving_to_less_than_a_header_needs_a_reset),
		cmocka_unit_test(receiving_to_a_looping_chain_needs_a_reset),
		cmocka_unit_test(receiving_past_the_end_of_the_index_needs_a_reset),
		cmocka_unit_test(one_byte_pieces_are_no_endless_work),
		cmocka_unit_test(deleted_tap_takes_the_link_down),
	};

	return cmocka_run_group_tests_name("vmm/net", tests, NULL, NULL);
}
