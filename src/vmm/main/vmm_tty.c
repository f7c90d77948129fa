// SPDX-License-Identifier: Apache-2.0
/*
 * The host side of the container's terminal.
 *
 * The terminal the process sees is the guest's own pty, with all line discipline. The host pty is
 * raw: bytes pass both ways untouched. Its window size is carried over: the pty is our controlling
 * terminal, so a change of size arrives as SIGWINCH, and closing the master as SIGHUP.
 */
#include "vmm/main/vmm_sandbox.h"

#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>

static int open_pty(int *ret_master, char *name, size_t size)
{
	_cleanup_close_ int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct termios raw;
	int slave;

	if (master < 0 || unlockpt(master) < 0)
		return -errno;
	if (ptsname_r(master, name, size) != 0)
		return -ENODEV;
	/* by the master, because /dev/pts may be another instance where we are */
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return -errno;
	if (tcgetattr(slave, &raw) == 0) {
		cfmakeraw(&raw);
		(void)tcsetattr(slave, TCSANOW, &raw);
	}
	*ret_master = rsm_steal_fd(master);
	return slave;
}

/* runc's protocol: the terminal's name as data, the master along with it. */
static int send_master(int socket, int master, const char *name)
{
	ssize_t n = rsm_send_fds(socket, name, strlen(name), &master, 1);

	return n < 0 ? (int)n : 0;
}

static void take_size(struct sandbox *s)
{
	Runsm__Process *p = s->config->container->process;
	struct winsize size = {.ws_row = (unsigned short)p->rows,
			       .ws_col = (unsigned short)p->cols};

	if (p->rows && p->cols) {
		(void)ioctl(s->tty_fd, TIOCSWINSZ, &size);
	} else if (ioctl(s->tty_fd, TIOCGWINSZ, &size) == 0) {
		p->rows = size.ws_row;
		p->cols = size.ws_col;
	}
}

int tty_open(struct sandbox *s, struct rsm_error *err)
{
	_cleanup_close_ int master = -1;
	char name[64];
	int r;

	s->tty_fd = r = open_pty(&master, name, sizeof(name));
	if (r < 0)
		return rsm_fail_errno(err, r, "open a terminal");
	(void)ioctl(s->tty_fd, TIOCSCTTY, 0);
	take_size(s);
	r = send_master(FD_CONSOLE_SOCKET, master, name);
	return r < 0 ? rsm_fail_errno(err, r, "send the terminal to the console socket") : 0;
}

void tty_resized(struct sandbox *s)
{
	Runsm__ResizeRequest request = RUNSM__RESIZE_REQUEST__INIT;
	struct winsize size;

	if (s->tty_fd < 0 || ioctl(s->tty_fd, TIOCGWINSZ, &size) < 0)
		return;
	request.id = s->config->id;
	request.rows = size.ws_row;
	request.cols = size.ws_col;
	(void)sandbox_call_agent(s, "Resize", &request.base, NULL, NULL);
}
