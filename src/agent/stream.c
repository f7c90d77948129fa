// SPDX-License-Identifier: Apache-2.0
/*
 * stdio of a process: one host stream per fd.
 *
 * stdin, stdout, stderr and extra fds for one direction are pipes (a program must be able to open
 * /dev/stdout anew, which a socket does not allow), a terminal is a pty of the container: one
 * stream that carries both ways, or, if what the host has is no terminal in itself, one for its
 * input and one for its output. Streams are connected while the child sets itself up; bytes wait in
 * the pipe until then.
 */
#include "agent/agent.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/math.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* More than the kernel buffers of a terminal: 4 KiB of line discipline and 64 KiB before it. */
#define TTY_BACKLOG     (128U << 10)
#define WITHOUT_BACKLOG (1ULL << 62)

static void out_done(void *cookie)
{
	struct stream *s = cookie;

	if (s->kind == STREAM_TTY && !flow_alive(s->out)) {
		/* The host is gone, or the last user of the terminal: hang up. */
		struct stream *input = &s->process->streams[STREAM_STDIN];

		flow_free(s->in);
		flow_free(input->in);
		s->in = input->in = NULL;
		rsm_close(&s->ours);
		rsm_close(&s->process->slave);
	}
	process_stream_drained(s->process);
}

static void in_done(void *cookie)
{
}

static int dup_pair(int a, int b, int *ret_a, int *ret_b)
{
	_cleanup_close_ int da = fcntl(a, F_DUPFD_CLOEXEC, 0);

	if (da < 0)
		return -errno;
	*ret_b = fcntl(b, F_DUPFD_CLOEXEC, 0);
	if (*ret_b < 0)
		return -errno;
	*ret_a = rsm_steal_fd(da);
	return 0;
}

/* Each flow has fds of its own: an epoll set takes a descriptor once. */
static int begin_terminal(struct stream *s)
{
	struct rsm_loop *loop = s->process->container->agent->loop;
	int master, sock, ret = dup_pair(s->ours, s->sock, &master, &sock);

	if (ret < 0)
		return ret;
	if (s->both_ways) {
		ret = flow_new(loop, sock, master, in_done, s, &s->in);
		if (ret == 0)
			ret = dup_pair(s->ours, s->sock, &master, &sock);
		else
			goto failed;
		if (ret < 0)
			return ret;
	}
	ret = flow_new(loop, master, sock, out_done, s, &s->out);
	if (ret < 0)
		goto failed;
	rsm_close(&s->sock);
	return 0;
failed:
	close(master);
	close(sock);
	return ret;
}

/* Connected and with something to connect: let bytes flow. */
static int begin(struct stream *s)
{
	struct rsm_loop *loop = s->process->container->agent->loop;
	int ret;

	if (s->connecting || s->sock < 0 || s->ours < 0)
		return 0;
	if (s->kind == STREAM_TTY)
		return begin_terminal(s);
	if (s->output)
		ret = flow_new(loop, s->ours, s->sock, out_done, s, &s->out);
	else
		ret = flow_new(loop, s->sock, s->ours, in_done, s, &s->in);
	if (ret == 0)
		s->sock = s->ours = -1;
	return ret;
}

static void on_connect(void *cookie, int fd, uint32_t events)
{
	struct stream *s = cookie;
	socklen_t len = sizeof(int);
	int error = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	rsm_loop_remove(s->connecting);
	s->connecting = NULL;
	error = error ? -error : begin(s);
	process_stream_connected(s->process, error, s->port);
}

static int open_stream(struct stream *s, uint32_t port, struct rsm_error *err)
{
	struct agent *a = s->process->container->agent;
	int fds[2], ret;

	if (port == 0)
		return 0;
	s->port = port;
	if (!s->process->terminal || s->kind == STREAM_EXTRA) {
		if (pipe2(fds, O_CLOEXEC) < 0)
			return rsm_fail_errno(err, errno, "make a pipe");
		s->ours = fds[s->output ? 0 : 1];
		s->theirs = fds[s->output ? 1 : 0];
	}
	s->sock = transport_connect(a, port);
	if (s->sock < 0)
		return rsm_fail_errno(err, s->sock, "connect to port %u of the host", port);
	ret = rsm_loop_add(a->loop, s->sock, EPOLLOUT, on_connect, s, &s->connecting);
	return ret < 0 ? rsm_fail_errno(err, ret, "watch a stream") : 0;
}

int streams_new(struct process *p, const Runsm__Process *spec)
{
	size_t nextra = spec->stdio ? spec->stdio->n_extra : 0, n = STREAM_EXTRA + nextra;

	p->streams = calloc(n, sizeof(*p->streams));
	p->extra_bytes = calloc(nextra + 1, sizeof(*p->extra_bytes));
	if (!p->streams || !p->extra_bytes) {
		free(p->streams);
		free(p->extra_bytes);
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++) {
		size_t x = i - STREAM_EXTRA;

		p->streams[i] = (struct stream){
			.process = p,
			.kind = (enum stream_kind)rsm_min(i, (size_t)STREAM_EXTRA),
			.output = i < STREAM_EXTRA ? i != STREAM_STDIN
						   : spec->stdio->extra[x]->access ==
							     RUNSM__FD_ACCESS__WRITE_ONLY,
			.sock = -1,
			.ours = -1,
			.theirs = -1};
	}
	p->nstreams = n;
	return 0;
}

int streams_open(struct process *p, const Runsm__Process *spec, struct rsm_error *err)
{
	const Runsm__Stdio none = RUNSM__STDIO__INIT, *io = spec->stdio ? spec->stdio : &none;
	const uint32_t tty_port = io->tty_port ? io->tty_port : io->stdout_port;
	const uint32_t ports[STREAM_EXTRA] = {
		[STREAM_STDIN] = spec->terminal && io->tty_port ? 0 : io->stdin_port,
		[STREAM_STDOUT] = spec->terminal ? 0 : io->stdout_port,
		[STREAM_STDERR] = spec->terminal ? 0 : io->stderr_port,
		[STREAM_TTY] = spec->terminal ? tty_port : 0,
	};

	if (spec->terminal && tty_port == 0)
		return rsm_fail(err, EINVAL, "a process with a terminal needs a port for it");
	p->terminal = spec->terminal;
	p->streams[STREAM_TTY].both_ways = io->tty_port != 0;
	for (size_t i = 0; i < STREAM_EXTRA; i++) {
		int ret = open_stream(&p->streams[i], ports[i], err);

		if (ret < 0)
			return ret;
	}
	for (size_t i = 0; i < io->n_extra; i++) {
		const Runsm__ExtraFd *x = io->extra[i];
		int ret = x->access == RUNSM__FD_ACCESS__READ_WRITE
				  ? 0
				  : open_stream(&p->streams[STREAM_EXTRA + i], x->port, err);

		if (ret < 0)
			return ret;
	}
	return 0;
}

void streams_close_theirs(struct process *p)
{
	for (size_t i = 0; i < p->nstreams; i++)
		rsm_close(&p->streams[i].theirs);
}

void streams_set_terminal(struct process *p, int master)
{
	struct stream *s = &p->streams[STREAM_TTY], *input = &p->streams[STREAM_STDIN];
	int ret = 0;

	s->ours = master;
	p->slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (input->port) {
		input->ours = fcntl(master, F_DUPFD_CLOEXEC, 0);
		ret = input->ours < 0 ? -errno : begin(input);
	}
	if (ret == 0)
		ret = begin(s);
	if (ret < 0)
		process_stream_connected(p, ret, s->port);
}

bool streams_connected(const struct process *p)
{
	for (size_t i = 0; i < p->nstreams; i++)
		if (p->streams[i].connecting)
			return false;
	return true;
}

/* How much of what the process wrote can still be in its pipe or terminal. */
static uint64_t backlog(const struct stream *s, int fd)
{
	int n = 0;

	if (s->kind == STREAM_TTY)
		return TTY_BACKLOG;
	return fd >= 0 && ioctl(fd, FIONREAD, &n) == 0 && n > 0 ? (uint64_t)n : 0;
}

bool streams_drain(struct process *p, bool nobody_left)
{
	bool all = true;

	rsm_close(&p->slave);
	for (size_t i = 0; i < p->nstreams; i++) {
		struct stream *s = &p->streams[i];

		if (s->connecting)
			all = false;
		else if (s->out &&
			 !flow_drain(s->out, nobody_left ? WITHOUT_BACKLOG
							 : backlog(s, flow_source(s->out))))
			all = false;
	}
	return all;
}

bool streams_alive(const struct process *p)
{
	for (size_t i = 0; i < p->nstreams; i++) {
		const struct stream *s = &p->streams[i];

		if (s->kind != STREAM_TTY && s->out && flow_alive(s->out))
			return true;
	}
	return false;
}

uint64_t streams_bytes(const struct process *p, enum stream_kind kind)
{
	const struct stream *tty = &p->streams[STREAM_TTY], *s = &p->streams[kind];

	/* What the host has for the terminal's output alone is its stdout. */
	if (p->terminal && !tty->both_ways && kind != STREAM_STDERR)
		s = kind == STREAM_STDOUT ? tty : &p->streams[STREAM_STDOUT];
	return s->out ? flow_bytes(s->out) : 0;
}

size_t streams_count_extra(struct process *p)
{
	for (size_t i = STREAM_EXTRA; i < p->nstreams; i++) {
		const struct flow *out = p->streams[i].out;

		p->extra_bytes[i - STREAM_EXTRA] = out ? flow_bytes(out) : 0;
	}
	return p->nstreams - STREAM_EXTRA;
}

void streams_free(struct process *p)
{
	for (size_t i = 0; i < p->nstreams; i++) {
		struct stream *s = &p->streams[i];

		rsm_loop_remove(s->connecting);
		s->connecting = NULL;
		flow_free(s->in);
		flow_free(s->out);
		s->in = s->out = NULL;
		rsm_close(&s->sock);
		rsm_close(&s->ours);
		rsm_close(&s->theirs);
	}
	rsm_close(&p->slave);
	free(p->streams);
	free(p->extra_bytes);
}
