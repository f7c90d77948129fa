// SPDX-License-Identifier: Apache-2.0
/*
 * Messages are JSON objects, one per line. QEMU greets, wants qmp_capabilities first, and mixes
 * events between its answers; an answer has the member "return" or "error" and the "id" of its
 * command.
 */
#include "vmm/qmp.h"

#include "base/buf.h"
#include "base/io.h"
#include "base/json.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define LINE_MAX_BYTES (64U << 10)

struct qmp {
	struct rsm_source *source;
	int fd;
	bool greeted; /* capabilities were negotiated */
	struct rsm_buf in;
	char command[16];
	machine_done_fn done;
	void *cookie;
};

static void finish(struct qmp *q, const struct rsm_error *err)
{
	machine_done_fn done = q->done;

	q->done = NULL;
	if (done)
		done(q->cookie, err);
}

static void lost(struct qmp *q, const char *why)
{
	struct rsm_error err = RSM_ERROR_INIT;

	rsm_loop_remove(q->source);
	q->source = NULL;
	rsm_close(&q->fd);
	(void)rsm_fail(&err, EIO, "QEMU: %s", why);
	finish(q, &err);
}

static void answer(struct qmp *q, const char *line)
{
	struct rsm_error err = RSM_ERROR_INIT;
	struct rsm_json *v = NULL;
	const struct rsm_json *error;

	if (rsm_json_parse(line, strlen(line), &v, &err) < 0) {
		lost(q, "malformed answer");
		return;
	}
	error = rsm_json_get(v, "error");
	if (q->done && rsm_json_get(v, "id") && (error || rsm_json_get(v, "return"))) {
		if (error)
			(void)rsm_fail(&err, EIO, "QEMU: %s failed", q->command);
		finish(q, &err);
	}
	rsm_json_free(v);
}

static void readable(void *cookie, int fd, uint32_t events)
{
	struct qmp *q = cookie;
	char *room = rsm_buf_reserve(&q->in, 4096), *newline;
	ssize_t n = room ? recv(fd, room, 4096, MSG_DONTWAIT) : -1;

	if (n < 0 && room && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || q->in.len > LINE_MAX_BYTES) {
		lost(q, "control connection closed");
		return;
	}
	q->in.len += (size_t)n;
	while (q->source && (newline = memchr(q->in.data, '\n', q->in.len))) {
		*newline = '\0';
		answer(q, q->in.data);
		rsm_buf_consume(&q->in, (size_t)(newline + 1 - q->in.data));
	}
}

int qmp_new(struct rsm_loop *loop, int fd, struct qmp **ret)
{
	struct qmp *q = calloc(1, sizeof(*q));
	int r;

	if (!q)
		return -ENOMEM;
	q->fd = fd;
	r = rsm_loop_add(loop, fd, EPOLLIN, readable, q, &q->source);
	if (r < 0) {
		free(q);
		return r;
	}
	*ret = q;
	return 0;
}

void qmp_free(struct qmp *q)
{
	if (!q)
		return;
	rsm_loop_remove(q->source);
	rsm_close(&q->fd);
	rsm_buf_free(&q->in);
	free(q);
}

int qmp_execute(struct qmp *q, const char *command, machine_done_fn done, void *cookie)
{
	char text[128];
	int n;

	if (!q->source)
		return -ENOTCONN;
	if (q->done)
		return -EBUSY;
	n = snprintf(text, sizeof(text), "%s{\"execute\":\"%s\",\"id\":1}\n",
		     q->greeted ? "" : "{\"execute\":\"qmp_capabilities\"}\n", command);
	/* A socket that takes not even this is one whose peer is gone. */
	if (send(q->fd, text, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) != n)
		return -ENOTCONN;
	q->greeted = true;
	(void)rsm_format(q->command, sizeof(q->command), "%s", command);
	q->done = done;
	q->cookie = cookie;
	return 0;
}
