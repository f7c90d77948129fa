/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The programs' log. Libraries return errors and do not log; programs do, and so do device back
 * ends for a guest's faults, through rsm_log_limited().
 *
 * One line per record, to stderr and/or a file, as text or as JSON. On stderr a text record is
 * "program: message"; in a file it has the fields that the JSON record has, those that runc's
 * callers read: time, level, msg. They take an error from the last line of the log.
 */
#ifndef RSM_BASE_LOG_H
#define RSM_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum rsm_log_level {
	RSM_LOG_ERROR,
	RSM_LOG_WARNING,
	RSM_LOG_INFO,
	RSM_LOG_DEBUG,
};

enum rsm_log_format {
	RSM_LOG_TEXT,
	RSM_LOG_JSON,
};

/* The only mutable globals of the program: set once at start-up, read from any thread. */
void rsm_log_set_level(enum rsm_log_level level);
enum rsm_log_level rsm_log_level(void);
void rsm_log_set_name(const char *program);

/**
 * rsm_log_to() - Where records go and how they look
 * @fd:		open for appending, stays the caller's and must stay open; -1 for none
 * @format:	of the records written to @fd
 * @also_stderr: write text records of level error to stderr too (what runc does for its user)
 *
 * Without a call records go to stderr as text.
 */
void rsm_log_to(int fd, enum rsm_log_format format, bool also_stderr);

void rsm_log(enum rsm_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define rsm_log_error(...) rsm_log(RSM_LOG_ERROR, __VA_ARGS__)
#define rsm_log_warn(...)  rsm_log(RSM_LOG_WARNING, __VA_ARGS__)
#define rsm_log_info(...)  rsm_log(RSM_LOG_INFO, __VA_ARGS__)
#define rsm_log_debug(...)                                                                         \
	do {                                                                                       \
		if (rsm_log_level() >= RSM_LOG_DEBUG)                                              \
			rsm_log(RSM_LOG_DEBUG, __VA_ARGS__);                                       \
	} while (0)

/**
 * struct rsm_ratelimit - At most @burst records per @interval_ns; zero-initialised means 10 per 5 s
 *
 * Owner: the object whose guest's faults are logged. Not thread safe: a lost count is harmless.
 */
struct rsm_ratelimit {
	uint64_t window_start_ns;
	uint32_t count;
	uint32_t suppressed;
};

bool rsm_ratelimit_ok(struct rsm_ratelimit *rl);

#define rsm_log_limited(rl, level, ...)                                                            \
	do {                                                                                       \
		if (rsm_ratelimit_ok(rl))                                                          \
			rsm_log(level, __VA_ARGS__);                                               \
	} while (0)

#endif
