// SPDX-License-Identifier: Apache-2.0
#include "base/proc.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "cmocka_all.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

static void child_gets_its_fds_and_no_others(void **state)
{
	/* ls lists its own directory fd too, hence 0 1 2 3 and the one it opened */
	static const char *const argv[] = { "sh", "-c", "echo /proc/self/fd/*", NULL };
	struct rsm_error err = RSM_ERROR_INIT;
	char out[256] = "";
	int p[2], status;
	pid_t pid;

	assert_int_equal(pipe(p), 0);
	struct rsm_spawn how = { .argv = argv, .fds = (int[]){ -1, p[1], p[1] }, .nfds = 3 };
	assert_int_equal(rsm_spawn(&how, &pid, NULL, &err), 0);
	close(p[1]);
	assert_true(rsm_read_full(p[0], out, sizeof(out) - 1) > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(rsm_exit_status(status), 0);
	assert_string_equal(out,
			    "/proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 /proc/self/fd/3\n");
	close(p[0]);
}

static void child_is_pid_1_of_its_own_namespace_and_waited_for_as_any(void **state)
{
	static const char *const argv[] = { "sh", "-c", "exit $((40 + $$))", NULL };
	struct rsm_spawn how = { .argv = argv, .namespaces = CLONE_NEWPID };
	struct rsm_error err = RSM_ERROR_INIT;
	int status, r;
	pid_t pid;

	r = rsm_spawn(&how, &pid, NULL, &err);
	if (r == -EPERM)
		skip(); /* needs CAP_SYS_ADMIN */
	assert_int_equal(r, 0);
	assert_int_not_equal(pid, 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(rsm_exit_status(status), 41);
}

static int terminate(void *cookie, pid_t pid, struct rsm_error *err)
{
	*(int *)cookie = kill(pid, SIGTERM);
	return 0;
}

/* A signal from before the program is executed, which the kernel drops for a PID 1 without handler. */
static void signals_wait_for_a_program_that_begins_with_them_blocked(void **state)
{
	static const char *const argv[] = {"grep", "ShdPnd", "/proc/self/status", NULL};
	struct rsm_error err = RSM_ERROR_INIT;
	int p[2], status, sent = -1, r;
	sigset_t before, after;
	char out[64] = "";
	pid_t pid;

	assert_int_equal(pipe(p), 0);
	struct rsm_spawn how = {.argv = argv,
				.fds = (int[]){-1, p[1], -1},
				.nfds = 3,
				.namespaces = CLONE_NEWPID,
				.blocked = true,
				.place = terminate,
				.cookie = &sent};

	sigprocmask(SIG_BLOCK, NULL, &before);
	r = rsm_spawn(&how, &pid, NULL, &err);
	close(p[1]);
	sigprocmask(SIG_BLOCK, NULL, &after);
	for (int sig = 1; sig < NSIG; sig++)
		assert_int_equal(sigismember(&before, sig), sigismember(&after, sig));
	if (r == -EPERM)
		skip(); /* needs CAP_SYS_ADMIN */
	assert_int_equal(r, 0);
	assert_int_equal(sent, 0);
	assert_true(rsm_read_full(p[0], out, sizeof(out) - 1) > 0);
	close(p[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_string_equal(out, "ShdPnd:\t0000000000004000\n");
}

static void missing_program_is_an_error_that_names_it(void **state)
{
	static const char *const argv[] = { "/nonexistent/prog", NULL };
	struct rsm_spawn how = { .argv = argv };
	struct rsm_error err = RSM_ERROR_INIT;
	pid_t pid;

	assert_int_equal(rsm_spawn(&how, &pid, NULL, &err), -ENOENT);
	assert_string_equal(err.message, "execute '/nonexistent/prog': No such file or directory");
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nothing left to reap */
}

static int refuse(void *cookie, pid_t pid, struct rsm_error *err)
{
	*(pid_t *)cookie = pid;
	return rsm_fail(err, EPERM, "not here");
}

static int note(void *cookie, pid_t pid, struct rsm_error *err)
{
	char path[64], comm[32] = "";
	_cleanup_close_ int fd = -1;

	(void)snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	fd = open(path, O_RDONLY);
	assert_true(read(fd, comm, sizeof(comm) - 1) > 0);
	assert_string_not_equal(comm, "true\n"); /* it waits, and has not executed it */
	*(pid_t *)cookie = pid;
	return 0;
}

static void child_is_placed_before_it_executes(void **state)
{
	pid_t placed = 0, pid = 0;
	const struct rsm_spawn how = {.argv = (const char *[]){"true", NULL},
				      .fds = (const int[]){-1, -1, -1},
				      .nfds = 3,
				      .place = note,
				      .cookie = &placed};
	struct rsm_error err = RSM_ERROR_INIT;
	int status;

	assert_int_equal(rsm_spawn(&how, &pid, NULL, &err), 0);
	assert_int_equal(pid, placed);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void child_that_cannot_be_placed_never_executes(void **state)
{
	pid_t placed = 0, pid = 0;
	const struct rsm_spawn how = {
		.argv = (const char *[]){"true", NULL}, .place = refuse, .cookie = &placed};
	struct rsm_error err = RSM_ERROR_INIT;

	assert_int_equal(rsm_spawn(&how, &pid, NULL, &err), -EPERM);
	assert_string_equal(err.message, "not here");
	assert_true(placed > 0);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void fds_travel_over_a_socket(void **state)
{
	int sv[2], fds[RSM_FDS_MAX];
	char c;
	size_t n;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	assert_int_equal(rsm_send_fds(sv[0], "x", 1, (int[]){ 0, 1, 2 }, 3), 1);
	assert_int_equal(rsm_recv_fds(sv[1], &c, 1, fds, &n), 1);
	assert_int_equal(n, 3);
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
	close(sv[0]), close(sv[1]);
}

static void process_identity_is_readable(void **state)
{
	assert_true(rsm_proc_start_time(getpid()) > 0);
	assert_int_equal(rsm_proc_state(getpid()), 'R');
	assert_int_equal(rsm_proc_start_time(0x7ffffff0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(child_gets_its_fds_and_no_others),
		cmocka_unit_test(child_is_pid_1_of_its_own_namespace_and_waited_for_as_any),
		cmocka_unit_test(signals_wait_for_a_program_that_begins_with_them_blocked),
		cmocka_unit_test(missing_program_is_an_error_that_names_it),
		cmocka_unit_test(child_is_placed_before_it_executes),
		cmocka_unit_test(child_that_cannot_be_placed_never_executes),
		cmocka_unit_test(fds_travel_over_a_socket),
		cmocka_unit_test(process_identity_is_readable),
	};

	return cmocka_run_group_tests_name("base/proc", tests, NULL, NULL);
}
