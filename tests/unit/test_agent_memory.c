// SPDX-License-Identifier: Apache-2.0
/* Figures of a container and its lack of memory: a real agent, and the watch over a made-up file.
 */
#include "agent_rig.h"

#include "agent/agent.h"
#include "base/cleanup.h"
#include "base/io.h"

#include "cmocka_all.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#define TIMEOUT_MS 20000

static struct rig *rig(void **state)
{
	if (!*state) {
		print_message("%s\n", rig_missing());
		skip();
	}
	return *state;
}

static void figures_are_those_of_the_containers_cgroup(void **state)
{
	Runsm__ContainerRequest request = RUNSM__CONTAINER_REQUEST__INIT;
	struct rig *r = rig(state);
	ProtobufCMessage *reply = NULL;
	Runsm__StatsResponse *s;
	struct rig_spec spec;

	rig_spec(&spec, "c",
		 "i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done; echo up; sleep 100");
	assert_int_equal(rig_create(r, &spec), 0);
	assert_int_equal(rig_start(r, "c"), 0);
	rig_wait_text(r, 2, "up");
	request.id = (char *)"c";
	assert_int_equal(ttrpc_call_sync(r->agent, &runsm__agent__descriptor, "Stats",
					 &request.base, NULL, 0, TIMEOUT_MS, &reply, &r->err),
			 0);
	s = (Runsm__StatsResponse *)reply;
	assert_true(s->cpu_usage > 0 && s->cpu_usage >= s->cpu_user);
	assert_int_equal(s->vm_memory, 0);
	protobuf_c_message_free_unpacked(reply, NULL);
	request.id = (char *)"none";
	assert_int_equal(ttrpc_call_sync(r->agent, &runsm__agent__descriptor, "Stats",
					 &request.base, NULL, 0, TIMEOUT_MS, NULL, &r->err),
			 -ENOENT);
	assert_int_equal(rig_signal(r, "c", "", 9, false), 0);
}

static void values_are_found_by_the_whole_name(void **state)
{
	static const char text[] = "low 1\noom 2\noom_kill 3\noom_group_kill 4\n";
	uint64_t n = 99;

	assert_true(cgroup_flat_value(text, "oom_kill", &n));
	assert_int_equal(n, 3);
	assert_true(cgroup_flat_value(text, "low", &n));
	assert_int_equal(n, 1);
	assert_true(cgroup_flat_value(text, "oom_group_kill", &n));
	assert_int_equal(n, 4);
	assert_false(cgroup_flat_value(text, "kill", &n));
	assert_false(cgroup_flat_value("", "oom", &n));
	assert_false(cgroup_flat_value("oom", "oom", &n));
	assert_int_equal(n, 4);
}

/* ---- the watch */

static struct oom oom;
static int file = -1;
static struct rsm_loop *loop;
static struct ttrpc_conn *host, *agent;
static int64_t answer; /* kills, or -errno */

static void serve(void *cookie, struct ttrpc_call *call, const ProtobufCMessage *request)
{
	oom_wait(&oom, ((const Runsm__OomRequest *)request)->seen, call);
}

static const struct ttrpc_method methods[] = {
	{"runsm.Agent", "WaitOom", &runsm__oom_request__descriptor, serve},
};
static const struct ttrpc_server server = {methods, 1, NULL};

static void answered(void *cookie, const ProtobufCMessage *reply, const struct rsm_error *err)
{
	answer = reply ? (int64_t)((const Runsm__OomResponse *)reply)->kills : -err->code;
}

static void events_are(const char *text)
{
	assert_int_equal(ftruncate(file, 0), 0);
	assert_int_equal(pwrite(file, text, strlen(text), 0), strlen(text));
}

static void settle(void)
{
	for (int i = 0; i < 4; i++)
		assert_int_equal(rsm_loop_once(loop, 0), 0);
}

static void host_waits(uint64_t seen)
{
	Runsm__OomRequest request = RUNSM__OOM_REQUEST__INIT;

	answer = 0;
	request.seen = seen;
	assert_int_equal(ttrpc_call_async(host, &runsm__agent__descriptor, "WaitOom", &request.base,
					  NULL, 0, answered, NULL),
			 0);
	settle();
}

static int watch_setup(void **state)
{
	int fds[2];

	file = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	oom = (struct oom){.fd = dup(file)};
	if (file < 0 || rsm_loop_new(&loop) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0 ||
	    ttrpc_conn_new(loop, fds[0], &server, NULL, &agent) < 0)
		return -1;
	return ttrpc_conn_new(loop, fds[1], &(struct ttrpc_server){0}, NULL, &host);
}

static int watch_teardown(void **state)
{
	oom_close(&oom);
	ttrpc_conn_free(host);
	ttrpc_conn_free(agent);
	rsm_loop_free(loop);
	return close(file);
}

static void kill_that_the_host_has_not_seen_is_told(void **state)
{
	events_are("oom 0\noom_kill 0\n");
	host_waits(0);
	assert_int_equal(answer, 0);
	events_are("oom 1\noom_kill 1\n");
	assert_int_equal(oom_look(&oom), 1);
	settle();
	assert_int_equal(answer, 1);
	host_waits(0);
	assert_int_equal(answer, 1);
	host_waits(1);
	assert_int_equal(answer, 0);
	events_are("oom 9\noom_kill 1\n"); /* an end without a victim */
	assert_int_equal(oom_look(&oom), 1);
	settle();
	assert_int_equal(answer, 0);
}

static void one_waits_at_a_time_and_ends_with_the_container(void **state)
{
	events_are("oom_kill 0\n");
	host_waits(0);
	host_waits(0);
	assert_int_equal(answer, -ECANCELED);
	answer = 0;
	oom_close(&oom);
	settle();
	assert_int_equal(answer, -ESRCH);
	host_waits(0);
	assert_int_equal(answer, -ESRCH);
}

static void last_kill_is_told_at_the_end(void **state)
{
	events_are("oom_kill 0\n");
	host_waits(0);
	events_are("oom_kill 2\n");
	oom_close(&oom);
	settle();
	assert_int_equal(answer, 2);
	assert_int_equal(oom.kills, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(figures_are_those_of_the_containers_cgroup,
						rig_setup, rig_teardown),
		cmocka_unit_test(values_are_found_by_the_whole_name),
		cmocka_unit_test_setup_teardown(kill_that_the_host_has_not_seen_is_told,
						watch_setup, watch_teardown),
		cmocka_unit_test_setup_teardown(one_waits_at_a_time_and_ends_with_the_container,
						watch_setup, watch_teardown),
		cmocka_unit_test_setup_teardown(last_kill_is_told_at_the_end, watch_setup,
						watch_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
