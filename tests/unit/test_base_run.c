// SPDX-License-Identifier: Apache-2.0
#include "base/run.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "cmocka_all.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

static int run(const char *script, const char *input, unsigned timeout, int watch,
	       struct rsm_error *err)
{
	const char *argv[] = {"sh", "-c", script, NULL};
	const struct rsm_run run = {.spawn = {.path = "/bin/sh", .argv = argv},
				    .input = input,
				    .timeout = timeout,
				    .watch = {watch, -1}};

	*err = (struct rsm_error)RSM_ERROR_INIT;
	return rsm_run(&run, err);
}

static void it_reads_its_input_to_the_end(void **state)
{
	struct rsm_error err;
	char big[200000];

	assert_int_equal(run("test \"$(cat)\" = text", "text", 0, -1, &err), 0);
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	assert_int_equal(run("test $(wc -c) = 199999", big, 0, -1, &err), 0);
	assert_int_equal(run("true", big, 0, -1, &err), 0); /* read by nobody */
}

static void failure_tells_status_and_the_end_of_the_output_on_one_line(void **state)
{
	struct rsm_error err;

	assert_int_equal(run("echo out; echo 'two\n lines\a' >&2; exit 3", "", 0, -1, &err), -EIO);
	assert_string_equal(err.message, "exit status 3, stdout: out, stderr: two lines");
	assert_int_equal(run("kill -TERM $$", "", 0, -1, &err), -EIO);
	assert_string_equal(err.message, "signal: terminated, stdout: , stderr: ");
	/* more than a pipe holds, and only its end is kept */
	assert_int_equal(run("yes | head -c 300000 >&2; echo end >&2; exit 1", "", 0, -1, &err),
			 -EIO);
	assert_true(strlen(err.message) < 250);
	assert_string_equal(err.message + strlen(err.message) - 7, "y y end");
}

static void a_missing_program_is_named(void **state)
{
	const char *argv[] = {"arg0", NULL};
	const struct rsm_run run = {
		.spawn = {.path = "/no/such", .argv = argv}, .input = "", .watch = {-1, -1}};
	struct rsm_error err = RSM_ERROR_INIT;

	assert_int_equal(rsm_run(&run, &err), -ENOENT);
	assert_string_equal(err.message, "execute '/no/such': No such file or directory");
}

/* Pids that the script wrote to @path, one per line, are gone. */
static void assert_all_gone(const char *path, int lines)
{
	FILE *f = fopen(path, "re");
	int pid, n = 0;

	assert_non_null(f);
	while (fscanf(f, "%d", &pid) == 1) {
		assert_int_equal(kill(pid, 0), -1);
		assert_int_equal(errno, ESRCH);
		n++;
	}
	assert_int_equal(n, lines);
	(void)fclose(f);
}

static void past_its_timeout_its_whole_tree_is_killed(void **state)
{
	char path[] = "/tmp/test-run-XXXXXX", script[400];
	struct rsm_error err;
	int fd = mkstemp(path);
	pid_t mine = fork();

	if (mine == 0) {
		for (;;)
			pause();
	}
	assert_true(fd >= 0);
	(void)snprintf(script, sizeof(script),
		       "echo $$ >>%1$s; sleep 1000 & echo $! >>%1$s;"
		       "(setsid sh -c 'echo $$ >>%1$s; exec sleep 1000' &); sleep 0.3; sleep 1000",
		       path);
	assert_int_equal(run(script, "", 1, -1, &err), -ETIMEDOUT);
	assert_string_equal(err.message, "ran past its timeout of 1 s");
	assert_all_gone(path, 3);
	/* but not what this process had before */
	assert_int_equal(waitpid(mine, NULL, WNOHANG), 0);
	(void)kill(mine, SIGKILL);
	assert_int_equal(waitpid(mine, NULL, 0), mine);
	close(fd);
	(void)unlink(path);
}

static void a_watched_fd_stops_it(void **state)
{
	int fd = eventfd(1, EFD_CLOEXEC);
	struct rsm_error err;

	assert_true(fd >= 0);
	assert_int_equal(run("sleep 1000", "", 0, fd, &err), -ECANCELED);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_reads_its_input_to_the_end),
		cmocka_unit_test(failure_tells_status_and_the_end_of_the_output_on_one_line),
		cmocka_unit_test(a_missing_program_is_named),
		cmocka_unit_test(past_its_timeout_its_whole_tree_is_killed),
		cmocka_unit_test(a_watched_fd_stops_it),
	};

	return cmocka_run_group_tests_name("base/run", tests, NULL, NULL);
}
