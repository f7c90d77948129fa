// SPDX-License-Identifier: Apache-2.0
/* Passthrough: nodes are found again, whatever happens to names, and with few fds. */
#include "fuse_tree.h"

#include <sys/resource.h>

/* ------------------------------------------------------------------ finding inodes again */

static void node_is_found_after_renames_of_it_and_of_its_parents(void **state)
{
	struct fuse_rename_in in = {.newdir = 1};
	struct tree *t = *state;
	struct fuse_client *c = &t->c;
	struct fuse_attr attr;
	uint64_t d, e, node, fh;

	assert_int_equal(fc_mkdir(c, 1, "d", &d), 0);
	assert_int_equal(fc_mkdir(c, d, "e", &e), 0);
	assert_int_equal(fc_create(c, e, "f", O_RDWR, 0600, &node, &fh), 0);
	assert_int_equal(fc_write(c, node, fh, 0, "text"), 0);
	assert_int_equal(fc_release(c, node, fh, false), 0);
	assert_int_equal(fc_call(c, FUSE_RENAME, 1, FC_V(in), FC_S("d"), FC_S("D")), 0);
	in.newdir = d;
	assert_int_equal(fc_call(c, FUSE_RENAME, e, FC_V(in), FC_S("f"), FC_S("F")), 0);
	assert_int_equal(fc_getattr(c, node, &attr), 0);
	assert_int_equal(fc_getattr(c, node, &attr), 0);
	assert_int_equal(fc_open(c, node, O_RDONLY, &fh), 0);
	expect_text(c, node, fh, "text");
	assert_int_equal(faccessat(t->dir, "D/F", F_OK, 0), 0);
}

/* Open @node. Return: does the guest keep what it has cached of it? */
static bool keeps(struct fuse_client *c, uint64_t node, uint64_t *fh)
{
	assert_int_equal(fc_open(c, node, O_RDWR, fh), 0);
	return fc_body(c, struct fuse_open_out)->open_flags & FOPEN_KEEP_CACHE;
}

/* As when somebody copies a file in, with the time of another: cp -a, tar. */
static void contents_are_kept_until_others_touch_the_file(void **state)
{
	struct timespec old[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
	struct tree *t = *state;
	struct fsrv_export e = {.fd = t->dir, .cache = FSRV_CACHE_MOSTLY};
	struct fuse_setattr_in set = {.valid = FATTR_MODE, .mode = 0600};
	struct fuse_flush_in in = {0};
	struct fuse_client *c = &t->c;
	uint64_t node, fh, other;

	serve(t, &e, 1, NULL);
	put_file(t->dir, "f", "one");
	assert_int_equal(utimensat(t->dir, "f", old, 0), 0);
	assert_int_equal(fc_lookup(c, 1, "f", &node), 0);
	assert_false(keeps(c, node, &fh)); /* who knows what it was before */
	assert_true(keeps(c, node, &fh));
	/* its own changes, and its own writing */
	usleep(20000);
	assert_int_equal(fc_call(c, FUSE_SETATTR, node, FC_V(set)), 0);
	assert_true(keeps(c, node, &fh));
	assert_int_equal(fc_write(c, node, fh, 0, "any"), 0);
	assert_true(keeps(c, node, &other));
	assert_int_equal(fc_write(c, node, fh, 0, "two"), 0);
	in.fh = fh;
	assert_int_equal(fc_call(c, FUSE_FLUSH, node, FC_V(in)), 0);
	assert_true(keeps(c, node, &fh));
	/* the clock of file times is a coarse one */
	usleep(20000);
	put_file(t->dir, "f", "six");
	assert_int_equal(utimensat(t->dir, "f", old, 0), 0);
	assert_int_equal(fc_call(c, FUSE_SETATTR, node, FC_V(set)), 0);
	assert_false(keeps(c, node, &fh));
	assert_true(keeps(c, node, &fh));
}

static void exchanged_names_are_found_under_their_new_ones(void **state)
{
	const struct fuse_rename2_in in = {.newdir = 1, .flags = 2};
	struct tree *t = *state;
	struct fuse_client *c = &t->c;
	uint64_t a, b, fh;

	put_file(t->dir, "a", "was a");
	put_file(t->dir, "b", "was b");
	assert_int_equal(fc_lookup(c, 1, "a", &a), 0);
	assert_int_equal(fc_lookup(c, 1, "b", &b), 0);
	assert_int_equal(fc_call(c, FUSE_RENAME2, 1, FC_V(in), FC_S("a"), FC_S("b")), 0);
	assert_int_equal(fc_open(c, a, O_RDONLY, &fh), 0);
	expect_text(c, a, fh, "was a");
	assert_int_equal(fc_open(c, b, O_RDONLY, &fh), 0);
	expect_text(c, b, fh, "was b");
}

static void unlinked_and_replaced_files_stay_reachable_by_their_nodes(void **state)
{
	struct fuse_setattr_in set = {.valid = FATTR_MODE, .mode = 0640};
	const struct fuse_rename_in in = {.newdir = 1};
	struct tree *t = *state;
	struct fuse_client *c = &t->c;
	struct fuse_attr attr;
	uint64_t a, b, d, fh;

	put_file(t->dir, "a", "a");
	put_file(t->dir, "b", "b");
	put_file(t->dir, "over", "over");
	assert_int_equal(mkdirat(t->dir, "d", 0755), 0);
	assert_int_equal(fc_lookup(c, 1, "a", &a), 0);
	assert_int_equal(fc_lookup(c, 1, "b", &b), 0);
	assert_int_equal(fc_lookup(c, 1, "d", &d), 0);
	assert_int_equal(fc_call(c, FUSE_UNLINK, 1, FC_S("a")), 0);
	assert_int_equal(fc_call(c, FUSE_RENAME, 1, FC_V(in), FC_S("over"), FC_S("b")), 0);
	assert_int_equal(fc_call(c, FUSE_RMDIR, 1, FC_S("d")), 0);
	for (const uint64_t *n = (const uint64_t[]){a, b, 0}; *n; n++) {
		assert_int_equal(fc_getattr(c, *n, &attr), 0);
		assert_int_equal(attr.nlink, 0);
		assert_int_equal(fc_call(c, FUSE_SETATTR, *n, FC_V(set)), 0);
		assert_int_equal(fc_open(c, *n, O_RDONLY, &fh), 0);
		expect_text(c, *n, fh, *n == a ? "a" : "b");
	}
	assert_int_equal(fc_getattr(c, d, &attr), 0);
	assert_int_equal(fc_lookup(c, d, "x", &a), -ENOENT);
}

static void failed_unlink_and_rename_change_nothing(void **state)
{
	const struct fuse_rename_in in = {.newdir = 1};
	struct tree *t = *state;
	struct fuse_client *c = &t->c;
	uint64_t d, f, fh;

	assert_int_equal(fc_mkdir(c, 1, "d", &d), 0);
	put_file(t->dir, "d/f", "text");
	assert_int_equal(fc_lookup(c, d, "f", &f), 0);
	assert_int_equal(fc_call(c, FUSE_RMDIR, 1, FC_S("d")), -ENOTEMPTY);
	assert_int_equal(fc_call(c, FUSE_UNLINK, d, FC_S("g")), -ENOENT);
	assert_true(fc_call(c, FUSE_RENAME, d, FC_V(in), FC_S("f"), FC_S("d")) < 0);
	assert_int_equal(fc_open(c, f, O_RDONLY, &fh), 0);
	expect_text(c, f, fh, "text");
}

static void hard_links_are_one_node_and_survive_each_other(void **state)
{
	struct tree *t = *state;
	struct fuse_client *c = &t->c;
	uint64_t a, b, fh;

	put_file(t->dir, "a", "text");
	assert_int_equal(fc_lookup(c, 1, "a", &a), 0);
	const struct fuse_link_in in = {.oldnodeid = a};

	assert_int_equal(fc_call(c, FUSE_LINK, 1, FC_V(in), FC_S("b")), 0);
	assert_int_equal(fc_lookup(c, 1, "b", &b), 0);
	assert_int_equal(a, b);
	assert_int_equal(fc_call(c, FUSE_UNLINK, 1, FC_S("b")), 0);
	assert_int_equal(fc_open(c, a, O_RDONLY, &fh), 0);
	expect_text(c, a, fh, "text");
	assert_int_equal(fc_call(c, FUSE_UNLINK, 1, FC_S("a")), 0);
	assert_int_equal(fc_open(c, a, O_RDONLY, &fh), 0);
	expect_text(c, a, fh, "text");
}

static void many_nodes_need_few_fds(void **state)
{
	struct tree *t = *state;
	struct fuse_client *c = &t->c;
	struct fsrv_export e = {.fd = t->dir, .nodev = true};
	struct rlimit old, low;
	uint64_t dirs[400], files[400], fh;
	struct fuse_attr attr;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = 128;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	serve(t, &e, 1, NULL);
	/* a chain of directories, each with a file, all known to the client at once */
	for (unsigned i = 0; i < 400; i++) {
		uint64_t parent = i % 20 ? dirs[i - 1] : 1;
		char name[16];

		snprintf(name, sizeof(name), "d%u", i);
		assert_int_equal(fc_mkdir(c, parent, name, &dirs[i]), 0);
		assert_int_equal(fc_create(c, dirs[i], "f", O_RDWR, 0600, &files[i], &fh), 0);
		assert_int_equal(fc_write(c, files[i], fh, 0, name), 0);
		assert_int_equal(fc_release(c, files[i], fh, false), 0);
	}
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned k = 0; k < 400; k++) {
			unsigned i = (k * 211) % 400;

			assert_int_equal(fc_getattr(c, files[i], &attr), 0);
			assert_int_equal(fc_getattr(c, dirs[i], &attr), 0);
			assert_int_equal(fc_open(c, files[i], O_RDONLY, &fh), 0);
			assert_int_equal(fc_release(c, files[i], fh, false), 0);
		}
	}
	assert_true(open_fds() < 120);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
}

static void everything_is_closed_when_forgotten(void **state)
{
	struct tree *t = *state;
	struct fuse_client *c = &t->c;
	unsigned before = open_fds();
	struct fuse_attr attr;
	uint64_t d, f, fh;

	assert_int_equal(fc_mkdir(c, 1, "d", &d), 0);
	assert_int_equal(fc_create(c, d, "f", O_RDWR, 0600, &f, &fh), 0);
	fc_getattr(c, f, &attr);
	fc_getattr(c, f, &attr);
	fc_forget(c, d, 1);
	/* @d is still f's parent, and may be found or not */
	assert_int_equal(fc_setlk(c, FUSE_SETLK, f, fh, 1, F_WRLCK, 0), 0);
	assert_int_equal(fc_release(c, f, fh, false), 0);
	fc_forget(c, f, 1);
	assert_int_equal(open_fds(), before);
	assert_int_equal(fc_lookup(c, 1, "d", &d), 0);
	assert_int_equal(fc_create(c, d, "f", O_RDWR, 0600, &f, &fh), 0);
	fsrv_session_reset(c->s);
	assert_int_equal(open_fds(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_EMPTY(contents_are_kept_until_others_touch_the_file),
		TEST_BOTH(node_is_found_after_renames_of_it_and_of_its_parents),
		TEST_BOTH(exchanged_names_are_found_under_their_new_ones),
		TEST_BOTH(unlinked_and_replaced_files_stay_reachable_by_their_nodes),
		TEST(failed_unlink_and_rename_change_nothing),
		TEST_BOTH(hard_links_are_one_node_and_survive_each_other),
		TEST_EMPTY(many_nodes_need_few_fds),
		TEST_BOTH(everything_is_closed_when_forgotten),
	};

	return cmocka_run_group_tests_name("fuse passthrough: nodes", tests, NULL, NULL);
}
