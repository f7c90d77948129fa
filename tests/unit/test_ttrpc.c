// SPDX-License-Identifier: Apache-2.0
#include "ttrpc/ttrpc.h"

#include "base/io.h"
#include "ttrpc/agent.pb-c.h"
#include "ttrpc/wire.pb-c.h"

#include "cmocka_all.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Two ends on one loop: "client" calls, "server" serves runsm.Agent. */
struct ends {
	struct rsm_loop *loop;
	struct ttrpc_conn *client, *server;
	struct ttrpc_call *held[8];
	size_t nheld;
	int answers, errors, closed;
	int last_code, closed_error;
	char order[16];
};

static void wait_held(void *cookie, struct ttrpc_call *call, const ProtobufCMessage *request)
{
	struct ends *e = cookie;

	e->held[e->nheld++] = call;
}

static void create(void *cookie, struct ttrpc_call *call, const ProtobufCMessage *request)
{
	const Runsm__CreateContainerRequest *r = (const Runsm__CreateContainerRequest *)request;
	Runsm__CreateContainerResponse reply = RUNSM__CREATE_CONTAINER_RESPONSE__INIT;

	reply.pid = (uint32_t)strlen(r->id);
	ttrpc_reply(call, &reply.base);
}

static void start_fails(void *cookie, struct ttrpc_call *call, const ProtobufCMessage *request)
{
	struct rsm_error err = RSM_ERROR_INIT;

	(void)rsm_fail(&err, EXDEV, "no such thing");
	err.exit_status = 127;
	ttrpc_fail_error(call, &err);
}

static void exec_takes_fd(void *cookie, struct ttrpc_call *call, const ProtobufCMessage *request)
{
	Runsm__ExecResponse reply = RUNSM__EXEC_RESPONSE__INIT;
	int fd = ttrpc_call_take_fd(call);

	reply.pid = fd >= 0 && write(fd, "hello", 5) == 5 ? 5 : 0;
	close(fd);
	/* The second one stays with the call and is closed with it. */
	ttrpc_reply(call, &reply.base);
}

static void signal_frees_connection(void *cookie, struct ttrpc_call *call,
				    const ProtobufCMessage *request)
{
	struct ends *e = cookie;
	Runsm__Empty empty = RUNSM__EMPTY__INIT;

	ttrpc_conn_free(e->server);
	e->server = NULL;
	assert_null(ttrpc_call_conn(call));
	ttrpc_reply(call, &empty.base);
}

static void big_answer(void *cookie, struct ttrpc_call *call, const ProtobufCMessage *request)
{
	Runsm__ProcessesResponse reply = RUNSM__PROCESSES_RESPONSE__INIT;
	Runsm__ProcessInfo info = RUNSM__PROCESS_INFO__INIT, *list[1] = {&info};
	char *text = malloc(TTRPC_DATA_MAX + 1);

	memset(text, 'x', TTRPC_DATA_MAX);
	text[TTRPC_DATA_MAX] = '\0';
	info.cmdline = text;
	reply.n_processes = 1;
	reply.processes = list;
	ttrpc_reply(call, &reply.base);
	free(text);
}

static const struct ttrpc_method methods[] = {
	{"runsm.Agent", "CreateContainer", &runsm__create_container_request__descriptor, create},
	{"runsm.Agent", "StartContainer", &runsm__container_request__descriptor, start_fails},
	{"runsm.Agent", "Wait", &runsm__process_request__descriptor, wait_held},
	{"runsm.Agent", "Exec", &runsm__exec_request__descriptor, exec_takes_fd},
	{"runsm.Agent", "Signal", &runsm__signal_request__descriptor, signal_frees_connection},
	{"runsm.Agent", "Processes", &runsm__container_request__descriptor, big_answer},
};

static void on_closed(void *cookie, struct ttrpc_conn *conn, int error)
{
	struct ends *e = cookie;

	e->closed++;
	e->closed_error = error;
	if (conn == e->server)
		e->server = NULL;
	if (conn == e->client)
		e->client = NULL;
	ttrpc_conn_free(conn);
}

static const struct ttrpc_server server = {methods, sizeof(methods) / sizeof(methods[0]),
					   on_closed};
static const struct ttrpc_server closes_only = {NULL, 0, on_closed};

static struct ends setup(void)
{
	struct ends e = {0};

	assert_int_equal(rsm_loop_new(&e.loop), 0);
	return e;
}

/* Both on @e: must not move afterwards. */
static void connect_both(struct ends *e)
{
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	assert_int_equal(ttrpc_conn_new(e->loop, sv[0], &closes_only, e, &e->client), 0);
	assert_int_equal(ttrpc_conn_new(e->loop, sv[1], &server, e, &e->server), 0);
}

/* The server's end is raw. */
static int connect_raw(struct ends *e, bool as_client)
{
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	assert_int_equal(
		ttrpc_conn_new(e->loop, sv[0], &server, e, as_client ? &e->client : &e->server), 0);
	return sv[1];
}

static void teardown(struct ends *e)
{
	ttrpc_conn_free(e->client);
	ttrpc_conn_free(e->server);
	rsm_loop_free(e->loop);
}

static void spin(struct ends *e)
{
	for (int i = 0; i < 50; i++)
		assert_int_equal(rsm_loop_once(e->loop, 0), 0);
}

static void note(void *cookie, const ProtobufCMessage *reply, const struct rsm_error *err)
{
	struct ends *e = cookie;

	if (reply)
		e->answers++;
	else
		e->errors++;
	e->last_code = err->code;
}

static void note_status(void *cookie, const ProtobufCMessage *reply, const struct rsm_error *err)
{
	struct ends *e = cookie;

	assert_non_null(reply);
	e->order[e->answers++] = (char)('0' + ((const Runsm__WaitResponse *)reply)->status);
}

static int call_wait(struct ends *e, ttrpc_done_fn fn)
{
	Runsm__ProcessRequest request = RUNSM__PROCESS_REQUEST__INIT;

	return ttrpc_call_async(e->client, &runsm__agent__descriptor, "Wait", &request.base, NULL,
				0, fn, e);
}

static void call_is_answered(void **state)
{
	Runsm__CreateContainerRequest request = RUNSM__CREATE_CONTAINER_REQUEST__INIT;
	Runsm__CreateContainerResponse *reply = NULL;
	struct rsm_error err = RSM_ERROR_INIT;
	struct ends e = setup();

	connect_both(&e);
	request.id = (char *)"abc";
	assert_int_equal(ttrpc_call_sync(e.client, &runsm__agent__descriptor, "CreateContainer",
					 &request.base, NULL, 0, 1000, (ProtobufCMessage **)&reply,
					 &err),
			 0);
	assert_int_equal(reply->pid, 3);
	runsm__create_container_response__free_unpacked(reply, NULL);
	teardown(&e);
}

static void error_keeps_errno_exit_status_and_message(void **state)
{
	Runsm__ContainerRequest request = RUNSM__CONTAINER_REQUEST__INIT;
	struct rsm_error err = RSM_ERROR_INIT;
	struct ends e = setup();

	connect_both(&e);
	assert_int_equal(ttrpc_call_sync(e.client, &runsm__agent__descriptor, "StartContainer",
					 &request.base, NULL, 0, 1000, NULL, &err),
			 -EXDEV);
	assert_int_equal(err.code, EXDEV);
	assert_int_equal(err.exit_status, 127);
	assert_string_equal(err.message, "no such thing");
	teardown(&e);
}

static void method_that_is_not_served_fails_with_enosys(void **state)
{
	Runsm__ResizeRequest request = RUNSM__RESIZE_REQUEST__INIT;
	struct rsm_error err = RSM_ERROR_INIT;
	struct ends e = setup();

	connect_both(&e);
	assert_int_equal(ttrpc_call_sync(e.client, &runsm__agent__descriptor, "Resize",
					 &request.base, NULL, 0, 1000, NULL, &err),
			 -ENOSYS);
	teardown(&e);
}

static void concurrent_calls_are_answered_out_of_order(void **state)
{
	Runsm__WaitResponse reply = RUNSM__WAIT_RESPONSE__INIT;
	struct ends e = setup();

	connect_both(&e);
	for (int i = 0; i < 4; i++)
		assert_int_equal(call_wait(&e, note_status), 0);
	assert_int_equal(e.answers, 0);
	spin(&e);
	assert_int_equal(e.nheld, 4);
	for (int i = 3; i >= 0; i--) {
		reply.status = i;
		ttrpc_reply(e.held[i], &reply.base);
	}
	spin(&e);
	assert_string_equal(e.order, "3210");
	teardown(&e);
}

static void fds_travel_with_the_request_they_belong_to(void **state)
{
	Runsm__ExecRequest request = RUNSM__EXEC_REQUEST__INIT;
	Runsm__ExecResponse *reply = NULL;
	struct rsm_error err = RSM_ERROR_INIT;
	struct ends e = setup();
	char buf[8] = "";
	int p[2];

	connect_both(&e);
	assert_int_equal(pipe2(p, O_CLOEXEC | O_NONBLOCK), 0);
	/* Frames without fds before it are in the socket at the same time. */
	assert_int_equal(call_wait(&e, note), 0);
	assert_int_equal(call_wait(&e, note), 0);
	assert_int_equal(ttrpc_call_sync(e.client, &runsm__agent__descriptor, "Exec", &request.base,
					 (int[]){p[1], p[1]}, 2, 1000, (ProtobufCMessage **)&reply,
					 &err),
			 0);
	assert_int_equal(reply->pid, 5);
	runsm__exec_response__free_unpacked(reply, NULL);
	close(p[1]);
	assert_int_equal(read(p[0], buf, sizeof(buf)), 5);
	assert_string_equal(buf, "hello");
	/* End of file: nobody kept a copy. */
	assert_int_equal(read(p[0], buf, sizeof(buf)), 0);
	close(p[0]);
	teardown(&e);
	ttrpc_fail(e.held[0], EIO, "late");
	ttrpc_fail(e.held[1], EIO, "late");
}

static void freeing_fails_pending_calls_and_late_answers_are_harmless(void **state)
{
	Runsm__WaitResponse reply = RUNSM__WAIT_RESPONSE__INIT;
	struct ends e = setup();

	connect_both(&e);
	assert_int_equal(call_wait(&e, note), 0);
	spin(&e);
	ttrpc_conn_free(e.client);
	e.client = NULL;
	assert_int_equal(e.errors, 1);
	assert_int_equal(e.last_code, ECANCELED);
	spin(&e);
	assert_int_equal(e.closed, 1); /* the server's end saw it */
	assert_int_equal(e.closed_error, 0);
	assert_null(ttrpc_call_conn(e.held[0]));
	ttrpc_reply(e.held[0], &reply.base);
	teardown(&e);
}

static void peer_that_closes_fails_pending_calls_before_closed_is_told(void **state)
{
	struct ends e = setup();
	int raw = connect_raw(&e, true);

	assert_int_equal(call_wait(&e, note), 0);
	close(raw);
	spin(&e);
	assert_int_equal(e.errors, 1);
	assert_int_equal(e.last_code, ECONNRESET);
	assert_int_equal(e.closed, 1);
	teardown(&e);
}

static void handler_may_free_its_connection(void **state)
{
	Runsm__SignalRequest request = RUNSM__SIGNAL_REQUEST__INIT;
	struct rsm_error err = RSM_ERROR_INIT;
	struct ends e = setup();

	connect_both(&e);
	assert_int_equal(ttrpc_call_sync(e.client, &runsm__agent__descriptor, "Signal",
					 &request.base, NULL, 0, 1000, NULL, &err),
			 -ECONNRESET);
	teardown(&e);
}

static void sync_call_times_out_and_the_late_answer_is_dropped(void **state)
{
	Runsm__ProcessRequest request = RUNSM__PROCESS_REQUEST__INIT;
	Runsm__WaitResponse reply = RUNSM__WAIT_RESPONSE__INIT;
	struct rsm_error err = RSM_ERROR_INIT;
	struct ends e = setup();

	connect_both(&e);
	assert_int_equal(ttrpc_call_sync(e.client, &runsm__agent__descriptor, "Wait", &request.base,
					 NULL, 0, 20, NULL, &err),
			 -ETIMEDOUT);
	ttrpc_reply(e.held[0], &reply.base);
	spin(&e);
	assert_int_equal(e.closed, 0);
	teardown(&e);
}

static void answer_that_is_too_big_becomes_an_error(void **state)
{
	Runsm__ContainerRequest request = RUNSM__CONTAINER_REQUEST__INIT;
	struct rsm_error err = RSM_ERROR_INIT;
	struct ends e = setup();

	connect_both(&e);
	assert_int_equal(ttrpc_call_sync(e.client, &runsm__agent__descriptor, "Processes",
					 &request.base, NULL, 0, 5000, NULL, &err),
			 -EMSGSIZE);
	teardown(&e);
}

static void request_that_is_too_big_is_refused_when_sent(void **state)
{
	Runsm__ContainerRequest request = RUNSM__CONTAINER_REQUEST__INIT;
	struct ends e = setup();

	connect_both(&e);
	request.id = malloc(TTRPC_DATA_MAX + 1);
	memset(request.id, 'x', TTRPC_DATA_MAX);
	request.id[TTRPC_DATA_MAX] = '\0';
	assert_int_equal(ttrpc_call_async(e.client, &runsm__agent__descriptor, "Processes",
					  &request.base, NULL, 0, note, &e),
			 -EMSGSIZE);
	free(request.id);
	spin(&e);
	assert_int_equal(e.closed, 0);
	teardown(&e);
}

static size_t put_frame(uint8_t *buf, uint8_t type, uint32_t stream, const void *data, uint32_t len)
{
	uint32_t be_len = htonl(len), be_stream = htonl(stream);

	memcpy(buf, &be_len, 4);
	memcpy(buf + 4, &be_stream, 4);
	buf[8] = type;
	buf[9] = 0;
	memcpy(buf + 10, data, len);
	return len + 10;
}

static size_t put_request(uint8_t *buf, uint32_t stream)
{
	Ttrpc__Request request = TTRPC__REQUEST__INIT;
	uint8_t data[256];

	request.service = (char *)"runsm.Agent";
	request.method = (char *)"CreateContainer";
	request.payload.data = (uint8_t *)"\x0a\x02hi";
	request.payload.len = 4;
	return put_frame(buf, 1, stream, data, (uint32_t)ttrpc__request__pack(&request, data));
}

/* The bytes as containerd's ttrpc writes and reads them. */
static void request_in_single_bytes_is_answered_on_its_stream(void **state)
{
	static const uint8_t expected[] = {0, 0, 0, 4, 0, 0, 0, 7, 2, 0, 0x12, 2, 0x08, 2};
	uint8_t buf[300], answer[64];
	struct ends e = setup();
	int raw = connect_raw(&e, false);
	size_t len = put_request(buf, 7);

	for (size_t i = 0; i < len; i++) {
		assert_int_equal(write(raw, buf + i, 1), 1);
		assert_int_equal(rsm_loop_once(e.loop, 0), 0);
	}
	assert_int_equal(recv(raw, answer, sizeof(answer), MSG_DONTWAIT), sizeof(expected));
	assert_memory_equal(answer, expected, sizeof(expected));
	close(raw);
	teardown(&e);
}

static void malformed_frames_close_the_connection(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		int error;
	} rows[] = {
		{"\x00\x40\x00\x01\0\0\0\1\1\0", 10, -EMSGSIZE}, /* more than 4 MiB */
		{"\xff\xff\xff\xff\0\0\0\1\1\0", 10, -EMSGSIZE},
		{"\0\0\0\3\0\0\0\1\1\0\xff\xff\xff", 13, -EBADMSG}, /* not a Request */
		{"\0\0\0\3\0\0\0\1\2\0\xff\xff\xff", 13, -EBADMSG}, /* not a Response */
		{"\0\0\0\0\0\0\0\2\1\0", 10, -EBADMSG},             /* even stream */
		{"\0\0\0\0\0\0\0\1\3\0", 10, -EBADMSG},             /* type */
		{"\0\0\0\3\0", 5, -EBADMSG},                        /* half a header */
		{"\0\0\0\3\0\0\0\1\1\0\x0a", 11, -EBADMSG},         /* half a body */
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ends e = setup();
		int raw = connect_raw(&e, false);

		assert_int_equal(write(raw, rows[i].bytes, rows[i].len), rows[i].len);
		shutdown(raw, SHUT_WR);
		spin(&e);
		assert_int_equal(e.closed, 1);
		assert_int_equal(e.closed_error, rows[i].error);
		close(raw);
		teardown(&e);
	}
}

static void answer_sent_before_the_peer_closed_is_still_read(void **state)
{
	static const char answer[] = "\0\0\0\4\0\0\0\1\2\0\x12\2\x08\5";
	struct ends e = setup();
	int raw = connect_raw(&e, true);

	assert_int_equal(write(raw, answer, sizeof(answer) - 1), sizeof(answer) - 1);
	assert_int_equal(call_wait(&e, note_status), 0);
	close(raw);
	/* Written to a closed socket: fails, and takes nothing with it. */
	assert_int_equal(call_wait(&e, note), 0);
	spin(&e);
	assert_string_equal(e.order, "5");
	assert_int_equal(e.errors, 1);
	teardown(&e);
}

static void peer_that_reads_no_answers_is_no_longer_read(void **state)
{
	static uint8_t data[300];
	struct ends e = setup();
	int raw = connect_raw(&e, false);
	size_t len = put_request(data, 1), sent = 0;
	Runsm__ContainerRequest request = RUNSM__CONTAINER_REQUEST__INIT;

	/* Fill the way out with calls of our own, then see requests pile up in the socket. */
	request.id = malloc(TTRPC_DATA_MAX / 2 + 1);
	memset(request.id, 'x', TTRPC_DATA_MAX / 2);
	request.id[TTRPC_DATA_MAX / 2] = '\0';
	for (int i = 0; i < 6; i++)
		assert_int_equal(ttrpc_call_async(e.server, &runsm__agent__descriptor, "Processes",
						  &request.base, NULL, 0, note, &e),
				 0);
	free(request.id);
	assert_int_equal(rsm_set_nonblock(raw, true), 0);
	for (int i = 0; i < 200000; i++) {
		ssize_t n = write(raw, data, len);

		if (n < 0)
			break;
		sent += (size_t)n;
		assert_int_equal(rsm_loop_once(e.loop, 0), 0);
	}
	assert_true(sent < 200000 * len);
	assert_int_equal(e.closed, 0);
	close(raw);
	spin(&e);
	assert_int_equal(e.closed, 1);
	teardown(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(call_is_answered),
		cmocka_unit_test(error_keeps_errno_exit_status_and_message),
		cmocka_unit_test(method_that_is_not_served_fails_with_enosys),
		cmocka_unit_test(concurrent_calls_are_answered_out_of_order),
		cmocka_unit_test(fds_travel_with_the_request_they_belong_to),
		cmocka_unit_test(freeing_fails_pending_calls_and_late_answers_are_harmless),
		cmocka_unit_test(peer_that_closes_fails_pending_calls_before_closed_is_told),
		cmocka_unit_test(handler_may_free_its_connection),
		cmocka_unit_test(sync_call_times_out_and_the_late_answer_is_dropped),
		cmocka_unit_test(answer_that_is_too_big_becomes_an_error),
		cmocka_unit_test(request_that_is_too_big_is_refused_when_sent),
		cmocka_unit_test(request_in_single_bytes_is_answered_on_its_stream),
		cmocka_unit_test(malformed_frames_close_the_connection),
		cmocka_unit_test(answer_sent_before_the_peer_closed_is_still_read),
		cmocka_unit_test(peer_that_reads_no_answers_is_no_longer_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
