// SPDX-License-Identifier: Apache-2.0
/* The session and its checks, over the in-memory file system. */
#include "dax/dax.h"
#include "fuse/session.h"
#include "fuse_client.h"

#include "base/math.h"

#include <stdio.h>
#include <sys/mman.h>

static const char *const bad_names[] = {"", ".", "..", "a/b", "/", "/etc", "../x", "a/"};

static int start(void **state)
{
	struct fuse_client *c = malloc(sizeof(*c));
	struct fsrv_fs *fs;

	assert_int_equal(fsrv_memfs_new(&fs), 0);
	fc_start(c, fs, NULL);
	*state = c;
	return 0;
}

static int stop(void **state)
{
	fc_stop(*state);
	free(*state);
	return 0;
}

/* Back to before INIT. */
static void start_over(struct fuse_client *c)
{
	assert_int_equal(fc_parts(c, FUSE_DESTROY, 0, NULL, 0), 0);
}

/* ------------------------------------------------------------------ INIT */

static void init_takes_only_what_both_know(void **state)
{
	const uint64_t unknown = 1ULL << 60, ext = FUSE_INIT_EXT;
	struct fuse_client *c = *state;
	const struct fuse_init_out *out;

	start_over(c);
	assert_int_equal(fc_init(c, 7, 38, FUSE_ASYNC_READ | FUSE_POSIX_LOCKS | ext | unknown), 0);
	out = fc_body(c, struct fuse_init_out);
	assert_int_equal(out->flags, FUSE_ASYNC_READ | FUSE_POSIX_LOCKS | FUSE_INIT_EXT);
	assert_int_equal(out->flags2, 0);
	assert_int_equal(out->major, 7);
	assert_int_equal(out->max_write, 32 * 4096); /* FUSE_MAX_PAGES was not offered */
	start_over(c);
	assert_int_equal(fc_init(c, 7, 99, UINT64_MAX), 0);
	out = fc_body(c, struct fuse_init_out);
	assert_int_equal(out->max_write, FSRV_MAX_IO);
	assert_int_equal(out->max_pages, FSRV_MAX_IO / 4096);
	assert_false(out->flags & FUSE_EXPORT_SUPPORT);
	assert_false(out->flags & FUSE_WRITEBACK_CACHE);
	assert_false(out->flags & FUSE_MAP_ALIGNMENT);
}

static void newer_major_gets_ours_and_older_versions_are_refused(void **state)
{
	struct fuse_client *c = *state;
	uint64_t node;

	start_over(c);
	assert_int_equal(fc_init(c, 8, 0, 0), 0);
	assert_int_equal(fc_body(c, struct fuse_init_out)->major, 7);
	assert_int_equal(fc_lookup(c, 1, "a", &node), -EIO); /* not initialised by that */
	assert_int_equal(fc_init(c, 6, 40, 0), -EPROTO);
	assert_int_equal(fc_init(c, 7, 30, 0), -EPROTO);
	assert_int_equal(fc_init(c, 7, 31, 0), 0);
}

static void old_short_init_is_understood(void **state)
{
	const struct fuse_init_in in = {.major = 7, .minor = 31, .flags = UINT32_MAX};
	struct fuse_client *c = *state;

	start_over(c);
	assert_int_equal(fc_call(c, FUSE_INIT, 0, {&in, FSRV_INIT_IN_OLD}), 0);
	assert_int_equal(fc_body(c, struct fuse_init_out)->flags2, 0);
}

static void nothing_but_init_is_served_before_init(void **state)
{
	static const uint8_t zeros[512];
	struct fuse_client *c = *state;

	start_over(c);
	for (uint32_t op = 1; op < 64; op++) {
		const struct fsrv_opcode *row = fsrv_opcode(op);

		if (!row || (row->flags & FSRV_ANYTIME))
			continue;
		assert_int_equal(fc_call(c, op, 1, {zeros, sizeof(zeros)}),
				 row->flags & FSRV_NOREPLY ? 0 : -EIO);
	}
}

static void second_init_is_refused_until_destroy_dropped_everything(void **state)
{
	struct fuse_client *c = *state;
	uint64_t node, fh;

	assert_int_equal(fc_create(c, 1, "a", O_RDWR, 0600, &node, &fh), 0);
	assert_int_equal(fc_init(c, 7, 38, 0), -EIO);
	start_over(c);
	assert_int_equal(fc_init(c, 7, 38, 0), 0);
	assert_int_equal(fc_read(c, node, fh, 0, 10), -EBADF);
}

/* ------------------------------------------------------------------ lengths */

static void what_has_no_header_or_no_room_for_one_cannot_be_answered(void **state)
{
	struct fuse_in_header h = {.len = sizeof(h), .opcode = FUSE_STATFS, .nodeid = 1};
	struct fuse_client *c = *state;

	for (size_t len = 0; len < sizeof(h); len++)
		assert_int_equal(fc_raw(c, &h, len, 4096), -EBADMSG);
	for (size_t room = 0; room < sizeof(struct fuse_out_header); room++)
		assert_int_equal(fc_raw(c, &h, sizeof(h), room), -EBADMSG);
}

static void header_length_must_agree_with_what_came(void **state)
{
	static const uint32_t bad[] = {0, 39, 41, 65536, UINT32_MAX};
	struct fuse_in_header h = {.opcode = FUSE_STATFS, .nodeid = 1};
	struct fuse_client *c = *state;

	for (size_t i = 0; i < RSM_ARRAY_SIZE(bad); i++) {
		h.len = bad[i];
		assert_true(fc_raw(c, &h, sizeof(h), 4096) > 0);
		assert_int_equal(c->error, -EINVAL);
	}
	h.len = sizeof(h);
	assert_true(fc_raw(c, &h, sizeof(h), 4096) > 0);
	assert_int_equal(c->error, 0);
}

static void request_shorter_than_its_struct_is_refused(void **state)
{
	static const uint8_t zeros[512];
	struct fuse_client *c = *state;

	for (uint32_t op = 1; op < 64; op++) {
		const struct fsrv_opcode *row = fsrv_opcode(op);

		for (size_t len = 0; row && len < row->min_in; len++)
			assert_int_equal(fc_call(c, op, 1, {zeros, len}),
					 row->flags & FSRV_NOREPLY ? 0 : -EINVAL);
	}
}

static void request_without_room_for_its_reply_is_refused_before_it_is_done(void **state)
{
	const struct fuse_create_in in = {.flags = O_RDWR, .mode = 0600};
	struct fuse_client *c = *state;
	uint64_t node;

	for (c->room = 0; c->room < 144; c->room++)
		assert_int_equal(fc_call(c, FUSE_CREATE, 1, FC_V(in), FC_S("a")), -EINVAL);
	c->room = 128;
	assert_int_equal(fc_lookup(c, 1, "a", &node), -ENOENT);
	c->room = 144;
	assert_int_equal(fc_call(c, FUSE_CREATE, 1, FC_V(in), FC_S("a")), 0);
}

static void unknown_opcodes_are_enosys(void **state)
{
	static const uint32_t more[] = {64, 4096, 0x100000, 0x1a000000, UINT32_MAX};
	static const uint8_t zeros[256];
	struct fuse_client *c = *state;

	for (uint32_t op = 0; op < 64; op++)
		if (!fsrv_opcode(op))
			assert_int_equal(fc_call(c, op, 1, {zeros, sizeof(zeros)}), -ENOSYS);
	for (size_t i = 0; i < RSM_ARRAY_SIZE(more); i++)
		assert_int_equal(fc_call(c, more[i], 1, {zeros, sizeof(zeros)}), -ENOSYS);
}

static void request_and_reply_may_be_cut_anywhere(void **state)
{
	struct fuse_client *c = *state;
	uint64_t dir, node, fh;
	char names[256];

	for (c->cut = 1; c->cut < 60; c->cut += 7) {
		char name[16];

		c->room = 512;
		snprintf(name, sizeof(name), "d%zu", c->cut);
		assert_int_equal(fc_mkdir(c, 1, name, &dir), 0);
		assert_int_equal(fc_create(c, dir, "file", O_RDWR, 0600, &node, &fh), 0);
		assert_int_equal(fc_write(c, node, fh, 3, "hello, world"), 0);
		assert_int_equal(fc_read(c, node, fh, 0, 100), 0);
		assert_int_equal(c->len, 15);
		assert_memory_equal(c->body, "\0\0\0hello, world", 15);
		assert_int_equal(fc_release(c, node, fh, false), 0);
		assert_int_equal(fc_opendir(c, dir, &fh), 0);
		assert_int_equal(fc_readdir(c, dir, fh, 0, 500, names, NULL), 1);
		assert_string_equal(names, "file");
		assert_int_equal(fc_release(c, dir, fh, true), 0);
	}
}

/* ------------------------------------------------------------------ names */

static void names_must_be_one_component(void **state)
{
	const struct fuse_mknod_in mknod = {.mode = S_IFREG | 0600};
	const struct fuse_mkdir_in mkdir = {.mode = 0700};
	const struct fuse_create_in create = {.flags = O_RDWR, .mode = 0600};
	const struct fuse_rename2_in rename2 = {.newdir = 1};
	const struct fuse_rename_in rename = {.newdir = 1};
	const struct fuse_link_in link = {.oldnodeid = 1};
	struct fuse_client *c = *state;
	uint64_t node;

	for (size_t i = 0; i < RSM_ARRAY_SIZE(bad_names); i++) {
		const char *n = bad_names[i];

		assert_int_equal(fc_lookup(c, 1, n, &node), -EINVAL);
		assert_int_equal(fc_call(c, FUSE_MKNOD, 1, FC_V(mknod), FC_S(n)), -EINVAL);
		assert_int_equal(fc_call(c, FUSE_MKDIR, 1, FC_V(mkdir), FC_S(n)), -EINVAL);
		assert_int_equal(fc_call(c, FUSE_SYMLINK, 1, FC_S(n), FC_S("x")), -EINVAL);
		assert_int_equal(fc_call(c, FUSE_UNLINK, 1, FC_S(n)), -EINVAL);
		assert_int_equal(fc_call(c, FUSE_RMDIR, 1, FC_S(n)), -EINVAL);
		assert_int_equal(fc_call(c, FUSE_CREATE, 1, FC_V(create), FC_S(n)), -EINVAL);
		assert_int_equal(fc_call(c, FUSE_LINK, 1, FC_V(link), FC_S(n)), -EINVAL);
		assert_int_equal(fc_call(c, FUSE_RENAME, 1, FC_V(rename), FC_S(n), FC_S("x")),
				 -EINVAL);
		assert_int_equal(fc_call(c, FUSE_RENAME, 1, FC_V(rename), FC_S("x"), FC_S(n)),
				 -EINVAL);
		assert_int_equal(fc_call(c, FUSE_RENAME2, 1, FC_V(rename2), FC_S("x"), FC_S(n)),
				 -EINVAL);
	}
}

static void names_must_end_and_fit(void **state)
{
	static char longest[257], too_long[258];
	struct fuse_client *c = *state;
	uint64_t node;

	memset(longest, 'x', 255);
	memset(too_long, 'x', 256);
	assert_int_equal(fc_call(c, FUSE_LOOKUP, 1, {"abc", 3}), -EINVAL);
	assert_int_equal(fc_call(c, FUSE_SYMLINK, 1, {"abc\0def", 7}), -EINVAL);
	assert_int_equal(fc_mkdir(c, 1, too_long, &node), -ENAMETOOLONG);
	assert_int_equal(fc_mkdir(c, 1, longest, &node), 0);
	assert_int_equal(fc_lookup(c, 1, longest, &node), 0);
}

static void rename_flags_that_are_not_served_are_refused(void **state)
{
	static const uint32_t bad[] = {3, 4, 7, 8, UINT32_MAX};
	struct fuse_client *c = *state;
	uint64_t node;

	assert_int_equal(fc_mkdir(c, 1, "a", &node), 0);
	for (size_t i = 0; i < RSM_ARRAY_SIZE(bad); i++) {
		const struct fuse_rename2_in in = {.newdir = 1, .flags = bad[i]};

		assert_int_equal(fc_call(c, FUSE_RENAME2, 1, FC_V(in), FC_S("a"), FC_S("b")),
				 -EINVAL);
	}
}

/* ------------------------------------------------------------------ nodes and handles */

static void forget_is_never_answered_and_never_too_much(void **state)
{
	struct fuse_client *c = *state;
	struct fuse_attr attr;
	uint64_t node;

	assert_int_equal(fc_mkdir(c, 1, "a", &node), 0);
	fc_forget(c, node, UINT64_MAX);
	fc_forget(c, node, 1);
	fc_forget(c, 0, 1);
	fc_forget(c, UINT64_MAX, 1);
	fc_forget(c, 1, UINT64_MAX); /* the root stays */
	assert_int_equal(fc_getattr(c, 1, &attr), 0);
	assert_int_equal(fc_lookup(c, 1, "a", &node), 0);
}

static void batch_forget_believes_what_came_not_the_count(void **state)
{
	struct fuse_batch_forget_in in = {.count = UINT32_MAX};
	struct fuse_forget_one *ones = calloc(100, sizeof(*ones));
	struct fuse_client *c = *state;
	struct fuse_attr attr;

	for (uint64_t i = 0; i < 100; i++) {
		char name[8];

		snprintf(name, sizeof(name), "%d", (int)i);
		assert_int_equal(fc_mkdir(c, 1, name, &ones[i].nodeid), 0);
		assert_int_equal(fc_call(c, FUSE_RMDIR, 1, FC_S(name)), 0);
		ones[i].nlookup = 1;
	}
	assert_int_equal(
		fc_call(c, FUSE_BATCH_FORGET, 0, FC_V(in), {ones, 100 * sizeof(*ones) - 1}), 0);
	assert_int_equal(c->raw, 0);
	assert_int_equal(fc_getattr(c, ones[0].nodeid, &attr), -ESTALE);
	assert_int_equal(fc_getattr(c, ones[98].nodeid, &attr), -ESTALE);
	assert_int_equal(fc_getattr(c, ones[99].nodeid, &attr), 0); /* its entry was cut off */
	in.count = 0;
	assert_int_equal(fc_call(c, FUSE_BATCH_FORGET, 0, FC_V(in), {&ones[99], sizeof(*ones)}), 0);
	assert_int_equal(fc_getattr(c, ones[99].nodeid, &attr), 0);
	free(ones);
}

static void used_up_ids_are_not_found_again(void **state)
{
	struct fuse_client *c = *state;
	uint64_t node, fh, fh2;

	assert_int_equal(fc_create(c, 1, "a", O_RDWR, 0600, &node, &fh), 0);
	assert_int_equal(fc_release(c, node, fh, false), 0);
	assert_int_equal(fc_release(c, node, fh, false), -EBADF);
	assert_int_equal(fc_open(c, node, O_RDWR, &fh2), 0);
	assert_int_not_equal(fh, fh2);
	assert_int_equal((uint32_t)fh, (uint32_t)fh2); /* the same slot */
	assert_int_equal(fc_read(c, node, fh, 0, 10), -EBADF);
	assert_int_equal(fc_read(c, node, fh2, 0, 10), 0);
	assert_int_equal(fc_release(c, node, fh2, true), -EBADF); /* not a directory */
}

static void unknown_nodes_and_handles_are_errors_everywhere(void **state)
{
	static const uint64_t strange[] = {0,          2,         1ULL << 32, 1ULL << 32 | 1,
					   UINT32_MAX, UINT64_MAX};
	struct fuse_client *c = *state;
	uint8_t zeros[256] = {0};

	memcpy(zeros + 128, "x", 2);
	zeros[16] = 1; /* the size of READ and WRITE */
	for (size_t i = 0; i < RSM_ARRAY_SIZE(strange); i++) {
		memcpy(zeros, &strange[i], sizeof(strange[i])); /* fh where there is one */
		for (uint32_t op = 1; op < 64; op++) {
			const struct fsrv_opcode *row = fsrv_opcode(op);

			if (!row || op == FUSE_INIT || op == FUSE_DESTROY || op == FUSE_STATFS ||
			    (row->flags & FSRV_NOREPLY))
				continue;
			if (fc_call(c, op, strange[i], {zeros, sizeof(zeros)}) >= 0)
				fail_msg("%s succeeded", row->name);
		}
	}
}

/* ------------------------------------------------------------------ data */

static void read_is_bounded_by_its_room(void **state)
{
	struct fuse_client *c = *state;
	uint64_t node, fh;

	assert_int_equal(fc_create(c, 1, "a", O_RDWR, 0600, &node, &fh), 0);
	assert_int_equal(fc_write(c, node, fh, 0, "0123456789"), 0);
	c->room = 4;
	assert_int_equal(fc_read(c, node, fh, 2, UINT32_MAX), 0);
	assert_int_equal(c->len, 4);
	assert_memory_equal(c->body, "2345", 4);
	c->room = 0;
	assert_int_equal(fc_read(c, node, fh, 0, 4096), -EINVAL);
	assert_int_equal(fc_read(c, node, fh, 0, 0), 0);
	c->room = 100;
	assert_int_equal(fc_read(c, node, fh, 10, 100), 0);
	assert_int_equal(c->len, 0);
	assert_int_equal(fc_read(c, node, fh, INT64_MAX, 100), 0);
	assert_int_equal(c->len, 0);
	assert_int_equal(fc_read(c, node, fh, 1ULL << 63, 100), -EINVAL);
}

static void write_takes_what_came_and_no_more(void **state)
{
	struct fuse_write_in in = {.size = 5};
	struct fuse_client *c = *state;
	struct fuse_attr attr;
	uint64_t node, fh;

	assert_int_equal(fc_create(c, 1, "a", O_RDWR, 0600, &node, &fh), 0);
	in.fh = fh;
	assert_int_equal(fc_call(c, FUSE_WRITE, node, FC_V(in), {"abcd", 4}), -EINVAL);
	assert_int_equal(fc_call(c, FUSE_WRITE, node, FC_V(in), {"abcdef", 6}), 0);
	assert_int_equal(fc_body(c, struct fuse_write_out)->size, 5);
	in.size = UINT32_MAX;
	assert_int_equal(fc_call(c, FUSE_WRITE, node, FC_V(in), {"abcdef", 6}), -EINVAL);
	in.size = 1;
	in.offset = 1ULL << 63;
	assert_int_equal(fc_call(c, FUSE_WRITE, node, FC_V(in), {"a", 1}), -EINVAL);
	in.offset = INT64_MAX;
	assert_int_equal(fc_call(c, FUSE_WRITE, node, FC_V(in), {"a", 1}), -EFBIG);
	assert_int_equal(fc_getattr(c, node, &attr), 0);
	assert_int_equal(attr.size, 5);
}

static void xattr_sizes_are_asked_for_bounded_and_refused(void **state)
{
	struct fuse_setxattr_in set = {.size = 3};
	struct fuse_getxattr_in get = {0};
	uint8_t *big = calloc(1, 65537);
	struct fuse_client *c = *state;

	assert_int_equal(fc_call(c, FUSE_SETXATTR, 1, FC_V(set), FC_S("user.a"), {"xyz", 3}), 0);
	assert_int_equal(fc_call(c, FUSE_SETXATTR, 1, FC_V(set), FC_S("user.a"), {"xy", 2}),
			 -EINVAL);
	assert_int_equal(fc_call(c, FUSE_GETXATTR, 1, FC_V(get), FC_S("user.a")), 0);
	assert_int_equal(fc_body(c, struct fuse_getxattr_out)->size, 3);
	get.size = 2;
	assert_int_equal(fc_call(c, FUSE_GETXATTR, 1, FC_V(get), FC_S("user.a")), -ERANGE);
	get.size = UINT32_MAX;
	assert_int_equal(fc_call(c, FUSE_GETXATTR, 1, FC_V(get), FC_S("user.a")), 0);
	assert_int_equal(c->len, 3);
	assert_memory_equal(c->body, "xyz", 3);
	assert_int_equal(fc_call(c, FUSE_LISTXATTR, 1, FC_V(get)), 0);
	assert_int_equal(c->len, 7);
	c->room = 2;
	assert_int_equal(fc_call(c, FUSE_GETXATTR, 1, FC_V(get), FC_S("user.a")), -ERANGE);
	c->room = 65536;
	set.size = 65536;
	assert_int_equal(fc_call(c, FUSE_SETXATTR, 1, FC_V(set), FC_S("user.b"), {big, 65536}), 0);
	set.size = 65537;
	assert_int_equal(fc_call(c, FUSE_SETXATTR, 1, FC_V(set), FC_S("user.b"), {big, 65537}),
			 -E2BIG);
	assert_int_equal(fc_call(c, FUSE_SETXATTR, 1, FC_V(set), FC_S("")), -ERANGE);
	free(big);
}

static void directory_offsets_stay_valid_while_entries_come_and_go(void **state)
{
	struct fuse_client *c = *state;
	uint64_t node, fh, after;
	char names[256];

	for (const char *n = "a\0b\0c\0d\0"; *n; n += 2)
		assert_int_equal(fc_mkdir(c, 1, n, &node), 0);
	assert_int_equal(fc_opendir(c, 1, &fh), 0);
	/* a dirent with a short name has 32 bytes */
	assert_int_equal(fc_readdir(c, 1, fh, 0, 64, names, &after), 2);
	assert_string_equal(names, "a b");
	assert_int_equal(fc_call(c, FUSE_RMDIR, 1, FC_S("b")), 0);
	assert_int_equal(fc_call(c, FUSE_RMDIR, 1, FC_S("c")), 0);
	assert_int_equal(fc_mkdir(c, 1, "e", &node), 0);
	assert_int_equal(fc_readdir(c, 1, fh, after, 4096, names, NULL), 2);
	assert_string_equal(names, "d e");
	assert_int_equal(fc_readdir(c, 1, fh, INT64_MAX, 4096, names, NULL), 0);
	assert_int_equal(fc_readdir(c, 1, fh, UINT64_MAX, 4096, names, NULL), -EINVAL);
	assert_int_equal(fc_readdir(c, 1, fh, 0, 31, names, NULL), -EINVAL);
}

/* ------------------------------------------------------------------ locks that wait */

struct answer {
	pthread_mutex_t lock;
	pthread_cond_t came;
	unsigned n;
	void *tag;
	struct fuse_out_header h;
};

static void answered(void *cookie, void *tag, const void *reply, size_t len)
{
	struct answer *a = cookie;

	pthread_mutex_lock(&a->lock);
	a->n++;
	a->tag = tag;
	memcpy(&a->h, reply, rsm_min(len, sizeof(a->h)));
	pthread_cond_signal(&a->came);
	pthread_mutex_unlock(&a->lock);
}

static void wait_for(struct answer *a, unsigned n)
{
	pthread_mutex_lock(&a->lock);
	while (a->n < n)
		pthread_cond_wait(&a->came, &a->lock);
	pthread_mutex_unlock(&a->lock);
}

#define ANSWER_INIT                                                                                \
	{                                                                                          \
		PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, NULL,                      \
		{                                                                                  \
			0                                                                          \
		}                                                                                  \
	}

static void setlkw_is_answered_when_the_lock_is_given_back(void **state)
{
	struct answer a = ANSWER_INIT;
	struct fuse_client *c = *state;
	uint64_t node, fh;
	int tag;

	fsrv_set_deferred(c->s, answered, &a);
	assert_int_equal(fc_create(c, 1, "a", O_RDWR, 0600, &node, &fh), 0);
	assert_int_equal(fc_setlk(c, FUSE_SETLK, node, fh, 1, F_WRLCK, 0), 0);
	assert_int_equal(fc_setlk(c, FUSE_SETLK, node, fh, 2, F_WRLCK, 0), -EAGAIN);
	c->tag = &tag;
	assert_int_equal(fc_setlk(c, FUSE_SETLKW, node, fh, 2, F_WRLCK, 0), -EINPROGRESS);
	assert_int_equal(a.n, 0);
	assert_int_equal(fc_setlk(c, FUSE_SETLK, node, fh, 1, F_UNLCK, 0), 0);
	wait_for(&a, 1);
	assert_int_equal(a.h.error, 0);
	assert_int_equal(a.h.unique, c->unique - 1);
	assert_int_equal(a.h.len, sizeof(a.h));
	assert_ptr_equal(a.tag, &tag);
	assert_int_equal(fc_setlk(c, FUSE_SETLK, node, fh, 1, F_RDLCK, 0), -EAGAIN);
}

static void interrupt_ends_only_the_request_it_names(void **state)
{
	struct fuse_interrupt_in in = {.unique = 0};
	struct answer a = ANSWER_INIT;
	struct fuse_client *c = *state;
	uint64_t node, fh;

	fsrv_set_deferred(c->s, answered, &a);
	assert_int_equal(fc_create(c, 1, "a", O_RDWR, 0600, &node, &fh), 0);
	assert_int_equal(fc_setlk(c, FUSE_SETLK, node, fh, 1, F_WRLCK, 0), 0);
	assert_int_equal(fc_setlk(c, FUSE_SETLKW, node, fh, 2, F_WRLCK, 0), -EINPROGRESS);
	assert_int_equal(fc_setlk(c, FUSE_SETLKW, node, fh, 3, F_WRLCK, 0), -EINPROGRESS);
	in.unique = c->unique;
	assert_int_equal(fc_call(c, FUSE_INTERRUPT, 0, FC_V(in)), 0);
	assert_int_equal(c->raw, 0);
	wait_for(&a, 1);
	assert_int_equal(a.h.error, -EINTR);
	assert_int_equal(a.h.unique, in.unique);
	assert_int_equal(fc_setlk(c, FUSE_SETLK, node, fh, 1, F_UNLCK, 0), 0);
	wait_for(&a, 2);
	assert_int_equal(a.h.error, 0);
	assert_int_equal(a.h.unique, in.unique - 1);
}

static void reset_answers_whoever_waits(void **state)
{
	struct answer a = ANSWER_INIT;
	struct fuse_client *c = *state;
	uint64_t node, fh;

	fsrv_set_deferred(c->s, answered, &a);
	assert_int_equal(fc_create(c, 1, "a", O_RDWR, 0600, &node, &fh), 0);
	assert_int_equal(fc_setlk(c, FUSE_SETLK, node, fh, 1, F_WRLCK, 0), 0);
	for (uint64_t owner = 2; owner < 10; owner++)
		assert_int_equal(fc_setlk(c, FUSE_SETLKW, node, fh, owner, F_WRLCK, 0),
				 -EINPROGRESS);
	fsrv_session_reset(c->s);
	assert_int_equal(a.n, 8);
	assert_int_equal(a.h.error, -EINTR);
}

/* What is answered later needs a job that keeps its place: transports go by this. */
static void requests_that_may_wait_are_announced_as_slow(void **state)
{
	assert_true(fsrv_is_slow(FUSE_SETLKW));
	assert_true(fsrv_is_slow(FUSE_FSYNC));
	assert_false(fsrv_is_slow(FUSE_LOOKUP));
	assert_false(fsrv_is_slow(99));
}

static void lock_ranges_that_make_no_sense_are_refused(void **state)
{
	static const struct fuse_file_lock bad[] = {
		{0, 10, 17, 0},
		{10, 9, F_WRLCK, 0},
		{0, 1ULL << 63, F_WRLCK, 0},
		{1ULL << 63, UINT64_MAX, F_WRLCK, 0},
	};
	struct fuse_client *c = *state;
	struct fuse_lk_in in = {0};
	uint64_t node, fh;

	assert_int_equal(fc_create(c, 1, "a", O_RDWR, 0600, &node, &fh), 0);
	for (size_t i = 0; i < RSM_ARRAY_SIZE(bad); i++) {
		in.lk = bad[i];
		assert_int_equal(fc_call(c, FUSE_SETLK, node, FC_V(in)), -EINVAL);
		assert_int_equal(fc_call(c, FUSE_SETLKW, node, FC_V(in)), -EINVAL);
		assert_int_equal(fc_call(c, FUSE_GETLK, node, FC_V(in)), -EINVAL);
	}
}

/* ------------------------------------------------------------------ DAX, tracing */

static void mappings_are_enosys_without_a_window(void **state)
{
	const struct fuse_setupmapping_in setup = {.len = 4096, .flags = 1};
	const struct fuse_removemapping_in rm = {.count = 0};
	struct fuse_client *c = *state;

	assert_int_equal(fc_call(c, FUSE_SETUPMAPPING, 1, FC_V(setup)), -ENOSYS);
	assert_int_equal(fc_call(c, FUSE_REMOVEMAPPING, 1, FC_V(rm)), -ENOSYS);
}

static void trace_has_a_line_for_each_request_and_no_control_characters(void **state)
{
	int fd = memfd_create("trace", MFD_CLOEXEC);
	struct fsrv_options o = {.cache = FSRV_CACHE_AUTO, .trace_fd = fd};
	struct fuse_client c;
	struct fsrv_fs *fs;
	char text[4096];
	uint64_t node;
	ssize_t n;

	assert_int_equal(fsrv_memfs_new(&fs), 0);
	fc_start(&c, fs, &o);
	assert_int_equal(fc_lookup(&c, 1, "a\033[2Jb", &node), -ENOENT);
	assert_int_equal(fc_call(&c, 63, 1, FC_S("x")), -ENOSYS);
	n = pread(fd, text, sizeof(text) - 1, 0);
	assert_true(n > 0);
	text[n] = '\0';
	assert_non_null(strstr(text, "INIT(26)"));
	assert_non_null(strstr(text, "LOOKUP(1) node=1"));
	assert_non_null(strstr(text, "\"a?[2Jb\" = -2\n"));
	assert_non_null(strstr(text, "?(63)"));
	fc_stop(&c);
	close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(init_takes_only_what_both_know),
		TEST(newer_major_gets_ours_and_older_versions_are_refused),
		TEST(old_short_init_is_understood),
		TEST(nothing_but_init_is_served_before_init),
		TEST(second_init_is_refused_until_destroy_dropped_everything),
		TEST(what_has_no_header_or_no_room_for_one_cannot_be_answered),
		TEST(header_length_must_agree_with_what_came),
		TEST(request_shorter_than_its_struct_is_refused),
		TEST(request_without_room_for_its_reply_is_refused_before_it_is_done),
		TEST(unknown_opcodes_are_enosys),
		TEST(request_and_reply_may_be_cut_anywhere),
		TEST(names_must_be_one_component),
		TEST(names_must_end_and_fit),
		TEST(rename_flags_that_are_not_served_are_refused),
		TEST(forget_is_never_answered_and_never_too_much),
		TEST(batch_forget_believes_what_came_not_the_count),
		TEST(used_up_ids_are_not_found_again),
		TEST(unknown_nodes_and_handles_are_errors_everywhere),
		TEST(read_is_bounded_by_its_room),
		TEST(write_takes_what_came_and_no_more),
		TEST(xattr_sizes_are_asked_for_bounded_and_refused),
		TEST(directory_offsets_stay_valid_while_entries_come_and_go),
		TEST(setlkw_is_answered_when_the_lock_is_given_back),
		TEST(interrupt_ends_only_the_request_it_names),
		TEST(reset_answers_whoever_waits),
		TEST(requests_that_may_wait_are_announced_as_slow),
		TEST(lock_ranges_that_make_no_sense_are_refused),
		TEST(mappings_are_enosys_without_a_window),
		TEST(trace_has_a_line_for_each_request_and_no_control_characters),
	};

	return cmocka_run_group_tests_name("fuse session", tests, NULL, NULL);
}
