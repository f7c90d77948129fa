/* SPDX-License-Identifier: Apache-2.0 */
/* Private to src/ttrpc: the connection object and what its three files ask of each other. */
#ifndef RSM_TTRPC_CONN_H
#define RSM_TTRPC_CONN_H

#include "base/io.h"
#include "ttrpc/ttrpc.h"
#include "ttrpc/wire.pb-c.h"

#define TTRPC_HEADER_SIZE 10

enum ttrpc_type {
	TTRPC_REQUEST = 1,
	TTRPC_RESPONSE = 2,
};

/* A frame on its way out. */
struct ttrpc_out {
	struct ttrpc_out *next;
	size_t len, sent;
	size_t nfds; /* duplicates, closed once they are sent with the first byte */
	int fds[RSM_FDS_MAX];
	uint8_t data[];
};

/* A call that waits for its answer. */
struct ttrpc_pending {
	struct ttrpc_pending *next;
	uint32_t stream;
	const ProtobufCMessageDescriptor *output;
	ttrpc_done_fn done;
	void *cookie;
};

/* A request being served; on conn->calls while the connection lives. */
struct ttrpc_call {
	struct ttrpc_conn *conn; /* NULL: gone */
	struct ttrpc_call *prev, *next;
	uint32_t stream;
	size_t nfds, fds_taken;
	int fds[RSM_FDS_MAX];
};

/**
 * struct ttrpc_conn - Owner: the loop's thread
 * @refs:	rounds of on_io() under way (they nest when a handler calls ttrpc_call_sync()); the
 *		memory goes when the last one ends after ttrpc_conn_free()
 * @dead:	fd closed, everything pending failed; nothing more happens but the free
 * @header:	of the frame being received, @header_len bytes of it so far
 * @body:	its data, @body_got of @body_len bytes so far; NULL while the header is incomplete
 * @in_fds:	came with bytes of that frame
 * @out_bytes:	in frames not yet sent
 */
struct ttrpc_conn {
	struct rsm_loop *loop;
	struct rsm_source *source;
	const struct ttrpc_server *server;
	void *cookie;
	int fd;
	int refs;
	bool dead;
	bool freed;
	bool sending_failed;

	uint8_t header[TTRPC_HEADER_SIZE];
	size_t header_len;
	uint8_t *body;
	uint32_t body_len, body_got;
	int in_fds[RSM_FDS_MAX];
	size_t in_nfds;

	struct ttrpc_out *out, **out_tail;
	size_t out_bytes;
	uint32_t events;

	struct ttrpc_pending *pending;
	uint32_t next_stream;
	struct ttrpc_call *calls;
	unsigned ncalls;
};

/**
 * ttrpc_send() - Queue one frame and send what the socket takes now
 * @message:	packed as the frame's data
 * Return: 0, -EMSGSIZE if it is larger than TTRPC_DATA_MAX, -ENOTCONN, -ENOMEM, -errno of dup()
 */
int ttrpc_send(struct ttrpc_conn *conn, enum ttrpc_type type, uint32_t stream,
	       const ProtobufCMessage *message, const int *fds, size_t nfds);

/* What to do with a whole frame; both return 0, or -errno to close the connection with. They may
 * run callbacks that free the connection. @fds are consumed. */
int ttrpc_serve_frame(struct ttrpc_conn *conn, uint32_t stream, const uint8_t *data, size_t len,
		      const int *fds, size_t nfds);
int ttrpc_answer_frame(struct ttrpc_conn *conn, uint32_t stream, const uint8_t *data, size_t len);

/* The connection died with @error (negative errno): detach calls being served, fail calls made. */
void ttrpc_detach_calls(struct ttrpc_conn *conn);
void ttrpc_fail_pending(struct ttrpc_conn *conn, int error);

/* gRPC status code of an errno, and back for servers that send no errno. */
int ttrpc_grpc_code(int code);
int ttrpc_errno_of_grpc(int grpc);

#endif
