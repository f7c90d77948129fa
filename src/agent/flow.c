// SPDX-License-Identifier: Apache-2.0
#include "agent/flow.h"

#include "base/cleanup.h"
#include "base/io.h"

#include <string.h>

#define BUF_SIZE         65536
#define ROUNDS_PER_EVENT 8

/**
 * struct flow - Owner: the loop's thread
 * @buf:	[@at, @len) was read and not yet written
 * @limit:	of @given: after that many bytes a drain is over
 * @empty:	the last read found nothing
 */
struct flow {
	int in, out;
	struct rsm_source *in_source, *out_source;
	flow_fn done;
	void *cookie;
	char *buf;
	size_t at, len;
	uint64_t taken, given, limit;
	bool draining, empty, told;
};

static void shut(struct flow *f)
{
	rsm_loop_remove(f->in_source);
	rsm_loop_remove(f->out_source);
	f->in_source = f->out_source = NULL;
	rsm_close(&f->in);
	rsm_close(&f->out);
	free(f->buf);
	f->buf = NULL;
}

/* Return: 1 some bytes, 0 nothing there, -1 the end */
static int take(struct flow *f)
{
	ssize_t n = read(f->in, f->buf, BUF_SIZE);

	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		f->empty = errno == EAGAIN;
		return 0;
	}
	if (n <= 0) /* EIO: a terminal nobody has open any more */
		return -1;
	f->empty = false;
	f->at = 0;
	f->len = (size_t)n;
	f->taken += (uint64_t)n;
	return 1;
}

/* Return: 1 all written, 0 full, -1 nobody reads any more */
static int give(struct flow *f)
{
	while (f->at < f->len) {
		ssize_t n = write(f->out, f->buf + f->at, f->len - f->at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -1;
		f->at += (size_t)n;
		f->given += (uint64_t)n;
	}
	return 1;
}

static bool drained(const struct flow *f)
{
	return f->draining && (f->given >= f->limit || (f->empty && f->at == f->len));
}

/* Watch for what the flow waits for: room if it has bytes, bytes if it has none. */
static void wait_for(struct flow *f, bool room)
{
	int ret;

	if (room)
		ret = rsm_source_pause(f->in_source);
	else
		ret = rsm_source_set_events(f->in_source, EPOLLIN);
	if (ret == 0)
		(void)rsm_source_set_events(f->out_source, room ? EPOLLOUT : 0);
}

/* Return: true once the flow has ended or is drained */
static bool pump(struct flow *f)
{
	for (int i = 0; i < ROUNDS_PER_EVENT; i++) {
		int ret = f->at < f->len ? 1 : take(f);

		if (ret == 0)
			break;
		if (ret > 0)
			ret = give(f);
		if (ret < 0) {
			shut(f);
			return true;
		}
		if (ret == 0)
			break;
	}
	wait_for(f, f->at < f->len);
	return drained(f);
}

static void tell(struct flow *f)
{
	if (f->told)
		return;
	f->told = true;
	f->done(f->cookie);
}

static void on_in(void *cookie, int fd, uint32_t events)
{
	struct flow *f = cookie;

	if (pump(f))
		tell(f);
}

static void on_out(void *cookie, int fd, uint32_t events)
{
	struct flow *f = cookie;

	if (events & (EPOLLERR | EPOLLHUP)) { /* the reader is gone: no need to wait for bytes */
		shut(f);
		tell(f);
	} else if (pump(f)) {
		tell(f);
	}
}

int flow_new(struct rsm_loop *loop, int in, int out, flow_fn done, void *cookie, struct flow **ret)
{
	struct flow *f = calloc(1, sizeof(*f));
	int error = -ENOMEM;

	if (!f)
		return -ENOMEM;
	f->in = in;
	f->out = out;
	f->done = done;
	f->cookie = cookie;
	f->buf = malloc(BUF_SIZE);
	if (f->buf)
		error = rsm_set_nonblock(in, true);
	if (error == 0)
		error = rsm_set_nonblock(out, true);
	if (error == 0)
		error = rsm_loop_add(loop, in, EPOLLIN, on_in, f, &f->in_source);
	if (error == 0)
		error = rsm_loop_add(loop, out, 0, on_out, f, &f->out_source);
	if (error < 0) {
		f->in = f->out = -1; /* still the caller's */
		flow_free(f);
		return error;
	}
	*ret = f;
	return 0;
}

void flow_free(struct flow *f)
{
	if (!f)
		return;
	shut(f);
	free(f);
}

uint64_t flow_bytes(const struct flow *f)
{
	return f->given;
}

bool flow_alive(const struct flow *f)
{
	return f->in >= 0;
}

int flow_source(const struct flow *f)
{
	return f->in;
}

bool flow_drain(struct flow *f, uint64_t backlog)
{
	if (!flow_alive(f))
		return true;
	f->draining = true;
	f->limit = f->taken + backlog;
	f->empty = false; /* find out again: it may have been written to since */
	f->told = pump(f);
	return f->told;
}
