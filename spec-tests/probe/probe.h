/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program that spec-tests run inside containers where a shell cannot ask the question. Static,
 * so that it runs in any root file system.
 *
 * A check is a function that returns 0, or describes what it found through FAIL and returns -1. It
 * runs in its own process, in an empty directory of its own.
 */
#ifndef SPEC_PROBE_H
#define SPEC_PROBE_H

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct check {
	const char *name;
	int (*run)(void);
};

extern const struct check file_checks[], tree_checks[], share_checks[], old_checks[];

#define FAIL(...)                                                                                  \
	do {                                                                                       \
		printf("# %s:%d: ", __func__, __LINE__);                                           \
		printf(__VA_ARGS__);                                                               \
		printf(" (%s)\n", strerror(errno));                                                \
		return -1;                                                                         \
	} while (0)

#define EXPECT(cond)                                                                               \
	do {                                                                                       \
		if (!(cond))                                                                       \
			FAIL("%s", #cond);                                                         \
	} while (0)

/* @call fails, with errno @e */
#define EXPECT_ERRNO(call, e)                                                                      \
	do {                                                                                       \
		errno = 0;                                                                         \
		if ((call) >= 0 || errno != (e))                                                   \
			FAIL("%s: not %s", #call, strerror(e));                                    \
	} while (0)

int put(const char *path, const char *text);	      /* create or replace a file */
int holds(const char *path, const char *text);	      /* 1 if the file's content is @text */
int in_child(int (*fn)(const void *cookie), const void *cookie); /* its return value, 0..255 */
int as_user(unsigned int uid, int (*fn)(const void *cookie), const void *cookie);

#endif
