// SPDX-License-Identifier: Apache-2.0
/* Who hears of a guest that runs out of memory, and what a guest that lies about it can do. */
#include "cmocka_all.h"

#include "base/math.h"
#include "vmm/main/vmm_sandbox.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/* The agent: the call that waits, and how many there have been. */
static ttrpc_done_fn agent_done;
static uint64_t agent_seen;
static unsigned agent_calls;
static int agent_error;

int sandbox_call_agent(struct sandbox *s, const char *method, const ProtobufCMessage *request,
		       ttrpc_done_fn done, void *cookie)
{
	assert_string_equal(method, "WaitOom");
	assert_ptr_equal(cookie, s);
	agent_calls++;
	agent_seen = ((const Runsm__OomRequest *)request)->seen;
	agent_done = done;
	return agent_error;
}

static struct sandbox sandbox;
static Runsm__VmConfig config = RUNSM__VM_CONFIG__INIT;

static void agent_says(uint64_t kills)
{
	const struct rsm_error none = RSM_ERROR_INIT;
	Runsm__OomResponse reply = RUNSM__OOM_RESPONSE__INIT;
	ttrpc_done_fn done = agent_done;

	assert_non_null(done);
	agent_done = NULL;
	reply.kills = kills;
	done(&sandbox, &reply.base, &none);
}

/* ---- a client of the control socket */

static struct ttrpc_conn *server_conn, *client_conn;
static uint64_t answers[8];
static unsigned nanswers;

static void serve(void *cookie, struct ttrpc_call *call, const ProtobufCMessage *request)
{
	oom_wait(&sandbox, ((const Runsm__OomRequest *)request)->seen, call);
}

static const struct ttrpc_method methods[] = {
	{"runsm.Sandbox", "WaitOom", &runsm__oom_request__descriptor, serve},
};
static const struct ttrpc_server server = {methods, RSM_ARRAY_SIZE(methods), NULL};

static void answered(void *cookie, const ProtobufCMessage *reply, const struct rsm_error *err)
{
	if (err->code != ECANCELED)
		answers[nanswers++] =
			reply ? ((const Runsm__OomResponse *)reply)->kills : UINT64_MAX;
}

static void client_waits(uint64_t seen)
{
	Runsm__OomRequest request = RUNSM__OOM_REQUEST__INIT;

	request.id = (char *)"c";
	request.seen = seen;
	assert_int_equal(ttrpc_call_async(client_conn, &runsm__sandbox__descriptor, "WaitOom",
					  &request.base, NULL, 0, answered, NULL),
			 0);
}

static void settle(void)
{
	for (int i = 0; i < 4; i++)
		assert_int_equal(rsm_loop_once(sandbox.loop, 0), 0);
}

static void wait_for_agent_call(unsigned calls)
{
	while (agent_calls < calls)
		assert_int_equal(rsm_loop_once(sandbox.loop, -1), 0);
}

static int setup(void **state)
{
	int fds[2];

	memset(&sandbox, 0, sizeof(sandbox));
	config.id = (char *)"c";
	config.memory_bytes = 128 << 20;
	sandbox.config = &config;
	agent_calls = nanswers = 0;
	agent_done = NULL;
	agent_error = 0;
	if (rsm_loop_new(&sandbox.loop) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return -1;
	return ttrpc_conn_new(sandbox.loop, fds[0], &server, NULL, &server_conn) < 0 ||
			       ttrpc_conn_new(sandbox.loop, fds[1], &(struct ttrpc_server){0}, NULL,
					      &client_conn) < 0
		       ? -1
		       : 0;
}

static int teardown(void **state)
{
	oom_forget(&sandbox, server_conn);
	ttrpc_conn_free(server_conn);
	ttrpc_conn_free(client_conn);
	rsm_loop_remove(sandbox.oom_timer);
	rsm_loop_free(sandbox.loop);
	return LIST_EMPTY(&sandbox.oom_waiters) ? 0 : -1;
}

static void every_client_hears_of_what_it_has_not_seen(void **state)
{
	oom_watch(&sandbox);
	client_waits(0);
	client_waits(3);
	settle();
	assert_int_equal(nanswers, 0);
	agent_says(2);
	settle();
	assert_int_equal(nanswers, 1);
	assert_int_equal(answers[0], 2);
	client_waits(0); /* at once */
	settle();
	assert_int_equal(nanswers, 2);
	assert_int_equal(answers[1], 2);
	wait_for_agent_call(2);
	assert_int_equal(agent_seen, 2);
	agent_says(4);
	settle();
	assert_int_equal(nanswers, 3);
	assert_int_equal(answers[2], 4);
}

static void end_of_a_process_tells_as_well(void **state)
{
	client_waits(0);
	settle();
	oom_take(&sandbox, 1);
	settle();
	assert_int_equal(nanswers, 1);
}

static void count_that_does_not_rise_tells_nobody(void **state)
{
	oom_watch(&sandbox);
	agent_says(5);
	client_waits(5);
	settle();
	wait_for_agent_call(2);
	agent_says(5);
	wait_for_agent_call(3);
	agent_says(0);
	settle();
	assert_int_equal(nanswers, 0);
	assert_int_equal(sandbox.oom_kills, 5);
	wait_for_agent_call(4);
	agent_says(UINT64_MAX);
	settle();
	assert_int_equal(nanswers, 1);
	oom_take(&sandbox, UINT64_MAX);
}

static void guest_that_answers_at_once_is_not_asked_at_once(void **state)
{
	oom_watch(&sandbox);
	agent_says(1);
	settle();
	assert_int_equal(agent_calls, 1);
	assert_non_null(sandbox.oom_timer);
}

static void agent_that_fails_is_asked_no_more(void **state)
{
	const struct rsm_error err = {.code = ESRCH};

	oom_watch(&sandbox);
	agent_done(&sandbox, NULL, &err);
	assert_null(sandbox.oom_timer);
	agent_error = -ENOTCONN;
	oom_watch(&sandbox);
	assert_null(sandbox.oom_timer);
}

static void guest_that_panics_without_a_victim_is_out_of_memory(void **state)
{
	struct rsm_error err = RSM_ERROR_INIT;

	client_waits(0);
	settle();
	assert_false(oom_deadlock(&sandbox, "", &err));
	assert_false(oom_deadlock(&sandbox, "Kernel panic - not syncing: sysrq", &err));
	assert_int_equal(err.code, 0);
	assert_true(oom_deadlock(
		&sandbox, "Kernel panic - not syncing: System is deadlocked on memory", &err));
	assert_int_equal(err.exit_status, 137);
	assert_non_null(strstr(err.message, "the VM has 128 MiB"));
	settle();
	assert_int_equal(nanswers, 1);
}

static void client_that_leaves_is_forgotten(void **state)
{
	client_waits(0);
	settle();
	assert_false(LIST_EMPTY(&sandbox.oom_waiters));
	oom_forget(&sandbox, server_conn);
	assert_true(LIST_EMPTY(&sandbox.oom_waiters));
	oom_take(&sandbox, 1);
	settle();
	assert_int_equal(nanswers, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_client_hears_of_what_it_has_not_seen, setup,
						teardown),
		cmocka_unit_test_setup_teardown(end_of_a_process_tells_as_well, setup, teardown),
		cmocka_unit_test_setup_teardown(count_that_does_not_rise_tells_nobody, setup,
						teardown),
		cmocka_unit_test_setup_teardown(guest_that_answers_at_once_is_not_asked_at_once,
						setup, teardown),
		cmocka_unit_test_setup_teardown(agent_that_fails_is_asked_no_more, setup, teardown),
		cmocka_unit_test_setup_teardown(guest_that_panics_without_a_victim_is_out_of_memory,
						setup, teardown),
		cmocka_unit_test_setup_teardown(client_that_leaves_is_forgotten, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
