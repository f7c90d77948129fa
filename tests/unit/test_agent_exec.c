// SPDX-License-Identifier: Apache-2.0
/* Operations on a running container: exec, signals, waiting, listing; several containers. */
#include "agent_rig.h"

#include "cmocka_all.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* A container "c" that runs @script and has said "ready". */
static struct rig *rig_running(void **state, const char *script)
{
	struct rig *r = *state;
	struct rig_spec s;

	if (!r) {
		print_message("%s\n", rig_missing());
		skip();
	}
	rig_spec(&s, "c", script);
	if (rig_create(r, &s) < 0)
		fail_msg("%s", r->err.message);
	assert_int_equal(rig_start(r, "c"), 0);
	rig_wait_text(r, 2, "ready");
	return r;
}

/* An exec session with streams on ports 4 (stdin), 5 (stdout) and 6 (stderr). */
static void exec_spec(struct rig *r, struct rig_spec *s, const char *script)
{
	rig_spec(s, "c", script);
	s->io.stdin_port = 4;
	s->io.stdout_port = 5;
	s->io.stderr_port = 6;
	for (unsigned port = 4; port <= 6; port++)
		rig_listen(r, port);
}

static void exec_joins_namespaces_and_cgroup(void **state)
{
	struct rig *r = rig_running(state, "touch /tmp/mark; echo ready; exec sleep 1000");
	Runsm__WaitResponse status;
	struct rig_spec s;

	exec_spec(r, &s,
		  "for n in pid mnt uts ipc net cgroup; do "
		  "test $(readlink /proc/1/ns/$n) = $(readlink /proc/self/ns/$n) && echo $n; done; "
		  "grep 0:: /proc/self/cgroup; ls /tmp; id -u; echo $HOME; pwd; exit 9");
	s.process.cwd = (char *)"/tmp";
	/* looking into init's namespaces takes CAP_SYS_PTRACE */
	s.caps.bounding |= 1 << 19;
	s.caps.effective = s.caps.permitted = s.caps.bounding;
	assert_int_equal(rig_exec(r, "c", "e", &s.process), 0);
	assert_int_equal(rig_wait(r, "c", "e", &status), 0);
	assert_int_equal(status.status, 9);
	rig_wait_end(r, 5);
	assert_string_equal(r->ports[5].got.data,
			    "pid\nmnt\nuts\nipc\nnet\ncgroup\n0::/\nmark\n0\n/root\n/tmp\n");
	assert_int_equal(status.stdout_bytes, r->ports[5].got.len);
}

static int exec_in_cgroup(struct rig *r, struct rig_spec *s, const char *cgroup)
{
	Runsm__ExecRequest request = RUNSM__EXEC_REQUEST__INIT;

	request.id = (char *)"c";
	request.exec_id = (char *)"e";
	request.process = &s->process;
	request.cgroup = (char *)cgroup;
	r->err = (struct rsm_error)RSM_ERROR_INIT;
	return ttrpc_call_sync(r->agent, &runsm__agent__descriptor, "Exec", &request.base, NULL, 0,
			       30000, NULL, &r->err);
}

static void exec_goes_into_a_cgroup_below_the_containers_and_no_other(void **state)
{
	static const char *const out[] = {"..", "/..", "sub/../..", "../c/sub", "sub/cgroup.procs"};
	struct rig *r = rig_running(state, "echo ready; exec sleep 1000");
	Runsm__WaitResponse status;
	struct rig_spec s;
	char path[300];

	(void)snprintf(path, sizeof(path), "%s/c/sub", r->cgroup);
	assert_int_equal(mkdir(path, 0755), 0);
	exec_spec(r, &s, "grep ^0: /proc/self/cgroup");
	assert_int_equal(exec_in_cgroup(r, &s, "/sub"), 0);
	assert_int_equal(rig_wait(r, "c", "e", &status), 0);
	rig_wait_end(r, 5);
	assert_string_equal(r->ports[5].got.data, "0::/sub\n");
	for (size_t i = 0; i < sizeof(out) / sizeof(out[0]); i++) {
		exec_spec(r, &s, "true");
		assert_true(exec_in_cgroup(r, &s, out[i]) < 0);
		assert_non_null(strstr(r->err.message, "/cgroup.procs: "));
	}
}

static void exec_of_what_is_missing_fails_by_name(void **state)
{
	struct rig *r = rig_running(state, "echo ready; exec sleep 1000");
	struct rig_spec s;

	exec_spec(r, &s, NULL);
	s.process.n_args = 1;
	s.args[0] = (char *)"nope";
	assert_int_equal(rig_exec(r, "c", "e", &s.process), -ENOENT);
	assert_string_equal(r->err.message, "exec: \"nope\": executable file not found in $PATH");
	assert_int_equal(r->err.exit_status, 127);
	rig_write_file(r, "exports/root/tmp/junk", "\x01junk", 0755);
	exec_spec(r, &s, NULL);
	s.process.n_args = 1;
	s.args[0] = (char *)"/tmp/junk";
	assert_int_equal(rig_exec(r, "c", "e", &s.process), -ENOEXEC);
	assert_string_equal(r->err.message, "exec /tmp/junk: exec format error");
	exec_spec(r, &s, "true");
	s.process.cwd = (char *)"/no/such";
	assert_int_equal(rig_exec(r, "c", "e", &s.process), -ENOENT);
	assert_string_equal(r->err.message, "chdir to cwd (\"/no/such\") set in config.json "
					    "failed: no such file or directory");
	assert_int_equal(rig_exec(r, "d", "e", &s.process), -ENOENT);
	assert_int_equal(rig_exec(r, "c", "", &s.process), -EEXIST);
}

static void exec_has_a_terminal_of_its_own(void **state)
{
	struct rig *r = rig_running(state, "echo ready; exec sleep 1000");
	Runsm__WaitResponse status;
	struct rig_spec s;

	exec_spec(r, &s, "tty; stty size; test -t 0 && read x && echo $x");
	runsm__stdio__init(&s.io);
	s.io.tty_port = 7;
	rig_listen(r, 7);
	s.process.terminal = true;
	s.process.rows = 10;
	s.process.cols = 20;
	assert_int_equal(rig_exec(r, "c", "e", &s.process), 0);
	rig_wait_text(r, 7, "10 20");
	assert_int_equal(write(r->ports[7].conn, "typed\r", 6), 6);
	assert_int_equal(rig_wait(r, "c", "e", &status), 0);
	rig_wait_end(r, 7);
	assert_string_equal(r->ports[7].got.data, "/dev/pts/0\r\n10 20\r\ntyped\r\ntyped\r\n");
	assert_int_equal(status.status, 0);
}

static void background_process_does_not_hold_the_exit_of_exec_back(void **state)
{
	struct rig *r = rig_running(state, "echo ready; exec sleep 1000");
	Runsm__WaitResponse status;
	struct rig_spec s;

	exec_spec(r, &s, "exec 3<&0; sh -c 'read x; echo late' <&3 & echo now");
	assert_int_equal(rig_exec(r, "c", "e", &s.process), 0);
	assert_int_equal(rig_wait(r, "c", "e", &status), 0);
	assert_int_equal(status.stdout_bytes, 4);
	rig_wait_text(r, 5, "now\n");
	assert_false(r->ports[5].ended);
	/* and goes on being relayed */
	assert_int_equal(write(r->ports[4].conn, "x\n", 2), 2);
	rig_wait_text(r, 5, "late\n");
	rig_wait_end(r, 5);
}

static void end_of_init_ends_exec_sessions_and_frees_the_id(void **state)
{
	struct rig *r = rig_running(state, "echo ready; read x");
	Runsm__WaitResponse status;
	struct rig_spec s;

	exec_spec(r, &s, "exec sleep 1000");
	assert_int_equal(rig_exec(r, "c", "e", &s.process), 0);
	shutdown(r->ports[1].conn, SHUT_WR);
	assert_int_equal(rig_wait(r, "c", "", &status), 0);
	assert_int_equal(status.status, 1);
	assert_int_equal(rig_wait(r, "c", "e", &status), 0);
	assert_int_equal(status.status, 137);
	assert_int_equal(rig_signal(r, "c", "", SIGTERM, false), -ESRCH);
	assert_int_equal(rig_exec(r, "c", "f", &s.process), -EINVAL);
	rig_spec(&s, "c", "exit 3");
	assert_int_equal(rig_run(r, &s, NULL), 3);
}

static void signal_reaches_init_only_if_it_handles_it_but_kill_always(void **state)
{
	struct rig *r = rig_running(
		state, "trap 'echo term' TERM; echo ready; while :; do sleep 0.05; done");
	Runsm__WaitResponse status;

	assert_int_equal(rig_signal(r, "c", "", SIGTERM, false), 0);
	rig_wait_text(r, 2, "term");
	assert_int_equal(rig_signal(r, "c", "", SIGUSR1, false), 0); /* default of PID 1: nothing */
	assert_int_equal(rig_signal(r, "c", "", SIGKILL, false), 0);
	assert_int_equal(rig_wait(r, "c", "", &status), 0);
	assert_int_equal(status.status, 137);
	assert_int_equal(rig_signal(r, "c", "", 200, false), -ESRCH);
}

static void signal_to_an_exec_session_spares_the_others(void **state)
{
	struct rig *r = rig_running(state, "echo ready; exec sleep 1000");
	Runsm__WaitResponse status;
	struct rig_spec s;

	exec_spec(r, &s, "exec sleep 1000");
	assert_int_equal(rig_exec(r, "c", "e", &s.process), 0);
	assert_int_equal(rig_signal(r, "c", "e", SIGTERM, false), 0);
	assert_int_equal(rig_wait(r, "c", "e", &status), 0);
	assert_int_equal(status.status, 143);
	assert_int_equal(rig_signal(r, "c", "", 0, false), 0);
	/* the name may be used again */
	exec_spec(r, &s, "exit 4");
	assert_int_equal(rig_exec(r, "c", "e", &s.process), 0);
	assert_int_equal(rig_exec(r, "c", "e", &s.process), -EEXIST);
	assert_int_equal(rig_wait(r, "c", "e", &status), 0);
	assert_int_equal(status.status, 4);
}

static void signal_to_all_reaches_every_process(void **state)
{
	struct rig *r = rig_running(state, "trap : USR1; sh -c 'trap \"echo two; exit\" USR1; "
					   "echo ready; while :; do sleep 0.05; done'; echo one");
	Runsm__WaitResponse status;

	assert_int_equal(rig_signal(r, "c", "", SIGUSR1, true), 0);
	assert_int_equal(rig_wait(r, "c", "", &status), 0);
	rig_wait_end(r, 2);
	assert_string_equal(r->ports[2].got.data, "ready\ntwo\none\n");
}

static void kill_all_ends_everything(void **state)
{
	struct rig *r = rig_running(state, "sleep 1000 & sleep 1000 & echo ready; wait");
	Runsm__WaitResponse status;

	assert_int_equal(rig_signal(r, "c", "", SIGKILL, true), 0);
	assert_int_equal(rig_wait(r, "c", "", &status), 0);
	assert_int_equal(status.status, 137);
}

static void count(void *cookie, const ProtobufCMessage *reply, const struct rsm_error *err)
{
	assert_non_null(reply);
	assert_int_equal(((const Runsm__WaitResponse *)reply)->status, 6);
	++*(int *)cookie;
}

static void every_waiter_is_answered(void **state)
{
	struct rig *r = rig_running(state, "echo ready; read x; exit 6");
	Runsm__ProcessRequest request = RUNSM__PROCESS_REQUEST__INIT;
	Runsm__WaitResponse status;
	int answers = 0;

	request.id = (char *)"c";
	for (int i = 0; i < 20; i++)
		assert_int_equal(ttrpc_call_async(r->agent, &runsm__agent__descriptor, "Wait",
						  &request.base, NULL, 0, count, &answers),
				 0);
	assert_int_equal(write(r->ports[1].conn, "\n", 1), 1);
	assert_int_equal(rig_wait(r, "c", "", &status), 0);
	assert_int_equal(answers, 20);
	request.exec_id = (char *)"none";
	assert_int_equal(rig_wait(r, "c", "none", &status), -ENOENT);
}

static void processes_are_listed_with_their_arguments(void **state)
{
	struct rig *r = rig_running(state, "sleep 1001 & echo ready; wait");
	Runsm__ContainerRequest request = RUNSM__CONTAINER_REQUEST__INIT;
	Runsm__ProcessesResponse *reply;
	int sleeps = 0, shells = 0;

	request.id = (char *)"c";
	/* between fork and exec the child still looks like its parent */
	for (int i = 0; i < 100 && !sleeps; i++) {
		sleeps = shells = 0;
		assert_int_equal(ttrpc_call_sync(r->agent, &runsm__agent__descriptor, "Processes",
						 &request.base, NULL, 0, 5000,
						 (ProtobufCMessage **)&reply, &r->err),
				 0);
		assert_int_equal(reply->n_processes, 2);
		for (size_t k = 0; k < reply->n_processes; k++) {
			sleeps += strcmp(reply->processes[k]->cmdline, "sleep 1001") == 0;
			shells += strncmp(reply->processes[k]->cmdline, "sh -c ", 6) == 0;
			assert_true(reply->processes[k]->start_ticks > 0);
		}
		runsm__processes_response__free_unpacked(reply, NULL);
		usleep(10000);
	}
	assert_int_equal(sleeps, 1);
	assert_int_equal(shells, 1);
}

static void several_containers_live_side_by_side(void **state)
{
	struct rig *r = rig_running(state, "hostname; echo ready; read x; exit 1");
	Runsm__WaitResponse status;
	struct rig_spec s;

	rig_spec(&s, "d", "hostname; echo $$; read x; exit 2");
	s.request.hostname = (char *)"second";
	s.io.stdin_port = 8;
	s.io.stdout_port = 9;
	s.io.stderr_port = 0;
	assert_int_equal(rig_create(r, &s), 0);
	assert_int_equal(rig_start(r, "d"), 0);
	rig_wait_text(r, 9, "second\n1\n");
	assert_null(strstr(r->ports[2].got.data, "second"));
	assert_int_equal(write(r->ports[8].conn, "\n", 1), 1);
	assert_int_equal(rig_wait(r, "d", "", &status), 0);
	assert_int_equal(status.status, 2);
	assert_int_equal(rig_signal(r, "c", "", 0, false), 0);
	assert_int_equal(write(r->ports[1].conn, "\n", 1), 1);
	assert_int_equal(rig_wait(r, "c", "", &status), 0);
	assert_int_equal(status.status, 1);
}

static void ids_that_are_no_names_are_refused(void **state)
{
	static const char *const ids[] = {"", ".", "..", "a/b", ".hidden"};
	struct rig *r = rig_running(state, "echo ready; exec sleep 1000");
	struct rig_spec s;

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		rig_spec(&s, ids[i], "true");
		runsm__stdio__init(&s.io);
		assert_int_equal(rig_create(r, &s), -EINVAL);
	}
	rig_spec(&s, "x", "true");
	s.request.root_export = (char *)"../root";
	assert_int_equal(rig_create(r, &s), -EINVAL);
	s.request.root_export = (char *)"none";
	assert_int_equal(rig_create(r, &s), -ENOENT);
	assert_string_equal(r->err.message, "root file system: open export 'none': No such file or "
					    "directory");
}

static void many_exec_sessions_leave_nothing_behind(void **state)
{
	struct rig *r = rig_running(state, "echo ready; exec sleep 1000");
	Runsm__WaitResponse status;
	struct rig_spec s;
	char name[16], path[64];
	long before = 0, after = 0;

	for (int i = 0; i < 100; i++) {
		exec_spec(r, &s, "echo x");
		(void)snprintf(name, sizeof(name), "e%d", i);
		assert_int_equal(rig_exec(r, "c", name, &s.process), 0);
		assert_int_equal(rig_wait(r, "c", name, &status), 0);
		rig_wait_end(r, 5);
		rig_wait_end(r, 6);
		rig_wait_end(r, 4);
		(void)snprintf(path, sizeof(path), "/proc/%d/fd", r->pid);
		after = 0;
		DIR *dir = opendir(path);
		while (readdir(dir))
			after++;
		closedir(dir);
		if (i == 0)
			before = after;
	}
	assert_int_equal(before, after);
}

#define ROW(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(exec_joins_namespaces_and_cgroup),
		ROW(exec_goes_into_a_cgroup_below_the_containers_and_no_other),
		ROW(exec_of_what_is_missing_fails_by_name),
		ROW(exec_has_a_terminal_of_its_own),
		ROW(background_process_does_not_hold_the_exit_of_exec_back),
		ROW(end_of_init_ends_exec_sessions_and_frees_the_id),
		ROW(signal_reaches_init_only_if_it_handles_it_but_kill_always),
		ROW(signal_to_an_exec_session_spares_the_others),
		ROW(signal_to_all_reaches_every_process),
		ROW(kill_all_ends_everything),
		ROW(every_waiter_is_answered),
		ROW(processes_are_listed_with_their_arguments),
		ROW(several_containers_live_side_by_side),
		ROW(ids_that_are_no_names_are_refused),
		ROW(many_exec_sessions_leave_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
