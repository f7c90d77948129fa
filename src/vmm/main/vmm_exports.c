// SPDX-License-Identifier: Apache-2.0
/*
 * What the guest sees of the host: clones of mounts, attached to no namespace.
 *
 * open_tree(OPEN_TREE_CLONE) gives each export a mount of its own, on which MS_NODEV (the FUSE
 * server may then open by name, no device can be reached) and, where asked for, MS_RDONLY are set
 * without touching the original. It goes when its fd is closed. Where that is not allowed (no
 * CAP_SYS_ADMIN) a plain O_PATH fd is used and the FUSE server does all the checking. An overlay file
 * system that config.json lists is such a mount from the start (vmm_overlay.c).
 *
 * A second clone of the same directory or file is for the mount namespace (vmm_jail.c): it is
 * mounted there, and the file server's must have nothing mounted on it.
 */
#include "vmm/main/vmm_sandbox.h"

#include "base/io.h"
#include "fuse/fsrv.h"
#include "virtiofs/virtiofs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define FS_TAG "runsm"

struct exports {
	struct fsrv_fs *fs;
	struct fsrv_session *session;
	int trace_fd;
	size_t n;
	int *fds, *shown;
};

static int set_attributes(int fd, const Runsm__Export *e, uint64_t attributes)
{
	const unsigned all = AT_EMPTY_PATH | (e->recursive ? AT_RECURSIVE : 0);
	struct mount_attr attr = {.attr_set = attributes, .propagation = MS_PRIVATE};
	struct mount_attr readonly = {.attr_set = MOUNT_ATTR_RDONLY};

	if (mount_setattr(fd, "", all, &attr, sizeof(attr)) < 0)
		return -errno;
	if (e->readonly && mount_setattr(fd, "", e->top_only ? AT_EMPTY_PATH : all, &readonly,
					 sizeof(readonly)) < 0)
		return -errno;
	return 0;
}

/* A mount of its own for what @fd is, with @attributes and as read-only as @e: fd or -errno. */
static int clone_tree(int fd, const Runsm__Export *e, uint64_t attributes)
{
	const unsigned recursive = e->recursive ? AT_RECURSIVE : 0;
	_cleanup_close_ int tree =
		open_tree(fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | recursive);
	int ret = tree < 0 ? -errno : set_attributes(tree, e, attributes);

	return ret < 0 ? ret : rsm_steal_fd(tree);
}

static int own_mount(int fd, const Runsm__Export *e)
{
	int ret = set_attributes(fd, e, MOUNT_ATTR_NODEV);

	if (ret < 0)
		return ret;
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

/*
 * @nodev: the fd's mount has MS_NODEV; @shown: one more clone, which is no way to a program either,
 * -1 if it cannot be had
 */
static int open_export(const Runsm__Export *e, bool *nodev, int *shown, struct rsm_error *err)
{
	_cleanup_close_ int named = *e->overlay ? vmm_overlay_mount(e->path, e->overlay, err)
						: open(e->path, O_PATH | O_CLOEXEC);
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (*e->overlay && named < 0)
		return named;
	if (named < 0 || fstat(named, &st) < 0)
		return rsm_fail_errno(err, errno, "open '%s'", e->path);
	if (S_ISDIR(st.st_mode) == e->is_file)
		return rsm_fail(err, e->is_file ? EISDIR : ENOTDIR, "'%s' is %sa directory",
				e->path, e->is_file ? "" : "not ");
	/* an overlay is nobody else's: older kernels do not clone what is mounted nowhere */
	fd = *e->overlay ? own_mount(named, e) : clone_tree(named, e, MOUNT_ATTR_NODEV);
	*nodev = fd >= 0;
	if (fd < 0 && *e->overlay)
		return rsm_fail_errno(err, fd, "set the attributes of an overlay file system");
	if (fd < 0)
		return rsm_steal_fd(named);
	*shown = clone_tree(named, e, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	if (*shown < 0)
		*shown = -1;
	return rsm_steal_fd(fd);
}

/* @fd becomes -1 if no trace is wanted. */
static int open_trace(const char *trace, int *fd, struct rsm_error *err)
{
	*fd = -1;
	if (!*trace)
		return 0;
	*fd = strcmp(trace, "stderr") == 0
		      ? fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)
		      : open(trace, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600);
	return *fd < 0 ? rsm_fail_errno(err, errno, "open FUSE trace '%s'", trace) : 0;
}

/*
 * The write-back cache is the whole device's: with it the guest never asks again for the size of a
 * file it knows, so what the host appends to a file of a volume would stay unseen. It is for
 * sandboxes of which the guest is the only writer.
 */
static enum fsrv_cache session_cache(const struct fsrv_export *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (list[i].cache != FSRV_CACHE_ALWAYS)
			return FSRV_CACHE_AUTO;
	return FSRV_CACHE_ALWAYS;
}

/*
 * A sandbox with shared files belongs to a client that manages it, and such a client copies files
 * into the container's root file system as well while the container runs (docker cp).
 */
static void expect_client(struct fsrv_export *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (list[i].cache == FSRV_CACHE_ALWAYS)
			list[i].cache = FSRV_CACHE_MOSTLY;
}

static int make_device(struct exports *x, struct fsrv_export *list, struct vdev **ret,
		       struct rsm_error *err)
{
	struct fsrv_options session = {.cache = session_cache(list, x->n), .trace_fd = x->trace_fd};
	struct virtiofs_options device = {.tag = FS_TAG, .request_queues = 1};
	int r;

	if (session.cache != FSRV_CACHE_ALWAYS)
		expect_client(list, x->n);
	r = fsrv_passthrough_new(list, x->n, &x->fs, err);
	if (r < 0)
		return rsm_error_prefix(err, "start the FUSE server");
	r = fsrv_session_new(x->fs, &session, &x->session);
	if (r < 0)
		return rsm_fail_errno(err, r, "start the FUSE server");
	return virtiofs_new(&device, x->session, ret, err);
}

int vmm_exports_open(const Runsm__VmConfig *config, struct exports **ret, struct vdev **ret_dev,
		     struct rsm_error *err)
{
	_cleanup_free_ struct fsrv_export *list = calloc(config->n_exports, sizeof(*list));
	struct exports *x = calloc(1, sizeof(*x));
	int r = -ENOMEM;

	if (!x || !list)
		goto fail;
	x->trace_fd = -1;
	x->fds = calloc(config->n_exports, sizeof(*x->fds));
	x->shown = calloc(config->n_exports, sizeof(*x->shown));
	if (!x->fds || !x->shown)
		goto fail;
	r = open_trace(config->fuse_trace, &x->trace_fd, err);
	if (r < 0)
		goto fail;
	for (; x->n < config->n_exports; x->n++) {
		const Runsm__Export *e = config->exports[x->n];

		x->shown[x->n] = -1;
		r = open_export(e, &list[x->n].nodev, &x->shown[x->n], err);
		if (r < 0)
			goto fail;
		x->fds[x->n] = list[x->n].fd = r;
		list[x->n].name = e->name;
		list[x->n].readonly = e->readonly;
		list[x->n].top_only = e->top_only;
		list[x->n].cache = e->shared ? FSRV_CACHE_AUTO : FSRV_CACHE_ALWAYS;
	}
	r = make_device(x, list, ret_dev, err);
	if (r < 0)
		goto fail;
	*ret = x;
	return 0;
fail:
	if (r == -ENOMEM && !err->code)
		(void)rsm_fail_errno(err, ENOMEM, "open exports");
	vmm_exports_free(x, NULL);
	return r;
}

int vmm_exports_rerooted(struct exports *x)
{
	return fsrv_passthrough_rerooted(x->fs);
}

int vmm_exports_shown(const struct exports *x, size_t i)
{
	return x->shown[i];
}

void vmm_exports_hide(struct exports *x)
{
	for (size_t i = 0; i < x->n; i++)
		rsm_close(&x->shown[i]);
}

void vmm_exports_free(struct exports *x, struct vdev *dev)
{
	virtiofs_free(dev);
	if (!x)
		return;
	fsrv_session_free(x->session);
	fsrv_fs_free(x->fs);
	vmm_exports_hide(x);
	for (size_t i = 0; i < x->n; i++)
		close(x->fds[i]);
	if (x->trace_fd >= 0)
		close(x->trace_fd);
	free(x->fds);
	free(x->shown);
	free(x);
}
