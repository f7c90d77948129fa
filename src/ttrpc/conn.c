// SPDX-License-Identifier: Apache-2.0
/*
 * Connection: frames in and out of a stream socket.
 *
 * In: the header is read alone, then exactly the frame's data, so no read crosses the border
 * between two frames and fds that arrive with a read belong to the frame being read. Every
 * callback runs with the receive state already reset: a handler may call ttrpc_call_sync(), which
 * re-enters on_io(), or free the connection.
 *
 * Out: a queue of frames. A frame with fds is handed to the socket by calls of its own. After a
 * failed write the queue is dropped and the socket shut down, and what the peer sent before is
 * still read: its answer may be there already. The death is reported when reading ends.
 *
 * A peer that sends requests and reads no answers stops being read once OUT_MAX bytes wait for it.
 */
#include "ttrpc/conn.h"

#include "base/cleanup.h"
#include "base/math.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#define OUT_MAX          (2 * (size_t)TTRPC_DATA_MAX)
#define FRAMES_PER_ROUND 32

static void close_fds(const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
}

static void free_out(struct ttrpc_conn *conn)
{
	while (conn->out) {
		struct ttrpc_out *o = conn->out;

		conn->out = o->next;
		close_fds(o->fds, o->nfds);
		free(o);
	}
	conn->out_tail = &conn->out;
	conn->out_bytes = 0;
}

static void reset_input(struct ttrpc_conn *conn)
{
	close_fds(conn->in_fds, conn->in_nfds);
	conn->in_nfds = 0;
	free(conn->body);
	conn->body = NULL;
	conn->header_len = 0;
}

/* The end: @error is what pending calls get, @report what the owner is told. The caller holds a
 * reference: callbacks may free the connection. */
static void die(struct ttrpc_conn *conn, int error, int report, bool tell)
{
	if (conn->dead)
		return;
	conn->dead = true;
	rsm_loop_remove(conn->source);
	conn->source = NULL;
	close(conn->fd);
	conn->fd = -1;
	free_out(conn);
	reset_input(conn);
	ttrpc_detach_calls(conn);
	ttrpc_fail_pending(conn, error);
	if (tell && !conn->freed && conn->server && conn->server->closed)
		conn->server->closed(conn->cookie, conn, report);
}

static void unref(struct ttrpc_conn *conn)
{
	if (--conn->refs == 0 && conn->freed)
		free(conn);
}

void ttrpc_conn_free(struct ttrpc_conn *conn)
{
	if (!conn || conn->freed)
		return;
	conn->freed = true;
	conn->refs++;
	die(conn, -ECANCELED, 0, false);
	unref(conn);
}

static void update_events(struct ttrpc_conn *conn)
{
	uint32_t events = (conn->out_bytes < OUT_MAX ? EPOLLIN : 0) | (conn->out ? EPOLLOUT : 0);

	if (conn->dead || events == conn->events)
		return;
	conn->events = events;
	(void)rsm_source_set_events(conn->source, events); /* MOD of an fd we own cannot fail */
}

/* ---------------------------------------------------------------- out */

static void sending_failed(struct ttrpc_conn *conn)
{
	conn->sending_failed = true;
	free_out(conn);
	(void)shutdown(conn->fd, SHUT_RDWR);
}

static void flush(struct ttrpc_conn *conn)
{
	while (conn->out) {
		struct ttrpc_out *o = conn->out;
		ssize_t n = rsm_send_fds(conn->fd, o->data + o->sent, o->len - o->sent, o->fds,
					 o->nfds);

		if (n == -EAGAIN)
			break;
		if (n < 0) {
			sending_failed(conn);
			break;
		}
		close_fds(o->fds, o->nfds);
		o->nfds = 0;
		o->sent += (size_t)n;
		conn->out_bytes -= (size_t)n;
		if (o->sent < o->len)
			continue;
		conn->out = o->next;
		if (!conn->out)
			conn->out_tail = &conn->out;
		free(o);
	}
	update_events(conn);
}

static int dup_fds(struct ttrpc_out *o, const int *fds, size_t nfds)
{
	for (; o->nfds < nfds; o->nfds++) {
		o->fds[o->nfds] = fcntl(fds[o->nfds], F_DUPFD_CLOEXEC, 0);
		if (o->fds[o->nfds] < 0) {
			int ret = -errno;

			close_fds(o->fds, o->nfds);
			return ret;
		}
	}
	return 0;
}

int ttrpc_send(struct ttrpc_conn *conn, enum ttrpc_type type, uint32_t stream,
	       const ProtobufCMessage *message, const int *fds, size_t nfds)
{
	size_t len = protobuf_c_message_get_packed_size(message);
	uint32_t be_len = htonl((uint32_t)len), be_stream = htonl(stream);
	struct ttrpc_out *o;
	int ret;

	if (len > TTRPC_DATA_MAX)
		return -EMSGSIZE;
	if (nfds > RSM_FDS_MAX)
		return -E2BIG;
	if (conn->dead || conn->sending_failed)
		return -ENOTCONN;
	o = calloc(1, sizeof(*o) + TTRPC_HEADER_SIZE + len);
	if (!o)
		return -ENOMEM;
	ret = dup_fds(o, fds, nfds);
	if (ret < 0) {
		free(o);
		return ret;
	}
	memcpy(o->data, &be_len, 4);
	memcpy(o->data + 4, &be_stream, 4);
	o->data[8] = (uint8_t)type;
	protobuf_c_message_pack(message, o->data + TTRPC_HEADER_SIZE);
	o->len = TTRPC_HEADER_SIZE + len;
	*conn->out_tail = o;
	conn->out_tail = &o->next;
	conn->out_bytes += o->len;
	if (conn->out == o)
		flush(conn);
	else
		update_events(conn);
	return 0;
}

/* ---------------------------------------------------------------- in */

/* recvmsg() into the frame being received; fds are kept with it. Return: bytes, 0 at end, -errno */
static ssize_t receive(struct ttrpc_conn *conn, void *buf, size_t len)
{
	int fds[RSM_FDS_MAX];
	size_t nfds = 0;
	ssize_t n = rsm_recv_fds(conn->fd, buf, len, fds, &nfds);

	if (n < 0)
		return n;
	if (nfds > RSM_FDS_MAX - conn->in_nfds) {
		close_fds(fds, nfds);
		return -EMSGSIZE;
	}
	memcpy(conn->in_fds + conn->in_nfds, fds, nfds * sizeof(int));
	conn->in_nfds += nfds;
	return n;
}

/* Return: 1 when the header is complete and the body allocated, 0 at end of stream, -errno */
static int receive_header(struct ttrpc_conn *conn)
{
	uint32_t len;

	while (conn->header_len < TTRPC_HEADER_SIZE) {
		ssize_t n = receive(conn, conn->header + conn->header_len,
				    TTRPC_HEADER_SIZE - conn->header_len);

		if (n == 0)
			return conn->header_len == 0 ? 0 : -EBADMSG;
		if (n < 0)
			return (int)n;
		conn->header_len += (size_t)n;
	}
	memcpy(&len, conn->header, 4);
	len = ntohl(len);
	if (len > TTRPC_DATA_MAX)
		return -EMSGSIZE;
	conn->body = malloc(len ? len : 1);
	if (!conn->body)
		return -ENOMEM;
	conn->body_len = len;
	conn->body_got = 0;
	return 1;
}

static int dispatch(struct ttrpc_conn *conn)
{
	_cleanup_free_ uint8_t *body = rsm_steal_ptr(conn->body);
	int fds[RSM_FDS_MAX];
	size_t nfds = conn->in_nfds;
	uint8_t type = conn->header[8];
	uint32_t stream;

	memcpy(&stream, conn->header + 4, 4);
	stream = ntohl(stream);
	memcpy(fds, conn->in_fds, nfds * sizeof(int));
	conn->in_nfds = 0;
	conn->header_len = 0;
	if (type == TTRPC_REQUEST)
		return ttrpc_serve_frame(conn, stream, body, conn->body_len, fds, nfds);
	close_fds(fds, nfds);
	if (type == TTRPC_RESPONSE)
		return ttrpc_answer_frame(conn, stream, body, conn->body_len);
	return -EBADMSG; /* data frames of streaming calls: none are served here */
}

/* Return: 1 after a whole frame was dealt with, 0 at end of stream, -EAGAIN, or -errno */
static int receive_frame(struct ttrpc_conn *conn)
{
	if (!conn->body) {
		int ret = receive_header(conn);

		if (ret <= 0)
			return ret;
	}
	while (conn->body_got < conn->body_len) {
		ssize_t n =
			receive(conn, conn->body + conn->body_got, conn->body_len - conn->body_got);

		if (n <= 0)
			return n < 0 ? (int)n : -EBADMSG;
		conn->body_got += (uint32_t)n;
	}
	return rsm_min(dispatch(conn), 0) ?: 1;
}

static void on_io(void *cookie, int fd, uint32_t events)
{
	struct ttrpc_conn *conn = cookie;

	conn->refs++;
	if (events & EPOLLOUT)
		flush(conn);
	/* A hang-up is read to its end even while the peer is not to be listened to. */
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		for (int i = 0; i < FRAMES_PER_ROUND && !conn->dead; i++) {
			int ret = receive_frame(conn);

			if (ret > 0 && conn->out_bytes < OUT_MAX)
				continue;
			if (ret <= 0 && ret != -EAGAIN)
				die(conn, ret ? ret : -ECONNRESET, ret, true);
			break;
		}
	}
	unref(conn);
}

int ttrpc_conn_new(struct rsm_loop *loop, int fd, const struct ttrpc_server *server, void *cookie,
		   struct ttrpc_conn **ret)
{
	struct ttrpc_conn *conn = calloc(1, sizeof(*conn));
	int error;

	if (!conn)
		return -ENOMEM;
	conn->loop = loop;
	conn->server = server;
	conn->cookie = cookie;
	conn->out_tail = &conn->out;
	conn->next_stream = 1;
	conn->events = EPOLLIN;
	error = rsm_set_nonblock(fd, true);
	if (error == 0)
		error = rsm_loop_add(loop, fd, EPOLLIN, on_io, conn, &conn->source);
	if (error < 0) {
		free(conn);
		return error;
	}
	conn->fd = fd;
	*ret = conn;
	return 0;
}
