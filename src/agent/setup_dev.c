// SPDX-License-Identifier: Apache-2.0
/* /dev of a container (runtime-spec config-linux.md, "Default Devices") and its terminals. */
#include "agent/setup.h"

#include "agent/agent.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/math.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

static const struct {
	const char *path;
	unsigned major, minor;
} default_devices[] = {
	{"/dev/null", 1, 3},   {"/dev/zero", 1, 5},    {"/dev/full", 1, 7},
	{"/dev/random", 1, 8}, {"/dev/urandom", 1, 9}, {"/dev/tty", 5, 0},
};

static const struct {
	const char *target, *path;
} links[] = {
	{"/proc/self/fd", "/dev/fd"},
	{"/proc/self/fd/0", "/dev/stdin"},
	{"/proc/self/fd/1", "/dev/stdout"},
	{"/proc/self/fd/2", "/dev/stderr"},
};

/* The bundle brings its own /dev: leave it alone (runc's rule). */
static bool has_own_dev(const Runsm__CreateContainerRequest *r)
{
	for (size_t i = 0; i < r->n_mounts; i++)
		if (strcmp(r->mounts[i]->type, "bind") == 0 &&
		    (strcmp(r->mounts[i]->destination, "/dev") == 0 ||
		     strcmp(r->mounts[i]->destination, "/dev/") == 0))
			return true;
	return false;
}

/**
 * struct node - A device of the container
 * @listed:	by config.json, so whatever is missing above it is made
 */
struct node {
	const char *path;
	mode_t mode;
	dev_t dev;
	uid_t uid;
	gid_t gid;
	bool listed;
};

static bool is_listed(const Runsm__CreateContainerRequest *r, const char *path)
{
	for (size_t i = 0; i < r->n_devices; i++)
		if (strcmp(r->devices[i]->path, path) == 0)
			return true;
	return false;
}

/* Node @i of the container: what config.json lists, then the default ones that it does not. */
static bool get_node(const Runsm__CreateContainerRequest *r, size_t i, struct node *n)
{
	if (i < r->n_devices) {
		const Runsm__Device *d = r->devices[i];

		*n = (struct node){.path = d->path,
				   .mode = d->type | (d->mode & 07777),
				   .dev = makedev(d->major, d->minor),
				   .uid = d->uid,
				   .gid = d->gid,
				   .listed = true};
		return true;
	}
	i -= r->n_devices;
	for (size_t k = 0; k < RSM_ARRAY_SIZE(default_devices); k++) {
		if (is_listed(r, default_devices[k].path) || i-- > 0)
			continue;
		*n = (struct node){.path = default_devices[k].path,
				   .mode = S_IFCHR | 0666,
				   .dev = makedev(default_devices[k].major,
						  default_devices[k].minor)};
		return true;
	}
	return false;
}

static int make_node(const struct node *n)
{
	if (mknod(n->path, n->mode, n->dev) < 0)
		return errno == EEXIST ? 0 : -errno;
	if ((n->uid || n->gid) && chown(n->path, n->uid, n->gid) < 0)
		return -errno;
	return 0;
}

static int make_parent(const char *path)
{
	char parent[PATH_MAX], *slash;
	int ret = rsm_format(parent, sizeof(parent), "%s", path);

	if (ret < 0)
		return ret;
	slash = strrchr(parent, '/');
	if (!slash)
		return -EINVAL;
	*slash = '\0';
	return parent[0] ? setup_mkdir_p(parent, 0755) : 0;
}

/* A user namespace's root makes no devices: each is mounted, as a file. */
static int mount_node(const struct node *n, int tree)
{
	_cleanup_close_ int at = setup_path_make(n->path, true);

	if (at < 0)
		return at;
	return move_mount(tree, "", at, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0
		       ? -errno
		       : 0;
}

static int open_node(const Runsm__CreateContainerRequest *r, const char *dir, size_t i,
		     const struct node *n)
{
	struct node tmp = *n;
	char path[PATH_MAX];
	int ret = rsm_format(path, sizeof(path), "%s/%zu", dir, i), fd;

	if (ret < 0)
		return ret;
	if (!userns_map(r->uid_mappings, r->n_uid_mappings, n->uid, &tmp.uid) ||
	    !userns_map(r->gid_mappings, r->n_gid_mappings, n->gid, &tmp.gid))
		return -EINVAL;
	tmp.path = path;
	ret = make_node(&tmp);
	if (ret < 0)
		return ret;
	if (chmod(path, n->mode & 07777) < 0) /* the agent has a umask */
		return -errno;
	fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* What is unlinked cannot be mounted, so they stay there as long as the container. */
int setup_open_nodes(struct setup *s, char **ret_dir, struct rsm_error *err)
{
	const Runsm__CreateContainerRequest *r = s->request;
	struct node n;

	s->nodes = calloc(r->n_devices + RSM_ARRAY_SIZE(default_devices), sizeof(int));
	if (!s->nodes || asprintf(ret_dir, "%s-nodes-XXXXXX", s->staging) < 0) {
		*ret_dir = NULL;
		return rsm_fail_errno(err, ENOMEM, "prepare the devices");
	}
	if (!mkdtemp(*ret_dir))
		return rsm_fail_errno(err, errno, "make '%s'", *ret_dir);
	for (size_t i = 0; get_node(r, i, &n); i++) {
		int fd = open_node(r, *ret_dir, i, &n);

		if (fd < 0)
			return rsm_fail_errno(err, fd, "prepare device '%s'", n.path);
		s->nodes[s->nnodes++] = fd;
	}
	return 0;
}

void setup_remove_nodes(const char *dir)
{
	char path[PATH_MAX];

	for (size_t i = 0; rsm_format(path, sizeof(path), "%s/%zu", dir, i) == 0; i++)
		if (unlink(path) < 0)
			break;
	(void)rmdir(dir);
}

static int make_link(const char *target, const char *path)
{
	return symlink(target, path) < 0 && errno != EEXIST ? -errno : 0;
}

static int make_links(struct rsm_error *err)
{
	int ret;

	(void)unlink("/dev/ptmx");
	ret = make_link("pts/ptmx", "/dev/ptmx");
	if (ret == 0 && access("/proc/kcore", F_OK) == 0)
		ret = make_link("/proc/kcore", "/dev/core");
	for (size_t i = 0; ret == 0 && i < RSM_ARRAY_SIZE(links); i++)
		ret = make_link(links[i].target, links[i].path);
	return ret < 0 ? rsm_fail_errno(err, ret, "make the links of /dev") : 0;
}

int setup_dev(const struct setup *s, struct rsm_error *err)
{
	const Runsm__CreateContainerRequest *r = s->request;
	struct node n;
	int ret;

	if (has_own_dev(r))
		return 0;
	ret = setup_mkdir_p("/dev", 0755);
	if (ret < 0)
		return rsm_fail_errno(err, ret, "make /dev");
	for (size_t i = 0; get_node(r, i, &n); i++) {
		ret = n.listed ? make_parent(n.path) : 0;
		if (ret == 0)
			ret = s->userns ? mount_node(&n, s->nodes[i]) : make_node(&n);
		if (ret < 0)
			return rsm_fail_errno(err, ret, "make device '%s'", n.path);
	}
	return make_links(err);
}

static bool is_null(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3);
}

void setup_reopen_null(void)
{
	_cleanup_close_ int null = open("/dev/null", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

	if (null < 0 || !is_null(null) || fcntl(null, F_SETFL, 0) < 0)
		return;
	for (int fd = 0; fd < 3; fd++)
		if (is_null(fd))
			(void)dup2(null, fd);
}

/* ---------------------------------------------------------------- terminal */

/* exec: whatever lies at this path was put there by the container; only a devpts will do. */
static int open_master(struct rsm_error *err)
{
	_cleanup_close_ int fd = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	int unlocked = 0;
	struct statfs sfs;
	struct stat st;

	if (fd < 0)
		return rsm_fail_errno(err, errno, "open '/dev/pts/ptmx' for the terminal");
	if (fstat(fd, &st) < 0 || fstatfs(fd, &sfs) < 0 || !S_ISCHR(st.st_mode) ||
	    st.st_rdev != makedev(5, 2) || sfs.f_type != DEVPTS_SUPER_MAGIC)
		return rsm_fail(err, ENODEV, "'/dev/pts/ptmx' is not the master of a devpts");
	if (ioctl(fd, TIOCSPTLCK, &unlocked) < 0)
		return rsm_fail_errno(err, errno, "unlock the terminal");
	return rsm_steal_fd(fd);
}

static int mount_console(int slave)
{
	_cleanup_close_ int tree = -1, at = -1;

	at = setup_path_make("/dev/console", true);
	if (at < 0)
		return at;
	tree = open_tree(slave, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0)
		return -errno;
	return move_mount(tree, "", at, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0
		       ? -errno
		       : 0;
}

int setup_terminal(const Runsm__Process *process, bool console, struct rsm_error *err)
{
	struct winsize size = {.ws_row = (unsigned short)process->rows,
			       .ws_col = (unsigned short)process->cols};
	_cleanup_close_ int master = open_master(err), slave = -1;
	int ret;

	if (master < 0)
		return rsm_error_prefix(err, "terminal");
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return rsm_fail_errno(err, errno, "open the terminal");
	if (process->rows && process->cols && ioctl(master, TIOCSWINSZ, &size) < 0)
		return rsm_fail_errno(err, errno, "set the size of the terminal");
	ret = console ? mount_console(slave) : 0;
	if (ret < 0)
		return rsm_fail_errno(err, ret, "mount the terminal at /dev/console");
	for (int i = 0; i < 3; i++)
		if (dup2(slave, i) < 0)
			return rsm_fail_errno(err, errno, "make the terminal fd %d", i);
	if (ioctl(0, TIOCSCTTY, 0) < 0)
		return rsm_fail_errno(err, errno, "make it the controlling terminal");
	return rsm_steal_fd(master);
}
