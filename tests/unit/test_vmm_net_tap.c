// SPDX-License-Identifier: Apache-2.0
/*
 * The network device on a real tap, in a network namespace of the test's own; on the host's side of
 * the tap is a packet socket. Needs root.
 */
#include "net_guest.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>

#define TAP     "runsmtest0"
#define BUF     1536U
#define ALL     (~0ULL)
#define MSS     1400
#define HEADERS (ETH_HLEN + sizeof(struct iphdr) + sizeof(struct tcphdr))
#define PHDR    sizeof(struct virtio_net_hdr) /* of the packet socket */
#define WAIT_MS 2000

static bool usable;
static int host;

static int make_tap(const char *name, int flags)
{
	struct ifreq ifr = {.ifr_flags = (short)flags};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	strcpy(ifr.ifr_name, name);
	assert_int_equal(ioctl(fd, TUNSETIFF, &ifr), 0);
	return fd;
}

static void set_up(const char *name)
{
	struct ifreq ifr = {.ifr_flags = IFF_UP | IFF_RUNNING};
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	strcpy(ifr.ifr_name, name);
	assert_int_equal(ioctl(s, SIOCSIFFLAGS, &ifr), 0);
	close(s);
}

static int packet_socket(void)
{
	struct sockaddr_ll at = {.sll_family = AF_PACKET,
				 .sll_protocol = htons(ETH_P_ALL),
				 .sll_ifindex = (int)if_nametoindex(TAP)};
	int s = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;

	assert_true(s >= 0);
	assert_int_equal(setsockopt(s, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)), 0);
	assert_int_equal(bind(s, (void *)&at, sizeof(at)), 0);
	return s;
}

static int enter_namespace(void **state)
{
	int fd;

	if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0 || access("/dev/net/tun", W_OK) < 0)
		return 0;
	fd = open("/proc/sys/net/ipv6/conf/default/disable_ipv6", O_WRONLY | O_CLOEXEC);
	if (fd >= 0) { /* no solicitations among our packets */
		(void)!write(fd, "1", 1);
		close(fd);
	}
	usable = true;
	return 0;
}

static int need_namespace(void **state)
{
	if (usable)
		return 0;
	if (getenv("RUNSM_TEST_STRICT"))
		fail_msg("needs root, network namespaces and /dev/net/tun");
	print_message("# needs root, network namespaces and /dev/net/tun\n");
	skip();
	return 0;
}

static void start(struct net_guest *g, uint64_t features)
{
	struct net_config config = {.tap = true, .mac = {2, 0, 0, 0, 0, 1}};
	struct rsm_error err = RSM_ERROR_INIT;
	int fd = make_tap(TAP, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);

	rsm_log_to(-1, RSM_LOG_TEXT, false);
	assert_int_equal(ioctl(fd, TUNSETPERSIST, 1), 0);
	close(fd);
	config.fd = net_tap_open(TAP, &err);
	if (config.fd < 0)
		fail_msg("%s", err.message);
	assert_int_equal(ioctl(config.fd, TUNSETPERSIST, 0), 0); /* it goes with us */
	set_up(TAP);
	host = packet_socket();
	ng_start(g, &config, features);
}

static void stop(struct net_guest *g)
{
	ng_stop(g);
	close(host);
}

/* A TCP segment of @payload bytes, checksum left to do, in @frame; Return: its length */
static size_t tcp_frame(uint8_t *frame, size_t payload)
{
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
	struct iphdr ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP};
	struct tcphdr tcp = {.source = htons(1), .dest = htons(2), .doff = 5, .ack = 1};
	size_t len = HEADERS + payload;

	memset(frame, 0, HEADERS);
	memcpy(frame, mac, 6);
	frame[6] = 2;
	frame[12] = ETH_P_IP >> 8;
	ip.tot_len = htons((uint16_t)(len - ETH_HLEN));
	ip.saddr = htonl(0x0a000001);
	ip.daddr = htonl(0x0a000002);
	memcpy(frame + ETH_HLEN, &ip, sizeof(ip));
	memcpy(frame + ETH_HLEN + sizeof(ip), &tcp, sizeof(tcp));
	for (size_t i = HEADERS; i < len; i++)
		frame[i] = (uint8_t)(i * 13);
	return len;
}

/* The header that says "cut this into MSS, fill in the checksums", as both sides know it. */
static struct virtio_net_hdr_v1 tso_header(void)
{
	return (struct virtio_net_hdr_v1){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = htole16(HEADERS),
		.gso_size = htole16(MSS),
		.csum_start = htole16(ETH_HLEN + sizeof(struct iphdr)),
		.csum_offset = htole16(offsetof(struct tcphdr, check)),
	};
}

static void host_sends(const struct virtio_net_hdr_v1 *h, size_t payload)
{
	static uint8_t data[PHDR + 70000];
	size_t len = PHDR + tcp_frame(data + PHDR, payload);

	memcpy(data, h, PHDR);
	assert_int_equal(send(host, data, len, 0), (ssize_t)len);
}

/* Next packet in the guest, served by the loop. */
static size_t guest_gets(struct net_guest *g, uint8_t *packet, size_t size)
{
	size_t len = 0;

	for (int i = 0; i < WAIT_MS && !len; i++) {
		assert_int_equal(rsm_loop_once(g->loop, 1), 0);
		len = ng_recv(g, BUF, packet, size);
	}
	return len;
}

static void guest_sends(struct net_guest *g, const struct virtio_net_hdr_v1 *h, size_t payload)
{
	static uint8_t data[NG_HDR + 70000];
	size_t len = NG_HDR + tcp_frame(data + NG_HDR, payload);

	memcpy(data, h, NG_HDR);
	ng_send(g, data, (uint32_t)len);
}

static void missing_tap_is_named(void **state)
{
	struct rsm_error err = RSM_ERROR_INIT;

	assert_int_equal(net_tap_open("nosuchtap0", &err), -ENODEV);
	assert_non_null(strstr(err.message, "'nosuchtap0'"));
	assert_int_equal(if_nametoindex("nosuchtap0"), 0);
	assert_int_equal(net_tap_open("", &err), -EINVAL);
	assert_int_equal(net_tap_open("a-name-that-is-too-long", &err), -EINVAL);
}

static void what_is_no_tap_is_refused(void **state)
{
	struct rsm_error err = RSM_ERROR_INIT;
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	assert_int_equal(net_tap_open("lo", &err), -EINVAL);
	assert_non_null(strstr(err.message, "'lo'"));
	assert_int_equal(net_tap_prepare(fd, &err), -EINVAL);
	close(fd);
	fd = make_tap(TAP, IFF_TAP | IFF_NO_PI);
	assert_int_equal(net_tap_prepare(fd, &err), -EINVAL);
	assert_non_null(strstr(err.message, "IFF_VNET_HDR"));
	close(fd);
}

static void tap_in_use_is_busy(void **state)
{
	int fd = make_tap(TAP, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
	struct rsm_error err = RSM_ERROR_INIT;

	assert_int_equal(net_tap_open(TAP, &err), -EBUSY);
	assert_int_equal(net_tap_prepare(fd, &err), 0);
	close(fd);
}

static void packets_go_both_ways(void **state)
{
	static uint8_t expected[2000], got[2000];
	struct virtio_net_hdr_v1 plain = {0};
	size_t len = tcp_frame(expected, 500);
	struct net_guest g;

	start(&g, ALL);
	ng_give(&g, 8, BUF);
	guest_sends(&g, &plain, 500);
	assert_int_equal(recv(host, got, sizeof(got), 0), PHDR + len);
	assert_memory_equal(got + PHDR, expected, len);
	host_sends(&plain, 500);
	assert_int_equal(guest_gets(&g, got, sizeof(got)), NG_HDR + len);
	assert_memory_equal(got + NG_HDR, expected, len);
	stop(&g);
}

static void guest_sends_more_than_the_mtu_in_one_piece(void **state)
{
	static uint8_t expected[70000], got[70000];
	struct virtio_net_hdr_v1 tso = tso_header();
	struct virtio_net_hdr h;
	size_t len = tcp_frame(expected, 60000);
	struct net_guest g;

	start(&g, ALL);
	guest_sends(&g, &tso, 60000);
	assert_int_equal(recv(host, got, sizeof(got), 0), PHDR + len);
	memcpy(&h, got, sizeof(h));
	assert_int_equal(h.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	assert_int_equal(h.gso_size, MSS);
	assert_int_equal(h.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	assert_memory_equal(got + PHDR + HEADERS, expected + HEADERS, len - HEADERS);
	stop(&g);
}

static void guest_gets_more_than_the_mtu_over_merged_buffers(void **state)
{
	static uint8_t expected[70000], got[70000];
	struct virtio_net_hdr_v1 tso = tso_header(), h;
	size_t len = tcp_frame(expected, 60000);
	struct net_guest g;

	start(&g, ALL);
	ng_give(&g, 200, BUF);
	for (int i = 0; i < 3; i++) {
		host_sends(&tso, 60000);
		assert_int_equal(guest_gets(&g, got, sizeof(got)), NG_HDR + len);
		memcpy(&h, got, sizeof(h));
		assert_int_equal(h.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
		assert_int_equal(le16toh(h.gso_size), MSS);
		assert_int_equal(le16toh(h.num_buffers), (NG_HDR + len + BUF - 1) / BUF);
		assert_memory_equal(got + NG_HDR + HEADERS, expected + HEADERS, len - HEADERS);
	}
	stop(&g);
}

static void without_offloads_the_guest_gets_whole_packets_of_the_mtu(void **state)
{
	static uint8_t expected[70000], got[70000];
	struct virtio_net_hdr_v1 tso = tso_header(), h;
	size_t total = 0, want = 10 * MSS, at;
	struct net_guest g;

	(void)tcp_frame(expected, want);
	start(&g, NG_F(MRG_RXBUF) | NG_F(MAC));
	ng_give(&g, 40, BUF);
	host_sends(&tso, want);
	while (total < want) {
		size_t len = guest_gets(&g, got, sizeof(got));

		assert_int_equal(len, NG_HDR + HEADERS + MSS);
		memcpy(&h, got, sizeof(h));
		assert_int_equal(h.gso_type, VIRTIO_NET_HDR_GSO_NONE);
		assert_int_equal(h.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM, 0);
		at = HEADERS + total;
		assert_memory_equal(got + NG_HDR + HEADERS, expected + at, MSS);
		total += MSS;
	}
	stop(&g);
}

static void new_driver_without_offloads_gets_none(void **state)
{
	static uint8_t got[70000];
	struct virtio_net_hdr_v1 tso = tso_header();
	struct net_guest g;

	start(&g, ALL);
	ng_reset(&g);
	ng_negotiate(&g, NG_F(MRG_RXBUF));
	ng_give(&g, 40, BUF);
	host_sends(&tso, 2 * MSS);
	assert_int_equal(guest_gets(&g, got, sizeof(got)), NG_HDR + HEADERS + MSS);
	stop(&g);
}

static void interface_that_is_down_loses_packets_only(void **state)
{
	struct ifreq ifr = {.ifr_name = TAP};
	struct virtio_net_hdr_v1 plain = {0};
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct net_guest g;

	start(&g, ALL);
	assert_int_equal(ioctl(s, SIOCSIFFLAGS, &ifr), 0);
	guest_sends(&g, &plain, 100);
	assert_int_equal(net_stats(g.d).tx_dropped, 1);
	assert_int_equal(g.resets, 0);
	set_up(TAP);
	guest_sends(&g, &plain, 100);
	assert_int_equal(net_stats(g.d).tx_packets, 1);
	close(s);
	stop(&g);
}

/* ip link del */
static void delete_link(const char *name)
{
	struct {
		struct {
			uint32_t len;
			uint16_t type, flags;
			uint32_t seq, pid;
		} h;
		struct {
			uint8_t family, pad;
			uint16_t type;
			int32_t index;
			uint32_t flags, change;
		} m;
	} req = {.h = {.len = sizeof(req), .type = 17 /* RTM_DELLINK */, .flags = 5 /* ack */}};
	int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0);
	char answer[256];

	req.m.index = (int32_t)if_nametoindex(name);
	assert_int_equal(send(s, &req, sizeof(req), 0), sizeof(req));
	assert_true(recv(s, answer, sizeof(answer), 0) > 0);
	close(s);
	assert_int_equal(if_nametoindex(name), 0);
}

static void deleted_tap_takes_the_link_down(void **state)
{
	struct virtio_net_hdr_v1 plain = {0};
	struct virtio_net_config c;
	struct net_guest g;

	start(&g, ALL);
	ng_give(&g, 2, BUF);
	delete_link(TAP);
	ng_run(&g);
	g.d->ops->read_config(g.d, 0, &c, g.d->ops->config_len);
	assert_int_equal(c.status, 0);
	assert_int_equal(g.changes, 1);
	guest_sends(&g, &plain, 100);
	assert_int_equal(ng_nused(&g, 1), 1);
	stop(&g);
}

int main(void)
{
#define in_namespace(f) cmocka_unit_test_setup(f, need_namespace)
	const struct CMUnitTest tests[] = {
		in_namespace(missing_tap_is_named),
		in_namespace(what_is_no_tap_is_refused),
		in_namespace(tap_in_use_is_busy),
		in_namespace(packets_go_both_ways),
		in_namespace(guest_sends_more_than_the_mtu_in_one_piece),
		in_namespace(guest_gets_more_than_the_mtu_over_merged_buffers),
		in_namespace(without_offloads_the_guest_gets_whole_packets_of_the_mtu),
		in_namespace(new_driver_without_offloads_gets_none),
		in_namespace(interface_that_is_down_loses_packets_only),
		in_namespace(deleted_tap_takes_the_link_down),
	};

	return cmocka_run_group_tests_name("vmm/net_tap", tests, enter_namespace, NULL);
}
