// SPDX-License-Identifier: Apache-2.0
/*
 * A ring of the last RING bytes; lines are looked for only when somebody asks. The line of a panic
 * is caught as it passes, because a stack trace may push it out of the ring.
 */
#include "vmm/console.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "base/math.h"

#include <string.h>

#define RING     8192U
#define LINE_LEN 256U

struct console {
	struct rsm_source *source;
	int fd;
	char ring[RING];
	uint64_t total;
	char line[LINE_LEN]; /* being assembled; cut at its length */
	size_t line_len;
	char panic[LINE_LEN];
};

/* What the guest prints ends up on terminals and in JSON: let only text through. */
static size_t sanitize(char *s, size_t len)
{
	size_t out = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c == '\r' || c == '\0')
			continue;
		s[out++] = (c < 0x20 && c != '\n' && c != '\t') || c >= 0x7f ? '?' : (char)c;
	}
	return out;
}

static void end_line(struct console *c)
{
	size_t len = sanitize(c->line, c->line_len);

	c->line_len = 0;
	c->line[len] = '\0';
	if (len == 0)
		return;
	rsm_log_debug("console: %s", c->line);
	if (!c->panic[0] && strstr(c->line, "Kernel panic"))
		memcpy(c->panic, c->line, sizeof(c->panic));
}

static void take(struct console *c, const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		c->ring[c->total++ % RING] = data[i];
		if (data[i] == '\n')
			end_line(c);
		else if (c->line_len < LINE_LEN - 1)
			c->line[c->line_len++] = data[i];
	}
}

void console_drain(struct console *c)
{
	char data[4096];
	ssize_t n;

	while (c->source && (n = read(c->fd, data, sizeof(data))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0)
			break;
		take(c, data, (size_t)n);
	}
	end_line(c);
	rsm_loop_remove(c->source);
	c->source = NULL;
}

static void readable(void *cookie, int fd, uint32_t events)
{
	console_drain(cookie);
}

int console_new(struct rsm_loop *loop, int fd, struct console **ret)
{
	struct console *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->fd = fd;
	r = rsm_set_nonblock(fd, true);
	if (r == 0)
		r = rsm_loop_add(loop, fd, EPOLLIN, readable, c, &c->source);
	if (r < 0) {
		free(c);
		return r;
	}
	*ret = c;
	return 0;
}

void console_free(struct console *c)
{
	if (!c)
		return;
	rsm_loop_remove(c->source);
	close(c->fd);
	free(c);
}

static size_t copy_out(const char *from, char *buf, size_t size)
{
	size_t len = strlen(from);

	if (size == 0)
		return 0;
	if (len >= size)
		from += len - (size - 1);
	len = strlen(from);
	memcpy(buf, from, len + 1);
	return len;
}

size_t console_last_lines(const struct console *c, unsigned lines, char *buf, size_t size)
{
	char text[RING + 1];
	size_t len = (size_t)rsm_min(c->total, (uint64_t)RING), at;

	for (size_t i = 0; i < len; i++)
		text[i] = c->ring[(c->total - len + i) % RING];
	len = sanitize(text, len);
	while (len && text[len - 1] == '\n')
		len--;
	text[len] = '\0';
	for (at = len; at > 0; at--)
		if (text[at - 1] == '\n' && --lines == 0)
			break;
	return copy_out(text + at, buf, size);
}

size_t console_panic(const struct console *c, char *buf, size_t size)
{
	return copy_out(c->panic, buf, size);
}
