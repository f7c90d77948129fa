/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's serial console: read, and its last lines kept, to say what the guest said last when
 * something goes wrong.
 */
#ifndef RSM_VMM_CONSOLE_H
#define RSM_VMM_CONSOLE_H

#include "base/loop.h"

#include <stddef.h>

struct console;

/**
 * console_new() - Read a console
 * @fd:		pollable, set non-blocking here; taken over on success
 */
int console_new(struct rsm_loop *loop, int fd, struct console **ret);
void console_free(struct console *c);

/* Read what is there already: for reports about a guest that has just died. */
void console_drain(struct console *c);

/**
 * console_last_lines() - What the guest said last
 * @lines:	at most this many
 * @buf:	NUL-terminated, lines separated by '\n', none at the end; control characters and
 *		bytes that are not UTF-8 replaced by '?', because the guest chose them; cut at the
 *		front if @size is too small
 *
 * Return: length; 0 if it said nothing
 */
size_t console_last_lines(const struct console *c, unsigned lines, char *buf, size_t size);

/* The line of a kernel panic, if there was one, as above. Return: its length or 0 */
size_t console_panic(const struct console *c, char *buf, size_t size);

#endif
