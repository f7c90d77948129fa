// SPDX-License-Identifier: Apache-2.0
/*
 * A hostile driver of the network device, and packets of any length from the other side. The input
 * is a program of 8-byte steps {what, a, b, c, d (16 bits), e (16 bits)}; what the guest sends is
 * the input's own bytes.
 */
#include "net_guest.h"

#include "base/math.h"

#include <assert.h>
#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STEPS_MAX 256

struct step {
	uint8_t what, a, b, c;
	uint16_t d, e;
};
static_assert(sizeof(struct step) == 8);

static struct net_guest g;

/* Addresses that matter: in and at the end of memory, in the rings, behind, wrapping around. */
static uint64_t address(uint8_t kind, uint16_t at)
{
	static const uint64_t bases[] = {NG_RX, NG_TX, 0, NG_MEM - 64, NG_MEM, ~0ULL - 64};

	return bases[kind % RSM_ARRAY_SIZE(bases)] +
	       (kind % RSM_ARRAY_SIZE(bases) < 3 ? at : at % 128);
}

static void drain(int fd)
{
	static uint8_t packet[131072];

	while (recv(fd, packet, sizeof(packet), MSG_DONTWAIT) >= 0)
		;
}

/* What the device reads as a tap would give it: a header and a packet. */
static void from_host(int fd, const struct step *s)
{
	static uint8_t packet[65536];

	memset(packet, s->a, 64);
	(void)send(fd, packet, s->d, MSG_DONTWAIT);
}

static void step(const struct step *s, const uint8_t *rest, size_t left, int fd)
{
	unsigned q = s->a & 1;

	switch (s->what % 9) {
	case 0: /* a good packet, or what claims to be one */
		ng_send(&g, rest, (uint32_t)rsm_min(left, (size_t)s->d));
		break;
	case 1:
		ng_give(&g, s->a % 32, s->d);
		break;
	case 2: /* a descriptor */
		ng_desc(&g, q)[s->b] = (struct vring_desc){address(s->a >> 1, s->e), s->d, s->c & 7,
							   (uint16_t)(s->c >> 3)};
		break;
	case 3:
		ng_publish(&g, q, s->d);
		break;
	case 4: /* another index than that of what was published */
		ng_avail(&g, q)->idx = s->d;
		ng_kick(&g, q);
		break;
	case 5:
		from_host(fd, s);
		break;
	case 6: /* any bytes of memory; the header of what is sent */
		memcpy(g.ram + address(s->a % 3, s->d), rest, rsm_min(left, (size_t)s->b));
		break;
	case 7:
		ng_reset(&g);
		ng_negotiate(&g, (uint64_t)s->d << 16 | s->e | (uint64_t)s->b << 32);
		break;
	default:
		ng_kick(&g, q);
		drain(fd);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct net_config config = {.mac = {2, 0, 0, 0, 0, 1}};
	struct step s;
	int fds[2];

	rsm_log_set_level(RSM_LOG_ERROR);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		abort();
	config.fd = fds[0];
	ng_start(&g, &config, ~0ULL);
	for (size_t at = 0; at + sizeof(s) <= size && at < STEPS_MAX * sizeof(s); at += sizeof(s)) {
		memcpy(&s, data + at, sizeof(s));
		step(&s, data + at, size - at, fds[1]);
	}
	ng_run(&g);
	drain(fds[1]);
	ng_stop(&g);
	close(fds[1]);
	return 0;
}
