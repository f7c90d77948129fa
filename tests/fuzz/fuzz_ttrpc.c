// SPDX-License-Identifier: Apache-2.0
/*
 * A hostile peer of a ttrpc connection that serves and has a call pending. The input is what the
 * peer sends; its first byte cuts the rest into pieces of that size (0: all at once).
 */
#include "ttrpc/agent.pb-c.h"
#include "ttrpc/ttrpc.h"

#include "base/io.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void echo_failure(void *cookie, struct ttrpc_call *call, const ProtobufCMessage *request)
{
	ttrpc_fail(call, EINVAL, "%s", ((const Runsm__ContainerRequest *)request)->id);
}

static const struct ttrpc_method methods[] = {
	{"runsm.Agent", "StartContainer", &runsm__container_request__descriptor, echo_failure},
};

static void closed(void *cookie, struct ttrpc_conn *conn, int error)
{
	*(bool *)cookie = true;
}

static const struct ttrpc_server server = {methods, 1, closed};

static void answered(void *cookie, const ProtobufCMessage *reply, const struct rsm_error *err)
{
}

static void drain(int fd)
{
	char buf[4096];

	while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Runsm__ProcessRequest wait = RUNSM__PROCESS_REQUEST__INIT;
	struct ttrpc_conn *conn;
	struct rsm_loop *loop;
	bool dead = false;
	size_t piece, at = 1;
	int sv[2];

	if (size < 1 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
		return 0;
	piece = data[0] ? data[0] : size;
	rsm_assert(rsm_loop_new(&loop) == 0);
	rsm_assert(ttrpc_conn_new(loop, sv[0], &server, &dead, &conn) == 0);
	rsm_assert(ttrpc_call_async(conn, &runsm__agent__descriptor, "Wait", &wait.base, NULL, 0,
				    answered, NULL) == 0);
	while (at < size && !dead) {
		size_t n = size - at < piece ? size - at : piece;
		ssize_t sent = send(sv[1], data + at, n, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent > 0)
			at += (size_t)sent;
		(void)rsm_loop_once(loop, 0);
		drain(sv[1]);
	}
	shutdown(sv[1], SHUT_WR);
	for (int i = 0; i < 100000 && !dead; i++) {
		(void)rsm_loop_once(loop, 0);
		drain(sv[1]);
	}
	rsm_assert(dead);
	ttrpc_conn_free(conn);
	rsm_loop_free(loop);
	close(sv[1]);
	return 0;
}
