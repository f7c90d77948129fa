// SPDX-License-Identifier: Apache-2.0
/*
 * A hostile driver of the vsock device. The input is a program of 4-byte steps {what, a, b, c}:
 * send a packet or raw bytes, give rx buffers, let the host's endpoint take data, give data, break
 * or close its streams.
 */
#include "fake_guest.h"

#include "base/math.h"

#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STREAMS 8
#define PORT    1024U

static struct fake_guest g;
static struct vsock_stream *streams[STREAMS];
static size_t room, source;
static bool broken;

static ssize_t ep_write(void *cookie, const struct iovec *iov, unsigned n)
{
	size_t len = rsm_min(virtq_iov_len(iov, n), room);

	room -= len;
	return broken ? -EPIPE : len ? (ssize_t)len : -EAGAIN;
}

static ssize_t ep_read(void *cookie, const struct iovec *iov, unsigned n)
{
	size_t len = rsm_min(virtq_iov_len(iov, n), source);

	source -= len;
	return broken ? 0 : len ? (ssize_t)len : -EAGAIN;
}

static void ep_closed(void *cookie, int error)
{
	*(struct vsock_stream **)cookie = NULL;
}

static const struct vsock_stream_ops ops = {
	.write = ep_write,
	.read = ep_read,
	.closed = ep_closed,
};

static int accepted(void *cookie, struct vsock_stream *s)
{
	for (unsigned i = 0; i < STREAMS; i++) {
		if (streams[i])
			continue;
		streams[i] = s;
		vsock_stream_attach(s, &ops, &streams[i]);
		return 0;
	}
	return -EBUSY;
}

static bool tx_full(void)
{
	return (uint16_t)(g.avail[1] - fg_used(&g, 1)->idx) == FG_QSIZE;
}

static void step(const uint8_t s[4])
{
	static char payload[65536];
	struct vsock_stream **stream = &streams[s[1] % STREAMS];

	switch (s[0] % 10) {
	case 0: /* packet: operation, flags or length */
	case 1:
	case 2:
		if (!tx_full())
			fg_queue(&g, s[1] % 4, PORT + s[1] / 128, s[2] % 10, s[3] & 3, payload,
				 s[2] % 10 == 5 ? s[3] * 257U : 0);
		break;
	case 3: /* raw bytes */
		if (!tx_full())
			fg_send_raw(&g, s, (uint32_t)s[1] % 5);
		break;
	case 4: {
		unsigned n = s[1] % 8;

		if ((uint16_t)(g.avail[0] - fg_used(&g, 0)->idx) + n <= FG_QSIZE / 2)
			fg_give_rx(&g, n);
		break;
	}
	case 5:
		room += s[2] * 256U + s[3];
		if (*stream)
			vsock_stream_writable(*stream);
		break;
	case 6:
		source += s[2] * 256U + s[3];
		if (*stream)
			(void)vsock_stream_readable(*stream);
		break;
	case 7:
		if (*stream && s[2] < 64) {
			vsock_stream_close(*stream);
			*stream = NULL;
		} else if (*stream && s[2] < 128) {
			vsock_stream_refuse(*stream);
		} else {
			broken = s[2] & 1;
		}
		break;
	case 8: /* what the guest claims of its buffers */
		g.buf_alloc = s[1] * 65536U + s[2];
		g.fwd_cnt = s[3] * 1024U;
		break;
	default:
		fg_run(&g);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	memset(streams, 0, sizeof(streams));
	room = source = 0;
	broken = false;
	fg_start(&g);
	rsm_log_set_level(RSM_LOG_ERROR);
	if (vsock_listen(g.vsock, PORT, accepted, NULL) < 0)
		abort();
	for (size_t at = 0; at + 4 <= size && at < 4 * 1024; at += 4)
		step(data + at);
	fg_run(&g);
	for (unsigned i = 0; i < STREAMS; i++)
		if (streams[i] && i % 2)
			vsock_stream_close(streams[i]);
	fg_stop(&g);
	return 0;
}
