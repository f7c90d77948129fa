// SPDX-License-Identifier: Apache-2.0
/* Passthrough: what requests do. What needs root is skipped without. */
#include "fuse_tree.h"
#include "dax/dax.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>

/* ------------------------------------------------------------------ modes and owners */

static void new_files_belong_to_the_request(void **state)
{
	const struct fuse_mknod_in suid = {.mode = S_IFREG | 06755};
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
	struct fuse_write_in in = {.size = 1, .write_flags = FUSE_WRITE_KILL_SUIDGID};
	struct tree *t = *state;
	struct fuse_client *c = &t->c;
	uint64_t node, fh;
	struct stat st;

	assert_int_equal(fc_create(c, 1, "f", O_RDWR, 0755, &node, &fh), 0);
	assert_int_equal(fchmodat(t->dir, "f", 06755, 0), 0);
	in.fh = fh;
	in.write_flags = 0;
	assert_int_equal(fc_call(c, FUSE_WRITE, node, FC_V(in), {"x", 1}), 0);
	assert_int_equal(fstatat(t->dir, "f", &st, 0), 0);
	if (geteuid() == 0)
		assert_int_equal(st.st_mode & 07777, 06755);
	in.write_flags = FUSE_WRITE_KILL_SUIDGID;
	assert_int_equal(fc_call(c, FUSE_WRITE, node, FC_V(in), {"x", 1}), 0);
	assert_int_equal(fstatat(t->dir, "f", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
}

static void setattr_changes_owner_then_mode_then_size_then_times(void **state)
{
	struct fuse_setattr_in set = {
		.valid =
			FATTR_MODE | FATTR_UID | FATTR_GID | FATTR_SIZE | FATTR_ATIME | FATTR_MTIME,
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
	struct fuse_setattr_in set = {.valid = FATTR_MODE, .mode = 0777};
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
	unsigned seen[300] = {0};
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
		for (char *save, *s = strtok_r(names, " ", &save); s;
		     s = strtok_r(NULL, " ", &save))
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
	struct fuse_read_in in = {.size = 4096};
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
	struct fuse_flush_in flush = {.lock_owner = 1};
	struct fuse_lk_in get = {.owner = 2, .lk = {.end = 99, .type = F_RDLCK}};
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
	assert_int_equal(fc_body(c, struct fuse_lk_out)->lk.pid, 1001);
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
	struct fuse_write_in in = {.size = 3, .flags = O_RDWR | O_APPEND};
	struct tree *t = *state;
	struct fuse_client *c = &t->c;
	uint64_t node;

	put_file(t->dir, "f", "0123456789");
	assert_int_equal(fc_lookup(c, 1, "f", &node), 0);
	assert_int_equal(fc_open(c, node, O_RDWR | O_APPEND, &in.fh), 0);
	assert_int_equal(fc_call(c, FUSE_WRITE, node, FC_V(in), {"end", 3}), 0);
	expect_text(c, node, in.fh, "0123456789end");
	in.write_flags = FUSE_WRITE_CACHE;
	assert_int_equal(fc_call(c, FUSE_WRITE, node, FC_V(in), {"top", 3}), 0);
	expect_text(c, node, in.fh, "top3456789end");
}

/* As runsm-vmm's jail does: what was opened before is then another's, as far as linkat(2) goes. */
static int link_without_capabilities(struct fuse_client *c, uint64_t file, uint64_t symlink)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};
	struct fuse_link_in link = {.oldnodeid = file};

	if (syscall(SYS_capset, &header, none) < 0)
		return 1;
	if (fc_call(c, FUSE_LINK, 1, FC_V(link), FC_S("file2")) != 0)
		return 2;
	link.oldnodeid = symlink;
	if (fc_call(c, FUSE_LINK, 1, FC_V(link), FC_S("symlink2")) != 0)
		return 3;
	return 0;
}

static void files_and_symlinks_are_linked_without_capabilities_too(void **state)
{
	struct tree *t = *state;
	struct fuse_client *c = &t->c;
	uint64_t file, symlink;
	struct stat a, b;
	int status;
	pid_t pid;

	put_file(t->dir, "file", "text");
	assert_int_equal(symlinkat("target", t->dir, "symlink"), 0);
	assert_int_equal(fc_lookup(c, 1, "file", &file), 0);
	assert_int_equal(fc_lookup(c, 1, "symlink", &symlink), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(link_without_capabilities(c, file, symlink));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(fstatat(t->dir, "symlink", &a, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(fstatat(t->dir, "symlink2", &b, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(a.st_ino, b.st_ino);
}

static void tmpfile_has_no_name_until_it_is_linked(void **state)
{
	const struct fuse_create_in in = {.flags = O_RDWR, .mode = 0600};
	struct tree *t = *state;
	struct fuse_client *c = &t->c;
	struct fuse_link_in link = {0};
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
	struct fuse_lseek_in seek = {.fh = fh, .offset = UINT64_MAX, .whence = SEEK_DATA};
	struct fuse_fallocate_in falloc = {.fh = fh, .offset = INT64_MAX, .length = INT64_MAX};
	struct fuse_copy_file_range_in copy = {
		.fh_in = fh, .fh_out = fh, .len = UINT64_MAX, .off_out = INT64_MAX};

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
	static const struct dax_mapper mapper = {record_map, record_unmap};
	struct recorder r = {0};
	struct dax_window *w;
	struct tree *t = *state;
	struct fuse_client *c = &t->c;
	struct fsrv_export e = {.fd = t->dir};
	struct fsrv_options o = {.trace_fd = -1};
	uint64_t node;

	assert_int_equal(dax_window_new(1 << 20, 4096, &mapper, &r, &w), 0);
	o.window = w;
	put_file(t->dir, "f", "text");
	serve(t, &e, 1, &o);
	assert_int_equal(fc_body(c, struct fuse_init_out)->map_alignment, 12);
	assert_int_equal(fc_lookup(c, 1, "f", &node), 0);
	struct fuse_setupmapping_in in = {
		.fh = UINT64_MAX, .len = 4096, .flags = FUSE_SETUPMAPPING_FLAG_READ};

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

	struct fuse_removemapping_in rm = {.count = 3};
	const struct fuse_removemapping_one ones[] = {{0, 4096}, {1, 1}, {8192, 4096}};

	assert_int_equal(fc_call(c, FUSE_REMOVEMAPPING, node, FC_V(rm), FC_V(ones)), -EIO);
	assert_int_equal(r.unmaps, 2);
	assert_int_equal(dax_window_used(w), 4096);
	rm.count = UINT32_MAX;
	assert_int_equal(fc_call(c, FUSE_REMOVEMAPPING, node, FC_V(rm), FC_V(ones)), -EINVAL);
	fc_stop(c);
	c->s = NULL;
	dax_window_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(new_files_belong_to_the_request),
		TEST(write_takes_setid_bits_away_when_told_to),
		TEST_BOTH(setattr_changes_owner_then_mode_then_size_then_times),
		TEST(symlinks_have_owners_and_times_but_no_mode),
		TEST(directory_offsets_stay_valid_while_entries_come_and_go),
		TEST(readdirplus_counts_a_lookup_for_each_entry),
		TEST_BOTH(record_locks_exclude_owners_and_go_with_flush),
		TEST(flock_belongs_to_the_handle),
		TEST(appending_goes_to_the_end_but_pages_go_where_they_belong),
		TEST(files_and_symlinks_are_linked_without_capabilities_too),
		TEST(tmpfile_has_no_name_until_it_is_linked),
		TEST(absurd_offsets_and_sizes_are_errors),
		TEST_EMPTY(mappings_reach_the_window_and_removals_are_all_tried),
	};

	return cmocka_run_group_tests_name("fuse passthrough: requests", tests, NULL, NULL);
}
