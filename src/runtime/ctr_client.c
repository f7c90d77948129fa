// SPDX-License-Identifier: Apache-2.0
#include "runtime/ctr_client.h"

#include "base/io.h"
#include "base/log.h"

#include <stdlib.h>
#include <time.h>

/* How long a VMM that lives and does not listen is given: it is starting or ending. */
#define NOT_LISTENING_TRIES    50
#define NOT_LISTENING_PAUSE_NS (100 * 1000000L)

static void closed(void *cookie, struct ttrpc_conn *conn, int error)
{
	struct ctr_client *cl = cookie;

	cl->closed = true;
	if (cl->on_closed)
		cl->on_closed(cl->cookie);
}

static const struct ttrpc_server no_server = {.closed = closed};

int ctr_connect(struct ctr *c, struct ctr_client **ret, struct rsm_error *err)
{
	_cleanup_client_ struct ctr_client *cl = calloc(1, sizeof(*cl));
	_cleanup_close_ int fd = -1;
	int r;

	if (!cl)
		return rsm_fail(err, ENOMEM, "out of memory");
	fd = rsm_unix_connect_at(c->dirfd, "control.sock");
	if (fd < 0) {
		r = fd;
		fd = -1;
		return rsm_fail_errno(err, r, "connect to the VMM of container '%s'", c->id);
	}
	r = rsm_loop_new(&cl->loop);
	if (r == 0)
		r = ttrpc_conn_new(cl->loop, fd, &no_server, cl, &cl->conn);
	if (r < 0)
		return rsm_fail_errno(err, r, "talk to the VMM of container '%s'", c->id);
	(void)rsm_steal_fd(fd);
	*ret = rsm_steal_ptr(cl);
	return 0;
}

void ctr_client_free(struct ctr_client *cl)
{
	if (!cl)
		return;
	ttrpc_conn_free(cl->conn);
	rsm_loop_free(cl->loop);
	free(cl);
}

int ctr_call(struct ctr_client *cl, const char *method, const ProtobufCMessage *request,
	     int timeout_ms, ProtobufCMessage **ret, struct rsm_error *err)
{
	if (cl->closed)
		return rsm_fail(err, ECONNRESET, "the VMM closed the connection");
	return ttrpc_call_sync(cl->conn, &runsm__sandbox__descriptor, method, request, NULL, 0,
			       timeout_ms, ret, err);
}

int ctr_simple_call(struct ctr *c, const char *method, int timeout_ms, ProtobufCMessage **ret,
		    struct rsm_error *err)
{
	_cleanup_client_ struct ctr_client *cl = NULL;
	Runsm__ContainerRequest request = RUNSM__CONTAINER_REQUEST__INIT;
	int r = ctr_connect(c, &cl, err);

	if (r < 0)
		return r;
	request.id = c->id;
	return ctr_call(cl, method, &request.base, timeout_ms, ret, err);
}

int ctr_signal(struct ctr *c, int sig, bool all, struct rsm_error *err)
{
	_cleanup_client_ struct ctr_client *cl = NULL;
	Runsm__SignalRequest request = RUNSM__SIGNAL_REQUEST__INIT;
	int r = ctr_connect(c, &cl, err);

	if (r < 0)
		return r;
	request.id = c->id;
	request.signal = (uint32_t)sig;
	request.all = all;
	return ctr_call(cl, "Signal", &request.base, CTR_SIGNAL_TIMEOUT_MS, NULL, err);
}

static bool not_listening(int ret)
{
	return ret == -ENOENT || ret == -ECONNREFUSED || ret == -ECONNRESET || ret == -EPIPE;
}

int ctr_status(struct ctr *c, struct rsm_error *err)
{
	const struct timespec pause = {.tv_nsec = NOT_LISTENING_PAUSE_NS};
	struct rsm_error why = RSM_ERROR_INIT;

	for (int i = 0; i < NOT_LISTENING_TRIES; i++) {
		ProtobufCMessage *reply = NULL;
		int ret, status;

		if (!ctr_vmm_alive(c))
			return CTR_STOPPED;
		ret = ctr_simple_call(c, "State", CTR_STATE_TIMEOUT_MS, &reply, &why);
		if (ret == 0) {
			status = (int)((Runsm__StateResponse *)reply)->status;
			protobuf_c_message_free_unpacked(reply, NULL);
			if (status < CTR_CREATING || status > CTR_STOPPED)
				return rsm_fail(err, EPROTO,
						"the VMM of container '%s' answers nonsense",
						c->id);
			return status;
		}
		if (!not_listening(ret))
			break;
		if (c->state.creating)
			return CTR_CREATING;
		(void)nanosleep(&pause, NULL);
	}
	if (!ctr_vmm_alive(c))
		return CTR_STOPPED;
	if (why.code != ETIMEDOUT)
		return rsm_fail(err, why.code,
				"the VMM of container '%s' (pid %d) does not answer: %s", c->id,
				c->state.pid, why.message);
	/* Stopped by a signal, or starved: a process that runs, as far as anybody can see. Podman
	 * forgets a container of which it hears an error here. */
	rsm_log_warn("the VMM of container '%s' (pid %d) does not answer: taken for running", c->id,
		     c->state.pid);
	return CTR_RUNNING;
}
