// SPDX-License-Identifier: Apache-2.0
/* Serving: finds the method of a request, unpacks it, sends the answer whenever it comes. */
#include "ttrpc/conn.h"

#include "base/cleanup.h"
#include "base/math.h"

#include <stdarg.h>
#include <string.h>

/* A peer may leave this many calls unanswered; Wait calls are long, so it is not small. */
#define CALLS_MAX 4096

/* gRPC's codes (grpc/doc/statuscodes.md) by the errnos that are used for them; the first row of a
 * code is what it is turned back into. */
static const struct {
	int code;
	int grpc;
} codes[] = {
	{ECANCELED, 1}, {EINVAL, 3},  {E2BIG, 3},   {ENAMETOOLONG, 3}, {ETIMEDOUT, 4},
	{ENOENT, 5},    {ESRCH, 5},   {EEXIST, 6},  {EACCES, 7},       {EPERM, 7},
	{ENOSPC, 8},    {ENOMEM, 8},  {EMFILE, 8},  {EMSGSIZE, 8},     {EBUSY, 9},
	{EAGAIN, 14},   {ERANGE, 11}, {ENOSYS, 12}, {EOPNOTSUPP, 12},  {EIO, 13},
};

int ttrpc_grpc_code(int code)
{
	for (size_t i = 0; i < RSM_ARRAY_SIZE(codes); i++)
		if (codes[i].code == code)
			return codes[i].grpc;
	return 2; /* Unknown */
}

int ttrpc_errno_of_grpc(int grpc)
{
	for (size_t i = 0; i < RSM_ARRAY_SIZE(codes); i++)
		if (codes[i].grpc == grpc)
			return codes[i].code;
	return EIO;
}

static void call_free(struct ttrpc_call *call)
{
	if (call->conn) {
		if (call->prev)
			call->prev->next = call->next;
		else
			call->conn->calls = call->next;
		if (call->next)
			call->next->prev = call->prev;
		call->conn->ncalls--;
	}
	while (call->fds_taken < call->nfds)
		close(call->fds[call->fds_taken++]);
	free(call);
}

void ttrpc_detach_calls(struct ttrpc_conn *conn)
{
	while (conn->calls) {
		struct ttrpc_call *call = conn->calls;

		conn->calls = call->next;
		call->conn = NULL;
		call->prev = call->next = NULL;
	}
	conn->ncalls = 0;
}

static int call_new(struct ttrpc_conn *conn, uint32_t stream, const int *fds, size_t nfds,
		    struct ttrpc_call **ret)
{
	struct ttrpc_call *call = calloc(1, sizeof(*call));

	if (!call) {
		for (size_t i = 0; i < nfds; i++)
			close(fds[i]);
		return -ENOMEM;
	}
	call->conn = conn;
	call->stream = stream;
	call->nfds = nfds;
	memcpy(call->fds, fds, nfds * sizeof(int));
	call->next = conn->calls;
	if (call->next)
		call->next->prev = call;
	conn->calls = call;
	conn->ncalls++;
	*ret = call;
	return 0;
}

static const struct ttrpc_method *find_method(const struct ttrpc_server *server,
					      const Ttrpc__Request *request)
{
	for (size_t i = 0; server && i < server->nmethods; i++)
		if (strcmp(server->methods[i].service, request->service) == 0 &&
		    strcmp(server->methods[i].method, request->method) == 0)
			return &server->methods[i];
	return NULL;
}

static void serve(struct ttrpc_conn *conn, struct ttrpc_call *call, const Ttrpc__Request *request)
{
	const struct ttrpc_method *method = find_method(conn->server, request);
	ProtobufCMessage *message;

	if (conn->ncalls > CALLS_MAX) {
		ttrpc_fail(call, EMFILE, "more than %d calls unanswered", CALLS_MAX);
		return;
	}
	if (!method) {
		ttrpc_fail(call, ENOSYS, "no method %.100s of service %.100s", request->method,
			   request->service);
		return;
	}
	message = protobuf_c_message_unpack(method->request, NULL, request->payload.len,
					    request->payload.data);
	if (!message) {
		ttrpc_fail(call, EINVAL, "the request of %s is not a %s", method->method,
			   method->request->name);
		return;
	}
	method->handle(conn->cookie, call, message);
	protobuf_c_message_free_unpacked(message, NULL);
}

int ttrpc_serve_frame(struct ttrpc_conn *conn, uint32_t stream, const uint8_t *data, size_t len,
		      const int *fds, size_t nfds)
{
	struct ttrpc_call *call;
	Ttrpc__Request *request;
	int ret = call_new(conn, stream, fds, nfds, &call);

	if (ret < 0)
		return ret;
	request = stream % 2 == 1 ? ttrpc__request__unpack(NULL, len, data) : NULL;
	if (!request) {
		call_free(call);
		return -EBADMSG;
	}
	serve(conn, call, request);
	ttrpc__request__free_unpacked(request, NULL);
	return 0;
}

struct ttrpc_conn *ttrpc_call_conn(struct ttrpc_call *call)
{
	return call->conn;
}

int ttrpc_call_take_fd(struct ttrpc_call *call)
{
	return call->fds_taken < call->nfds ? call->fds[call->fds_taken++] : -1;
}

static void fail(struct ttrpc_call *call, const struct rsm_error *err)
{
	Ttrpc__Status status = TTRPC__STATUS__INIT;
	Ttrpc__Response response = TTRPC__RESPONSE__INIT;

	status.code = ttrpc_grpc_code(err->code);
	status.message = (char *)err->message;
	status.runsm_errno = (uint32_t)err->code;
	status.runsm_exit_status = (uint32_t)err->exit_status;
	response.status = &status;
	/* A frame of this size fails only with the connection or with memory: nobody to tell. */
	if (call->conn)
		(void)ttrpc_send(call->conn, TTRPC_RESPONSE, call->stream, &response.base, NULL, 0);
	call_free(call);
}

void ttrpc_fail_error(struct ttrpc_call *call, const struct rsm_error *err)
{
	struct rsm_error copy = *err;

	if (copy.code == 0)
		copy.code = EIO;
	fail(call, &copy);
}

void ttrpc_fail(struct ttrpc_call *call, int code, const char *fmt, ...)
{
	struct rsm_error err = RSM_ERROR_INIT;
	va_list ap;

	err.code = code;
	va_start(ap, fmt);
	(void)vsnprintf(err.message, sizeof(err.message), fmt, ap);
	va_end(ap);
	fail(call, &err);
}

void ttrpc_reply(struct ttrpc_call *call, const ProtobufCMessage *reply)
{
	Ttrpc__Response response = TTRPC__RESPONSE__INIT;
	_cleanup_free_ uint8_t *payload = NULL;
	size_t len = protobuf_c_message_get_packed_size(reply);
	int ret;

	if (!call->conn) {
		call_free(call);
		return;
	}
	payload = malloc(len ? len : 1);
	if (!payload) {
		ttrpc_fail(call, ENOMEM, "out of memory for the answer");
		return;
	}
	response.payload.len = protobuf_c_message_pack(reply, payload);
	response.payload.data = payload;
	ret = ttrpc_send(call->conn, TTRPC_RESPONSE, call->stream, &response.base, NULL, 0);
	if (ret == -EMSGSIZE || ret == -ENOMEM)
		ttrpc_fail(call, -ret, "an answer of %zu bytes cannot be sent", len);
	else
		call_free(call);
}
