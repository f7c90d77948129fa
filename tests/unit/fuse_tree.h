/* SPDX-License-Identifier: Apache-2.0 */
/* A passthrough of a temporary directory, for tests. */
#ifndef TESTS_UNIT_FUSE_TREE_H
#define TESTS_UNIT_FUSE_TREE_H

#include "fuse_client.h"

#include "base/io.h"
#include "base/math.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

static char top[64];

/**
 * struct tree - A temporary directory and a session on it
 * @dir:	for looking at it, and changing it, behind the server's back
 */
struct tree {
	struct fuse_client c;
	int dir;
};

static inline void serve(struct tree *t, struct fsrv_export *e, size_t n,
			 const struct fsrv_options *options)
{
	struct rsm_error err = RSM_ERROR_INIT;
	struct fsrv_fs *fs;

	if (fsrv_passthrough_new(e, n, &fs, &err) < 0)
		fail_msg("%s", err.message);
	fc_start(&t->c, fs, options);
}

static inline struct tree *new_tree(void)
{
	struct tree *t = calloc(1, sizeof(*t));

	snprintf(top, sizeof(top), "test_fuse_tree.%d", getpid());
	assert_int_equal(mkdir(top, 0755), 0);
	t->dir = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(t->dir >= 0);
	return t;
}

static inline int start(void **state)
{
	struct tree *t = new_tree();
	struct fsrv_export e = {.fd = t->dir, .cache = FSRV_CACHE_AUTO};

	serve(t, &e, 1, NULL);
	*state = t;
	return 0;
}

/* The same with the fast open path, by name, of a nodev mount. */
static inline int start_nodev(void **state)
{
	struct tree *t = new_tree();
	struct fsrv_export e = {.fd = t->dir, .cache = FSRV_CACHE_AUTO, .nodev = true};

	serve(t, &e, 1, NULL);
	*state = t;
	return 0;
}

static inline int start_empty(void **state)
{
	*state = new_tree();
	return 0;
}

static inline int stop(void **state)
{
	struct tree *t = *state;

	if (t->c.s)
		fc_stop(&t->c);
	close(t->dir);
	free(t);
	assert_int_equal(rsm_remove_tree_at(AT_FDCWD, top), 0);
	return 0;
}

static inline void put_file(int dir, const char *name, const char *text)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(rsm_write_full(fd, text, strlen(text)), 0);
	close(fd);
}

static inline void expect_text(struct fuse_client *c, uint64_t node, uint64_t fh, const char *text)
{
	assert_int_equal(fc_read(c, node, fh, 0, 4096), 0);
	assert_int_equal(c->len, strlen(text));
	assert_memory_equal(c->body, text, c->len);
}

static inline unsigned open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
#define TEST_NODEV(name)                                                                           \
	{                                                                                          \
#name " (nodev)", name, start_nodev, stop, NULL                                    \
	}
#define TEST_BOTH(name)  TEST(name), TEST_NODEV(name)
#define TEST_EMPTY(name) cmocka_unit_test_setup_teardown(name, start_empty, stop)

#endif
