/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One direction of a process's stdio: bytes from one fd to another, with backpressure.
 *
 * The reader stops while the writer is full, so a process that writes faster than the host reads
 * blocks on its pipe. The flow ends when the source ends and everything was written, or when either
 * side fails; it then closes both fds, which is how the end is passed on: a pipe's writer gone is
 * end of file for the process, a reader gone is EPIPE, a closed stream is end of file for the host.
 */
#ifndef RSM_AGENT_FLOW_H
#define RSM_AGENT_FLOW_H

#include "base/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct flow;

/* Called once, when the flow has ended or, after flow_drain(), has put out what it had to. */
typedef void (*flow_fn)(void *cookie);

/**
 * flow_new() - Start moving bytes
 * @in, @out:	owned from success on; set non-blocking
 * @done:	never called from inside flow_new() or flow_drain()
 */
int flow_new(struct rsm_loop *loop, int in, int out, flow_fn done, void *cookie, struct flow **ret);

/* Close and free; NULL is fine. @done is not called. */
void flow_free(struct flow *f);

/* Bytes written so far; false once both fds are closed. */
uint64_t flow_bytes(const struct flow *f);
bool flow_alive(const struct flow *f);

/* The fd read from; -1 once closed. */
int flow_source(const struct flow *f);

/**
 * flow_drain() - The process has ended: call @done once what it wrote before is put out
 * @backlog:	at most this many bytes can be left in @in
 *
 * Whoever else holds the other end of @in may go on writing: that does not hold @done back.
 * Return: true if there is nothing to wait for
 */
bool flow_drain(struct flow *f, uint64_t backlog);

#endif
