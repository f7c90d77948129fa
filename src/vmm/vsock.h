/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-vsock: byte streams between the guest and this process.
 *
 * The host side ends here, no kernel socket family is involved: a stream is connected to an
 * endpoint (struct vsock_stream_ops), usually a host fd (vmm/stdio.h). Only the guest connects, and
 * only to ports somebody waits on: vsock_listen() for a well-known port, vsock_expect() for one
 * connection to a port nobody can guess. Everything else gets RST.
 *
 * Data from the guest goes from guest memory straight to the endpoint; what the endpoint cannot
 * take is kept, at most VSOCK_BUF_ALLOC bytes, which is all the guest has credit for. Data to the
 * guest is read from the endpoint straight into guest memory, and only while the guest has given
 * credit and buffers, so nothing is kept in that direction.
 *
 * Context: everything on the main loop's thread.
 * Spec: virtio 1.2, 5.10
 */
#ifndef RSM_VMM_VSOCK_H
#define RSM_VMM_VSOCK_H

#include "base/loop.h"
#include "vmm/vdev.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct vsock;
struct vsock_stream;

/* What is kept for a stream whose endpoint does not take its data, bytes; our buf_alloc. */
#define VSOCK_BUF_ALLOC    (256U << 10)
/* Streams at a time; more are refused. */
#define VSOCK_STREAMS_MAX  8192
/* vsock_expect() hands out ports from here up. */
#define VSOCK_PORT_DYNAMIC 0x10000U
/* The guest's context id. Nobody but this process sees it: every VM has the same. */
#define VSOCK_GUEST_CID    3U

/**
 * struct vsock_stream_ops - Host end of a stream
 * @write:	take data of the guest. Return: bytes taken; fewer than there are (or -EAGAIN) means
 *		"call me after vsock_stream_writable()"; another -errno: nothing more will ever be
 *		taken, the guest gets SHUTDOWN(RCV) and what is kept is dropped. NULL: as that.
 * @eof:	the guest sends no more, and all it sent was taken. May be NULL.
 * @read:	data for the guest. Return: bytes put into @iov, 0 at the end of the source,
 *		-EAGAIN: call vsock_stream_readable() when there is some; another -errno counts as
 *		end. NULL: there is none.
 * @unblock:	vsock_stream_readable() returned false before; the guest can take data again
 * @closed:	the stream is gone, called last and once, except after vsock_stream_close().
 *		@error: 0 after an orderly end, or -ECONNRESET. Data that had arrived was given to
 *		@write before.
 *
 * Each op may call vsock_stream_close().
 */
struct vsock_stream_ops {
	ssize_t (*write)(void *cookie, const struct iovec *iov, unsigned n);
	void (*eof)(void *cookie);
	ssize_t (*read)(void *cookie, const struct iovec *iov, unsigned n);
	void (*unblock)(void *cookie);
	void (*closed)(void *cookie, int error);
};

/**
 * vsock_accept_fn - The guest connects to a port
 * @stream:	to be given its endpoint with vsock_stream_attach() before returning 0
 * Return: 0, or -errno to refuse
 */
typedef int (*vsock_accept_fn)(void *cookie, struct vsock_stream *stream);

/* @loop: outlives the device. */
int vsock_new(struct rsm_loop *loop, struct vsock **ret);

/* Closes all streams (their @closed is called), forgets all ports. NULL is fine. */
void vsock_free(struct vsock *v);

struct vdev *vsock_vdev(struct vsock *v);

/* Accept any number of connections to @port. Return: 0, -EADDRINUSE, -ENOMEM */
int vsock_listen(struct vsock *v, uint32_t port, vsock_accept_fn accept, void *cookie);

/* Accept one connection to a port chosen at random, returned in @ret_port. */
int vsock_expect(struct vsock *v, vsock_accept_fn accept, void *cookie, uint32_t *ret_port);

/* Stop waiting on a port; unknown ports are fine. */
void vsock_forget(struct vsock *v, uint32_t port);

void vsock_stream_attach(struct vsock_stream *s, const struct vsock_stream_ops *ops, void *cookie);

/* The endpoint can take data again. */
void vsock_stream_writable(struct vsock_stream *s);

/* The endpoint will never take data again; as if @write had failed. */
void vsock_stream_refuse(struct vsock_stream *s);

/**
 * vsock_stream_readable() - The endpoint's source has data, or its end was reached
 *
 * Return: true if the endpoint should go on watching its source; false while the guest takes
 * nothing (until @unblock) or never will again
 */
bool vsock_stream_readable(struct vsock_stream *s);

/* Abort: the guest gets RST, what is kept is dropped, no op is called again. */
void vsock_stream_close(struct vsock_stream *s);

/* Bytes @write has taken so far. */
uint64_t vsock_stream_taken(const struct vsock_stream *s);

#endif
