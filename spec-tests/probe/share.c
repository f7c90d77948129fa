/* SPDX-License-Identifier: Apache-2.0 */
/* What several processes and users share: permissions, locks, pipes, sockets, devices, events. */
#include "probe.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int read_it(const void *cookie)
{
	int fd = open(cookie, O_RDONLY);

	return fd >= 0 ? 0 : errno;
}

static int write_it(const void *cookie)
{
	int fd = open(cookie, O_WRONLY);

	return fd >= 0 && write(fd, "w", 1) == 1 ? 0 : errno;
}

static int unlink_it(const void *cookie)
{
	return unlink(cookie) == 0 ? 0 : errno;
}

static int create_it(const void *cookie)
{
	return put(cookie, "") == 0 ? 0 : errno;
}

static int modes_bind_other_users(void)
{
	EXPECT(put("f", "x") == 0 && chmod("f", 0600) == 0);
	EXPECT(as_user(1000, read_it, "f") == EACCES);
	EXPECT(chmod("f", 0604) == 0 && as_user(1000, read_it, "f") == 0);
	EXPECT(as_user(1000, write_it, "f") == EACCES);
	EXPECT(chown("f", 1000, 1000) == 0 && chmod("f", 0600) == 0);
	EXPECT(as_user(1000, write_it, "f") == 0 && as_user(1001, read_it, "f") == EACCES);
	EXPECT(as_user(1000, create_it, "new") == EACCES);
	EXPECT(mkdir("d", 0700) == 0 && put("d/f", "") == 0);
	EXPECT(as_user(1000, read_it, "d/f") == EACCES);
	return 0;
}

static int sticky_directory(void)
{
	EXPECT(mkdir("d", 0755) == 0 && chmod("d", 01777) == 0);
	EXPECT(as_user(1000, create_it, "d/f") == 0);
	EXPECT(as_user(1001, unlink_it, "d/f") == EPERM);
	EXPECT(as_user(1000, unlink_it, "d/f") == 0);
	return 0;
}

static int owner_of_new_files(void)
{
	struct stat st;

	EXPECT(mkdir("d", 0755) == 0 && chmod("d", 0777) == 0);
	EXPECT(as_user(1000, create_it, "d/f") == 0 && stat("d/f", &st) == 0);
	EXPECT(st.st_uid == 1000 && st.st_gid == 1000 && (st.st_mode & 07777) == 0644);
	EXPECT(chown("d", 0, 2000) == 0 && chmod("d", 02777) == 0);
	EXPECT(as_user(1000, create_it, "d/g") == 0 && stat("d/g", &st) == 0);
	EXPECT(st.st_uid == 1000 && st.st_gid == 2000);
	EXPECT(mkdir("d/sub", 0755) == 0 && stat("d/sub", &st) == 0);
	EXPECT(st.st_gid == 2000 && (st.st_mode & S_ISGID));
	return 0;
}

static int set_id_bits(void)
{
	struct stat st;

	EXPECT(put("f", "x") == 0 && chmod("f", 06755) == 0);
	EXPECT(stat("f", &st) == 0 && (st.st_mode & 07777) == 06755);
	EXPECT(chown("f", 1000, 1000) == 0 && stat("f", &st) == 0);
	EXPECT((st.st_mode & 07777) == 0755);
	EXPECT(chmod("f", 04777) == 0 && as_user(1001, write_it, "f") == 0);
	EXPECT(stat("f", &st) == 0 && !(st.st_mode & S_ISUID));
	return 0;
}

static int change_owner_denied(const void *cookie)
{
	return chown(cookie, 1000, 1000) < 0 && errno == EPERM && chmod(cookie, 0777) < 0 &&
	       errno == EPERM ? 0 : 1;
}

static int only_owners_change_owners(void)
{
	EXPECT(put("f", "x") == 0 && as_user(1000, change_owner_denied, "f") == 0);
	return 0;
}

static int lock_is_taken(const void *cookie)
{
	struct flock l = {.l_type = F_WRLCK, .l_start = 10, .l_len = 10};
	int fd = open(cookie, O_RDWR);

	if (fcntl(fd, F_SETLK, &l) == 0 || (errno != EAGAIN && errno != EACCES))
		return 1;
	l.l_start = 0;
	if (fcntl(fd, F_SETLK, &l) < 0)
		return 2;
	l.l_start = 10;
	if (fcntl(fd, F_GETLK, &l) < 0 || l.l_type != F_WRLCK || l.l_pid != getppid())
		return 3;
	return 0;
}

static int record_locks(void)
{
	struct flock l = {.l_type = F_WRLCK, .l_start = 10, .l_len = 10};
	int fd = open("f", O_RDWR | O_CREAT, 0644), pipefd[2], status, rc;
	char c;
	pid_t pid;

	EXPECT(fd >= 0 && fcntl(fd, F_SETLK, &l) == 0);
	rc = in_child(lock_is_taken, "f");
	if (rc)
		FAIL("another process finds the lock so: %d", rc);
	/* a waiter gets it when it is released, not before */
	EXPECT(pipe(pipefd) == 0);
	pid = fork();
	if (pid == 0) {
		int mine = open("f", O_RDWR);

		l.l_type = F_WRLCK;
		if (fcntl(mine, F_SETLKW, &l) < 0 || write(pipefd[1], "x", 1) != 1)
			_exit(1);
		_exit(0);
	}
	usleep(200000);
	EXPECT(waitpid(pid, &status, WNOHANG) == 0);
	l.l_type = F_UNLCK;
	EXPECT(fcntl(fd, F_SETLK, &l) == 0);
	EXPECT(read(pipefd[0], &c, 1) == 1);
	EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
	return 0;
}

static int flock_is_taken(const void *cookie)
{
	int fd = open(cookie, O_RDWR);

	return flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK ? 0 : 1;
}

static int whole_file_locks(void)
{
	int fd = open("f", O_RDWR | O_CREAT, 0644), other;

	EXPECT(fd >= 0 && flock(fd, LOCK_EX) == 0 && in_child(flock_is_taken, "f") == 0);
	EXPECT(close(fd) == 0);
	other = open("f", O_RDWR);
	EXPECT(flock(other, LOCK_EX | LOCK_NB) == 0);
	return 0;
}

static int say_hello(const void *cookie)
{
	int fd = open(cookie, O_WRONLY);

	return fd >= 0 && write(fd, "hello", 5) == 5 ? 0 : 1;
}

static int fifos(void)
{
	char buf[8];
	struct stat st;
	int fd, status;
	pid_t pid;

	EXPECT(mkfifo("p", 0644) == 0 && stat("p", &st) == 0 && S_ISFIFO(st.st_mode));
	pid = fork();
	if (pid == 0)
		_exit(say_hello("p"));
	fd = open("p", O_RDONLY);
	EXPECT(fd >= 0 && read(fd, buf, sizeof(buf)) == 5 && !memcmp(buf, "hello", 5));
	EXPECT(read(fd, buf, sizeof(buf)) == 0);
	EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
	return 0;
}

static int unix_sockets(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX, .sun_path = "s"};
	int a = socket(AF_UNIX, SOCK_STREAM, 0), b = socket(AF_UNIX, SOCK_STREAM, 0), c;
	char buf[4];
	struct stat st;

	EXPECT(bind(a, (struct sockaddr *)&addr, sizeof(addr)) == 0 && listen(a, 1) == 0);
	EXPECT(stat("s", &st) == 0 && S_ISSOCK(st.st_mode));
	EXPECT(connect(b, (struct sockaddr *)&addr, sizeof(addr)) == 0);
	c = accept(a, NULL, NULL);
	EXPECT(c >= 0 && write(b, "hi", 2) == 2 && read(c, buf, 4) == 2);
	EXPECT(unlink("s") == 0);
	b = socket(AF_UNIX, SOCK_STREAM, 0);
	EXPECT_ERRNO(connect(b, (struct sockaddr *)&addr, sizeof(addr)), ENOENT);
	return 0;
}

static int device_nodes(void)
{
	struct stat st;
	int fd;

	EXPECT(mknod("null", S_IFCHR | 0666, makedev(1, 3)) == 0 && stat("null", &st) == 0);
	EXPECT(S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3));
	fd = open("null", O_RDWR);
	EXPECT(fd >= 0 && write(fd, "x", 1) == 1 && read(fd, &st, 1) == 0);
	EXPECT(mknod("f", S_IFREG | 0640, 0) == 0 && stat("f", &st) == 0 && S_ISREG(st.st_mode));
	return 0;
}

static int store(const void *cookie)
{
	*(char *)cookie = 's';
	return 0;
}

static int memory_shared_through_a_file(void)
{
	char *m, c;
	int fd = open("f", O_RDWR | O_CREAT, 0644);

	EXPECT(fd >= 0 && ftruncate(fd, 4096) == 0);
	m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	EXPECT(m != MAP_FAILED && in_child(store, m) == 0 && m[0] == 's');
	EXPECT(read(fd, &c, 1) == 1 && c == 's');
	return 0;
}

static int append_many(const void *cookie)
{
	int fd = open(cookie, O_WRONLY | O_APPEND);

	for (int i = 0; i < 200; i++)
		if (write(fd, "0123456789", 10) != 10)
			return 1;
	return 0;
}

static int appenders_lose_nothing(void)
{
	struct stat st;
	int status;

	EXPECT(put("f", "") == 0);
	for (int i = 0; i < 4; i++)
		if (fork() == 0)
			_exit(append_many("f"));
	for (int i = 0; i < 4; i++)
		EXPECT(wait(&status) > 0 && status == 0);
	EXPECT(stat("f", &st) == 0 && st.st_size == 8000);
	return 0;
}

static int change_events(void)
{
	char buf[4096];
	int fd = inotify_init1(IN_NONBLOCK);
	ssize_t n;

	EXPECT(fd >= 0 && inotify_add_watch(fd, ".", IN_CREATE | IN_DELETE | IN_CLOSE_WRITE) >= 0);
	EXPECT(put("f", "x") == 0 && unlink("f") == 0);
	n = read(fd, buf, sizeof(buf));
	EXPECT(n >= 3 * (ssize_t)sizeof(struct inotify_event));
	return 0;
}

const struct check share_checks[] = {
	{"modes_bind_other_users", modes_bind_other_users},
	{"sticky_directory", sticky_directory},
	{"owner_of_new_files", owner_of_new_files},
	{"set_id_bits", set_id_bits},
	{"only_owners_change_owners", only_owners_change_owners},
	{"record_locks", record_locks},
	{"whole_file_locks", whole_file_locks},
	{"fifos", fifos},
	{"unix_sockets", unix_sockets},
	{"device_nodes", device_nodes},
	{"memory_shared_through_a_file", memory_shared_through_a_file},
	{"appenders_lose_nothing", appenders_lose_nothing},
	{"change_events", change_events},
	{NULL, NULL},
};
