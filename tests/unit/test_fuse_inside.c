// SPDX-License-Identifier: Apache-2.0
/* Passthrough: nothing a client sends leads out of the exports, or past what they allow. */
#include "fuse_tree.h"

#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

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
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	struct tree *t = *state;
	struct fuse_client *c = &t->c;
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint64_t node, fh;

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/sock", top);
	assert_int_equal(bind(sock, (void *)&sa, sizeof(sa)), 0);
	assert_int_equal(mkfifoat(t->dir, "fifo", 0666), 0);
	for (const char *const *n = (const char *const[]){"sock", "fifo", NULL}; *n; n++) {
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
	struct fsrv_export e = {.name = "m0", .fd = openat(t->dir, "shown", O_PATH | O_CLOEXEC)};

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
	const struct fuse_rename_in rename = {.newdir = 1};
	struct tree *t = *state;
	struct fuse_client *c = &t->c;
	struct fuse_attr attr;
	uint64_t node, a, fh;
	char names[64];

	assert_int_equal(mkdirat(t->dir, "a", 0755), 0);
	assert_int_equal(mkdirat(t->dir, "b", 0755), 0);
	struct fsrv_export e[] = {
		{.name = "root", .fd = openat(t->dir, "a", O_PATH | O_CLOEXEC)},
		{.name = "m0", .fd = openat(t->dir, "b", O_PATH | O_CLOEXEC), .readonly = true},
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
	const struct fuse_link_in link = {.oldnodeid = node};

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
		{.name = "a", .fd = openat(t->dir, "a", O_PATH | O_CLOEXEC)},
		{.name = "b", .fd = openat(t->dir, "b", O_PATH | O_CLOEXEC)},
	};
	serve(t, e, 2, NULL);
	assert_int_equal(fc_lookup(c, 1, "a", &a), 0);
	assert_int_equal(fc_lookup(c, 1, "b", &b), 0);
	assert_int_equal(fc_create(c, a, "f", O_RDWR, 0600, &node, &fh), 0);
	const struct fuse_link_in link = {.oldnodeid = node};
	const struct fuse_rename_in rename = {.newdir = b};

	assert_int_equal(fc_call(c, FUSE_LINK, b, FC_V(link), FC_S("f")), -EXDEV);
	assert_int_equal(fc_call(c, FUSE_RENAME, a, FC_V(rename), FC_S("f"), FC_S("f")), -EXDEV);
	close(e[0].fd);
	close(e[1].fd);
}

static void exports_that_make_no_sense_are_refused_by_name(void **state)
{
	static const char *const names[] = {"", ".", "..", "a/b"};
	struct tree *t = *state;
	struct fsrv_fs *fs;

	for (size_t i = 0; i < RSM_ARRAY_SIZE(names); i++) {
		struct fsrv_export e = {.name = names[i], .fd = t->dir};
		struct rsm_error err = RSM_ERROR_INIT;

		assert_int_equal(fsrv_passthrough_new(&e, 1, &fs, &err), -EINVAL);
		assert_non_null(strstr(err.message, "export '"));
	}
}

static void readonly_export_refuses_every_change(void **state)
{
	const struct fuse_mknod_in mknod = {.mode = S_IFREG | 0600};
	const struct fuse_rename2_in rename2 = {.newdir = 1, .flags = 2};
	const struct fuse_rename_in rename = {.newdir = 1};
	const struct fuse_setxattr_in setx = {.size = 1};
	const struct fuse_create_in tmp = {.flags = O_RDWR, .mode = 0600};
	const struct fuse_access_in access = {.mask = W_OK};
	struct fuse_setattr_in set = {.valid = FATTR_MODE, .mode = 0777};
	struct tree *t = *state;
	struct fuse_client *c = &t->c;
	uint64_t node, fh, other;

	put_file(t->dir, "a", "text");
	struct fsrv_export e = {.fd = t->dir, .readonly = true, .nodev = true};

	serve(t, &e, 1, NULL);
	assert_int_equal(fc_lookup(c, 1, "a", &node), 0);
	const struct fuse_link_in link = {.oldnodeid = node};

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
	assert_int_equal(fc_call(c, FUSE_SETXATTR, node, FC_V(setx), FC_S("user.a"), {"x", 1}),
			 -EROFS);
	assert_int_equal(fc_call(c, FUSE_REMOVEXATTR, node, FC_S("user.a")), -EROFS);
	assert_int_equal(fc_call(c, FUSE_ACCESS, node, FC_V(access)), -EROFS);
	assert_int_equal(fc_open(c, node, O_RDONLY, &fh), 0);
	assert_int_equal(fc_write(c, node, fh, 0, "no"), -EBADF);
	const struct fuse_fallocate_in falloc = {.fh = fh, .length = 100};

	assert_int_equal(fc_call(c, FUSE_FALLOCATE, node, FC_V(falloc)), -EBADF);
	expect_text(c, node, fh, "text");
}

static void readonly_on_top_leaves_the_mounts_below_as_they_are(void **state)
{
	struct tree *t = *state;
	struct fuse_client *c = &t->c;
	uint64_t sub, node, fh;
	int above, below;
	char path[64];

	assert_int_equal(mkdirat(t->dir, "sub", 0755), 0);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d/sub", t->dir);
	if (mount("tmpfs", path, "tmpfs", 0, NULL) < 0) {
		print_message("needs CAP_SYS_ADMIN to mount a tmpfs\n");
		skip();
	}
	struct fsrv_export e = {.fd = t->dir, .readonly = true, .top_only = true};

	serve(t, &e, 1, NULL);
	above = fc_mkdir(c, 1, "d", &node);
	below = fc_lookup(c, 1, "sub", &sub);
	if (below == 0)
		below = fc_create(c, sub, "f", O_RDWR, 0600, &node, &fh);
	if (below == 0)
		below = fc_write(c, node, fh, 0, "yes");
	assert_int_equal(umount2(path, MNT_DETACH), 0);
	assert_int_equal(above, -EROFS);
	assert_int_equal(below, 0);
}

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
		TEST_EMPTY(readonly_on_top_leaves_the_mounts_below_as_they_are),
	};

	return cmocka_run_group_tests_name("fuse passthrough: staying inside", tests, NULL, NULL);
}
