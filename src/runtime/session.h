/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process that stands for a container's process on the host: the foreground `run`, and `exec`.
 *
 * It does not relay bytes (the VMM has the fds); it passes on signals and terminal sizes, and ends
 * with the process's exit status.
 */
#ifndef RSM_RUNTIME_SESSION_H
#define RSM_RUNTIME_SESSION_H

#include "runtime/ctr_client.h"

/**
 * struct session - Owner: one loop, that of @cl
 * @exec_id:	"" for the container's init
 * @tty:	whose size changes are passed on; -1: no terminal
 * @signals:	signalfd; -1 before session_block_signals()
 */
struct session {
	struct ctr_client *cl;
	char *id, *exec_id;
	int tty;
	int signals;
	struct rsm_source *source;
};

/**
 * session_block_signals() - Take over the signals that are passed on
 *
 * Early, so that none kills this process between the start of the container's process and
 * session_start(); they wait in the signalfd.
 */
int session_block_signals(struct session *s, struct rsm_error *err);

/* Begin passing on. @s->cl, ids and tty are set. */
int session_start(struct session *s, struct rsm_error *err);

/* Tell the process the size of the terminal. */
void session_resize(struct session *s);

void session_done(struct session *s);

#endif
