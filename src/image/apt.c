/* SPDX-License-Identifier: Apache-2.0 */
#include "image/apt.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/math.h"
#include "base/proc.h"
#include "image/deb.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT_MAX   (1024 * 1024)
#define INSTEAD      "give a kernel package with --deb FILE or a kernel with --kernel FILE"
#define PACKAGE_STEM "linux-image-"

#define CHILD_DIR_FD 3

static int enter(void *cookie)
{
	if (fchdir(CHILD_DIR_FD) < 0)
		return -errno;
	close(CHILD_DIR_FD);
	return 0;
}

/* Read @fd to its end, keep the first OUTPUT_MAX bytes. */
static int drain(int fd, struct rsm_buf *out)
{
	char buf[4096];

	for (;;) {
		ssize_t n = read(fd, buf, sizeof(buf));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		if (out->len + (size_t)n <= OUTPUT_MAX)
			rsm_buf_add(out, buf, (size_t)n);
	}
}

/*
 * Run @argv in @dirfd. @with_stderr: its stderr goes to @out too, else nowhere.
 * Return: exit status, or -errno
 */
static int run(const char *const *argv, int dirfd, bool with_stderr, struct rsm_buf *out,
	       struct rsm_error *err)
{
	_cleanup_close_ int reader = -1, writer = -1;
	int pipefd[2], fds[CHILD_DIR_FD + 1], status, r;
	struct rsm_spawn how = {
		.argv = argv, .fds = fds, .nfds = RSM_ARRAY_SIZE(fds), .before_exec = enter};
	pid_t pid;

	if (pipe2(pipefd, O_CLOEXEC) < 0)
		return rsm_fail_errno(err, errno, "create a pipe");
	reader = pipefd[0];
	writer = pipefd[1];
	fds[0] = -1;
	fds[1] = writer;
	fds[2] = with_stderr ? writer : -1;
	fds[CHILD_DIR_FD] = dirfd;
	r = rsm_spawn(&how, &pid, NULL, err);
	if (r < 0)
		return r;
	rsm_close(&writer);
	r = drain(reader, out);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return rsm_fail_errno(err, errno, "wait for '%s'", argv[0]);
	if (r < 0 || rsm_buf_ok(out) < 0)
		return rsm_fail_errno(err, r < 0 ? r : -ENOMEM, "read from '%s'", argv[0]);
	return rsm_exit_status(status);
}

/* "linux-image-6.1.0-1-cloud-amd64 (= 6.1.2-3), …" to "linux-image-6.1.0-1-cloud-amd64=6.1.2-3" */
static int first_kernel(const char *depends, char *ret, size_t size)
{
	const char *name = strstr(depends, PACKAGE_STEM);
	size_t name_len = name ? strcspn(name, " ,(|") : 0;
	const char *version = name ? name + name_len : NULL;

	if (!name)
		return -ENOENT;
	if (strncmp(version, " (= ", 4) != 0)
		return rsm_format(ret, size, "%.*s", (int)name_len, name);
	version += 4;
	return rsm_format(ret, size, "%.*s=%.*s", (int)name_len, name, (int)strcspn(version, ")"),
			  version);
}

static int resolve(int dirfd, char *ret, size_t size, struct rsm_error *err)
{
	static const char *const argv[] = {"env",  "LC_ALL=C",          "apt-cache",
					   "show", "--no-all-versions", IMG_APT_METAPACKAGE,
					   NULL};
	_cleanup_buf_ struct rsm_buf out = {0};
	char depends[1024] = "";
	int status = run(argv, dirfd, false, &out, err);

	if (status < 0)
		return status;
	if (status == 127)
		return rsm_fail(err, ENOENT,
				"apt-cache is not there to find Debian's kernel: " INSTEAD);
	if (out.len)
		img_control_field(out.data, "Depends", depends, sizeof(depends));
	if (status || first_kernel(depends, ret, size) < 0)
		return rsm_fail(err, ENOENT,
				"apt does not know the package '" IMG_APT_METAPACKAGE
				"': run 'apt-get update', or " INSTEAD);
	return 0;
}

/* apt-get gives up root for the download: let it write here. */
static void give_to_apt(int dirfd)
{
	const struct passwd *apt = geteuid() == 0 ? getpwnam("_apt") : NULL;

	if (apt && fchown(dirfd, apt->pw_uid, (gid_t)-1) < 0)
		return; /* then it downloads as root, and says so */
}

static int find_deb(int dirfd, char *ret, size_t size, struct rsm_error *err)
{
	_cleanup_closedir_ DIR *dir = NULL;
	const struct dirent *e;
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return rsm_fail_errno(err, errno, "open the download directory");
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return rsm_fail_errno(err, ENOMEM, "read the download directory");
	}
	while ((e = readdir(dir))) {
		size_t len = strlen(e->d_name);

		if (len > 4 && strcmp(e->d_name + len - 4, ".deb") == 0 &&
		    rsm_format(ret, size, "%s", e->d_name) == 0)
			return 0;
	}
	return rsm_fail(err, EIO, "apt-get downloaded no package: " INSTEAD);
}

/* Last line that has something on it */
static void last_line(struct rsm_buf *out)
{
	const char *nl;

	while (out->len && strchr("\r\n ", out->data[out->len - 1]))
		out->data[--out->len] = '\0';
	nl = out->len ? memrchr(out->data, '\n', out->len) : NULL;
	if (nl)
		rsm_buf_consume(out, (size_t)(nl + 1 - out->data));
}

int img_apt_fetch_kernel(int dirfd, void (*progress)(void *cookie, const char *what), void *cookie,
			 char *ret_name, size_t size, struct rsm_error *err)
{
	_cleanup_buf_ struct rsm_buf out = {0};
	char package[256], text[300];
	const char *argv[] = {"env",      "LC_ALL=C", "apt-get", "-q", "-o", "Acquire::Retries=3",
			      "download", package,    NULL};
	int status = resolve(dirfd, package, sizeof(package), err);

	if (status < 0)
		return status;
	if (progress) {
		rsm_format(text, sizeof(text), "download %s", package);
		progress(cookie, text);
	}
	give_to_apt(dirfd);
	status = run(argv, dirfd, true, &out, err);
	if (status < 0)
		return status;
	if (status) {
		last_line(&out);
		return rsm_fail(err, EIO, "apt-get download %s failed (%s): " INSTEAD, package,
				out.len ? out.data : "no message");
	}
	return find_deb(dirfd, ret_name, size, err);
}
