// SPDX-License-Identifier: Apache-2.0
/*
 * How an fd is used depends on what it is:
 *
 *	pipe, terminal	opened anew through /proc/self/fd, non-blocking
 *	  … not allowed	(another user's pipe): the same description, poll() before each read and
 *			each write, and at most PIPE_BUF bytes, which a ready pipe takes
 *	socket		MSG_DONTWAIT
 *	regular file, /dev/null and whatever epoll refuses: always ready; as a source it is read
 *			from a timer of zero so that others get their turn
 *
 * When the reader of a sink is gone the guest is told at once (SHUTDOWN), so that the agent closes
 * the process's pipe, and the process gets SIGPIPE as it would on the host.
 */
#include "vmm/stdio.h"

#include "base/io.h"
#include "base/math.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum kind { KIND_STREAM, KIND_POLLED, KIND_SOCKET, KIND_FILE };

/**
 * struct stdio_relay
 * @fd:		ours; -1 once it is closed
 * @stream:	NULL before the guest connects and after the end
 * @source:	watches @fd, unless it is a file
 * @tick:	next read of a file
 * @want_in, @want_out: what @source is to watch for
 * @over:	nothing will ever be relayed again
 */
struct stdio_relay {
	struct rsm_loop *loop;
	struct vsock *vsock;
	struct vsock_stream *stream;
	struct rsm_source *source, *tick;
	stdio_event_fn event;
	void *cookie;
	uint64_t bytes;
	uint32_t port;
	int fd;
	enum kind kind;
	unsigned dirs;
	bool want_in, want_out, over;
};

/* ---- the fd */

static int open_own(struct stdio_relay *r, int fd)
{
	int flags = fcntl(fd, F_GETFL);
	unsigned allowed;
	char path[32];
	struct stat st;

	if (flags < 0 || fstat(fd, &st) < 0)
		return -errno;
	allowed = (flags & O_ACCMODE) == O_RDONLY   ? STDIO_SOURCE
		  : (flags & O_ACCMODE) == O_WRONLY ? STDIO_SINK
						    : STDIO_SOURCE | STDIO_SINK;
	r->dirs &= allowed;
	r->kind = S_ISSOCK(st.st_mode)                          ? KIND_SOCKET
		  : S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode) ? KIND_STREAM
								: KIND_FILE;
	if (r->kind == KIND_STREAM) {
		flags = r->dirs == STDIO_SOURCE ? O_RDONLY
			: r->dirs == STDIO_SINK ? O_WRONLY
						: O_RDWR;
		(void)rsm_format(path, sizeof(path), "/proc/self/fd/%d", fd);
		r->fd = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (r->fd >= 0)
			return 0;
		r->kind =
			KIND_POLLED; /* ENXIO: a pipe without a reader, writing to it will say so */
	}
	r->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return r->fd < 0 ? -errno : 0;
}

static bool ready(const struct stdio_relay *r, short events)
{
	struct pollfd p = {.fd = r->fd, .events = events};

	return poll(&p, 1, 0) != 0;
}

static ssize_t do_write(struct stdio_relay *r, const struct iovec *iov, unsigned n)
{
	struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = n};
	ssize_t did;

	n = rsm_min(n, (unsigned)IOV_MAX);
	msg.msg_iovlen = n;
	do {
		switch (r->kind) {
		case KIND_SOCKET:
			did = sendmsg(r->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
			break;
		case KIND_POLLED:
			if (!ready(r, POLLOUT))
				return -EAGAIN;
			did = write(r->fd, iov[0].iov_base,
				    rsm_min(iov[0].iov_len, (size_t)PIPE_BUF));
			break;
		default:
			did = writev(r->fd, iov, (int)n);
		}
	} while (did < 0 && errno == EINTR);
	return did < 0 ? -errno : did;
}

static ssize_t do_read(struct stdio_relay *r, const struct iovec *iov, unsigned n)
{
	struct msghdr msg = {.msg_iov = (struct iovec *)iov};
	ssize_t did;

	n = rsm_min(n, (unsigned)IOV_MAX);
	msg.msg_iovlen = n;
	do {
		switch (r->kind) {
		case KIND_SOCKET:
			did = recvmsg(r->fd, &msg, MSG_DONTWAIT);
			break;
		case KIND_POLLED:
			if (!ready(r, POLLIN))
				return -EAGAIN;
			did = readv(r->fd, iov, (int)n);
			break;
		default:
			did = readv(r->fd, iov, (int)n);
		}
	} while (did < 0 && errno == EINTR);
	return did < 0 ? -errno : did;
}

/* ---- the loop */

static void watch(struct stdio_relay *r)
{
	uint32_t events = (r->want_in ? EPOLLIN : 0U) | (r->want_out ? EPOLLOUT : 0U);

	if (!r->source)
		return;
	/*
	 * A sink is watched for the loss of its reader even while nothing is to be written; a
	 * source that waits is not watched at all, because its hang-up would come again and again.
	 */
	if (events || (r->dirs == STDIO_SINK && r->stream))
		(void)rsm_source_set_events(r->source, events);
	else
		(void)rsm_source_pause(r->source);
}

static void tell(struct stdio_relay *r)
{
	if (r->event)
		r->event(r->cookie, r);
}

static void close_fd(struct stdio_relay *r)
{
	rsm_loop_remove(r->source);
	rsm_loop_remove(r->tick);
	r->source = r->tick = NULL;
	rsm_close(&r->fd);
}

static void ticked(void *cookie);

static void tick(struct stdio_relay *r)
{
	if (!r->tick)
		(void)rsm_loop_timer(r->loop, 0, ticked, r, &r->tick);
}

static void ticked(void *cookie)
{
	struct stdio_relay *r = cookie;

	r->tick = NULL;
	if (r->stream && vsock_stream_readable(r->stream))
		tick(r);
}

static void fd_event(void *cookie, int fd, uint32_t events)
{
	struct stdio_relay *r = cookie;

	if (r->stream && r->want_out && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))) {
		r->want_out = false; /* set again by a write that falls short */
		vsock_stream_writable(r->stream);
	} else if (r->stream && r->dirs == STDIO_SINK && (events & (EPOLLERR | EPOLLHUP))) {
		r->dirs = 0;
		close_fd(r);
		vsock_stream_refuse(r->stream);
		tell(r);
		return;
	}
	if (r->stream && r->want_in && (events & (EPOLLIN | EPOLLERR | EPOLLHUP)))
		r->want_in = vsock_stream_readable(r->stream);
	watch(r);
}

/* ---- the stream */

static ssize_t relay_write(void *cookie, const struct iovec *iov, unsigned n)
{
	struct stdio_relay *r = cookie;
	ssize_t did = r->fd >= 0 && (r->dirs & STDIO_SINK) ? do_write(r, iov, n) : -EPIPE;

	if (did >= 0)
		r->bytes += (uint64_t)did;
	if (did == -EAGAIN || (did >= 0 && (size_t)did < virtq_iov_len(iov, n))) {
		r->want_out = true;
		watch(r);
	} else if (did < 0) {
		r->dirs &= ~STDIO_SINK;
		if (!r->dirs)
			close_fd(r);
	}
	tell(r);
	return did;
}

static ssize_t relay_read(void *cookie, const struct iovec *iov, unsigned n)
{
	struct stdio_relay *r = cookie;
	ssize_t did = r->fd >= 0 && (r->dirs & STDIO_SOURCE) ? do_read(r, iov, n) : 0;

	if (did == 0 || (did < 0 && did != -EAGAIN)) {
		r->dirs &= ~STDIO_SOURCE;
		r->want_in = false;
		if (!r->dirs)
			close_fd(r);
	}
	return did;
}

static void relay_eof(void *cookie)
{
	struct stdio_relay *r = cookie;

	r->dirs &= ~STDIO_SINK;
	if (!r->dirs)
		close_fd(r);
	tell(r);
}

static void relay_unblock(void *cookie)
{
	struct stdio_relay *r = cookie;

	if (r->kind == KIND_FILE) {
		tick(r);
		return;
	}
	r->want_in = true;
	watch(r);
}

static void relay_closed(void *cookie, int error)
{
	struct stdio_relay *r = cookie;

	r->stream = NULL;
	r->over = true;
	close_fd(r);
	tell(r);
}

static const struct vsock_stream_ops relay_ops = {
	.write = relay_write,
	.eof = relay_eof,
	.read = relay_read,
	.unblock = relay_unblock,
	.closed = relay_closed,
};

void stdio_relay_attach(struct stdio_relay *r, struct vsock_stream *stream)
{
	r->port = 0;
	r->stream = stream;
	vsock_stream_attach(stream, &relay_ops, r);
	if (r->kind == KIND_FILE) {
		tick(r); /* also to tell the end of what is no source */
		return;
	}
	r->want_in = r->dirs & STDIO_SOURCE;
	watch(r);
}

static int accepted(void *cookie, struct vsock_stream *stream)
{
	stdio_relay_attach(cookie, stream);
	return 0;
}

/* ---- owner */

int stdio_relay_new(struct rsm_loop *loop, int fd, unsigned dirs, stdio_event_fn event,
		    void *cookie, struct stdio_relay **ret)
{
	struct stdio_relay *r = calloc(1, sizeof(*r));
	int failure;

	if (!r)
		return -ENOMEM;
	r->loop = loop;
	r->event = event;
	r->cookie = cookie;
	r->dirs = dirs;
	r->fd = -1;
	failure = open_own(r, fd);
	if (failure == 0 && r->kind != KIND_FILE) {
		failure = rsm_loop_add(loop, r->fd, 0, fd_event, r, &r->source);
		if (failure == -EPERM) {
			r->kind = KIND_FILE;
			failure = 0;
		} else if (failure == 0) {
			(void)rsm_source_pause(r->source);
		}
	}
	if (failure < 0) {
		stdio_relay_free(r);
		return failure;
	}
	*ret = r;
	return 0;
}

void stdio_relay_free(struct stdio_relay *r)
{
	if (!r)
		return;
	if (r->port)
		vsock_forget(r->vsock, r->port);
	if (r->stream)
		vsock_stream_close(r->stream);
	close_fd(r);
	free(r);
}

int stdio_relay_expect(struct stdio_relay *r, struct vsock *v, uint32_t *ret_port)
{
	int failure = vsock_expect(v, accepted, r, &r->port);

	if (failure == 0) {
		r->vsock = v;
		*ret_port = r->port;
	}
	return failure;
}

bool stdio_relay_done(const struct stdio_relay *r, uint64_t bytes)
{
	return r->over || !(r->dirs & STDIO_SINK) || r->bytes >= bytes;
}

uint64_t stdio_relay_bytes(const struct stdio_relay *r)
{
	return r->bytes;
}
