// SPDX-License-Identifier: Apache-2.0
/* cgroup v2: one directory per container, named by its id. */
#include "agent/agent.h"

#include "base/cleanup.h"
#include "base/io.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_MAX_BYTES (1U << 20)
#define DEPTH_MAX      16
#define SIGNAL_PASSES  8

static int write_file(int dirfd, const char *name, const char *text)
{
	_cleanup_close_ int fd = openat(dirfd, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return -errno;
	return rsm_write_full(fd, text, strlen(text));
}

int cgroup_limit(int cgroup_fd, const char *name, uint64_t limit, struct rsm_error *err)
{
	char text[32] = "max";
	int ret;

	if (limit == 0)
		return 0;
	if (limit != UINT64_MAX)
		(void)rsm_format(text, sizeof(text), "%llu", (unsigned long long)limit);
	ret = write_file(cgroup_fd, name, text);
	return ret < 0 ? rsm_fail_errno(err, ret, "set %s to %s", name, text) : 0;
}

int cgroup_new(const struct agent *a, const char *id, uint64_t pids_limit, int *ret_fd,
	       struct rsm_error *err)
{
	_cleanup_close_ int fd = -1;
	int ret;

	if (mkdirat(a->cgroup_fd, id, 0755) < 0)
		return rsm_fail_errno(err, errno, "make the guest's cgroup '%s'", id);
	fd = openat(a->cgroup_fd, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return rsm_fail_errno(err, errno, "open the guest's cgroup '%s'", id);
	ret = cgroup_limit(fd, "pids.max", pids_limit, err);
	if (ret < 0) {
		(void)cgroup_remove(a, id);
		return ret;
	}
	*ret_fd = rsm_steal_fd(fd);
	return 0;
}

int cgroup_open_below(int cgroup_fd, const char *path)
{
	while (*path == '/')
		path++;
	return rsm_openat2(cgroup_fd, *path ? path : ".", O_RDONLY | O_DIRECTORY, 0,
			   RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
}

int cgroup_open_of(int cgroup_fd, const char *id, pid_t pid)
{
	_cleanup_free_ char *text = NULL;
	char path[64], name[NAME_MAX + 3], *at;
	int ret = rsm_format(path, sizeof(path), "/proc/%d/cgroup", (int)pid);

	if (ret == 0)
		ret = rsm_format(name, sizeof(name), "/%s/", id);
	if (ret == 0)
		ret = rsm_read_file_at(AT_FDCWD, path, FILE_MAX_BYTES, &text, NULL);
	if (ret < 0)
		return ret;
	/* cgroups(7): "0::PATH", and on machines of tests lines of version 1 before it */
	at = strstr(text, "0::");
	while (at && at != text && at[-1] != '\n')
		at = strstr(at + 1, "0::");
	if (!at)
		return -ENOENT;
	at[strcspn(at, "\n")] = '\0';
	at = strstr(at, name);
	return cgroup_open_below(cgroup_fd, at ? at + strlen(name) : "/");
}

/* A container that mounted cgroup2 may have made cgroups of its own below. */
static void remove_below(int fd, int depth)
{
	_cleanup_closedir_ DIR *dir = fdopendir(fd);

	if (!dir) {
		close(fd);
		return;
	}
	for (struct dirent *e; (e = readdir(dir)) != NULL;) {
		int child;

		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		child = openat(dirfd(dir), e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (child >= 0 && depth < DEPTH_MAX)
			remove_below(child, depth + 1);
		else
			rsm_close(&child);
		(void)unlinkat(dirfd(dir), e->d_name, AT_REMOVEDIR);
	}
}

int cgroup_remove(const struct agent *a, const char *id)
{
	int fd;

	if (unlinkat(a->cgroup_fd, id, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	fd = openat(a->cgroup_fd, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	remove_below(fd, 0);
	return unlinkat(a->cgroup_fd, id, AT_REMOVEDIR) < 0 ? -errno : 0;
}

bool cgroup_flat_value(const char *text, const char *name, uint64_t *ret)
{
	size_t len = strlen(name);

	for (const char *at = text; at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL) {
		if (strncmp(at, name, len) == 0 && at[len] == ' ') {
			*ret = strtoull(at + len + 1, NULL, 10);
			return true;
		}
	}
	return false;
}

struct pid_list {
	pid_t *pids;
	size_t n, size;
};

static int list_add(struct pid_list *l, pid_t pid)
{
	if (l->n == l->size) {
		size_t size = l->size ? l->size * 2 : 32;
		pid_t *grown = reallocarray(l->pids, size, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		l->pids = grown;
		l->size = size;
	}
	l->pids[l->n++] = pid;
	return 0;
}

static int list_procs(int fd, struct pid_list *l)
{
	_cleanup_free_ char *text = NULL;
	int ret = rsm_read_file_at(fd, "cgroup.procs", FILE_MAX_BYTES, &text, NULL);

	if (ret == -EOPNOTSUPP) /* a threaded cgroup: its processes are listed above it */
		return 0;
	if (ret < 0)
		return ret;
	for (char *at = text, *end; *at; at = end) {
		long pid = strtol(at, &end, 10);

		if (end == at)
			break;
		if (pid > 0)
			ret = list_add(l, (pid_t)pid);
		if (ret < 0)
			return ret;
		end += *end == '\n';
	}
	return 0;
}

/* Consumes @fd. */
static int list_below(int fd, struct pid_list *l, int depth)
{
	_cleanup_closedir_ DIR *dir = fdopendir(fd);
	int ret;

	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	ret = list_procs(dirfd(dir), l);
	for (struct dirent *e; ret == 0 && (e = readdir(dir)) != NULL;) {
		int child;

		if (e->d_type != DT_DIR || e->d_name[0] == '.' || depth >= DEPTH_MAX)
			continue;
		child = openat(dirfd(dir), e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (child >= 0) /* else it is gone meanwhile */
			ret = list_below(child, l, depth + 1);
	}
	return ret;
}

ssize_t cgroup_pids(int cgroup_fd, pid_t **ret)
{
	int fd = openat(cgroup_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), error;
	struct pid_list l = {0};

	if (fd < 0)
		return -errno;
	error = list_below(fd, &l, 0);
	if (error < 0) {
		free(l.pids);
		return error;
	}
	*ret = l.pids;
	return (ssize_t)l.n;
}

static bool contains(const pid_t *pids, ssize_t n, pid_t pid)
{
	for (ssize_t i = 0; i < n; i++)
		if (pids[i] == pid)
			return true;
	return false;
}

/*
 * A process may fork while the list is walked, so it is walked until nobody new is found; a bounded
 * number of times, since nothing makes a fork bomb hold still for a signal that it can ignore.
 */
static int signal_each(int cgroup_fd, int sig)
{
	_cleanup_free_ pid_t *before = NULL;
	ssize_t nbefore = 0;

	for (int pass = 0; pass < SIGNAL_PASSES; pass++) {
		pid_t *pids = NULL;
		ssize_t n = cgroup_pids(cgroup_fd, &pids);
		bool found = false;

		if (n < 0)
			return (int)n;
		for (ssize_t i = 0; i < n; i++) {
			if (contains(before, nbefore, pids[i]))
				continue;
			found = true;
			(void)kill(pids[i], sig);
		}
		free(before);
		before = pids;
		nbefore = n;
		if (!found)
			break;
	}
	return 0;
}

int cgroup_signal(int cgroup_fd, int sig)
{
	if (sig == SIGKILL && write_file(cgroup_fd, "cgroup.kill", "1") == 0)
		return 0;
	return signal_each(cgroup_fd, sig);
}
