/* SPDX-License-Identifier: Apache-2.0 */
/* Talking to a container's runsm-vmm over control.sock (service runsm.Sandbox of agent.proto). */
#ifndef RSM_RUNTIME_CTR_CLIENT_H
#define RSM_RUNTIME_CTR_CLIENT_H

#include "runtime/ctr.h"
#include "ttrpc/agent.pb-c.h"
#include "ttrpc/ttrpc.h"

/* Longest a VMM may take to answer what it can answer by itself or by asking a live guest. */
#define CTR_CALL_TIMEOUT_MS 30000

/* What the VMM answers at once by itself; and how long a guest has to take a signal, of which the last
 * one ends it anyway: a client that removes a hung container waits for both several times. */
#define CTR_STATE_TIMEOUT_MS  3000
#define CTR_SIGNAL_TIMEOUT_MS 6000

/**
 * struct ctr_client - A connection and the loop it lives on
 * @closed:	the VMM closed it
 */
struct ctr_client {
	struct rsm_loop *loop;
	struct ttrpc_conn *conn;
	bool closed;
	void (*on_closed)(void *cookie);
	void *cookie;
};

/**
 * ctr_connect() - Connect to the VMM of @c
 * Return: 0; -ENOENT or -ECONNREFUSED (without a message) if nobody listens; else -errno
 */
int ctr_connect(struct ctr *c, struct ctr_client **ret, struct rsm_error *err);
void ctr_client_free(struct ctr_client *cl);
RSM_DEFINE_CLEANUP(struct ctr_client *, ctr_client_free, NULL);
#define _cleanup_client_ _cleanup_(ctr_client_freep)

/* One call and its answer; @ret may be NULL. */
int ctr_call(struct ctr_client *cl, const char *method, const ProtobufCMessage *request,
	     int timeout_ms, ProtobufCMessage **ret, struct rsm_error *err);

/* Connect and make one of the calls that take a ContainerRequest: Start, Pause, Resume, … */
int ctr_simple_call(struct ctr *c, const char *method, int timeout_ms, ProtobufCMessage **ret,
		    struct rsm_error *err);

/* Signal @exec_id ("" for init) or everything. */
int ctr_signal(struct ctr *c, int sig, bool all, struct rsm_error *err);

#endif
