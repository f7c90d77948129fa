// SPDX-License-Identifier: Apache-2.0
#include "runtime/tty.h"

#include "base/cleanup.h"
#include "base/io.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

int tty_make_raw(int fd, struct tty_raw *t)
{
	struct termios raw;

	if (tcgetattr(fd, &t->saved) < 0)
		return -errno;
	raw = t->saved;
	cfmakeraw(&raw);
	if (tcsetattr(fd, TCSANOW, &raw) < 0)
		return -errno;
	t->fd = fd;
	return 0;
}

void tty_restore(struct tty_raw *t)
{
	if (t->fd < 0)
		return;
	(void)tcsetattr(t->fd, TCSANOW, &t->saved);
	t->fd = -1;
}

void tty_size(int fd, uint32_t *rows, uint32_t *cols)
{
	struct winsize size = {0};

	(void)ioctl(fd, TIOCGWINSZ, &size);
	*rows = size.ws_row;
	*cols = size.ws_col;
}

int tty_of_caller(void)
{
	int fd;

	for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		char path[32];
		int tty;

		if (!isatty(fd))
			continue;
		(void)rsm_format(path, sizeof(path), "/proc/self/fd/%d", fd);
		tty = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
		if (tty >= 0)
			return tty;
		/* A terminal of another owner (su, sudo -u) opens for nobody: use it as it is. */
		tty = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
		return tty < 0 ? -errno : tty;
	}
	fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int tty_connect_console(const char *path, struct rsm_error *err)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	if (fd < 0)
		return rsm_fail_errno(err, errno, "create a socket");
	if (rsm_format(addr.sun_path, sizeof(addr.sun_path), "%s", path) < 0)
		return rsm_fail_errno(err, ENAMETOOLONG, "console socket '%s'", path);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return rsm_fail_errno(err, errno, "connect to the console socket '%s'", path);
	return rsm_steal_fd(fd);
}

static int open_slave(int master, char *name, size_t size)
{
	_cleanup_close_ int slave = -1;
	struct termios raw;

	if (grantpt(master) < 0 || unlockpt(master) < 0)
		return -errno;
	if (ptsname_r(master, name, size) != 0)
		return -errno;
	slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0 || tcgetattr(slave, &raw) < 0)
		return -errno;
	cfmakeraw(&raw);
	if (tcsetattr(slave, TCSANOW, &raw) < 0)
		return -errno;
	return rsm_steal_fd(slave);
}

int tty_send_console(int sock, uint32_t rows, uint32_t cols, struct rsm_error *err)
{
	_cleanup_close_ int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave = -1;
	struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)cols};
	char name[64];
	ssize_t n;

	if (master < 0)
		return rsm_fail_errno(err, errno, "make a pseudoterminal");
	slave = open_slave(master, name, sizeof(name));
	if (slave < 0) {
		n = slave;
		slave = -1;
		return rsm_fail_errno(err, (int)n, "open a pseudoterminal");
	}
	if (rows && cols)
		(void)ioctl(master, TIOCSWINSZ, &size);
	(void)ioctl(slave, TIOCSCTTY, 0);
	n = rsm_send_fds(sock, name, strlen(name), &master, 1);
	if (n < 0)
		return rsm_fail_errno(err, (int)n, "send the terminal to the console socket");
	return rsm_steal_fd(slave);
}
