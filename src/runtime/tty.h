/* SPDX-License-Identifier: Apache-2.0 */
/* Terminals of the host: the caller's own, and consoles handed to a caller's socket. */
#ifndef RSM_RUNTIME_TTY_H
#define RSM_RUNTIME_TTY_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <termios.h>

/**
 * struct tty_raw - A terminal that was put into raw mode
 * @fd:	-1 while there is nothing to restore
 */
struct tty_raw {
	int fd;
	struct termios saved;
};

#define TTY_RAW_INIT                                                                               \
	{                                                                                          \
		.fd = -1                                                                           \
	}

/* Put @fd into raw mode until tty_restore(). Return: 0 or -errno */
int tty_make_raw(int fd, struct tty_raw *t);
/* Undo it; harmless if there is nothing to undo. */
void tty_restore(struct tty_raw *t);

/* Size in characters; 0 and 0 if unknown. */
void tty_size(int fd, uint32_t *rows, uint32_t *cols);

/* First of stdin, stdout, stderr that is a terminal, opened again, or /dev/tty. Return: fd, or -errno
 * as open() of /dev/tty gives */
int tty_of_caller(void);

/* Connect to a --console-socket. Return: fd or -errno with @err */
int tty_connect_console(const char *path, struct rsm_error *err);

/**
 * tty_send_console() - Make a pseudoterminal and send its master to a console socket
 * @sock:	connected; runc's protocol: one fd with the name of the slave as data
 * @rows, @cols: initial size; 0: leave
 *
 * The slave is in raw mode (the line discipline that matters is the guest's) and becomes the
 * controlling terminal of the caller, a session leader without one: resizing the master then
 * raises SIGWINCH here.
 *
 * Return: fd of the slave, or -errno
 */
int tty_send_console(int sock, uint32_t rows, uint32_t cols, struct rsm_error *err);

#endif
