/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ttrpc: remote calls of protobuf messages over any stream socket.
 *
 * Wire format (ttrpc PROTOCOL.md): a 10-byte header {data length u32, stream id u32, type u8, flags
 * u8}, big-endian, then the data. Type 1 is a request {service, method, payload, timeout_nano},
 * type 2 a response {status, payload}. Client streams have odd ids. A frame's data is at most 4 MiB.
 *
 * One connection object is client and server at once: it sends calls, and serves the tables it was
 * given. It lives on an event loop; nothing blocks, and it is not thread safe. The peer is not
 * trusted: a malformed frame closes the connection.
 *
 * Over a unix socket a request can carry fds as SCM_RIGHTS on its first byte.
 */
#ifndef RSM_TTRPC_TTRPC_H
#define RSM_TTRPC_TTRPC_H

#include "base/error.h"
#include "base/loop.h"

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

#define TTRPC_DATA_MAX (4U << 20)

struct ttrpc_conn;
struct ttrpc_call; /* a request being served */

/**
 * struct ttrpc_method - One row of a server's table
 * @service:	full name, e.g. "runsm.Agent"
 * @method:	e.g. "CreateContainer"
 * @request:	descriptor its payload is unpacked with, before @handle sees it
 * @handle:	answers with ttrpc_reply() or ttrpc_fail(), now or later, exactly once. @request is
 *		freed when @handle returns.
 */
struct ttrpc_method {
	const char *service;
	const char *method;
	const ProtobufCMessageDescriptor *request;
	void (*handle)(void *cookie, struct ttrpc_call *call, const ProtobufCMessage *request);
};

/**
 * struct ttrpc_server - What a connection serves; all members may be NULL/0
 * @methods:	table of @nmethods rows
 * @closed:	the connection is dead (@error: 0 at end of stream, else -errno). Calls that were
 *		pending have been failed before. The callee frees the connection, here or later.
 */
struct ttrpc_server {
	const struct ttrpc_method *methods;
	size_t nmethods;
	void (*closed)(void *cookie, struct ttrpc_conn *conn, int error);
};

/**
 * ttrpc_conn_new() - Put a connected stream socket on the loop
 * @fd:		owned by the connection from success on; set non-blocking
 * @server:	must outlive the connection
 */
int ttrpc_conn_new(struct rsm_loop *loop, int fd, const struct ttrpc_server *server, void *cookie,
		   struct ttrpc_conn **ret);

/* Close and free; pending client calls fail with -ECANCELED, calls being served are detached:
 * answering them is harmless and frees them. NULL is fine. */
void ttrpc_conn_free(struct ttrpc_conn *conn);

/* ---- serving */

/* The connection a call came in on; NULL once that is gone. */
struct ttrpc_conn *ttrpc_call_conn(struct ttrpc_call *call);

/* Take over the fds that came with the request; -1 when there are no more. Those not taken are
 * closed with the call. */
int ttrpc_call_take_fd(struct ttrpc_call *call);

void ttrpc_reply(struct ttrpc_call *call, const ProtobufCMessage *reply);

/* @code: positive errno; mapped to a gRPC code and, between runsm's own programs, kept exactly. */
void ttrpc_fail(struct ttrpc_call *call, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void ttrpc_fail_error(struct ttrpc_call *call, const struct rsm_error *err);

/* ---- calling */

/**
 * ttrpc_done_fn - The answer to ttrpc_call_async()
 * @reply:	valid during the call; NULL on failure
 * @err:	code, exit_status and message as the server gave them; or -errno of the transport
 */
typedef void (*ttrpc_done_fn)(void *cookie, const ProtobufCMessage *reply,
			      const struct rsm_error *err);

/**
 * ttrpc_call_async() - Send a request
 * @service:	generated descriptor, e.g. &runsm__agent__descriptor
 * @method:	name as in the .proto
 * @fds:	sent along, stay the caller's; NULL/0 for none
 * @done:	called exactly once, never from inside this function, unless it returns an error
 */
int ttrpc_call_async(struct ttrpc_conn *conn, const ProtobufCServiceDescriptor *service,
		     const char *method, const ProtobufCMessage *request, const int *fds,
		     size_t nfds, ttrpc_done_fn done, void *cookie);

/**
 * ttrpc_call_sync() - Send a request and run the connection's loop until the answer is there
 * @timeout_ms:	-1 for ever
 * @ret:	freed with protobuf_c_message_free_unpacked(); may be NULL
 *
 * Return: 0, -errno as the server gave it, -ETIMEDOUT, -ECONNRESET
 */
int ttrpc_call_sync(struct ttrpc_conn *conn, const ProtobufCServiceDescriptor *service,
		    const char *method, const ProtobufCMessage *request, const int *fds,
		    size_t nfds, int timeout_ms, ProtobufCMessage **ret, struct rsm_error *err);

#endif
