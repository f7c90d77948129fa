// SPDX-License-Identifier: Apache-2.0
/* State directories: making, opening, locking, removing (theory of operation in ctr.h). */
#include "runtime/ctr_private.h"

#include "base/io.h"
#include "base/proc.h"
#include "runtime/cgroup.h"

#include <ctype.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* A killed VMM is gone in milliseconds. */
#define LISTENER_END_MS 10000

int ctr_check_id(const char *id, struct rsm_error *err)
{
	if (id[0] == '\0')
		return rsm_fail(err, EINVAL, "container id cannot be empty");
	if (strlen(id) > CTR_ID_MAX)
		return rsm_fail(err, ENAMETOOLONG, "container id is longer than %d bytes",
				CTR_ID_MAX);
	for (const char *p = id; *p; p++)
		if (!isascii(*p) || (!isalnum((unsigned char)*p) && !strchr("_+-.", *p)))
			return rsm_fail(err, EINVAL, "invalid container ID format");
	if (strcmp(id, ".") == 0 || strcmp(id, "..") == 0)
		return rsm_fail(err, EINVAL, "invalid container ID format");
	return 0;
}

static void state_done(struct ctr_state *s)
{
	if (s->tree) {
		rsm_json_free(s->tree);
	} else {
		free(s->oci_version);
		free(s->bundle);
		free(s->rootfs);
		free(s->created);
		free(s->machine);
		rsm_json_free(s->annotations);
	}
	memset(s, 0, sizeof(*s));
}

void ctr_free(struct ctr *c)
{
	if (!c)
		return;
	state_done(&c->state);
	rsm_close(&c->dirfd);
	rsm_close(&c->lock_fd);
	free(c->root);
	free(c);
}

static int ctr_new(const char *root, const char *id, struct ctr **ret, struct rsm_error *err)
{
	struct ctr *c;
	int r = ctr_check_id(id, err);

	if (r < 0)
		return r;
	c = calloc(1, sizeof(*c));
	if (!c)
		return rsm_fail(err, ENOMEM, "out of memory");
	c->dirfd = c->lock_fd = -1;
	(void)strcpy(c->id, id);
	c->root = strdup(root);
	if (!c->root) {
		ctr_free(c);
		return rsm_fail(err, ENOMEM, "out of memory");
	}
	*ret = c;
	return 0;
}

static int open_dir(int rootfd, const char *id)
{
	int fd = openat(rootfd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* Is the name still this directory, or did somebody remove (and make) it meanwhile? */
static bool same_dir(int rootfd, const char *id, int dirfd)
{
	struct stat a, b;

	return fstat(dirfd, &a) == 0 && fstatat(rootfd, id, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static int take_lock(int dirfd, int operation)
{
	_cleanup_close_ int fd =
		openat(dirfd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return -errno;
	while (flock(fd, operation) < 0)
		if (errno != EINTR)
			return -errno;
	return rsm_steal_fd(fd);
}

/* The words "container does not exist" are what runc's callers look for. */
static int no_state(const struct ctr *c, struct rsm_error *err)
{
	_cleanup_close_ int lock = c->lock_fd < 0 ? take_lock(c->dirfd, LOCK_EX | LOCK_NB) : -1;

	if (lock == -EWOULDBLOCK)
		return rsm_fail(err, ENOENT, "container does not exist yet: it is being created");
	return rsm_fail(
		err, ENOENT,
		"container does not exist: its state directory holds what a killed create left; "
		"\"runsm delete --force %s\" removes it",
		c->id);
}

int ctr_open(const char *root, const char *id, bool lock, struct ctr **ret, struct rsm_error *err)
{
	_cleanup_close_ int rootfd = -1;
	_cleanup_ctr_ struct ctr *c = NULL;
	int r = ctr_new(root, id, &c, err);

	if (r < 0)
		return r;
	rootfd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (rootfd < 0 && errno != ENOENT)
		return rsm_fail_errno(err, errno, "open '%s'", root);
	c->dirfd = rootfd < 0 ? -ENOENT : open_dir(rootfd, id);
	if (c->dirfd < 0) {
		r = c->dirfd;
		c->dirfd = -1;
		if (r == -ENOENT || r == -ENOTDIR || r == -ELOOP)
			return rsm_fail(err, ENOENT, "container does not exist");
		return rsm_fail_errno(err, r, "open '%s/%s'", root, id);
	}
	if (lock) {
		c->lock_fd = take_lock(c->dirfd, LOCK_EX);
		if (c->lock_fd < 0 && c->lock_fd != -ENOENT) {
			r = c->lock_fd;
			c->lock_fd = -1;
			return rsm_fail_errno(err, r, "lock container '%s'", id);
		}
		if (c->lock_fd < 0 || !same_dir(rootfd, id, c->dirfd)) {
			c->lock_fd = c->lock_fd < 0 ? -1 : c->lock_fd;
			return rsm_fail(err, ENOENT, "container does not exist");
		}
	}
	r = ctr_state_load(c, err);
	if (r == -ENOENT)
		return no_state(c, err);
	if (r < 0)
		return r;
	*ret = rsm_steal_ptr(c);
	return 0;
}

/* End a VMM that no state.json tells of: whoever listens on the control socket. */
static void kill_listener(int dir)
{
	_cleanup_close_ int sock = rsm_unix_connect_at(dir, "control.sock"), pidfd = -1;
	struct ucred peer = {0};
	socklen_t len = sizeof(peer);
	struct pollfd p = {.events = POLLIN};

	if (sock < 0 || getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || peer.pid <= 1)
		return;
	pidfd = p.fd = rsm_pidfd_open(peer.pid);
	if (pidfd >= 0 && rsm_pidfd_send_signal(pidfd, SIGKILL) == 0)
		(void)poll(&p, 1, LISTENER_END_MS);
}

/*
 * With the lock of @rootfd held. @damaged: a directory whose state.json is there is to go too.
 * Return: 1 if remains were removed, 0 if there is nothing of that name, -EEXIST if there is a
 * container, -EBUSY if one is being created.
 */
static int remove_remains(int rootfd, const char *id, bool damaged, struct rsm_error *err)
{
	_cleanup_close_ int dir = open_dir(rootfd, id), lock = -1;
	int r;

	if (dir == -ENOENT)
		return 0;
	if (dir < 0)
		return rsm_fail_errno(err, dir, "open the state directory of '%s'", id);
	if (!damaged && faccessat(dir, "state.json", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return rsm_fail(err, EEXIST, "container with given ID already exists");
	lock = take_lock(dir, LOCK_EX | LOCK_NB);
	if (lock == -EWOULDBLOCK)
		return rsm_fail(err, EBUSY, "container '%s' is being created", id);
	if (lock < 0)
		return rsm_fail_errno(err, lock, "lock container '%s'", id);
	kill_listener(dir);
	r = cgroup_remove_saved(dir, err);
	if (r < 0)
		return r;
	r = rsm_remove_tree_at(rootfd, id);
	return r < 0 ? rsm_fail_errno(err, r, "remove what is left of container '%s'", id) : 1;
}

/* An fd of $root that holds an exclusive lock on it until closed. */
static int lock_root(const char *root, struct rsm_error *err)
{
	_cleanup_close_ int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return rsm_fail_errno(err, errno, "open '%s'", root);
	while (flock(fd, LOCK_EX) < 0)
		if (errno != EINTR)
			return rsm_fail_errno(err, errno, "lock '%s'", root);
	return rsm_steal_fd(fd);
}

int ctr_create(const char *root, const char *id, struct ctr **ret, struct rsm_error *err)
{
	_cleanup_close_ int rootfd = -1;
	_cleanup_ctr_ struct ctr *c = NULL;
	int r = ctr_new(root, id, &c, err);

	if (r < 0)
		return r;
	r = rsm_mkdir_p(root, 0700);
	if (r < 0)
		return rsm_fail_errno(err, r, "create '%s'", root);
	rootfd = lock_root(root, err);
	if (rootfd < 0)
		return rootfd;
	r = remove_remains(rootfd, id, false, err);
	if (r < 0)
		return r;
	if (mkdirat(rootfd, id, 0700) < 0)
		return rsm_fail_errno(err, errno, "create '%s/%s'", root, id);
	c->dirfd = open_dir(rootfd, id);
	c->lock_fd = c->dirfd < 0 ? c->dirfd : take_lock(c->dirfd, LOCK_EX | LOCK_NB);
	if (c->lock_fd < 0) {
		r = c->lock_fd;
		c->lock_fd = -1;
		c->dirfd = c->dirfd < 0 ? -1 : c->dirfd;
		(void)rsm_remove_tree_at(rootfd, id);
		return rsm_fail_errno(err, r, "lock '%s/%s'", root, id);
	}
	*ret = rsm_steal_ptr(c);
	return 0;
}

int ctr_remove_remains(const char *root, const char *id, bool damaged, struct rsm_error *err)
{
	_cleanup_close_ int rootfd = -1;
	int r = ctr_check_id(id, err);

	if (r < 0)
		return r;
	if (access(root, F_OK) < 0 && errno == ENOENT)
		return 0;
	rootfd = lock_root(root, err);
	return rootfd < 0 ? rootfd : remove_remains(rootfd, id, damaged, err);
}

/* state.json goes last but for the lock: whatever interrupts this can be done again. */
int ctr_remove(struct ctr *c, struct rsm_error *err)
{
	static const char *const first[] = {"control.sock", "config.json", "state.json"};
	_cleanup_close_ int rootfd = -1;
	int r = cgroup_remove_saved(c->dirfd, err);

	if (r < 0)
		return r;
	rootfd = lock_root(c->root, err);
	if (rootfd < 0)
		return rootfd;
	for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++)
		(void)unlinkat(c->dirfd, first[i], 0);
	r = rsm_remove_tree_at(rootfd, c->id);
	return r < 0 ? rsm_fail_errno(err, r, "remove '%s/%s'", c->root, c->id) : 0;
}

static bool same_process(const struct ctr *c)
{
	char state = rsm_proc_state(c->state.pid);

	return c->state.pid > 0 && state && state != 'Z' && state != 'X' &&
	       rsm_proc_start_time(c->state.pid) == c->state.pid_start;
}

bool ctr_vmm_alive(const struct ctr *c)
{
	return same_process(c);
}

int ctr_vmm_pidfd(const struct ctr *c)
{
	_cleanup_close_ int fd = c->state.pid > 0 ? rsm_pidfd_open(c->state.pid) : -ESRCH;

	/* Checked after the fd was taken, which pins the process. */
	if (fd < 0 || !same_process(c)) {
		fd = fd < 0 ? -1 : fd;
		return -ESRCH;
	}
	return rsm_steal_fd(fd);
}

int ctr_kill_vmm(const struct ctr *c, int timeout_ms)
{
	_cleanup_close_ int fd = ctr_vmm_pidfd(c);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int ret;

	if (fd < 0) {
		fd = -1;
		return 0;
	}
	ret = rsm_pidfd_send_signal(fd, SIGKILL);
	if (ret < 0)
		return ret == -ESRCH ? 0 : ret;
	do {
		ret = poll(&p, 1, timeout_ms);
	} while (ret < 0 && errno == EINTR);
	if (ret < 0)
		return -errno;
	return ret == 0 ? -ETIMEDOUT : 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* One block: the pointers, then the names. */
static char **pack(const struct rsm_buf *names, size_t n)
{
	char **list = malloc(n * sizeof(char *) + names->len + 1), *to;
	const char *from = names->data;

	if (!list)
		return NULL;
	to = (char *)(list + n);
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(from) + 1;

		list[i] = memcpy(to, from, len);
		from += len;
		to += len;
	}
	if (n > 0)
		qsort(list, n, sizeof(char *), by_name);
	return list;
}

int ctr_list(const char *root, char ***ret, struct rsm_error *err)
{
	_cleanup_closedir_ DIR *dir = opendir(root);
	_cleanup_buf_ struct rsm_buf names = {0};
	size_t n = 0;

	if (!dir && errno != ENOENT)
		return rsm_fail_errno(err, errno, "open '%s'", root);
	for (struct dirent *e; dir && (e = readdir(dir)) != NULL;) {
		char path[CTR_ID_MAX + sizeof("/state.json")];

		if (ctr_check_id(e->d_name, NULL) < 0 ||
		    rsm_format(path, sizeof(path), "%s/state.json", e->d_name) < 0 ||
		    faccessat(dirfd(dir), path, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		(void)rsm_buf_add(&names, e->d_name, strlen(e->d_name) + 1);
		n++;
	}
	*ret = rsm_buf_ok(&names) == 0 ? pack(&names, n) : NULL;
	return *ret ? (int)n : rsm_fail(err, ENOMEM, "out of memory");
}
