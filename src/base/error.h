/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors of the cold paths.
 *
 * A function that can fail for a reason a person should read takes `struct rsm_error *err` last.
 * The object lives on the caller's stack, filling it cannot fail, and it is untouched on success.
 * Callers prefix context on the way up, so the message reads from the outside in:
 *
 *	load bundle '/b': open 'config.json': No such file or directory
 *
 * Hot paths (vCPU exits, ring walk, FUSE ops, DAX) return -errno and never format.
 */
#ifndef RSM_BASE_ERROR_H
#define RSM_BASE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>

#define RSM_ERROR_MESSAGE_MAX 512

/**
 * struct rsm_error - What failed, for a person
 * @code:	positive errno, 0 while nothing failed
 * @exit_status: exit status the program should end with; 0 means the program's default
 * @message:	one line, no newline, truncated rather than lost
 */
struct rsm_error {
	int code;
	int exit_status;
	char message[RSM_ERROR_MESSAGE_MAX];
};

#define RSM_ERROR_INIT                                                                             \
	{                                                                                          \
		0, 0, ""                                                                           \
	}

/**
 * rsm_fail() - Set an error
 * @err:	may be NULL: only the return value is wanted
 * @code:	positive errno
 * @fmt:	message without the strerror() text
 *
 * Return: -@code, so that `return rsm_fail(err, EINVAL, "…")` reads well
 */
int rsm_fail(struct rsm_error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/**
 * rsm_fail_errno() - Set an error and append ": " and strerror(@code)
 * @err:	may be NULL
 * @code:	errno, either sign
 * @fmt:	what was being done to which thing, e.g. "open '%s'"
 *
 * Return: negative errno
 */
int rsm_fail_errno(struct rsm_error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/**
 * rsm_error_prefix() - Put "context: " before the message
 * @err:	an error that was set, or NULL
 *
 * Return: -@err->code (or -EIO when @err is NULL), to end an error path with
 */
int rsm_error_prefix(struct rsm_error *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/**
 * rsm_error_advise() - Put "; advice" behind the message
 * @err:	an error that was set, or NULL
 *
 * Return: as rsm_error_prefix()
 */
int rsm_error_advise(struct rsm_error *err, const char *advice);

/**
 * rsm_assert() - Stop on a bug of ours; kept in release builds
 *
 * Never on a value that a guest, client, file or kernel chose.
 */
#define rsm_assert(cond)                                                                           \
	do {                                                                                       \
		if (__builtin_expect(!(cond), 0))                                                  \
			rsm_assert_failed(#cond, __FILE__, __LINE__);                              \
	} while (0)

_Noreturn void rsm_assert_failed(const char *cond, const char *file, int line);

#endif
