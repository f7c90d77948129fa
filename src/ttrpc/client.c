// SPDX-License-Identifier: Apache-2.0
/* Calling: sends requests, keeps a list of those unanswered, matches responses by stream id. */
#include "ttrpc/conn.h"

#include "base/cleanup.h"
#include "base/math.h"

#include <string.h>

static struct ttrpc_pending *take_pending(struct ttrpc_conn *conn, uint32_t stream)
{
	for (struct ttrpc_pending **at = &conn->pending; *at; at = &(*at)->next) {
		struct ttrpc_pending *p = *at;

		if (p->stream == stream) {
			*at = p->next;
			return p;
		}
	}
	return NULL;
}

void ttrpc_fail_pending(struct ttrpc_conn *conn, int error)
{
	struct rsm_error err = RSM_ERROR_INIT;

	if (error == -ECANCELED)
		(void)rsm_fail(&err, ECANCELED, "the call was given up");
	else
		(void)rsm_fail_errno(&err, error, "the connection was closed before the answer");
	while (conn->pending) {
		struct ttrpc_pending *p = conn->pending;

		conn->pending = p->next;
		p->done(p->cookie, NULL, &err);
		free(p);
	}
}

static void finish_with_status(const struct ttrpc_pending *p, const Ttrpc__Status *status)
{
	struct rsm_error err = RSM_ERROR_INIT;
	int code = status->runsm_errno > 0 && status->runsm_errno < 4096
			   ? (int)status->runsm_errno
			   : ttrpc_errno_of_grpc(status->code);

	(void)rsm_fail(&err, code, "%s", status->message);
	err.exit_status = (int)(status->runsm_exit_status & 0xff);
	p->done(p->cookie, NULL, &err);
}

/* An answer to nothing that was asked is dropped: its call timed out. */
int ttrpc_answer_frame(struct ttrpc_conn *conn, uint32_t stream, const uint8_t *data, size_t len)
{
	Ttrpc__Response *response = ttrpc__response__unpack(NULL, len, data);
	_cleanup_free_ struct ttrpc_pending *p = NULL;
	ProtobufCMessage *reply;

	if (!response)
		return -EBADMSG;
	p = take_pending(conn, stream);
	if (!p) {
		ttrpc__response__free_unpacked(response, NULL);
		return 0;
	}
	if (response->status && response->status->code != 0) {
		finish_with_status(p, response->status);
		ttrpc__response__free_unpacked(response, NULL);
		return 0;
	}
	reply = protobuf_c_message_unpack(p->output, NULL, response->payload.len,
					  response->payload.data);
	ttrpc__response__free_unpacked(response, NULL);
	if (reply) {
		struct rsm_error none = RSM_ERROR_INIT;

		p->done(p->cookie, reply, &none);
		protobuf_c_message_free_unpacked(reply, NULL);
	} else {
		struct rsm_error err = RSM_ERROR_INIT;

		(void)rsm_fail(&err, EBADMSG, "the answer is not a %s", p->output->name);
		p->done(p->cookie, NULL, &err);
	}
	return 0;
}

/* Ids are odd; after 2^31 calls they start again, past those still in use. */
static uint32_t new_stream(struct ttrpc_conn *conn)
{
	for (;;) {
		uint32_t stream = conn->next_stream;
		const struct ttrpc_pending *p = conn->pending;

		conn->next_stream += 2;
		while (p && p->stream != stream)
			p = p->next;
		if (!p)
			return stream;
	}
}

static int call(struct ttrpc_conn *conn, const ProtobufCServiceDescriptor *service,
		const char *method, const ProtobufCMessage *message, const int *fds, size_t nfds,
		int timeout_ms, ttrpc_done_fn done, void *cookie, uint32_t *ret_stream)
{
	const ProtobufCMethodDescriptor *m =
		protobuf_c_service_descriptor_get_method_by_name(service, method);
	Ttrpc__Request request = TTRPC__REQUEST__INIT;
	_cleanup_free_ struct ttrpc_pending *p = calloc(1, sizeof(*p));
	_cleanup_free_ uint8_t *payload = NULL;
	size_t len = protobuf_c_message_get_packed_size(message);
	int ret;

	rsm_assert(m && m->input == message->descriptor);
	payload = malloc(len ? len : 1);
	if (!p || !payload)
		return -ENOMEM;
	request.service = (char *)service->name;
	request.method = (char *)method;
	request.payload.len = protobuf_c_message_pack(message, payload);
	request.payload.data = payload;
	request.timeout_nano = timeout_ms > 0 ? (int64_t)timeout_ms * 1000000 : 0;
	p->stream = new_stream(conn);
	p->output = m->output;
	p->done = done;
	p->cookie = cookie;
	ret = ttrpc_send(conn, TTRPC_REQUEST, p->stream, &request.base, fds, nfds);
	if (ret < 0)
		return ret;
	*ret_stream = p->stream;
	p->next = conn->pending;
	conn->pending = rsm_steal_ptr(p);
	return 0;
}

int ttrpc_call_async(struct ttrpc_conn *conn, const ProtobufCServiceDescriptor *service,
		     const char *method, const ProtobufCMessage *request, const int *fds,
		     size_t nfds, ttrpc_done_fn done, void *cookie)
{
	uint32_t stream;

	return call(conn, service, method, request, fds, nfds, 0, done, cookie, &stream);
}

/* ---------------------------------------------------------------- synchronous */

struct sync_call {
	bool done;
	bool timed_out;
	int ret;
	struct rsm_source *timer;
	ProtobufCMessage **reply;
	struct rsm_error *err;
};

/* A message of its own: the one given to the callback goes when the callback returns. */
static ProtobufCMessage *copy_message(const ProtobufCMessage *m)
{
	size_t len = protobuf_c_message_get_packed_size(m);
	_cleanup_free_ uint8_t *buf = malloc(len ? len : 1);

	if (!buf)
		return NULL;
	(void)protobuf_c_message_pack(m, buf);
	return protobuf_c_message_unpack(m->descriptor, NULL, len, buf);
}

static void sync_done(void *cookie, const ProtobufCMessage *reply, const struct rsm_error *err)
{
	struct sync_call *s = cookie;

	s->done = true;
	if (!reply) {
		if (s->err)
			*s->err = *err;
		s->ret = -err->code;
	} else if (s->reply) {
		*s->reply = copy_message(reply);
		if (!*s->reply)
			s->ret = rsm_fail_errno(s->err, ENOMEM, "keep the answer");
	}
}

static void sync_timeout(void *cookie)
{
	struct sync_call *s = cookie;

	s->timer = NULL;
	s->timed_out = true;
}

int ttrpc_call_sync(struct ttrpc_conn *conn, const ProtobufCServiceDescriptor *service,
		    const char *method, const ProtobufCMessage *request, const int *fds,
		    size_t nfds, int timeout_ms, ProtobufCMessage **ret, struct rsm_error *err)
{
	struct rsm_loop *loop = conn->loop;
	struct sync_call s = {.reply = ret, .err = err};
	uint32_t stream;
	int error;

	error = call(conn, service, method, request, fds, nfds, timeout_ms, sync_done, &s, &stream);
	if (error < 0)
		return rsm_fail_errno(err, error, "call %s", method);
	if (timeout_ms >= 0)
		error = rsm_loop_timer(loop, (uint64_t)timeout_ms * 1000000, sync_timeout, &s,
				       &s.timer);
	while (error == 0 && !s.done && !s.timed_out)
		error = rsm_loop_once(loop, -1);
	rsm_loop_remove(s.timer);
	if (s.done)
		return s.ret; /* conn may be gone */
	free(take_pending(conn, stream));
	if (error < 0)
		return rsm_fail_errno(err, error, "wait for the answer of %s", method);
	return rsm_fail(err, ETIMEDOUT, "no answer to %s within %d ms", method, timeout_ms);
}
