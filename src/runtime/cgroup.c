// SPDX-License-Identifier: Apache-2.0
/* Making, joining and removing the container's cgroup (theory of operation in cgroup.h). */
#include "runtime/cgroup.h"

#include "base/io.h"
#include "base/log.h"
#include "base/proc.h"
#include "runtime/cgroup_file.h"
#include "runtime/cgroup_scope.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>

#define PROC_FILE_MAX (4U << 20)
#define DIR_MODE      0755
#define CGROUP_ROOT   "/sys/fs/cgroup"
#define DEPTH_MAX     16

/* How long the remains of a killed VM may take to go away. */
#define REMOVE_TRIES 400
#define REMOVE_WAIT  10000000 /* ns */
#define KILL_AFTER   20       /* tries */

/* Has this host version 2 alone? */
static bool is_v2(void)
{
	struct statfs fs;

	return statfs(CGROUP_ROOT, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

int cgroup_here(const struct cgroup_where *where, struct cgroup **ret, struct rsm_error *err)
{
	_cleanup_free_ char *mountinfo = NULL, *own = NULL;
	int r = rsm_read_file_at(AT_FDCWD, "/proc/self/cgroup", PROC_FILE_MAX, &own, NULL);
	if (r == -ENOENT) { /* a kernel without cgroups */
		own = strdup("");
		r = own ? 0 : -ENOMEM;
	}
	if (r == 0)
		r = rsm_read_file_at(AT_FDCWD, "/proc/self/mountinfo", PROC_FILE_MAX, &mountinfo,
				     NULL);
	if (r < 0)
		return rsm_fail_errno(err, r, "look for the host's cgroups");
	return cgroup_find(mountinfo, own, is_v2() ? CGROUP_ROOT : NULL, where, ret, err);
}

static int plan_scope(const struct cgroup_where *where, struct cgroup **ret, struct rsm_error *err)
{
	_cleanup_cgroup_ struct cgroup *cg = calloc(1, sizeof(*cg));
	int r;

	if (!cg)
		return rsm_fail(err, ENOMEM, "out of memory");
	cg->v2 = is_v2();
	r = cgroup_scope_plan(cg, where, err);
	if (r == 0)
		*ret = rsm_steal_ptr(cg);
	return r;
}

int cgroup_plan(int statefd, const struct cgroup_where *where, struct cgroup **ret,
		struct rsm_error *err)
{
	_cleanup_cgroup_ struct cgroup *cg = NULL;
	int r = where->systemd ? plan_scope(where, &cg, err) : cgroup_here(where, &cg, err);

	if (r == 0)
		r = cgroup_save(cg, statefd, err);
	if (r == 0)
		*ret = rsm_steal_ptr(cg);
	return r;
}

/* ---- making */

/* A new cpuset is empty, and nothing can run in it: give it what the one above has. */
static int inherit_cpuset(int parent, int fd, const char *name)
{
	_cleanup_free_ char *mine = NULL, *above = NULL;
	int ret = rsm_read_file_at(fd, name, CGROUP_FILE_MAX, &mine, NULL);

	if (ret < 0)
		return ret;
	if (mine[0] && mine[0] != '\n')
		return 0;
	ret = rsm_read_file_at(parent, name, CGROUP_FILE_MAX, &above, NULL);
	return ret < 0 ? ret : cgroup_write(fd, name, above);
}

/* Hand the controllers on to the cgroups below. One that cannot be is missed when it is needed. */
static void delegate_controllers(int fd)
{
	_cleanup_free_ char *text = NULL;
	char *at, *save = NULL, word[64];

	if (rsm_read_file_at(fd, "cgroup.controllers", CGROUP_FILE_MAX, &text, NULL) < 0)
		return;
	for (at = strtok_r(text, " \n", &save); at; at = strtok_r(NULL, " \n", &save))
		if (rsm_format(word, sizeof(word), "+%s", at) == 0)
			(void)cgroup_write(fd, "cgroup.subtree_control", word);
}

/* Make one directory below @parent and get it ready. @made: false if it was there. */
static int make_one(const struct cgroup *cg, const struct cgroup_dir *d, int parent,
		    const char *name, bool *made)
{
	_cleanup_close_ int fd = -1;
	int ret = 0;

	if (cg->v2 && !cg->unit) /* systemd does, for its own */
		delegate_controllers(parent);
	*made = mkdirat(parent, name, DIR_MODE) == 0;
	if (!*made && errno != EEXIST)
		return -errno;
	fd = openat(parent, name, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	if (strcmp(d->names, "cpuset") == 0) {
		ret = inherit_cpuset(parent, fd, "cpuset.cpus");
		if (ret == 0)
			ret = inherit_cpuset(parent, fd, "cpuset.mems");
	}
	return ret < 0 ? ret : rsm_steal_fd(fd);
}

static int make_dir(struct cgroup *cg, struct cgroup_dir *d, bool *made)
{
	_cleanup_close_ int at = open(d->mount, O_PATH | O_DIRECTORY | O_CLOEXEC);

	*made = false;
	if (at < 0)
		return -errno;
	for (const char *p = d->path; *p;) {
		size_t n = strcspn(p, "/");
		char name[NAME_MAX + 1];
		int fd;

		if (n > 0 && !(n == 1 && *p == '.')) {
			(void)rsm_format(name, sizeof(name), "%.*s", (int)n, p);
			fd = make_one(cg, d, at, name, made);
			if (fd < 0)
				return fd;
			close(at);
			at = fd;
		}
		p += n + (p[n] == '/');
	}
	d->fd = rsm_steal_fd(at);
	return 0;
}

/* Two creates of one parent, or the removal of an empty one, may meet: once more, then. */
static int make_dir_again(struct cgroup *cg, struct cgroup_dir *d, bool *made)
{
	int ret = -ENOENT;

	for (int i = 0; ret == -ENOENT && i < 8; i++)
		ret = make_dir(cg, d, made);
	return ret;
}

static bool has_processes(const struct cgroup_dir *d)
{
	_cleanup_free_ char *text = NULL;

	return rsm_read_file_at(d->fd, "cgroup.procs", PROC_FILE_MAX, &text, NULL) == 0 && text[0];
}

/* Who is placed in a frozen cgroup does not run, and a create would wait for it for ever. */
static bool is_frozen(const struct cgroup_dir *d)
{
	_cleanup_free_ char *v1 = NULL, *v2 = NULL;

	if (rsm_read_file_at(d->fd, "freezer.state", 64, &v1, NULL) == 0)
		return strncmp(v1, "THAWED", 6) != 0;
	return rsm_read_file_at(d->fd, "cgroup.freeze", 64, &v2, NULL) == 0 && v2[0] == '1';
}

/* It was there before, and stays: the directories from @i on are none of ours. */
static int refuse_frozen(struct cgroup *cg, size_t i, int statefd, struct rsm_error *err)
{
	size_t n = cg->ndirs;

	(void)rsm_fail(err, EBUSY,
		       "linux.cgroupsPath: container's cgroup unexpectedly frozen: thaw '%s%s', or "
		       "name another",
		       cg->dirs[i].mount, cg->dirs[i].path);
	cg->ndirs = i;
	(void)cgroup_save(cg, statefd, NULL);
	cg->ndirs = n;
	return -EBUSY;
}

static bool no_permission(int error)
{
	return error == -EACCES || error == -EPERM || error == -EROFS;
}

int cgroup_make(struct cgroup *cg, int statefd, bool asked_for, struct rsm_error *err)
{
	bool made, shared = false;

	for (size_t i = 0; i < cg->ndirs; i++) {
		struct cgroup_dir *d = &cg->dirs[i];
		int ret = make_dir_again(cg, d, &made);

		if (no_permission(ret) && !asked_for && rsm_rootless()) {
			rsm_log_debug("no cgroup: '%s%s': %s", d->mount, d->path, strerror(-ret));
			ret = cgroup_remove_saved(statefd, err);
			cg->ndirs = ret < 0 ? cg->ndirs : 0;
			return ret;
		}
		if (ret < 0)
			return rsm_fail_errno(err, ret, "make the cgroup '%s%s'", d->mount,
					      d->path);
		if (!made && is_frozen(d))
			return refuse_frozen(cg, i, statefd, err);
		/* a unit's was made for the VMM, which is in it */
		d->shared = !cg->unit && !made && has_processes(d);
		shared |= d->shared;
	}
	if (!shared)
		return 0;
	rsm_log_warn("container's cgroup is not empty: it is shared with other processes");
	return cgroup_save(cg, statefd, err);
}

int cgroup_place(const struct cgroup *cg, pid_t pid, struct rsm_error *err)
{
	char text[16];

	(void)rsm_format(text, sizeof(text), "%d", pid);
	for (size_t i = 0; i < cg->ndirs; i++) {
		const struct cgroup_dir *d = &cg->dirs[i];
		int ret = cgroup_write(d->fd, "cgroup.procs", text);

		if (ret < 0)
			return rsm_fail_errno(err, ret, "move the VMM into the cgroup '%s%s'",
					      d->mount, d->path);
	}
	return 0;
}

/* ---- removing */

/* SIGKILL for what is left in it; a frozen one has to move to die. */
static void kill_remains(int fd)
{
	_cleanup_free_ char *text = NULL;

	if (cgroup_write(fd, "cgroup.kill", "1") == 0)
		return;
	(void)cgroup_write(fd, "freezer.state", "THAWED");
	if (rsm_read_file_at(fd, "cgroup.procs", PROC_FILE_MAX, &text, NULL) < 0)
		return;
	for (char *at = text, *end; *at; at = end + (*end == '\n')) {
		long pid = strtol(at, &end, 10);

		if (end == at)
			return;
		if (pid > 1)
			(void)kill((pid_t)pid, SIGKILL);
	}
}

/* rmdir with everything below. Return: 0, also when it is not there; -EBUSY */
static int remove_tree(int parent, const char *name, bool may_kill, int depth)
{
	_cleanup_closedir_ DIR *dir = NULL;
	int fd;

	if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT || errno == ENOTDIR)
		return 0;
	if (errno != EBUSY && errno != ENOTEMPTY)
		return -errno;
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	if (may_kill)
		kill_remains(fd);
	for (struct dirent *e; depth < DEPTH_MAX && (e = readdir(dir)) != NULL;)
		if (e->d_type == DT_DIR && e->d_name[0] != '.')
			(void)remove_tree(fd, e->d_name, may_kill, depth + 1);
	return unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : -errno;
}

static int remove_dir(const struct cgroup *cg, const struct cgroup_dir *d)
{
	const struct timespec wait = {.tv_nsec = REMOVE_WAIT};
	char path[PATH_MAX];
	int ret = cgroup_dir_path(d, path, sizeof(path));
	size_t len = strlen(path);

	if (ret < 0 || strspn(d->path, "/") == strlen(d->path))
		return ret; /* the root: shared in any case */
	while (path[len - 1] == '/')
		path[--len] = '\0';
	for (int i = 0; i < (d->shared ? KILL_AFTER : REMOVE_TRIES); i++) {
		ret = remove_tree(AT_FDCWD, path, i >= KILL_AFTER, 0);
		if (ret != -EBUSY)
			break;
		(void)nanosleep(&wait, NULL);
	}
	if (ret == 0 && cg->own_parent) {
		*strrchr(path, '/') = '\0';
		(void)rmdir(path);
	}
	if (d->fd < 0) /* it is not there, so it is no matter why it cannot be removed */
		return 0;
	return ret == -EBUSY && d->shared ? 0 : ret;
}

int cgroup_remove_saved(int statefd, struct rsm_error *err)
{
	_cleanup_cgroup_ struct cgroup *cg = NULL;
	int ret = cgroup_load(statefd, &cg, err);

	if (ret == 0 && cg && cg->unit)
		ret = cgroup_scope_stop(cg, err);
	if (ret > 0) /* the unit is somebody else's, and so is what is in its directories */
		return 0;
	for (size_t i = 0; ret == 0 && cg && i < cg->ndirs; i++) {
		const struct cgroup_dir *d = &cg->dirs[i];

		ret = remove_dir(cg, d);
		if (ret < 0)
			return rsm_fail_errno(err, ret, "remove the cgroup '%s%s'", d->mount,
					      d->path);
	}
	return ret;
}
