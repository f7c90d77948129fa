/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Run a helper program to its end: hooks.
 *
 * It gets a text on stdin (a file rather than a pipe: one that does not read it holds up nobody);
 * the end of what it writes is kept for the error message. It leads a process group of its own.
 * When it has to be killed, everything that descends from it is, since this process is their
 * subreaper meanwhile.
 *
 * Context: blocks; a process of one thread, which the caller's other children do not concern.
 */
#ifndef RSM_BASE_RUN_H
#define RSM_BASE_RUN_H

#include "base/proc.h"

#define RSM_RUN_WATCH_MAX 2

/**
 * struct rsm_run - What to run and when to stop it
 * @spawn:	its fds are those from 3 on; stdin, stdout, stderr are rsm_run()'s own
 * @timeout:	seconds; 0: none
 * @watch:	when one of these can be read from, the program is killed; -1: none
 */
struct rsm_run {
	struct rsm_spawn spawn;
	const char *input;
	unsigned timeout;
	int watch[RSM_RUN_WATCH_MAX];
};

/**
 * rsm_run() - Start it and wait until it ends
 *
 * Return: 0 when it ended with status 0; -EIO with its status and output in @err; -ETIMEDOUT;
 * -ECANCELED when a watched fd said so; or another -errno if it could not be started
 */
int rsm_run(const struct rsm_run *run, struct rsm_error *err);

#endif
