// SPDX-License-Identifier: Apache-2.0
/*
 * Each step of the jail, by trying what it forbids: in a child that goes through the same code as
 * runsm-vmm. What needs root is skipped without.
 */
#include "vmm/jail.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "cmocka_all.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/magic.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define OTHER 12345 /* a user and group that are nobody's here */

typedef int (*attempt)(void *arg);

/* What @fn returns in a child of its own; above 255 and below 0 that is 255. */
static int in_child(attempt fn, void *arg)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		int r = fn(arg);

		_exit(r < 0 || r > 255 ? 255 : r);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status))
		fail_msg("killed by signal %d", WTERMSIG(status));
	return WEXITSTATUS(status);
}

static int error(int r)
{
	return r < 0 ? errno : 0;
}

static void need_root(void)
{
	if (geteuid() != 0)
		skip();
}

/* Value of a hexadecimal or decimal field of /proc/self/status */
static unsigned long long status_field(const char *name, int base)
{
	char *text, *at;
	unsigned long long v;

	assert_int_equal(rsm_read_file_at(AT_FDCWD, "/proc/self/status", 65536, &text, NULL), 0);
	at = strstr(text, name);
	assert_non_null(at);
	v = strtoull(at + strlen(name), NULL, base);
	free(text);
	return v;
}

/* ------------------------------------------------------------------ capabilities */

static int caps_left(void *arg)
{
	static const char *const empty[] = {"CapInh:", "CapBnd:", "CapAmb:"};
	uint64_t had = status_field("CapPrm:", 16), keep = *(uint64_t *)arg;

	jail_self();
	if (jail_keep_caps(keep) < 0)
		return 1;
	for (size_t i = 0; i < 3; i++)
		if (status_field(empty[i], 16) != 0)
			return 2;
	if (status_field("CapPrm:", 16) != (had & keep) || status_field("CapEff:", 16) != (had & keep))
		return 3;
	return status_field("NoNewPrivs:", 10) == 1 ? 0 : 4;
}

static void no_capability_is_left_but_those_asked_for(void **state)
{
	uint64_t none = 0, fuse = JAIL_FUSE_CAPS, all = ~0ULL;

	need_root();
	assert_int_equal(in_child(caps_left, &none), 0);
	assert_int_equal(in_child(caps_left, &fuse), 0);
	assert_int_equal(in_child(caps_left, &all), 0);
}

/* One attempt per capability of JAIL_FUSE_CAPS, on "theirs" (of OTHER, mode 0) and "ours". */
static int try_chown(void *arg)
{
	return error(chown("ours", OTHER, OTHER));
}

static int try_dac_override(void *arg)
{
	return error(open("theirs", O_RDWR | O_CLOEXEC));
}

static int try_fowner(void *arg)
{
	return error(chmod("theirs", 0600));
}

static int try_fsetid(void *arg)
{
	struct stat st;

	if (chmod("group", 02755) < 0 || stat("group", &st) < 0)
		return errno;
	return st.st_mode & S_ISGID ? 0 : EPERM;
}

static int try_mknod(void *arg)
{
	return error(mknod("null", S_IFCHR | 0600, makedev(1, 3)));
}

static int try_setfcap(void *arg)
{
	const struct vfs_cap_data data = {.magic_etc = VFS_CAP_REVISION_2};

	return error(setxattr("ours", "security.capability", &data, sizeof(data), 0));
}

static const struct {
	unsigned cap;
	attempt fn;
} needed[] = {
	{CAP_CHOWN, try_chown},       {CAP_DAC_OVERRIDE, try_dac_override},
	{CAP_FOWNER, try_fowner},     {CAP_FSETID, try_fsetid},
	{CAP_MKNOD, try_mknod},       {CAP_SETFCAP, try_setfcap},
};

struct with_caps {
	uint64_t keep;
	attempt fn;
};

static int with_caps(void *arg)
{
	const struct with_caps *w = arg;

	if (jail_keep_caps(w->keep) < 0)
		return 254;
	return w->fn(NULL);
}

static int enter_files(void **state)
{
	char *dir = strdup("/tmp/test_vmm_jail.XXXXXX");

	assert_non_null(mkdtemp(dir));
	assert_int_equal(chdir(dir), 0);
	*state = dir;
	return 0;
}

static int leave_files(void **state)
{
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(rsm_remove_tree_at(AT_FDCWD, *state), 0);
	free(*state);
	return 0;
}

static void make_files(void)
{
	static const char *const names[] = {"ours", "theirs", "group"};

	(void)unlink("null");
	for (size_t i = 0; i < 3; i++) {
		(void)unlink(names[i]);
		close(open(names[i], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
	}
	assert_int_equal(chown("theirs", OTHER, OTHER), 0);
	assert_int_equal(chmod("theirs", 0), 0);
	assert_int_equal(chown("group", (uid_t)-1, OTHER), 0);
}

static void each_capability_of_the_file_server_is_needed_and_enough(void **state)
{
	uint64_t all = 0;

	need_root();
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		uint64_t bit = 1ULL << needed[i].cap;
		struct with_caps with = {JAIL_FUSE_CAPS, needed[i].fn};
		struct with_caps without = {JAIL_FUSE_CAPS & ~bit, needed[i].fn};

		make_files();
		assert_int_not_equal(in_child(with_caps, &without), 0);
		make_files();
		assert_int_equal(in_child(with_caps, &with), 0);
		all |= bit;
	}
	assert_int_equal(all, JAIL_FUSE_CAPS);
}

/* What root may do and we may not. */
static int try_mount(void *arg)
{
	return error(mount("none", "/tmp", "tmpfs", 0, NULL));
}

static int try_chroot(void *arg)
{
	return error(chroot("/"));
}

static int try_new_namespace(void *arg)
{
	return error(unshare(CLONE_NEWNET));
}

static int try_setuid(void *arg)
{
	return error(setresuid(OTHER, OTHER, OTHER));
}

static int try_open_by_handle(void *arg)
{
	struct {
		struct file_handle h;
		unsigned char bytes[MAX_HANDLE_SZ];
	} handle = {.h.handle_bytes = 8, .h.handle_type = 1};

	return error(open_by_handle_at(AT_FDCWD, &handle.h, O_RDONLY | O_CLOEXEC));
}

static int try_trace_parent(void *arg)
{
	return error((int)ptrace(PTRACE_SEIZE, getppid(), NULL, NULL));
}

static int try_trusted_xattr(void *arg)
{
	return error(setxattr("ours", "trusted.x", "y", 1, 0));
}

static void rights_of_root_are_gone(void **state)
{
	static const attempt forbidden[] = {try_mount,          try_chroot,       try_new_namespace,
					    try_setuid,         try_open_by_handle,
					    try_trace_parent,   try_trusted_xattr};

	need_root();
	make_files();
	for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++) {
		struct with_caps w = {JAIL_FUSE_CAPS, forbidden[i]};

		if (in_child(with_caps, &w) != EPERM)
			fail_msg("attempt %zu: not EPERM", i);
	}
}

/* A program of root's, executed as root, would have all of the bounding set. */
static int exec_gains_nothing(void *arg)
{
	jail_self();
	if (jail_keep_caps(0) < 0)
		return 254;
	execl("/bin/sh", "sh", "-c", "grep -qE '^CapEff:[[:space:]]*0+$' /proc/self/status", NULL);
	return 253;
}

static void executed_program_gains_no_capability(void **state)
{
	assert_int_equal(in_child(exec_gains_nothing, NULL), 0);
}

/* ------------------------------------------------------------------ root */

static int count_entries(const char *path)
{
	DIR *d = opendir(path);
	int n = 0;

	if (!d)
		return -1;
	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

/* In the new root: what of the host can be named? */
static int look_around(void *arg)
{
	static const char *const missing[] = {
		"/etc/passwd", "/dev/null",	"/tmp",			"/proc/self/exe",
		"/proc/1/root", "/proc/sysrq-trigger", "/proc/self/fd/../exe", "/proc/self/fd/../../1",
		"/..//etc/passwd",
	};
	int fd = *(int *)arg;
	char path[64];

	for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++)
		if (access(missing[i], F_OK) == 0 || errno != ENOENT)
			return 1 + (int)i;
	if (count_entries("/") != 1 || count_entries("/proc") != 1 || count_entries("/proc/self") != 1)
		return 20;
	if (mkdir("/x", 0755) == 0 || errno != EROFS)
		return 21;
	if (open("/x", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0 || errno != EROFS)
		return 22;
	/* but our own fds can be opened anew */
	(void)rsm_format(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_RDONLY | O_CLOEXEC) < 0 ? 23 : 0;
}

static int jailed_root(void *arg)
{
	struct rsm_error err = RSM_ERROR_INIT;
	int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);

	if (jail_root(NULL, &err) != 0) {
		print_message("%s\n", err.message);
		return 100;
	}
	return look_around(&fd);
}

static void nothing_of_the_host_has_a_name_in_the_new_root(void **state)
{
	need_root();
	assert_int_equal(in_child(jailed_root, NULL), 0);
}

/* As of a runsm that was itself started in a chroot, where pivot_root() does not work. */
static int jailed_chroot(void *arg)
{
	struct rsm_error err = RSM_ERROR_INIT;
	int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mkdir("root", 0755) < 0 || mkdir("root/proc", 0755) < 0 ||
	    mount("/proc", "root/proc", NULL, MS_BIND, NULL) < 0 || chroot("root") < 0 ||
	    chdir("/") < 0)
		return 99;
	if (jail_root(NULL, &err) != 0) {
		print_message("%s\n", err.message);
		return 100;
	}
	return look_around(&fd);
}

static void a_chroot_is_left_for_the_new_root_too(void **state)
{
	need_root();
	assert_int_equal(in_child(jailed_chroot, NULL), 0);
}

static int root_without_rights(void *arg)
{
	struct rsm_error err = RSM_ERROR_INIT;

	if (jail_keep_caps(0) < 0)
		return 99;
	return jail_root(NULL, &err) == 1 && access("/etc/passwd", F_OK) == 0 ? 0 : 1;
}

static void root_stays_without_the_right_to_change_it(void **state)
{
	assert_int_equal(in_child(root_without_rights, NULL), 0);
}

/* A child that has gone to jail with a view, and waits */
struct jailed {
	pid_t pid;
	int ready;
};

typedef int (*make_view)(struct jail_view *view, struct jail_mount *mounts);

static void jail_a_child(make_view make, struct jailed *j)
{
	struct rsm_error err = RSM_ERROR_INIT;
	int ready[2];
	char c = 0;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	j->pid = fork();
	assert_true(j->pid >= 0);
	if (j->pid == 0) {
		struct jail_mount mounts[16] = {0};
		struct jail_view view = {.root = -1, .mounts = mounts};

		rsm_log_to(-1, RSM_LOG_TEXT, false);
		if (make && make(&view, mounts) < 0)
			_exit(2);
		if (jail_root(&view, &err) != 0)
			_exit(1);
		(void)!write(ready[1], "", 1);
		pause();
		_exit(1);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
}

static void end_jailed(const struct jailed *j)
{
	kill(j->pid, SIGKILL);
	assert_int_equal(waitpid(j->pid, NULL, 0), j->pid);
}

/* Join the mount namespace of @pid as a client does. Return: fd of our /proc/self, or -1 */
static int join(pid_t pid)
{
	int self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC), ns;
	char path[64];

	(void)rsm_format(path, sizeof(path), "/proc/%d/ns/mnt", pid);
	ns = open(path, O_RDONLY | O_CLOEXEC);
	return setns(ns, CLONE_NEWNS) < 0 ? -1 : self;
}

/* Mounts of the namespace of @arg, a struct jailed, as those see them who have joined it. */
static int count_mounts(void *arg)
{
	int self = join(((struct jailed *)arg)->pid), lines = 0;
	char *text;

	if (self < 0 || rsm_read_file_at(self, "mountinfo", 1 << 20, &text, NULL) < 0)
		return 254;
	for (char *at = text; (at = strchr(at, '\n')); at++)
		lines++;
	if (!strstr(text, " / / ro,nosuid,nodev,noexec"))
		return 253;
	return lines;
}

static void no_mount_of_the_host_is_left(void **state)
{
	struct jailed j;

	need_root();
	jail_a_child(NULL, &j);
	assert_int_equal(in_child(count_mounts, &j), 1);
	end_jailed(&j);
}

/* A directory is no mount. */
static int view_of_nothing(struct jail_view *view, struct jail_mount *mounts)
{
	view->root = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return 0;
}

static void a_view_that_cannot_be_had_leaves_the_namespace_empty(void **state)
{
	struct jailed j;

	need_root();
	jail_a_child(view_of_nothing, &j);
	assert_int_equal(in_child(count_mounts, &j), 1);
	end_jailed(&j);
}

static int tree(const char *path, uint64_t attributes)
{
	struct mount_attr attr = {.attr_set = attributes | MOUNT_ATTR_NOEXEC,
				  .propagation = MS_PRIVATE};
	int fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	return mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0 ? -1 : fd;
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

/* An image whose links lead to the host's files, if anything does. */
static int view_of_image(struct jail_view *view, struct jail_mount *mounts)
{
	const struct jail_mount list[] = {
		{.destination = "/vol", .tree = tree("vol", 0)},
		{.destination = "/ro", .tree = tree("vol", MOUNT_ATTR_RDONLY)},
		{.destination = "/etc/one", .tree = tree("one", 0), .is_file = true},
		{.destination = "/abs/two", .tree = tree("one", 0), .is_file = true},
		{.destination = "/up/up/three", .tree = tree("vol", 0)},
		{.destination = "/tmp", .cover = true},
		{.destination = "/tmp/in", .tree = tree("vol", 0)},
		{.destination = "/tmp/below", .cover = true},
		/* cannot be, and nothing else fails for it */
		{.destination = "/", .tree = tree("vol", 0)},
		{.destination = "/loop/x", .tree = tree("vol", 0)},
		{.destination = "/etc/one/x", .tree = tree("vol", 0)},
		{.destination = "/none", .tree = -1},
		{.destination = "/last", .tree = tree("vol", 0)},
	};

	memcpy(mounts, list, sizeof(list));
	view->n = sizeof(list) / sizeof(list[0]);
	view->root = tree("image", 0);
	view->uid = OTHER;
	return view->root < 0 ? -1 : 0;
}

static int reads(const char *path, const char *text)
{
	_cleanup_free_ char *is = NULL;

	return rsm_read_file_at(AT_FDCWD, path, 4096, &is, NULL) == 0 && strcmp(is, text) == 0;
}

static int writes(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static int look_at_view(void *arg)
{
	struct stat st;

	if (join(((struct jailed *)arg)->pid) < 0)
		return 254;
	if (!reads("/mine", "image") || !reads("/vol/f", "volume") || !reads("/ro/f", "volume") ||
	    !reads("/tmp/in/f", "volume") || !reads("/last/f", "volume"))
		return 1;
	if (!reads("/etc/one", "one") || !reads("/etc/two", "one") || !reads("/three/f", "volume"))
		return 2;
	if (writes("/made") < 0 || writes("/vol/made") < 0)
		return 3;
	if (writes("/ro/x") != -EROFS || writes("/tmp/x") != -EROFS)
		return 4;
	if (access("/tmp/hidden", F_OK) == 0 || access("/tmp/below", F_OK) == 0)
		return 5;
	if (access("/abs/passwd", F_OK) == 0 || access("/proc", F_OK) == 0 ||
	    access("/up/up/up/up/up/proc", F_OK) == 0)
		return 6;
	/* a missing mount point belongs to the container's root */
	if (stat("/etc", &st) < 0 || st.st_uid != 0 || access("/none", F_OK) < 0)
		return 7;
	return execl("/true", "true", NULL) < 0 && errno == EACCES ? 0 : 8;
}

static void those_who_join_see_the_view_and_nothing_else(void **state)
{
	struct jailed j;
	struct stat st;
	int r;

	need_root();
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(mkdir((const char *[]){"image", "vol", "image/tmp", "image/etc"}[i],
				       0755), 0);
	put("image/mine", "image");
	put("image/tmp/hidden", "image");
	put("image/true", "#!/true");
	assert_int_equal(chmod("image/true", 0755), 0);
	put("vol/f", "volume");
	put("one", "one");
	assert_int_equal(symlink("/etc", "image/abs"), 0);
	assert_int_equal(symlink("../../../../..", "image/up"), 0);
	assert_int_equal(symlink("loop", "image/loop"), 0);
	jail_a_child(view_of_image, &j);
	r = in_child(look_at_view, &j);
	end_jailed(&j);
	assert_int_equal(r, 0);
	/* made where the image has them, and for whom */
	assert_int_equal(stat("image/vol", &st), 0);
	assert_int_equal(st.st_uid, OTHER);
	assert_int_equal(access("image/made", F_OK) | access("vol/made", F_OK), 0);
	assert_int_equal(access("/etc/two", F_OK), -1);
	assert_int_equal(access("/three", F_OK), -1);
}

static int nothing_has_a_name(void *arg)
{
	struct jail_mount mounts[16] = {0};
	struct jail_view view = {.mounts = mounts};
	struct rsm_error err = RSM_ERROR_INIT;
	int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);

	rsm_log_to(-1, RSM_LOG_TEXT, false);
	if (view_of_image(&view, mounts) < 0 || jail_root(&view, &err) != 0)
		return 100;
	return look_around(&fd);
}

static void the_view_has_no_name_for_those_in_jail(void **state)
{
	need_root();
	assert_int_equal(mkdir("image", 0755), 0);
	assert_int_equal(mkdir("vol", 0755), 0);
	put("one", "one");
	assert_int_equal(in_child(nothing_has_a_name, NULL), 0);
}

/* ------------------------------------------------------------------ system calls */

static int call_exec(void)
{
	return execl("/bin/true", "true", NULL);
}

static int call_fork(void)
{
	return fork() == 0 ? (_exit(0), 0) : 0;
}

static int call_socket(void)
{
	return socket(AF_INET, SOCK_STREAM, 0);
}

static int call_ptrace(void)
{
	return (int)ptrace(PTRACE_SEIZE, getppid(), NULL, NULL);
}

static int call_unshare(void)
{
	return unshare(CLONE_NEWUSER);
}

static int call_mount(void)
{
	return mount("none", "/nonexistent", "tmpfs", 0, NULL);
}

static int call_setuid(void)
{
	return (int)syscall(SYS_setuid, OTHER);
}

static int call_type_into_terminal(void)
{
	return ioctl(STDIN_FILENO, TIOCSTI, "x");
}

static void forbidden_system_call_ends_the_process(void **state)
{
	static int (*const calls[])(void) = {call_exec,	  call_fork,	call_socket, call_ptrace,
					     call_unshare, call_mount,	call_setuid,
					     call_type_into_terminal};

	if (JAIL_SANITIZED) /* there are no filters then */
		return;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		pid_t pid = fork();
		int status;

		assert_true(pid >= 0);
		if (pid == 0) {
			jail_self();
			if (jail_syscalls() < 0)
				_exit(1);
			(void)calls[i]();
			_exit(2);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
			fail_msg("call %zu: status 0x%x", i, status);
	}
}

static void *own_umask(void *arg)
{
	return unshare(CLONE_FS) == 0 ? arg : NULL;
}

static int work(void *arg)
{
	pthread_t thread;
	void *result = NULL;
	int fds[2];

	jail_self();
	if (jail_syscalls() < 0)
		return 1;
	if (pthread_create(&thread, NULL, own_umask, arg) || pthread_join(thread, &result) ||
	    !result)
		return 2;
	return socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0 ? 3 : 0;
}

static void threads_and_socket_pairs_are_still_made(void **state)
{
	int any;

	assert_int_equal(in_child(work, &any), 0);
}

/* ------------------------------------------------------------------ threads */

typedef int (*thread_call)(void);

struct confined {
	enum jail_thread kind;
	thread_call call;
	int result;
};

static void *confined_thread(void *arg)
{
	struct confined *c = arg;

	if (jail_thread(c->kind) < 0)
		return NULL;
	errno = 0;
	c->result = c->call() < 0 ? errno : 0;
	return c;
}

/* @arg->call in a thread that is confined, as in runsm-vmm. Return: its errno, 254 for no thread */
static int confined(void *arg)
{
	struct confined *c = arg;
	pthread_t thread;
	void *done = NULL;

	rsm_log_to(open("/dev/null", O_WRONLY | O_CLOEXEC), RSM_LOG_JSON, false);
	jail_self();
	if (jail_syscalls() < 0)
		return 253;
	if (pthread_create(&thread, NULL, confined_thread, c) || pthread_join(thread, &done) || !done)
		return 254;
	/* the filter is the thread's alone */
	if (open("/dev/null", O_RDONLY | O_CLOEXEC) < 0 || kill(getpid(), 0) < 0)
		return 252;
	return c->result;
}

static void *just_end(void *arg)
{
	return arg;
}

/* The C library's own needs, and the log's. */
static int call_library(void)
{
	char *small = malloc(100), *big = malloc(8 << 20);

	if (!small || !big)
		return -1;
	big = realloc(big, 64 << 20);
	memset(big, 1, 16 << 20);
	free(small);
	free(big);
	rsm_log(RSM_LOG_ERROR, "from a confined thread: %s", strerror(EIO));
	sched_yield();
	return pthread_kill(pthread_self(), 0);
}

static int call_thread(void)
{
	pthread_t thread;

	return pthread_create(&thread, NULL, just_end, NULL) || pthread_join(thread, NULL) ? -1 : 0;
}

static int call_open(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static int call_unlink(void)
{
	return unlinkat(AT_FDCWD, "/nonexistent/x", 0);
}

static int call_kill(void)
{
	return kill(getpid(), 0);
}

static int call_socketpair(void)
{
	int fds[2];

	return socketpair(AF_UNIX, SOCK_STREAM, 0, fds);
}

static int call_send(void)
{
	return (int)send(STDIN_FILENO, "x", 1, MSG_DONTWAIT);
}

static int call_read_file(void)
{
	char c;

	return (int)pread(STDIN_FILENO, &c, 1, 0);
}

static int call_kvm_run(void)
{
	return ioctl(-1, KVM_RUN, 0);
}

static int call_kvm_memory(void)
{
	return ioctl(-1, KVM_SET_USER_MEMORY_REGION, NULL);
}

static int call_chdir(void)
{
	return chdir("/");
}

static int call_memfd(void)
{
	return memfd_create("x", MFD_CLOEXEC);
}

static int call_fallocate(void)
{
	return fallocate(-1, 0, 0, 1);
}

static int call_truncate(void)
{
	return ftruncate(-1, 1);
}

static int call_xattr(void)
{
	return setxattr("/nonexistent/x", "user.x", "y", 1, 0);
}

static void each_kind_of_thread_can_do_its_work(void **state)
{
	static const struct {
		struct confined c;
		int error;
	} tries[] = {
		{{JAIL_VCPU, call_library, 0}, 0},   {{JAIL_DISK, call_library, 0}, 0},
		{{JAIL_FILES, call_library, 0}, 0},  {{JAIL_VCPU, call_kvm_run, 0}, EBADF},
		{{JAIL_DISK, call_fallocate, 0}, EBADF}, {{JAIL_FILES, call_thread, 0}, 0},
		{{JAIL_FILES, call_open, 0}, 0},     {{JAIL_FILES, call_unlink, 0}, ENOENT},
		{{JAIL_FILES, call_truncate, 0}, EBADF}, {{JAIL_FILES, call_xattr, 0}, ENOENT},
	};

	if (JAIL_SANITIZED) /* there are no filters then */
		return;
	for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
		struct confined c = tries[i].c;

		if (in_child(confined, &c) != tries[i].error)
			fail_msg("call %zu: not error %d", i, tries[i].error);
	}
}

static void what_a_library_may_try_fails(void **state)
{
	struct confined tries[] = {
		{JAIL_VCPU, call_open, 0}, {JAIL_DISK, call_open, 0}, {JAIL_DISK, call_kvm_run, 0},
		{JAIL_FILES, call_kvm_memory, 0},
	};

	if (JAIL_SANITIZED) /* there are no filters then */
		return;
	for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++)
		assert_int_equal(in_child(confined, &tries[i]), EPERM);
}

static void other_system_calls_of_a_thread_end_the_process(void **state)
{
	static const struct confined tries[] = {
		{JAIL_VCPU, call_unlink, 0},     {JAIL_VCPU, call_kill, 0},
		{JAIL_VCPU, call_socketpair, 0}, {JAIL_VCPU, call_send, 0},
		{JAIL_VCPU, call_read_file, 0},  {JAIL_VCPU, call_kvm_memory, 0},
		{JAIL_VCPU, call_thread, 0},     {JAIL_VCPU, call_type_into_terminal, 0},
		{JAIL_DISK, call_unlink, 0},     {JAIL_DISK, call_truncate, 0},
		{JAIL_DISK, call_thread, 0},     {JAIL_DISK, call_xattr, 0},
		{JAIL_FILES, call_kill, 0},      {JAIL_FILES, call_socketpair, 0},
		{JAIL_FILES, call_send, 0},      {JAIL_FILES, call_chdir, 0},
		{JAIL_FILES, call_memfd, 0},     {JAIL_FILES, call_exec, 0},
		{JAIL_FILES, call_unshare, 0},   {JAIL_FILES, call_fork, 0},
	};

	if (JAIL_SANITIZED) /* there are no filters then */
		return;
	for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
		struct confined c = tries[i];
		int status, r;
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			r = confined(&c);
			_exit(r);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
			fail_msg("call %zu: status 0x%x", i, status);
	}
}

static int unlocked(void *arg)
{
	return jail_thread(JAIL_VCPU) < 0 ? 1 : error(call_open());
}

static void threads_of_a_process_without_a_jail_are_not_confined(void **state)
{
	assert_int_equal(in_child(unlocked, NULL), 0);
}

/* ------------------------------------------------------------------ memory */

/* A process of our user without CAP_SYS_PTRACE and @arg, the pid of one in jail_self() */
static int look_into(void *arg)
{
	pid_t pid = *(pid_t *)arg;
	char path[64], byte;
	struct iovec iov = {&byte, 1};

	if (jail_keep_caps(0) < 0)
		return 254;
	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) == 0 || errno != EPERM)
		return 1;
	if (process_vm_readv(pid, &iov, 1, &iov, 1, 0) >= 0 || errno != EPERM)
		return 2;
	(void)rsm_format(path, sizeof(path), "/proc/%d/mem", pid);
	if (open(path, O_RDONLY | O_CLOEXEC) >= 0 || errno != EACCES)
		return 3;
	(void)rsm_format(path, sizeof(path), "/proc/%d/fd/0", pid);
	return open(path, O_RDONLY | O_CLOEXEC) >= 0 || errno != EACCES ? 4 : 0;
}

static void same_user_cannot_look_into_our_memory(void **state)
{
	int ready[2];
	char c;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		jail_self();
		(void)!write(ready[1], "", 1);
		pause();
		_exit(1);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_int_equal(in_child(look_into, &pid), 0);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(ready[0]);
	close(ready[1]);
}

static int crash(void *arg)
{
	struct rlimit core;

	jail_self();
	if (getrlimit(RLIMIT_CORE, &core) < 0 || core.rlim_cur || core.rlim_max)
		return 1;
	return prctl(PR_GET_DUMPABLE) == 0 ? 0 : 2;
}

static void crash_leaves_no_core(void **state)
{
	assert_int_equal(in_child(crash, NULL), 0);
}

#define FILES(name) cmocka_unit_test_setup_teardown(name, enter_files, leave_files)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_capability_is_left_but_those_asked_for),
		FILES(each_capability_of_the_file_server_is_needed_and_enough),
		FILES(rights_of_root_are_gone),
		cmocka_unit_test(executed_program_gains_no_capability),
		cmocka_unit_test(nothing_of_the_host_has_a_name_in_the_new_root),
		FILES(a_chroot_is_left_for_the_new_root_too),
		cmocka_unit_test(root_stays_without_the_right_to_change_it),
		cmocka_unit_test(no_mount_of_the_host_is_left),
		cmocka_unit_test(a_view_that_cannot_be_had_leaves_the_namespace_empty),
		FILES(those_who_join_see_the_view_and_nothing_else),
		FILES(the_view_has_no_name_for_those_in_jail),
		cmocka_unit_test(forbidden_system_call_ends_the_process),
		cmocka_unit_test(threads_and_socket_pairs_are_still_made),
		cmocka_unit_test(each_kind_of_thread_can_do_its_work),
		cmocka_unit_test(what_a_library_may_try_fails),
		cmocka_unit_test(other_system_calls_of_a_thread_end_the_process),
		cmocka_unit_test(threads_of_a_process_without_a_jail_are_not_confined),
		cmocka_unit_test(same_user_cannot_look_into_our_memory),
		cmocka_unit_test(crash_leaves_no_core),
	};

	return cmocka_run_group_tests_name("vmm/jail", tests, NULL, NULL);
}
