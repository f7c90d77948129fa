// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096
#define BURST	       10
#define INTERVAL_NS    (5 * 1000000000ULL)

static struct {
	_Atomic int level;
	int fd;
	enum rsm_log_format format;
	bool also_stderr;
	const char *name;
} log_state = { .level = RSM_LOG_INFO, .fd = STDERR_FILENO, .name = "runsm" };

static const char *const level_names[] = { "error", "warning", "info", "debug" };

void rsm_log_set_level(enum rsm_log_level level)
{
	atomic_store(&log_state.level, (int)level);
}

enum rsm_log_level rsm_log_level(void)
{
	return (enum rsm_log_level)atomic_load_explicit(&log_state.level, memory_order_relaxed);
}

void rsm_log_set_name(const char *program)
{
	log_state.name = program;
}

void rsm_log_to(int fd, enum rsm_log_format format, bool also_stderr)
{
	log_state.fd = fd;
	log_state.format = format;
	log_state.also_stderr = also_stderr;
}

/* JSON string escaping (RFC 8259, section 7) of @in into @out, truncating to what fits. */
static size_t escape(char *out, size_t size, const char *in)
{
	static const char hex[] = "0123456789abcdef";
	size_t n = 0;

	for (; *in && n + 7 < size; in++) {
		unsigned char c = (unsigned char)*in;

		if (c == '"' || c == '\\') {
			out[n++] = '\\';
			out[n++] = (char)c;
		} else if (c == '\n') {
			out[n++] = '\\';
			out[n++] = 'n';
		} else if (c < 0x20) {
			memcpy(out + n, "\\u00", 4);
			out[n + 4] = hex[c >> 4];
			out[n + 5] = hex[c & 15];
			n += 6;
		} else {
			out[n++] = (char)c;
		}
	}
	out[n] = '\0';
	return n;
}

static void emit(int fd, const char *line, size_t len)
{
	/* One write per record: records of several processes do not mix. A full disk loses it. */
	if (write(fd, line, len) < 0)
		return;
}

/* For a person at a terminal, who is not looking for a fault. */
static void emit_brief(int fd, const char *text)
{
	char line[LINE_MAX_BYTES];
	int n = snprintf(line, sizeof(line), "%s: %s\n", log_state.name, text);

	if (n >= (int)sizeof(line)) {
		n = sizeof(line) - 1;
		line[n - 1] = '\n';
	}
	emit(fd, line, (size_t)n);
}

static void format_time(char *when, size_t size)
{
	struct timespec now;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(when, size, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

/* The text format of runc's log files. */
static void emit_text(int fd, enum rsm_log_level level, const char *text)
{
	char line[LINE_MAX_BYTES], escaped[LINE_MAX_BYTES - 128], when[40];
	int n;

	format_time(when, sizeof(when));
	escape(escaped, sizeof(escaped), text);
	n = snprintf(line, sizeof(line), "time=\"%s\" level=%s msg=\"%s\"\n", when,
		     level_names[level], escaped);
	emit(fd, line, (size_t)n);
}

static void emit_json(int fd, enum rsm_log_level level, const char *text)
{
	char line[LINE_MAX_BYTES], escaped[LINE_MAX_BYTES - 128], when[40];
	int n;

	format_time(when, sizeof(when));
	escape(escaped, sizeof(escaped), text);
	n = snprintf(line, sizeof(line), "{\"level\":\"%s\",\"msg\":\"%s\",\"time\":\"%s\"}\n",
		     level_names[level], escaped, when);
	emit(fd, line, (size_t)n);
}

void rsm_log(enum rsm_log_level level, const char *fmt, ...)
{
	int saved_errno = errno;
	char text[LINE_MAX_BYTES - 256];
	va_list ap;

	if (level > rsm_log_level())
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (log_state.fd >= 0) {
		if (log_state.format == RSM_LOG_JSON)
			emit_json(log_state.fd, level, text);
		else if (log_state.fd == STDERR_FILENO && level < RSM_LOG_DEBUG)
			emit_brief(log_state.fd, text);
		else
			emit_text(log_state.fd, level, text);
	}
	if (log_state.also_stderr && level == RSM_LOG_ERROR && log_state.fd != STDERR_FILENO)
		emit_brief(STDERR_FILENO, text);
	errno = saved_errno;
}

bool rsm_ratelimit_ok(struct rsm_ratelimit *rl)
{
	struct timespec now;
	uint64_t ns;

	clock_gettime(CLOCK_MONOTONIC, &now);
	ns = (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
	if (rl->window_start_ns == 0 || ns - rl->window_start_ns > INTERVAL_NS) {
		uint32_t suppressed = rl->suppressed;

		rl->window_start_ns = ns;
		rl->count = 0;
		rl->suppressed = 0;
		if (suppressed)
			rsm_log(RSM_LOG_WARNING, "%u similar messages suppressed", suppressed);
	}
	if (rl->count >= BURST) {
		rl->suppressed++;
		return false;
	}
	rl->count++;
	return true;
}
