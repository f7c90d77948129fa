// SPDX-License-Identifier: Apache-2.0
#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void set(struct rsm_error *err, int code, bool with_strerror, const char *fmt, va_list ap)
{
	char text[RSM_ERROR_MESSAGE_MAX];

	/* Arguments may point into err->message, so format aside first. */
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	err->code = code;
	if (with_strerror) {
		size_t len = strlen(text);
		(void)snprintf(text + len, sizeof(text) - len, ": %s", strerror(code));
	}
	memcpy(err->message, text, sizeof(text));
}

int rsm_fail(struct rsm_error *err, int code, const char *fmt, ...)
{
	if (err) {
		va_list ap;
		va_start(ap, fmt);
		set(err, code, false, fmt, ap);
		va_end(ap);
	}
	return -code;
}

int rsm_fail_errno(struct rsm_error *err, int code, const char *fmt, ...)
{
	if (code < 0)
		code = -code;
	if (err) {
		va_list ap;
		va_start(ap, fmt);
		set(err, code, true, fmt, ap);
		va_end(ap);
	}
	return -code;
}

int rsm_error_prefix(struct rsm_error *err, const char *fmt, ...)
{
	char text[RSM_ERROR_MESSAGE_MAX];
	size_t len;
	va_list ap;

	if (!err)
		return -EIO;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	len = strlen(text);
	(void)snprintf(text + len, sizeof(text) - len, ": %s", err->message);
	memcpy(err->message, text, sizeof(text));
	return err->code ? -err->code : -EIO;
}

int rsm_error_advise(struct rsm_error *err, const char *advice)
{
	size_t len;

	if (!err)
		return -EIO;
	len = strlen(err->message);
	(void)snprintf(err->message + len, sizeof(err->message) - len, "; %s", advice);
	return err->code ? -err->code : -EIO;
}

void rsm_assert_failed(const char *cond, const char *file, int line)
{
	(void)fprintf(stderr, "runsm: bug: assertion '%s' failed at %s:%d\n", cond, file, line);
	abort();
}
