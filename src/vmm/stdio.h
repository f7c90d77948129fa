/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host fd at the end of a vsock stream: the container's stdin, stdout, stderr, terminal or an
 * extra fd, and the socket of the agent's connection.
 *
 * Never changes the open file description that the caller of the runtime shares with us: pipes and
 * terminals are opened anew with O_NONBLOCK, sockets are used with MSG_DONTWAIT, regular files are
 * read and written directly and keep their shared offset.
 *
 * Context: main loop.
 */
#ifndef RSM_VMM_STDIO_H
#define RSM_VMM_STDIO_H

#include "base/cleanup.h"
#include "vmm/vsock.h"

struct stdio_relay;

#define STDIO_SOURCE 1U /* host fd → guest */
#define STDIO_SINK   2U /* guest → host fd */

/**
 * stdio_event_fn - More was relayed, or the relay is over
 *
 * Time to ask stdio_relay_done() again. Must not free a relay: do that from a timer.
 */
typedef void (*stdio_event_fn)(void *cookie, struct stdio_relay *r);

/**
 * stdio_relay_new() - Get an fd ready
 * @fd:		stays the caller's: the relay has its own, so close this one for a reader to see the
 *		end when the guest closes its side
 * @dirs:	STDIO_*; a direction the fd is not open for is its end at once
 * @event:	may be NULL
 */
int stdio_relay_new(struct rsm_loop *loop, int fd, unsigned dirs, stdio_event_fn event,
		    void *cookie, struct stdio_relay **ret);

/* Drop the stream, if it lives, and close the fd. NULL is fine. */
void stdio_relay_free(struct stdio_relay *r);
RSM_DEFINE_CLEANUP(struct stdio_relay *, stdio_relay_free, NULL);

/* Wait for the guest to connect to a port of its own, returned in @ret_port. */
int stdio_relay_expect(struct stdio_relay *r, struct vsock *v, uint32_t *ret_port);

/* Connect it to a stream at hand, from within vsock_accept_fn. */
void stdio_relay_attach(struct stdio_relay *r, struct vsock_stream *stream);

/* Did the host fd take @bytes bytes, or will it never take any more? */
bool stdio_relay_done(const struct stdio_relay *r, uint64_t bytes);

/* Bytes the host fd took so far. */
uint64_t stdio_relay_bytes(const struct stdio_relay *r);

#endif
