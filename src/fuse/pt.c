// SPDX-License-Identifier: Apache-2.0
/*
 * Passthrough of host directories: the file system object, its exports and mounts.
 *
 *	root ─┬─ "root" ─▶ export 0: a directory tree
 *	      ├─ "m0"   ─▶ export 1: another tree, read-only
 *	      └─ "m1"   ─▶ export 2: a single file
 *
 * With several exports the root is synthetic: it exists only here, nothing can be made in it. With
 * one export without a name the root is that directory. An export may have other mounts below it;
 * each {export, mount} is a struct pt_mount, and the guest sees it as a mount of its own
 * (FUSE_ATTR_SUBMOUNT) if it can.
 *
 * Files are made as ourselves and then given to the request's uid and gid; the process' umask must
 *be 0, because the guest has applied its own.
 */
#include "fuse/pt.h"

#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#define FDS_MIN 32U
#define OWN_FDS "/proc/self/fd"

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452 /* asm/unistd_64.h of Linux 6.6 */
#endif

static const struct fsrv_ops pt_ops;

int pt_reopen(struct pt *pt, int fd, int flags)
{
	char name[16];
	int r = rsm_format(name, sizeof(name), "%d", fd);

	if (r < 0)
		return r;
	r = openat(pt->proc_fd, name, flags | O_CLOEXEC);
	return r < 0 ? -errno : r;
}

int pt_chmod(struct pt *pt, int fd, mode_t mode)
{
	char name[16];
	int r;

	if (syscall(SYS_fchmodat2, fd, "", mode, AT_EMPTY_PATH) == 0)
		return 0;
	if (errno != ENOSYS) /* before Linux 6.6 */
		return -errno;
	r = rsm_format(name, sizeof(name), "%d", fd);
	if (r < 0)
		return r;
	return fchmodat(pt->proc_fd, name, mode, 0) < 0 ? -errno : 0;
}

int pt_get_node(struct pt *pt, uint64_t nodeid, bool change, struct pt_inode **ret)
{
	struct pt_inode *i = pt_get(pt, nodeid);

	if (!i)
		return -ESTALE;
	if (!i->mnt || (change && i->mnt->readonly)) {
		pt_put(pt, i);
		return change ? -EROFS : -EOPNOTSUPP;
	}
	*ret = i;
	return 0;
}

int pt_get_dir(struct pt *pt, uint64_t nodeid, bool change, struct pt_inode **ret, int *ret_fd)
{
	struct pt_inode *i = pt_get(pt, nodeid);
	int r = 0;

	if (!i)
		return -ESTALE;
	*ret_fd = -1;
	if (!S_ISDIR(i->type))
		r = -ENOTDIR;
	else if (change && (!i->mnt || i->mnt->readonly))
		r = -EROFS;
	else if (i->mnt)
		r = *ret_fd = pt_fd(pt, i);
	if (r < 0) {
		pt_put(pt, i);
		return r;
	}
	*ret = i;
	return 0;
}

static bool is_nodev(int fd)
{
	struct statvfs v;

	return fstatvfs(fd, &v) == 0 && (v.f_flag & ST_NODEV);
}

static struct pt_mount *find_mount(const struct pt_export *e, uint64_t mnt_id)
{
	struct pt_mount *m = e->mounts;

	while (m && m->mnt_id != mnt_id)
		m = m->next;
	return m;
}

static struct pt_mount *add_mount(const struct pt *pt, struct pt_export *e, const struct statx *st,
				  bool nodev)
{
	struct pt_mount *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->export = e;
	m->mnt_id = st->stx_mnt_id;
	m->dev = makedev(st->stx_dev_major, st->stx_dev_minor);
	if (!pt->submounts && e->mounts)
		m->dev = e->inode->mnt->dev;
	m->readonly = e->readonly && !(e->top_only && e->mounts);
	m->nodev = nodev;
	m->cache = e->cache;
	m->next = e->mounts;
	e->mounts = m;
	return m;
}

int pt_mount_of(struct pt *pt, const struct pt_inode *parent, const char *name,
		const struct statx *st, struct pt_mount **ret)
{
	struct pt_export *e = parent->mnt->export;
	bool nodev = false;
	struct pt_mount *m;

	pt_lock(pt);
	m = find_mount(e, st->stx_mnt_id);
	pt_unlock(pt);
	if (!m && name) {
		int dirfd = atomic_load(&parent->fd); /* the name was just looked up through it */
		_cleanup_close_ int fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

		nodev = fd >= 0 && is_nodev(fd);
	}
	if (!m) {
		pt_lock(pt);
		m = find_mount(e, st->stx_mnt_id);
		if (!m)
			m = add_mount(pt, e, st, nodev);
		pt_unlock(pt);
	}
	*ret = m;
	return m ? 0 : -ENOMEM;
}

static int add_export(struct pt *pt, const struct fsrv_export *from, struct pt_export *e,
		      struct rsm_error *err)
{
	const char *shown = from->name ? from->name : "/";
	_cleanup_close_ int fd = -1;
	struct pt_mount *m;
	struct statx st;

	if (statx(from->fd, "", AT_EMPTY_PATH, PT_STATX_MASK, &st) < 0)
		return rsm_fail_errno(err, errno, "export '%s': stat", shown);
	if (!S_ISDIR(st.stx_mode) && !(S_ISREG(st.stx_mode) && from->name))
		return rsm_fail(err, ENOTDIR, "export '%s': not a directory%s", shown,
				from->name ? " or regular file" : "");
	if (from->name) {
		if (!*from->name || strchr(from->name, '/') || strlen(from->name) > NAME_MAX ||
		    !strcmp(from->name, ".") || !strcmp(from->name, ".."))
			return rsm_fail(err, EINVAL, "export '%s': not one path component", shown);
		e->name = strdup(from->name);
		if (!e->name)
			return rsm_fail(err, ENOMEM, "export '%s': out of memory", shown);
	}
	fd = fcntl(from->fd, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return rsm_fail_errno(err, errno, "export '%s': dup", shown);
	e->fd = fd;
	e->readonly = from->readonly;
	e->top_only = from->top_only;
	e->cache = from->cache;
	m = add_mount(pt, e, &st, from->nodev || is_nodev(fd));
	if (!m || pt_add_root(pt, m, &st, rsm_steal_fd(fd), &e->inode) < 0)
		return rsm_fail(err, ENOMEM, "export '%s': out of memory", shown);
	return 0;
}

/* The node 1: synthetic, or the only export. */
static int add_exports(struct pt *pt, const struct fsrv_export *exports, size_t n,
		       struct rsm_error *err)
{
	const struct statx root = {.stx_mode = S_IFDIR | 0755, .stx_ino = 1};
	int r;

	pt->synthetic = n != 1 || exports[0].name;
	if (pt->synthetic && pt_add_root(pt, NULL, &root, -1, &pt->root) < 0)
		return rsm_fail(err, ENOMEM, "out of memory");
	for (size_t k = 0; k < n; k++) {
		if (pt->synthetic && !exports[k].name)
			return rsm_fail(err, EINVAL,
					"an export without a name must be the only one");
		r = add_export(pt, &exports[k], &pt->exports[k], err);
		if (r < 0)
			return r;
		pt->nexports++;
	}
	if (!pt->synthetic)
		pt->root = pt->exports[0].inode;
	return 0;
}

static void pt_free(struct fsrv_fs *fs)
{
	struct pt *pt = to_pt(fs);

	pt_table_free(pt);
	for (size_t k = 0; k < pt->nallocated; k++) {
		struct pt_export *e = &pt->exports[k];

		while (e->mounts) {
			struct pt_mount *m = e->mounts;

			e->mounts = m->next;
			free(m);
		}
		free(e->name);
	}
	free(pt->exports);
	rsm_close(&pt->proc_fd);
	free(pt);
}

static void pt_reset(struct fsrv_fs *fs)
{
	pt_table_reset(to_pt(fs));
}

static void pt_started(struct fsrv_fs *fs, const struct fsrv_conn *conn)
{
	struct pt *pt = to_pt(fs);

	pt->writeback = conn->flags & FUSE_WRITEBACK_CACHE;
	pt->submounts = conn->flags & FUSE_SUBMOUNTS;
}

int fsrv_passthrough_new(const struct fsrv_export *exports, size_t n, struct fsrv_fs **ret,
			 struct rsm_error *err)
{
	struct rlimit files;
	struct pt *pt;
	int r;

	pt = calloc(1, sizeof(*pt));
	if (!pt)
		return rsm_fail(err, ENOMEM, "out of memory");
	pt->fs.ops = &pt_ops;
	pt->proc_fd = -1;
	pt->uid = geteuid();
	pt->gid = getegid();
	pt->max_fds = FDS_MIN;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0)
		pt->max_fds = (uint32_t)rsm_min(files.rlim_cur / 2 + FDS_MIN, (rlim_t)1 << 20);
	r = pt_table_init(pt);
	if (r == 0) {
		pt->exports = calloc(n ? n : 1, sizeof(*pt->exports));
		pt->nallocated = pt->exports ? n : 0;
	}
	if (!pt->exports) {
		r = rsm_fail(err, ENOMEM, "out of memory");
	} else {
		pt->proc_fd = open(OWN_FDS, O_PATH | O_DIRECTORY | O_CLOEXEC);
		r = pt->proc_fd < 0 ? rsm_fail_errno(err, errno, "open '" OWN_FDS "'")
				    : add_exports(pt, exports, n, err);
	}
	if (r < 0) {
		pt_free(&pt->fs);
		return r;
	}
	umask(0);
	*ret = &pt->fs;
	return 0;
}

int fsrv_passthrough_rerooted(struct fsrv_fs *fs)
{
	struct pt *pt = to_pt(fs);

	rsm_close(&pt->proc_fd);
	pt->proc_fd = open(OWN_FDS, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return pt->proc_fd < 0 ? -errno : 0;
}

void fsrv_fs_free(struct fsrv_fs *fs)
{
	if (fs)
		fs->ops->free(fs);
}

static const struct fsrv_ops pt_ops = {
	.free = pt_free,
	.reset = pt_reset,
	.started = pt_started,
	.forget = pt_forget,
	.lookup = pt_lookup,
	.getattr = pt_getattr,
	.setattr = pt_setattr,
	.statx = pt_statx,
	.access = pt_access,
	.readlink = pt_readlink,
	.statfs = pt_statfs,
	.syncfs = pt_syncfs,
	.symlink = pt_symlink,
	.mknod = pt_mknod,
	.mkdir = pt_mkdir,
	.unlink = pt_unlink,
	.rmdir = pt_rmdir,
	.rename = pt_rename,
	.link = pt_link,
	.open = pt_open,
	.create = pt_create,
	.tmpfile = pt_tmpfile,
	.read = pt_read,
	.write = pt_write,
	.flush = pt_flush,
	.release = pt_release,
	.fsync = pt_fsync,
	.lseek = pt_lseek,
	.fallocate = pt_fallocate,
	.copy_file_range = pt_copy_file_range,
	.opendir = pt_opendir,
	.readdir = pt_readdir,
	.releasedir = pt_releasedir,
	.fsyncdir = pt_fsyncdir,
	.setxattr = pt_setxattr,
	.getxattr = pt_getxattr,
	.listxattr = pt_listxattr,
	.removexattr = pt_removexattr,
	.getlk = pt_getlk,
	.setlk = pt_setlk,
	.dax_fd = pt_dax_fd,
};
