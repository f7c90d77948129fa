// SPDX-License-Identifier: Apache-2.0
/*
 * Root file system and mounts of a container.
 *
 * Exports are cloned as detached mount trees while the guest's own mounts are in sight (by the
 * agent, so that the automounts of exports belong to its namespace and outlive the container) and
 * attached after pivot_root(), when a destination cannot mean anything outside the root. Flags are
 * set before a tree is attached: it is never visible without them.
 */
#include "agent/setup.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/math.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define MS_NOSYMFOLLOW_ 256 /* linux/mount.h, which glibc's header replaces */

static const struct {
	uint64_t ms;
	uint64_t attr;
} attr_flags[] = {
	{MS_RDONLY, MOUNT_ATTR_RDONLY},
	{MS_NOSUID, MOUNT_ATTR_NOSUID},
	{MS_NODEV, MOUNT_ATTR_NODEV},
	{MS_NOEXEC, MOUNT_ATTR_NOEXEC},
	{MS_NODIRATIME, MOUNT_ATTR_NODIRATIME},
	{MS_NOATIME, MOUNT_ATTR_NOATIME},
	{MS_STRICTATIME, MOUNT_ATTR_STRICTATIME},
	{MS_NOSYMFOLLOW_, MOUNT_ATTR_NOSYMFOLLOW},
};

static int set_flags(int fd, const char *path, uint64_t ms_flags, uint64_t propagation)
{
	struct mount_attr attr = {.propagation = propagation & ~(uint64_t)MS_REC};
	unsigned at = (path[0] ? 0 : AT_EMPTY_PATH) | (propagation & MS_REC ? AT_RECURSIVE : 0);

	for (size_t i = 0; i < RSM_ARRAY_SIZE(attr_flags); i++)
		if (ms_flags & attr_flags[i].ms)
			attr.attr_set |= attr_flags[i].attr;
	if (ms_flags & (MS_NOATIME | MS_STRICTATIME | MS_RELATIME))
		attr.attr_clr |= MOUNT_ATTR__ATIME;
	if (!attr.attr_set && !attr.attr_clr && !attr.propagation)
		return 0;
	return mount_setattr(fd, path, at, &attr, sizeof(attr)) < 0 ? -errno : 0;
}

int setup_mount_flags(int fd, uint64_t ms_flags)
{
	return set_flags(fd, "", ms_flags, 0);
}

/* rro and the like: the mounts below are changed too. */
static int set_recursive(int fd, uint64_t set, uint64_t clear)
{
	struct mount_attr attr = {.attr_set = set, .attr_clr = clear};

	if (!set && !clear)
		return 0;
	return mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) < 0 ? -errno
											   : 0;
}

int setup_open_tree(int exports_fd, const char *name, const Runsm__Mount *m, struct rsm_error *err)
{
	uint64_t ms_flags = m ? m->flags : MS_REC;
	_cleanup_close_ int fd = -1;
	int ret;

	if (!name[0] || name[0] == '.' || strchr(name, '/'))
		return rsm_fail(err, EINVAL, "'%.100s' is not the name of an export", name);
	fd = open_tree(exports_fd, name,
		       OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW |
			       (ms_flags & MS_REC ? AT_RECURSIVE : 0));
	if (fd < 0)
		return rsm_fail_errno(err, errno, "open export '%s'", name);
	ret = set_flags(fd, "", ms_flags, 0);
	if (ret == 0 && m)
		ret = set_recursive(fd, m->rec_set, m->rec_clr);
	if (ret < 0)
		return rsm_fail_errno(err, ret, "set the mount flags of export '%s'", name);
	return rsm_steal_fd(fd);
}

int setup_root_enter(const struct setup *s, struct rsm_error *err)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return rsm_fail_errno(err, errno, "make the mounts private");
	if (move_mount(s->trees[0], "", AT_FDCWD, s->staging, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return rsm_fail_errno(err, errno, "attach the root file system");
	if (chdir(s->staging) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
		return rsm_fail_errno(err, errno, "pivot into the root file system");
	/* The old root lies on top of the new one now (pivot_root(2), NOTES). */
	if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return rsm_fail_errno(err, errno, "leave the old root");
	return 0;
}

static int mount_tree(const Runsm__Mount *m, int tree, struct rsm_error *err)
{
	_cleanup_close_ int at = setup_path_make(m->destination, m->is_file);
	int ret;

	if (at < 0)
		return rsm_fail_errno(err, at, "make the mount point");
	ret = strcmp(m->type, "scratch") == 0 ? setup_dress_scratch(tree, at) : 0;
	if (ret < 0)
		return rsm_fail_errno(err, ret, "prepare it");
	if (move_mount(tree, "", at, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) == 0)
		return 0;
	if (errno == ENOTDIR)
		return rsm_fail(err, ENOTDIR,
				"not a directory: a directory cannot be mounted onto a file, nor a "
				"file onto a directory");
	return rsm_fail_errno(err, errno, "attach");
}

/* A tmpfs over an existing directory takes that directory's mode unless the options say another
 * (runc's rule). */
static int tmpfs_data(const Runsm__Mount *m, int at, char *buf, size_t size)
{
	struct stat st;

	if (fstat(at, &st) < 0)
		return -errno;
	return rsm_format(buf, size, "mode=%04o%s%s", st.st_mode & 07777, m->data[0] ? "," : "",
			  m->data);
}

static int mount_new(const Runsm__Mount *m, struct rsm_error *err)
{
	static const char *const types[] = {"proc",   "sysfs",  "tmpfs",
					    "devpts", "mqueue", "cgroup2"};
	const char *type = strcmp(m->type, "cgroup") == 0 ? "cgroup2" : m->type, *data = m->data;
	/* A read-only tmpfs is written to until the mount points below it are made. */
	unsigned long flags = m->flags & ~(uint64_t)(MS_REC | MS_BIND);
	_cleanup_close_ int at = -1, below = -1;
	char buf[4096 + 16];
	size_t i = 0;
	int ret;

	while (i < RSM_ARRAY_SIZE(types) && strcmp(types[i], type) != 0)
		i++;
	if (i == RSM_ARRAY_SIZE(types))
		return rsm_fail(err, EINVAL, "mounts of type '%.50s' are not supported", type);
	at = setup_path_open(m->destination);
	if (strcmp(type, "tmpfs") == 0) {
		flags &= ~(unsigned long)MS_RDONLY;
		ret = at >= 0 ? tmpfs_data(m, at, buf, sizeof(buf)) : 0;
		if (ret < 0)
			return rsm_fail_errno(err, ret, "options");
		data = at >= 0 ? buf : m->data;
	}
	if (at == -ENOENT)
		at = setup_path_make(m->destination, false);
	if (at < 0)
		return rsm_fail_errno(err, at, "make the mount point");
	if (m->copy_up) {
		below = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (below < 0)
			return rsm_fail_errno(err, errno, "open what is to be copied");
	}
	if (fchdir(at) < 0 || mount(m->source[0] ? m->source : type, ".", type, flags, data) < 0)
		return rsm_fail_errno(err, errno, "mount %s with flags 0x%lx and options '%s'",
				      type, flags, data);
	ret = m->copy_up ? setup_copy_up(below, m->destination) : 0;
	return ret < 0 ? rsm_fail_errno(err, ret, "copy what is below it") : 0;
}

/* With "bind" the one mount gets these flags and no others, as remounting has it; without, its file
 * system gets the options. */
static int remount(const Runsm__Mount *m, struct rsm_error *err)
{
	_cleanup_close_ int at = setup_path_open(m->destination);
	struct mount_attr attr = {.attr_clr = MOUNT_ATTR__ATIME};

	if (at < 0)
		return rsm_fail_errno(err, at, "find what is to be remounted");
	if (!(m->flags & MS_BIND)) {
		if (fchdir(at) < 0 ||
		    mount(m->source, ".", NULL, m->flags & ~(uint64_t)MS_REC, m->data) < 0)
			return rsm_fail_errno(err, errno, "remount with options '%s'", m->data);
		return 0;
	}
	for (size_t i = 0; i < RSM_ARRAY_SIZE(attr_flags); i++) {
		if (m->flags & attr_flags[i].ms)
			attr.attr_set |= attr_flags[i].attr;
		else
			attr.attr_clr |= attr_flags[i].attr;
	}
	if (mount_setattr(at, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return rsm_fail_errno(err, errno, "remount");
	return 0;
}

static int set_propagation(const Runsm__Mount *m, struct rsm_error *err)
{
	_cleanup_close_ int at = -1;
	int ret;

	if (!m->propagation)
		return 0;
	at = setup_path_open(m->destination);
	ret = at < 0 ? at : set_flags(at, "", 0, m->propagation);
	return ret < 0 ? rsm_fail_errno(err, ret, "set the propagation") : 0;
}

/* Not read-only: what is below a tmpfs is yet to be made, see finish_tmpfs(). */
static int set_attributes(const Runsm__Mount *m, struct rsm_error *err)
{
	uint64_t later = strcmp(m->type, "tmpfs") == 0 ? MOUNT_ATTR_RDONLY : 0;
	_cleanup_close_ int at = -1;
	int ret;

	if (!m->rec_set && !m->rec_clr)
		return 0;
	at = setup_path_open(m->destination);
	ret = at < 0 ? at : set_recursive(at, m->rec_set & ~later, m->rec_clr);
	return ret < 0 ? rsm_fail_errno(err, ret, "set the attributes of its tree") : 0;
}

int setup_mounts(const struct setup *s, struct rsm_error *err)
{
	const Runsm__CreateContainerRequest *r = s->request;

	for (size_t i = 0; i < r->n_mounts; i++) {
		const Runsm__Mount *m = r->mounts[i];
		int tree = s->trees[i + 1];
		int ret;

		if (strcmp(m->type, "remount") == 0)
			ret = remount(m, err);
		else
			ret = tree >= 0 ? mount_tree(m, tree, err) : mount_new(m, err);
		if (ret == 0 && strcmp(m->type, "bind") != 0 && strcmp(m->type, "device") != 0)
			ret = set_attributes(m, err);
		if (ret == 0)
			ret = set_propagation(m, err);
		if (ret < 0)
			return rsm_error_prefix(err, "mounts[%zu]: mount '%.100s'", i,
						m->destination);
	}
	return chdir("/") < 0 ? rsm_fail_errno(err, errno, "chdir to /") : 0;
}

/* ---------------------------------------------------------------- after everything is in place */

static int finish_tmpfs(const Runsm__CreateContainerRequest *r, struct rsm_error *err)
{
	for (size_t i = 0; i < r->n_mounts; i++) {
		const Runsm__Mount *m = r->mounts[i];
		_cleanup_close_ int at = -1;
		int ret;

		if (strcmp(m->type, "tmpfs") != 0 ||
		    !(m->flags & MS_RDONLY || m->rec_set & MOUNT_ATTR_RDONLY))
			continue;
		at = setup_path_open(m->destination);
		ret = at < 0 ? at : set_flags(at, "", m->flags & MS_RDONLY, 0);
		if (ret == 0)
			ret = set_recursive(at, m->rec_set & MOUNT_ATTR_RDONLY, 0);
		if (ret < 0)
			return rsm_fail_errno(err, ret, "make '%s' read-only", m->destination);
	}
	return 0;
}

static int make_readonly(const char *path)
{
	_cleanup_close_ int at = setup_path_open(path), tree = -1;
	int ret;

	if (at < 0)
		return at == -ENOENT || at == -ENOTDIR ? 0 : at;
	tree = open_tree(at, "",
			 AT_EMPTY_PATH | AT_RECURSIVE | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0)
		return -errno;
	ret = set_flags(tree, "", MS_RDONLY, 0);
	if (ret < 0)
		return ret;
	return move_mount(tree, "", at, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0
		       ? -errno
		       : 0;
}

static int mask(const char *path, int null)
{
	_cleanup_close_ int at = setup_path_open(path), tree = -1;
	struct stat st;

	if (at < 0)
		return at == -ENOENT || at == -ENOTDIR ? 0 : at;
	if (fstat(at, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return fchdir(at) < 0 || mount("tmpfs", ".", "tmpfs", MS_RDONLY, NULL) < 0 ? -errno
											   : 0;
	tree = open_tree(null, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0)
		return -errno;
	return move_mount(tree, "", at, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0
		       ? -errno
		       : 0;
}

static int hide(const Runsm__CreateContainerRequest *r, struct rsm_error *err)
{
	_cleanup_close_ int null = -1;
	int ret;

	for (size_t i = 0; i < r->n_readonly_paths; i++) {
		ret = make_readonly(r->readonly_paths[i]);
		if (ret < 0)
			return rsm_fail_errno(err, ret, "make '%s' read-only",
					      r->readonly_paths[i]);
	}
	if (r->n_masked_paths == 0)
		return 0;
	null = open("/dev/null", O_PATH | O_CLOEXEC);
	for (size_t i = 0; i < r->n_masked_paths; i++) {
		ret = mask(r->masked_paths[i], null);
		if (ret < 0)
			return rsm_fail_errno(err, ret, "mask '%s'", r->masked_paths[i]);
	}
	return chdir("/") < 0 ? rsm_fail_errno(err, errno, "chdir to /") : 0;
}

int setup_root_finish(const struct setup *s, struct rsm_error *err)
{
	const Runsm__CreateContainerRequest *r = s->request;
	int ret = finish_tmpfs(r, err);

	if (ret == 0)
		ret = hide(r, err);
	if (ret < 0)
		return ret;
	ret = set_flags(AT_FDCWD, "/", r->root_readonly ? MS_RDONLY : 0, 0);
	if (ret < 0)
		return rsm_fail_errno(err, ret, "make the root file system read-only");
	ret = set_flags(AT_FDCWD, "/", 0, r->rootfs_propagation);
	if (ret < 0)
		return rsm_fail_errno(err, ret, "set rootfsPropagation");
	return 0;
}
