// SPDX-License-Identifier: Apache-2.0
/* The passthrough file system, over a temporary directory. What needs root is skipped without. */
#include "fuse_client.h"

#include "base/io.h"
#include "base/math.h"
#include "dax/dax.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>

static char top[] = "test_fuse_pt.XXXXXX";

/**
 * struct tree - A temporary directory and a session on it
 * @dir:	for looking at it, and changing it, behind the server's back
 */
struct tree {
	struct fuse_client c;
	int dir;
};

static void serve(struct tree *t, struct fsrv_export *e, size_t n,
		  const struct fsrv_options *options)
{
	struct rsm_error err = RSM_ERROR_INIT;
	struct fsrv_fs *fs;

	if (fsrv_passthrough_new(e, n, &fs, &err) < 0)
		fail_msg("%s", err.message);
	fc_start(&t->c, fs, options);
}

static struct tree *new_tree(void)
{
	struct tree *t = calloc(1, sizeof(*t));

	rsm_remove_tree_at(AT_FDCWD, top);
	assert_int_equal(mkdir(top, 0755), 0);
	t->dir = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(t->dir >= 0);
	return t;
}

static int start(void **state)
{
	struct tree *t = new_tree();
	struct fsrv_export e = { .fd = t->dir, .cache = FSRV_CACHE_AUTO };

	serve(t, &e, 1, NULL);
	*state = t;
	return 0;
}

/* The same with the fast open path, by name, of a nodev mount. */
static int start_nodev(void **state)
{
	struct tree *t = new_tree();
	struct fsrv_export e = { .fd = t->dir, .cache = FSRV_CACHE_AUTO, .nodev = true };

	serve(t, &e, 1, NULL);
	*state = t;
	return 0;
}

static int start_empty(void **state)
{
	*state = new_tree();
	return 0;
}

static int stop(void **state)
{
	struct tree *t = *state;

	if (t->c.s)
		fc_stop(&t->c);
	close(t->dir);
	free(t);
	assert_int_equal(rsm_remove_tree_at(AT_FDCWD, top), 0);
	return 0;
}

static void put_file(int dir, const char *name, const char *text)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(rsm_write_full(fd, text, strlen(text)), 0);
	close(fd);
}

static void expect_text(struct fuse_client *c, uint64_t node, uint64_t fh, const char *text)
{
	assert_int_equal(fc_read(c, node, fh, 0, 4096), 0);
	assert_int_equal(c->len, strlen(text));
	assert_memory_equal(c->body, text, c->len);
}

/* ------------------------------------------------------------------ staying inside */

static void symlink_out_of_the_tree_is_only_ever_read_as_a_link(void **state)
{
	struct tree *t = *state;
	struct fuse_client *c = &t->c;
	uint64_t link, node, fh;

	assert_int_equal(symlinkat("/etc", t->dir, "out"), 0);
	assert_int_equal(symlinkat("/etc/passwd", t->dir, "file"), 0);
	assert_int_equal(fc_lookup(c, 1, "out", &link), 0);
	assert_int_equal(fc_lookup(c, link, "passwd", &node), -ENOTDIR);
	assert_int_equal(fc_opendir(c, link, &fh), -ENOTDIR);
	assert_int_equal(fc_call(c, FUSE_UNLINK, link, FC_S("passwd")), -ENOTDIR);
	assert_int_equal(fc_create(c, link, "x", O_RDWR, 0600, &node, &fh), -ENOTDIR);
	assert_int_equal(fc_parts(c, FUSE_READLINK, link, NULL, 0), 0);
	assert_int_equal(c->len, 4);
	assert_memory_equal(c->body, "/etc", 4);
	assert_int_equal(fc_lookup(c, 1, "file", &link), 0);
	assert_int_equal(fc_open(c, link, O_RDONLY, &fh), -ELOOP);
	assert_int_equal(fc_create(c, 1, "file", O_RDWR | O_TRUNC, 0600, &node, &fh), -ELOOP);
}

static void file_replaced_by_a_symlink_is_stale_not_followed(void **state)
{
	struct tree *t = *state;
	struct fuse_client *c = &t->c;
	struct fuse_attr attr;
	uint64_t node, dir, fh;

	put_file(t->dir, "a", "inside");
	assert_int_equal(mkdirat(t->dir, "d", 0755), 0);
	assert_int_equal(fc_lookup(c, 1, "a", &node), 0);
	assert_int_equal(fc_lookup(c, 1, "d", &dir), 0);
	assert_int_equal(renameat(t->dir, "a", t->dir, "b"), 0);
	assert_int_equal(symlinkat("/etc/passwd", t->dir, "a"), 0);
	assert_int_equal(renameat(t->dir, "d", t->dir, "e"), 0);
	assert_int_equal(symlinkat("/etc", t->dir, "d"), 0);
	assert_int_equal(fc_open(c, node, O_RDWR, &fh), -ESTALE);
	assert_int_equal(fc_getattr(c, node, &attr), -ESTALE);
	assert_int_equal(fc_lookup(c, dir, "passwd", &node), -ESTALE);
	assert_int_equal(fc_opendir(c, dir, &fh), -ESTALE);
}

static void file_replaced_by_another_is_stale_until_looked_up_again(void **state)
{
	struct tree *t = *state;
	struct fuse_client *c = &t->c;
	uint64_t node, again, fh;

	put_file(t->dir, "a", "old");
	put_file(t->dir, "b", "new");
	assert_int_equal(fc_lookup(c, 1, "a", &node), 0);
	assert_int_equal(renameat(t->dir, "b", t->dir, "a"), 0);
	assert_int_equal(fc_open(c, node, O_RDONLY, &fh), -ESTALE);
	assert_int_equal(fc_lookup(c, 1, "a", &again), 0);
	assert_int_not_equal(node, again);
	assert_int_equal(fc_open(c, again, O_RDONLY, &fh), 0);
	expect_text(c, again, fh, "new");
}

static void devices_fifos_and_sockets_are_never_opened(void **state)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct tree *t = *state;
	struct fuse_client *c = &t->c;
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint64_t node, fh;

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/sock", top);
	assert_int_equal(bind(sock, (void *)&sa, sizeof(sa)), 0);
	assert_int_equal(mkfifoat(t->dir, "fifo", 0666), 0);
	for (const char *const *n = (const char *const[]){ "sock", "fifo", NULL }; *n; n++) {
		assert_int_equal(fc_lookup(c, 1, *n, &node), 0);
		assert_int_equal(fc_open(c, node, O_RDWR, &fh), -ENXIO);
		assert_int_equal(fc_create(c, 1, *n, O_RDWR, 0600, &node, &fh), -ENXIO);
	}
	if (mknodat(t->dir, "dev", S_IFCHR | 0666, makedev(1, 3)) == 0) {
		assert_int_equal(fc_lookup(c, 1, "dev", &node), 0);
		assert_int_equal(fc_open(c, node, O_RDWR, &fh), -ENXIO);
	}
	close(sock);
}

static void regular_file_that_became_a_fifo_is_not_opened(void **state)
{
	struct tree *t = *state;
	struct fuse_client *c = &t->c;
	uint64_t node, fh;

	put_file(t->dir, "a", "x");
	assert_int_equal(fc_lookup(c, 1, "a", &node), 0);
	assert_int_equal(unlinkat(t->dir, "a", 0), 0);
	assert_int_equal(mkfifoat(t->dir, "a", 0666), 0);
	assert_int_equal(fc_open(c, node, O_RDWR, &fh), -ESTALE);
}

static void single_file_export_shows_that_file_only(void **state)
{
	struct tree *t = *state;
	struct fuse_client *c = &t->c;
	uint64_t node, fh, other;
	char names[64];

	put_file(t->dir, "shown", "yes");
	put_file(t->dir, "hidden", "no");
	struct fsrv_export e = { .name = "m0", .fd = openat(t->dir, "shown", O_PATH | O_CLOEXEC) };

	serve(t, &e, 1, NULL);
	close(e.fd);
	assert_int_equal(fc_lookup(c, 1, "m0", &node), 0);
	assert_int_equal(fc_lookup(c, node, "hidden", &other), -ENOTDIR);
	assert_int_equal(fc_lookup(c, 1, "hidden", &other), -ENOENT);
	assert_int_equal(fc_open(c, node, O_RDWR, &fh), 0);
	expect_text(c, node, fh, "yes");
	assert_int_equal(fc_write(c, node, fh, 0, "YES"), 0);
	expect_text(c, node, fh, "YES");
	assert_int_equal(fc_opendir(c, 1, &fh), 0);
	assert_int_equal(fc_readdir(c, 1, fh, 0, 4096, names, NULL), 1);
	assert_string_equal(names, "m0");
}

static void synthetic_root_lists_exports_and_nothing_can_be_made_in_it(void **state)
{
	const struct fuse_rename_in rename = { .newdir = 1 };
	struct tree *t = *state;
	struct fuse_client *c = &t->c;
	struct fuse_attr attr;
	uint64_t node, a, fh;
	char names[64];

	assert_int_equal(mkdirat(t->dir, "a", 0755), 0);
	assert_int_equal(mkdirat(t->dir, "b", 0755), 0);
	struct fsrv_export e[] = {
		{ .name = "root", .fd = openat(t->dir, "a", O_PATH | O_CLOEXEC) },
		{ .name = "m0", .fd = openat(t->dir, "b", O_PATH | O_CLOEXEC), .readonly = true },
	};
	serve(t, e, 2, NULL);
	assert_int_equal(fc_opendir(c, 1, &fh), 0);
	assert_int_equal(fc_readdir(c, 1, fh, 0, 4096, names, NULL), 2);
	assert_string_equal(names, "root m0");
	assert_int_equal(fc_getattr(c, 1, &attr), 0);
	assert_true(S_ISDIR(attr.mode));
	assert_int_equal(fc_lookup(c, 1, "root", &a), 0);
	assert_true(((const struct fuse_entry_out *)c->body)->attr.flags & FUSE_ATTR_SUBMOUNT);
	assert_int_equal(fc_mkdir(c, 1, "x", &node), -EROFS);
	assert_int_equal(fc_call(c, FUSE_RMDIR, 1, FC_S("root")), -EROFS);
	assert_int_equal(fc_call(c, FUSE_RENAME, 1, FC_V(rename), FC_S("root"), FC_S("x")), -EROFS);
	assert_int_equal(fc_create(c, a, "f", O_RDWR, 0600, &node, &fh), 0);
	const struct fuse_link_in link = { .oldnodeid = node };

	assert_int_equal(fc_lookup(c, 1, "m0", &node), 0);
	assert_int_equal(fc_mkdir(c, node, "x", &node), -EROFS);
	assert_int_equal(fc_call(c, FUSE_LINK, 1, FC_V(link), FC_S("l")), -EROFS);
	close(e[0].fd);
	close(e[1].fd);
}

static void no_name_moves_from_one_export_to_another(void **state)
{
	struct tree *t = *state;
	struct fuse_client *c = &t->c;
	uint64_t a, b, node, fh;

	assert_int_equal(mkdirat(t->dir, "a", 0755), 0);
	assert_int_equal(mkdirat(t->dir, "b", 0755), 0);
	struct fsrv_export e[] = {
		{ .name = "a", .fd = openat(t->dir, "a", O_PATH | O_CLOEXEC) },
		{ .name = "b", .fd = openat(t->dir, "b", O_PATH | O_CLOEXEC) },
	};
	serve(t, e, 2, NULL);
	assert_int_equal(fc_lookup(c, 1, "a", &a), 0);
	assert_int_equal(fc_lookup(c, 1, "b", &b), 0);
	assert_int_equal(fc_create(c, a, "f", O_RDWR, 0600, &node, &fh), 0);
	const struct fuse_link_in link = { .oldnodeid = node };
	const struct fuse_rename_in rename = { .newdir = b };

	assert_int_equal(fc_call(c, FUSE_LINK, b, FC_V(link), FC_S("f")), -EXDEV);
	assert_int_equal(fc_call(c, FUSE_RENAME, a, FC_V(rename), FC_S("f"), FC_S("f")), -EXDEV);
	close(e[0].fd);
	close(e[1].fd);
}

static void exports_that_make_no_sense_are_refused_by_name(void **state)
{
	static const char *const names[] = { "", ".", "..", "a/b" };
	struct tree *t = *state;
	struct fsrv_fs *fs;

	for (size_t i = 0; i < RSM_ARRAY_SIZE(names); i++) {
		struct fsrv_export e = { .name = names[i], .fd = t->dir };
		struct rsm_error err = RSM_ERROR_INIT;

		assert_int_equal(fsrv_passthrough_new(&e, 1, &fs, &err), -EINVAL);
		assert_non_null(strstr(err.message, "export '"));
	}
}

static void readonly_export_refuses_every_change(void **state)
{
	const struct fuse_mknod_in mknod = { .mode = S_IFREG | 0600 };
	const struct fuse_rename2_in rename2 = { .newdir = 1, .flags = 2 };
	const struct fuse_rename_in rename = { .newdir = 1 };
	const struct fuse_setxattr_in setx = { .size = 1 };
	const struct fuse_create_in tmp = { .flags = O_RDWR, .mode = 0600 };
	const struct fuse_access_in access = { .mask = W_OK };
	struct fuse_setattr_in set = { .valid = FATTR_MODE, .mode = 0777 };
	struct tree *t = *state;
	struct fuse_client *c = &t->c;
	uint64_t node, fh, other;

	put_file(t->dir, "a", "text");
	struct fsrv_export e = { .fd = t->dir, .readonly = true, .nodev = true };

	serve(t, &e, 1, NULL);
	assert_int_equal(fc_lookup(c, 1, "a", &node), 0);
	const struct fuse_link_in link = { .oldnodeid = node };

	assert_int_equal(fc_open(c, node, O_RDWR, &fh), -EROFS);
	assert_int_equal(fc_open(c, node, O_WRONLY, &fh), -EROFS);
	assert_int_equal(fc_open(c, node, O_RDONLY | O_TRUNC, &fh), -EROFS);
	assert_int_equal(fc_create(c, 1, "a", O_RDONLY, 0600, &other, &fh), -EROFS);
	assert_int_equal(fc_call(c, FUSE_TMPFILE, 1, FC_V(tmp), FC_S("x")), -EROFS);
	assert_int_equal(fc_mkdir(c, 1, "d", &other), -EROFS);
	assert_int_equal(fc_call(c, FUSE_MKNOD, 1, FC_V(mknod), FC_S("n")), -EROFS);
	assert_int_equal(fc_call(c, FUSE_SYMLINK, 1, FC_S("s"), FC_S("t")), -EROFS);
	assert_int_equal(fc_call(c, FUSE_LINK, 1, FC_V(link), FC_S("l")), -EROFS);
	assert_int_equal(fc_call(c, FUSE_UNLINK, 1, FC_S("a")), -EROFS);
	assert_int_equal(fc_call(c, FUSE_RMDIR, 1, FC_S("a")), -EROFS);
	assert_int_equal(fc_call(c, FUSE_RENAME, 1, FC_V(rename), FC_S("a"), FC_S("b")), -EROFS);
	assert_int_equal(fc_call(c, FUSE_RENAME2, 1, FC_V(rename2), FC_S("a"), FC_S("a")), -EROFS);
	for (uint32_t v = 1; v <= FATTR_CTIME; v <<= 1) {
		set.valid = v;
		assert_int_equal(fc_call(c, FUSE_SETATTR, node, FC_V(set)), -EROFS);
	}
	assert_int_equal(fc_call(c, FUSE_SETXATTR, node, FC_V(setx), FC_S("user.a"), { "x", 1 }),
			 -EROFS);
	assert_int_equal(fc_call(c, FUSE_REMOVEXATTR, node, FC_S("user.a")), -EROFS);
	assert_int_equal(fc_call(c, FUSE_ACCESS, node, FC_V(access)), -EROFS);
	assert_int_equal(fc_open(c, node, O_RDONLY, &fh), 0);
	assert_int_equal(fc_write(c, node, fh, 0, "no"), -EBADF);
	const struct fuse_fallocate_in falloc = { .fh = fh, .length = 100 };

	assert_int_equal(fc_call(c, FUSE_FALLOCATE, node, FC_V(falloc)), -EBADF);
	expect_text(c, node, fh, "text");
}

/* ------------------------------------------------------------------ finding inodes again */

static void node_is_found_after_renames_of_it_and_of_its_parents(void **state)
{
	struct fuse_rename_in in = { .newdir = 1 };
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

static void exchanged_names_are_found_under_their_new_ones(void **state)
{
	const struct fuse_rename2_in in = { .newdir = 1, .flags = 2 };
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
	struct fuse_setattr_in set = { .valid = FATTR_MODE, .mode = 0640 };
	const struct fuse_rename_in in = { .newdir = 1 };
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
	for (const uint64_t *n = (const uint64_t[]){ a, b, 0 }; *n; n++) {
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
	const struct fuse_rename_in in = { .newdir = 1 };
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
	const struct fuse_link_in in = { .oldnodeid = a };

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

static unsigned open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void many_nodes_need_few_fds(void **state)
{
	struct tree *t = *state;
	struct fuse_client *c = &t->c;
	struct fsrv_export e = { .fd = t->dir, .nodev = true };
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

/* ------------------------------------------------------------------ modes and owners */

static void new_files_belong_to_the_request(void **state)
{
	const struct fuse_mknod_in suid = { .mode = S_IFREG | 06755 };
	struct tree *t = *state;
	struct fuse_client *c = &t->c;
	struct stat st;
	uint64_t node, fh;

	if (geteuid() != 0)
		skip();
	c->uid = 1000;
	c->gid = 1001;
	assert_int_equal(fc_create(c, 1, "f", O_RDWR, 06755, &node, &fh), 0);
	assert_int_equal(((const struct fuse_entry_out *)c->body)->attr.uid, 1000);
	assert_int_equal(fstatat(t->dir, "f", &st, 0), 0);
	assert_int_equal(st.st_uid, 1000);
	assert_int_equal(st.st_gid, 1001);
	assert_int_equal(st.st_mode, S_IFREG | 06755);
	assert_int_equal(fc_call(c, FUSE_MKNOD, 1, FC_V(suid), FC_S("n")), 0);
	assert_int_equal(fstatat(t->dir, "n", &st, 0), 0);
	assert_int_equal(st.st_mode, S_IFREG | 06755);
	assert_int_equal(fc_call(c, FUSE_SYMLINK, 1, FC_S("s"), FC_S("/etc/passwd")), 0);
	assert_int_equal(fstatat(t->dir, "s", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_uid, 1000);
	assert_int_equal(fc_mkdir(c, 1, "d", &node), 0);
	assert_int_equal(fchmodat(t->dir, "d", 02777, 0), 0);
	assert_int_equal(fchownat(t->dir, "d", 5, 6, 0), 0);
	assert_int_equal(fc_create(c, node, "f", O_RDWR, 0644, &node, &fh), 0);
	assert_int_equal(fstatat(t->dir, "d/f", &st, 0), 0);
	assert_int_equal(st.st_uid, 1000);
	assert_int_equal(st.st_gid, 6); /* the directory is set-group-id */
}

static void write_takes_setid_bits_away_when_told_to(void **state)
{
	struct fuse_write_in in = { .size = 1, .write_flags = FUSE_WRITE_KILL_SUIDGID };
	struct tree *t = *state;
	struct fuse_client *c = &t->c;
	uint64_t node, fh;
	struct stat st;

	assert_int_equal(fc_create(c, 1, "f", O_RDWR, 0755, &node, &fh), 0);
	assert_int_equal(fchmodat(t->dir, "f", 06755, 0), 0);
	in.fh = fh;
	in.write_flags = 0;
	assert_int_equal(fc_call(c, FUSE_WRITE, node, FC_V(in), { "x", 1 }), 0);
	assert_int_equal(fstatat(t->dir, "f", &st, 0), 0);
	if (geteuid() == 0)
		assert_int_equal(st.st_mode & 07777, 06755);
	in.write_flags = FUSE_WRITE_KILL_SUIDGID;
	assert_int_equal(fc_call(c, FUSE_WRITE, node, FC_V(in), { "x", 1 }), 0);
	assert_int_equal(fstatat(t->dir, "f", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
}

static void setattr_changes_owner_then_mode_then_size_then_times(void **state)
{
	struct fuse_setattr_in set = {
		.valid = FATTR_MODE | FATTR_UID | FATTR_GID | FATTR_SIZE | FATTR_ATIME | FATTR_MTIME,
		.mode = 01751,
		.uid = getuid(),
		.gid = getgid(),
		.size = 3,
		.atime = 1000,
		.mtime = 2000,
		.mtimensec = 123456789,
	};
	struct tree *t = *state;
	struct fuse_client *c = &t->c;
	const struct fuse_attr_out *out;
	uint64_t node;

	put_file(t->dir, "f", "text");
	assert_int_equal(fc_lookup(c, 1, "f", &node), 0);
	assert_int_equal(fc_call(c, FUSE_SETATTR, node, FC_V(set)), 0);
	out = fc_body(c, struct fuse_attr_out);
	assert_int_equal(out->attr.mode, S_IFREG | 01751);
	assert_int_equal(out->attr.size, 3);
	assert_int_equal(out->attr.atime, 1000);
	assert_int_equal(out->attr.mtime, 2000);
	assert_int_equal(out->attr.mtimensec, 123456789);
	set.valid = FATTR_MTIME;
	set.mtimensec = UTIME_NOW; /* a magic value, not a time */
	assert_int_equal(fc_call(c, FUSE_SETATTR, node, FC_V(set)), -EINVAL);
	set.valid = FATTR_SIZE;
	set.size = UINT64_MAX;
	assert_int_equal(fc_call(c, FUSE_SETATTR, node, FC_V(set)), -EFBIG);
}

static void symlinks_have_owners_and_times_but_no_mode(void **state)
{
	struct fuse_setattr_in set = { .valid = FATTR_MODE, .mode = 0777 };
	struct tree *t = *state;
	struct fuse_client *c = &t->c;
	uint64_t node;
	struct stat st;

	assert_int_equal(symlinkat("target", t->dir, "s"), 0);
	put_file(t->dir, "target", "x");
	assert_int_equal(fc_lookup(c, 1, "s", &node), 0);
	assert_int_equal(fc_call(c, FUSE_SETATTR, node, FC_V(set)), -EOPNOTSUPP);
	set.valid = FATTR_SIZE;
	assert_int_equal(fc_call(c, FUSE_SETATTR, node, FC_V(set)), -ELOOP);
	set.valid = FATTR_MTIME;
	set.mtime = 1234;
	assert_int_equal(fc_call(c, FUSE_SETATTR, node, FC_V(set)), 0);
	assert_int_equal(fstatat(t->dir, "s", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_mtime, 1234);
	assert_int_equal(fstatat(t->dir, "target", &st, 0), 0);
	assert_int_not_equal(st.st_mtime, 1234);
}

/* ------------------------------------------------------------------ the rest */

static void directory_offsets_stay_valid_while_entries_come_and_go(void **state)
{
	struct tree *t = *state;
	struct fuse_client *c = &t->c;
	unsigned seen[300] = { 0 };
	uint64_t at = 0, fh, node;
	char names[8192];

	for (unsigned i = 0; i < 200; i++) {
		snprintf(names, sizeof(names), "f%u", i);
		put_file(t->dir, names, "");
	}
	assert_int_equal(fc_opendir(c, 1, &fh), 0);
	for (unsigned round = 0;; round++) {
		int n = fc_readdir(c, 1, fh, at, 400, names, &at);

		assert_true(n >= 0);
		if (n == 0)
			break;
		for (char *save, *s = strtok_r(names, " ", &save); s; s = strtok_r(NULL, " ", &save))
			seen[atoi(s + 1)]++;
		/* one entry that was there from the start goes, a new one comes, and the stream is
		 * taken up again by offset alone */
		snprintf(names, sizeof(names), "f%u", 200 + round % 100);
		put_file(t->dir, names, "");
		snprintf(names, sizeof(names), "f%u", round % 50);
		unlinkat(t->dir, names, 0);
		if (round % 3 == 0) {
			fc_release(c, 1, fh, true);
			assert_int_equal(fc_opendir(c, 1, &fh), 0);
		}
	}
	for (unsigned i = 50; i < 200; i++)
		assert_int_equal(seen[i], 1); /* was there all the time: exactly once */
	for (unsigned i = 0; i < 300; i++)
		assert_true(seen[i] <= 1 || i < 50);
	assert_int_equal(fc_lookup(c, 1, "f199", &node), 0);
}

static void readdirplus_counts_a_lookup_for_each_entry(void **state)
{
	struct fuse_read_in in = { .size = 4096 };
	struct tree *t = *state;
	struct fuse_client *c = &t->c;
	const struct fuse_direntplus *e;
	struct fuse_attr attr;
	unsigned seen = 0;

	put_file(t->dir, "a", "x");
	put_file(t->dir, "b", "x");
	assert_int_equal(fc_opendir(c, 1, &in.fh), 0);
	assert_int_equal(fc_call(c, FUSE_READDIRPLUS, 1, FC_V(in)), 0);
	uint64_t nodes[2];

	for (size_t at = 0; at < c->len; at += FUSE_DIRENTPLUS_SIZE(e)) {
		e = (const void *)(c->body + at);
		if (e->dirent.name[0] == '.')
			assert_int_equal(e->entry_out.nodeid, 0);
		else
			nodes[seen++] = e->entry_out.nodeid;
	}
	assert_int_equal(seen, 2);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(fc_getattr(c, nodes[i], &attr), 0);
		fc_forget(c, nodes[i], 1);
		assert_int_equal(fc_getattr(c, nodes[i], &attr), -ESTALE);
	}
}

static void record_locks_exclude_owners_and_go_with_flush(void **state)
{
	struct fuse_flush_in flush = { .lock_owner = 1 };
	struct fuse_lk_in get = { .owner = 2, .lk = { .end = 99, .type = F_RDLCK } };
	struct tree *t = *state;
	struct fuse_client *c = &t->c;
	uint64_t node, fh;

	assert_int_equal(fc_create(c, 1, "f", O_RDWR, 0600, &node, &fh), 0);
	assert_int_equal(fc_setlk(c, FUSE_SETLK, node, fh, 1, F_WRLCK, 0), 0);
	assert_int_equal(fc_setlk(c, FUSE_SETLK, node, fh, 1, F_RDLCK, 0), 0);
	assert_int_equal(fc_setlk(c, FUSE_SETLK, node, fh, 1, F_WRLCK, 0), 0);
	assert_int_equal(fc_setlk(c, FUSE_SETLK, node, fh, 2, F_RDLCK, 0), -EAGAIN);
	assert_int_equal(fc_call(c, FUSE_GETLK, node, FC_V(get)), 0);
	assert_int_equal(fc_body(c, struct fuse_lk_out)->lk.type, F_WRLCK);
	assert_int_equal(fc_body(c, struct fuse_lk_out)->lk.end, INT64_MAX);
	flush.fh = fh;
	assert_int_equal(fc_call(c, FUSE_FLUSH, node, FC_V(flush)), 0);
	assert_int_equal(fc_setlk(c, FUSE_SETLK, node, fh, 2, F_RDLCK, 0), 0);
	assert_int_equal(fc_call(c, FUSE_GETLK, node, FC_V(get)), 0);
	assert_int_equal(fc_body(c, struct fuse_lk_out)->lk.type, F_UNLCK);
}

static void flock_belongs_to_the_handle(void **state)
{
	struct tree *t = *state;
	struct fuse_client *c = &t->c;
	uint64_t node, a, b;

	assert_int_equal(fc_create(c, 1, "f", O_RDWR, 0600, &node, &a), 0);
	assert_int_equal(fc_open(c, node, O_RDONLY, &b), 0);
	assert_int_equal(fc_setlk(c, FUSE_SETLK, node, a, 1, F_WRLCK, FUSE_LK_FLOCK), 0);
	assert_int_equal(fc_setlk(c, FUSE_SETLK, node, b, 1, F_RDLCK, FUSE_LK_FLOCK), -EAGAIN);
	assert_int_equal(fc_release(c, node, a, false), 0);
	assert_int_equal(fc_setlk(c, FUSE_SETLK, node, b, 1, F_RDLCK, FUSE_LK_FLOCK), 0);
}

static void appending_goes_to_the_end_but_pages_go_where_they_belong(void **state)
{
	struct fuse_write_in in = { .size = 3, .flags = O_RDWR | O_APPEND };
	struct tree *t = *state;
	struct fuse_client *c = &t->c;
	uint64_t node;

	put_file(t->dir, "f", "0123456789");
	assert_int_equal(fc_lookup(c, 1, "f", &node), 0);
	assert_int_equal(fc_open(c, node, O_RDWR | O_APPEND, &in.fh), 0);
	assert_int_equal(fc_call(c, FUSE_WRITE, node, FC_V(in), { "end", 3 }), 0);
	expect_text(c, node, in.fh, "0123456789end");
	in.write_flags = FUSE_WRITE_CACHE;
	assert_int_equal(fc_call(c, FUSE_WRITE, node, FC_V(in), { "top", 3 }), 0);
	expect_text(c, node, in.fh, "top3456789end");
}

static void tmpfile_has_no_name_until_it_is_linked(void **state)
{
	const struct fuse_create_in in = { .flags = O_RDWR, .mode = 0600 };
	struct tree *t = *state;
	struct fuse_client *c = &t->c;
	struct fuse_link_in link = { 0 };
	char names[64];
	uint64_t fh;

	if (fc_call(c, FUSE_TMPFILE, 1, FC_V(in), FC_S("x")) == -EOPNOTSUPP)
		skip();
	link.oldnodeid = ((const struct fuse_entry_out *)c->body)->nodeid;
	assert_int_equal(((const struct fuse_entry_out *)c->body)->attr.nlink, 0);
	assert_int_equal(fc_opendir(c, 1, &fh), 0);
	assert_int_equal(fc_readdir(c, 1, fh, 0, 4096, names, NULL), 2);
	assert_string_equal(names, "");
	assert_int_equal(fc_call(c, FUSE_LINK, 1, FC_V(link), FC_S("named")), 0);
	assert_int_equal(faccessat(t->dir, "named", F_OK, 0), 0);
}

static void absurd_offsets_and_sizes_are_errors(void **state)
{
	struct tree *t = *state;
	struct fuse_client *c = &t->c;
	uint64_t node, fh, dirfh;
	char names[64];

	assert_int_equal(fc_create(c, 1, "f", O_RDWR, 0600, &node, &fh), 0);
	struct fuse_lseek_in seek = { .fh = fh, .offset = UINT64_MAX, .whence = SEEK_DATA };
	struct fuse_fallocate_in falloc = { .fh = fh, .offset = INT64_MAX, .length = INT64_MAX };
	struct fuse_copy_file_range_in copy = { .fh_in = fh, .fh_out = fh, .len = UINT64_MAX,
						.off_out = INT64_MAX };

	assert_int_equal(fc_call(c, FUSE_LSEEK, node, FC_V(seek)), -ENXIO);
	seek.whence = 17;
	assert_int_equal(fc_call(c, FUSE_LSEEK, node, FC_V(seek)), -EINVAL);
	assert_true(fc_call(c, FUSE_FALLOCATE, node, FC_V(falloc)) < 0);
	falloc.mode = UINT32_MAX;
	assert_int_equal(fc_call(c, FUSE_FALLOCATE, node, FC_V(falloc)), -EOPNOTSUPP);
	assert_true(fc_call(c, FUSE_COPY_FILE_RANGE, node, FC_V(copy)) <= 0);
	copy.off_in = UINT64_MAX;
	assert_int_equal(fc_call(c, FUSE_COPY_FILE_RANGE, node, FC_V(copy)), -EINVAL);
	assert_true(fc_write(c, node, fh, INT64_MAX, "x") < 0);
	assert_true(fc_read(c, node, fh, INT64_MAX, 4096) <= 0);
	assert_int_equal(fc_opendir(c, 1, &dirfh), 0);
	assert_true(fc_readdir(c, 1, dirfh, INT64_MAX, 4096, names, NULL) <= 0);
	/* another handle: ext4 does not come back from there on the same one */
	assert_int_equal(fc_opendir(c, 1, &dirfh), 0);
	assert_int_equal(fc_readdir(c, 1, dirfh, 0, 4096, names, NULL), 3);
}

/* ------------------------------------------------------------------ DAX */

struct recorder {
	unsigned maps, unmaps;
	bool fd_ok;
};

static int record_map(void *cookie, uint64_t offset, uint64_t len, int fd, uint64_t fd_offset,
		      unsigned prot)
{
	struct recorder *r = cookie;

	r->maps++;
	r->fd_ok = (fcntl(fd, F_GETFL) & O_ACCMODE) == (prot & DAX_WRITE ? O_RDWR : O_RDONLY);
	return 0;
}

static int record_unmap(void *cookie, uint64_t offset, uint64_t len)
{
	struct recorder *r = cookie;

	r->unmaps++;
	return offset == 0 ? -EIO : 0;
}

static void mappings_reach_the_window_and_removals_are_all_tried(void **state)
{
	static const struct dax_mapper mapper = { record_map, record_unmap };
	struct recorder r = { 0 };
	struct dax_window *w;
	struct tree *t = *state;
	struct fuse_client *c = &t->c;
	struct fsrv_export e = { .fd = t->dir };
	struct fsrv_options o = { .trace_fd = -1 };
	uint64_t node;

	assert_int_equal(dax_window_new(1 << 20, 4096, &mapper, &r, &w), 0);
	o.window = w;
	put_file(t->dir, "f", "text");
	serve(t, &e, 1, &o);
	assert_int_equal(fc_body(c, struct fuse_init_out)->map_alignment, 12);
	assert_int_equal(fc_lookup(c, 1, "f", &node), 0);
	struct fuse_setupmapping_in in = { .fh = UINT64_MAX, .len = 4096,
					   .flags = FUSE_SETUPMAPPING_FLAG_READ };

	assert_int_equal(fc_call(c, FUSE_SETUPMAPPING, node, FC_V(in)), 0);
	assert_true(r.fd_ok);
	in.flags |= FUSE_SETUPMAPPING_FLAG_WRITE;
	in.moffset = 8192;
	assert_int_equal(fc_call(c, FUSE_SETUPMAPPING, node, FC_V(in)), 0);
	assert_true(r.fd_ok);
	in.moffset = 1 << 20;
	assert_int_equal(fc_call(c, FUSE_SETUPMAPPING, node, FC_V(in)), -EINVAL);
	in.moffset = 0;
	in.flags = 0;
	assert_int_equal(fc_call(c, FUSE_SETUPMAPPING, node, FC_V(in)), -EINVAL);
	in.flags = FUSE_SETUPMAPPING_FLAG_READ;
	assert_int_equal(fc_call(c, FUSE_SETUPMAPPING, 1, FC_V(in)), -EISDIR);
	assert_int_equal(r.maps, 2);

	struct fuse_removemapping_in rm = { .count = 3 };
	const struct fuse_removemapping_one ones[] = { { 0, 4096 }, { 1, 1 }, { 8192, 4096 } };

	assert_int_equal(fc_call(c, FUSE_REMOVEMAPPING, node, FC_V(rm), FC_V(ones)), -EIO);
	assert_int_equal(r.unmaps, 2);
	assert_int_equal(dax_window_used(w), 4096);
	rm.count = UINT32_MAX;
	assert_int_equal(fc_call(c, FUSE_REMOVEMAPPING, node, FC_V(rm), FC_V(ones)), -EINVAL);
	fc_stop(c);
	c->s = NULL;
	dax_window_free(w);
}

#define TEST(name)	 cmocka_unit_test_setup_teardown(name, start, stop)
#define TEST_NODEV(name) { #name " (nodev)", name, start_nodev, stop, NULL }
#define TEST_BOTH(name)	 TEST(name), TEST_NODEV(name)
#define TEST_EMPTY(name) cmocka_unit_test_setup_teardown(name, start_empty, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_BOTH(symlink_out_of_the_tree_is_only_ever_read_as_a_link),
		TEST_BOTH(file_replaced_by_a_symlink_is_stale_not_followed),
		TEST_BOTH(file_replaced_by_another_is_stale_until_looked_up_again),
		TEST_BOTH(devices_fifos_and_sockets_are_never_opened),
		TEST_BOTH(regular_file_that_became_a_fifo_is_not_opened),
		TEST_EMPTY(single_file_export_shows_that_file_only),
		TEST_EMPTY(synthetic_root_lists_exports_and_nothing_can_be_made_in_it),
		TEST_EMPTY(no_name_moves_from_one_export_to_another),
		TEST_EMPTY(exports_that_make_no_sense_are_refused_by_name),
		TEST_EMPTY(readonly_export_refuses_every_change),
		TEST_BOTH(node_is_found_after_renames_of_it_and_of_its_parents),
		TEST_BOTH(exchanged_names_are_found_under_their_new_ones),
		TEST_BOTH(unlinked_and_replaced_files_stay_reachable_by_their_nodes),
		TEST(failed_unlink_and_rename_change_nothing),
		TEST_BOTH(hard_links_are_one_node_and_survive_each_other),
		TEST_EMPTY(many_nodes_need_few_fds),
		TEST_BOTH(everything_is_closed_when_forgotten),
		TEST(new_files_belong_to_the_request),
		TEST(write_takes_setid_bits_away_when_told_to),
		TEST_BOTH(setattr_changes_owner_then_mode_then_size_then_times),
		TEST(symlinks_have_owners_and_times_but_no_mode),
		TEST(directory_offsets_stay_valid_while_entries_come_and_go),
		TEST(readdirplus_counts_a_lookup_for_each_entry),
		TEST_BOTH(record_locks_exclude_owners_and_go_with_flush),
		TEST(flock_belongs_to_the_handle),
		TEST(appending_goes_to_the_end_but_pages_go_where_they_belong),
		TEST(tmpfile_has_no_name_until_it_is_linked),
		TEST(absurd_offsets_and_sizes_are_errors),
		TEST_EMPTY(mappings_reach_the_window_and_removals_are_all_tried),
	};

	snprintf(top + sizeof(top) - 7, 7, "%06d", getpid() % 1000000);
	return cmocka_run_group_tests_name("fuse passthrough", tests, NULL, NULL);
}
