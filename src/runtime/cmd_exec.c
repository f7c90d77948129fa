// SPDX-License-Identifier: Apache-2.0
/*
 * exec: one more process in a running container.
 *
 * This process stands for it on the host: it hands its stdio to the VMM, waits, and exits with the
 * process's status. With --detach a child does so (the stub, whose pid goes to the pid file), while
 * the parent returns once the process runs. If the stub dies, the VMM ends the process.
 */
#include "runtime/cmd.h"

#include "base/io.h"
#include "base/math.h"
#include "runtime/exec_process.h"
#include "runtime/launch.h"
#include "runtime/session.h"
#include "runtime/tty.h"
#include "runtime/vmconfig.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>

#define STATUS_VM_GONE 137 /* as of a process that SIGKILL ended */
#define RESUME_POLL    50000000 /* ns */

#define AT(member) offsetof(struct exec_opts, member)
static const struct cmd_opt opts[] = {
	{"console-socket", 0, CMD_STRING, AT(console_socket),
	 "path to an AF_UNIX socket that receives the master end of the process's terminal"},
	{"cwd", 0, CMD_STRING, AT(cwd), "current working directory in the container"},
	{"env", 'e', CMD_LIST, AT(env), "set environment variables"},
	{"tty", 't', CMD_FLAG, AT(tty), "allocate a pseudo-TTY"},
	{"user", 'u', CMD_STRING, AT(user), "UID (format: <uid>[:<gid>])"},
	{"additional-gids", 'g', CMD_LIST, AT(additional_gids), "additional gids"},
	{"process", 'p', CMD_STRING, AT(process), "path to the process.json"},
	{"detach", 'd', CMD_FLAG, AT(detach), "detach from the container's process"},
	{"pid-file", 0, CMD_STRING, AT(pid_file),
	 "file to write the id of the process that stands for it on the host to"},
	{"process-label", 0, CMD_STRING, AT(process_label),
	 "accepted without effect: labels of the host do not reach into the VM"},
	{"apparmor", 0, CMD_STRING, AT(apparmor),
	 "accepted without effect: profiles of the host do not reach into the VM"},
	{"no-new-privs", 0, CMD_FLAG, AT(no_new_privs),
	 "set the no new privileges value for the process"},
	{"cap", 'c', CMD_LIST, AT(cap), "add a capability to the process"},
	{"preserve-fds", 0, CMD_UINT, AT(preserve_fds),
	 "pass N additional file descriptors, from 3 on, as byte streams (default: 0)"},
	{"cgroup", 0, CMD_LIST, AT(cgroup),
	 "run the process in an existing cgroup below the container's"},
	{"ignore-paused", 0, CMD_FLAG, AT(ignore_paused),
	 "of a paused container: wait until it is resumed"},
};
#undef AT

/* One exec in progress. */
struct exec {
	const struct exec_opts *o;
	struct ctr *c;
	struct oci_spec *spec;
	struct arena arena;
	struct session s;
	struct tty_raw raw;
	int console; /* connected --console-socket, or -1 */
	char exec_id[40];
	char cgroup[PATH_MAX];
};

static void exec_done(struct exec *x)
{
	tty_restore(&x->raw);
	session_done(&x->s);
	ctr_client_free(x->s.cl);
	rsm_close(&x->s.tty);
	rsm_close(&x->console);
	arena_free(&x->arena);
	oci_spec_free(x->spec);
	ctr_free(x->c);
}

static int check_options(const struct exec_opts *o, bool terminal, struct rsm_error *err)
{
	if (o->detach && terminal && !o->console_socket)
		return rsm_fail(
			err, EINVAL,
			"cannot allocate tty if runsm will detach without setting console socket");
	if (o->console_socket && (!o->detach || !terminal))
		return rsm_fail(
			err, EINVAL,
			"cannot use console socket if runsm will not detach or allocate tty");
	return 0;
}

static int check_status(struct exec *x, struct rsm_error *err)
{
	const struct timespec wait = {.tv_nsec = RESUME_POLL};
	int status = ctr_status(x->c, err);

	/* Nothing can be started in a VM that stands still; a frozen cgroup makes runc wait as well. */
	while (status == CTR_PAUSED && x->o->ignore_paused) {
		(void)nanosleep(&wait, NULL);
		status = ctr_status(x->c, err);
	}
	if (status < 0)
		return status;
	if (status == CTR_STOPPED)
		return rsm_fail(err, EINVAL, "cannot exec in a stopped container");
	if (status == CTR_CREATING)
		return rsm_fail(err, EINVAL, "cannot exec in a container that is being created");
	if (status == CTR_PAUSED)
		return rsm_fail(err, EINVAL, "cannot exec in a paused container");
	return 0;
}

/* ---- stdio */

/* The terminal of the process, and its size. */
static int set_up_tty(struct exec *x, Runsm__Process *p, struct rsm_error *err)
{
	if (x->console >= 0) {
		x->s.tty = tty_send_console(x->console, p->rows, p->cols, err);
		rsm_close(&x->console);
		return x->s.tty < 0 ? x->s.tty : 0;
	}
	x->s.tty = tty_of_caller();
	if (x->s.tty < 0)
		return rsm_fail_errno(err, x->s.tty, "no standard stream is a terminal: open /dev/tty");
	tty_size(x->s.tty, &p->rows, &p->cols);
	return 0;
}

/* The fds that go with the request, in the order agent.proto says. */
static size_t collect_fds(const struct exec *x, const Runsm__Process *p, int *fds)
{
	const Runsm__Stdio *io = p->stdio;
	size_t n = 0;

	if (io->tty_port)
		fds[n++] = x->s.tty;
	if (io->stdin_port)
		fds[n++] = STDIN_FILENO;
	if (io->stdout_port)
		fds[n++] = STDOUT_FILENO;
	if (io->stderr_port)
		fds[n++] = STDERR_FILENO;
	for (size_t i = 0; i < io->n_extra; i++)
		fds[n++] = (int)io->extra[i]->fd;
	return n;
}

static int start_process(struct exec *x, struct rsm_error *err)
{
	Runsm__ExecRequest request = RUNSM__EXEC_REQUEST__INIT;
	Runsm__Process *p = vmconfig_process(&x->arena, &x->spec->process, &x->spec->linux_,
					     x->console >= 0, x->o->preserve_fds);
	int fds[RSM_FDS_MAX], ret;

	if (!p)
		return rsm_fail(err, ENOMEM, "out of memory");
	ret = p->terminal ? set_up_tty(x, p, err) : 0;
	if (ret < 0)
		return ret;
	ret = ctr_connect(x->c, &x->s.cl, err);
	if (ret < 0)
		return ret;
	if (p->terminal && !x->o->detach)
		(void)tty_make_raw(x->s.tty, &x->raw);
	request.id = x->c->id;
	request.exec_id = x->exec_id;
	request.process = p;
	request.cgroup = x->cgroup;
	return ttrpc_call_sync(x->s.cl->conn, &runsm__sandbox__descriptor, "Exec", &request.base,
			       fds, collect_fds(x, p, fds), CTR_CALL_TIMEOUT_MS, NULL, err);
}

/* ---- waiting */

static void on_wait(void *cookie, const ProtobufCMessage *reply, const struct rsm_error *err)
{
	const Runsm__WaitResponse *w = (const Runsm__WaitResponse *)reply;

	/* Without an answer the VM is gone, and the process with it. */
	rsm_loop_stop(cookie, w ? w->status & 0xff : STATUS_VM_GONE);
}

static int wait_process(struct exec *x, struct rsm_error *err)
{
	Runsm__ProcessRequest request = RUNSM__PROCESS_REQUEST__INIT;
	struct rsm_loop *loop = x->s.cl->loop;
	int ret = session_start(&x->s, err);

	if (ret < 0)
		return ret;
	request.id = x->c->id;
	request.exec_id = x->exec_id;
	ret = ttrpc_call_async(x->s.cl->conn, &runsm__sandbox__descriptor, "Wait", &request.base,
			       NULL, 0, on_wait, loop);
	if (ret < 0)
		return rsm_fail_errno(err, ret, "wait for the process");
	ret = rsm_loop_run(loop);
	return ret < 0 ? rsm_fail_errno(err, ret, "wait for the process") : ret;
}

/* ---- detached */

/* What the stub tells its parent over a pipe: error of the start, code 0 if it runs. */
static int read_outcome(int fd, struct rsm_error *err)
{
	struct rsm_error outcome = RSM_ERROR_INIT;

	if (rsm_read_full(fd, &outcome, sizeof(outcome)) != sizeof(outcome))
		return rsm_fail(err, ECHILD, "the process that stands for it was killed");
	if (outcome.code == 0)
		return 0;
	*err = outcome;
	return -outcome.code;
}

/* Close what the caller had open besides: the stub must not keep somebody's pipe from its end. */
static void close_strangers(const struct exec *x, const struct cmd_env *env, int report)
{
	_cleanup_closedir_ DIR *dir = opendir("/proc/self/fd");

	for (struct dirent *e; dir && (e = readdir(dir)) != NULL;) {
		int fd = atoi(e->d_name);

		if (fd <= STDERR_FILENO + (int)x->o->preserve_fds || fd == dirfd(dir) ||
		    fd == report || fd == env->log_fd || fd == x->console || fd == x->c->dirfd)
			continue;
		close(fd);
	}
}

/* The VMM has its own copies of the stdio by now. */
static void let_go_of_stdio(const struct exec *x)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = STDIN_FILENO; null >= 0 && fd <= STDERR_FILENO; fd++)
		(void)dup2(null, fd);
	for (unsigned i = 0; i < x->o->preserve_fds; i++)
		close(STDERR_FILENO + 1 + (int)i);
	rsm_close(&null);
}

_Noreturn static void stub(struct exec *x, const struct cmd_env *env, int report)
{
	struct rsm_error err = RSM_ERROR_INIT;
	int ret;

	(void)setsid();
	close_strangers(x, env, report);
	ret = session_block_signals(&x->s, &err);
	if (ret == 0)
		ret = start_process(x, &err);
	if (rsm_write_full(report, &err, sizeof(err)) < 0 || ret < 0)
		_exit(255);
	close(report);
	let_go_of_stdio(x);
	ret = wait_process(x, &err);
	if (ret < 0)
		rsm_log_error("exec: %s", err.message);
	_exit(ret < 0 ? 255 : ret);
}

static int run_detached(struct exec *x, const struct cmd_env *env, struct rsm_error *err)
{
	_cleanup_close_ int report_r = -1, report_w = -1;
	int pipefd[2], ret;
	pid_t pid;

	if (x->o->console_socket) {
		x->console = tty_connect_console(x->o->console_socket, err);
		if (x->console < 0)
			return x->console;
	}
	if (pipe2(pipefd, O_CLOEXEC) < 0)
		return rsm_fail_errno(err, errno, "create a pipe");
	report_r = pipefd[0];
	report_w = pipefd[1];
	pid = fork();
	if (pid < 0)
		return rsm_fail_errno(err, errno, "fork");
	if (pid == 0)
		stub(x, env, report_w);
	rsm_close(&report_w);
	ret = read_outcome(report_r, err);
	if (ret == 0 && x->o->pid_file)
		ret = write_pid_file(x->o->pid_file, pid, err);
	if (ret == 0)
		return 0;
	(void)kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return ret;
}

static int run_foreground(struct exec *x, struct rsm_error *err)
{
	int ret = session_block_signals(&x->s, err);

	if (ret == 0)
		ret = start_process(x, err);
	if (ret == 0 && x->o->pid_file)
		ret = write_pid_file(x->o->pid_file, getpid(), err);
	return ret < 0 ? ret : wait_process(x, err);
}

static int new_exec_id(char *id, size_t size, struct rsm_error *err)
{
	uint64_t random;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return rsm_fail_errno(err, errno, "getrandom");
	return rsm_format(id, size, "exec-%016llx", (unsigned long long)random);
}

static int run(const struct cmd_env *env, const void *o, int argc, char **argv,
	       struct rsm_error *err)
{
	_cleanup_(exec_done) struct exec x = {
		.o = o, .console = -1, .raw = TTY_RAW_INIT, .s = {.tty = -1, .signals = -1}};
	/* The fds first: later ones of our own would be taken for the caller's. */
	int ret = launch_check_fds(x.o->preserve_fds, err);

	if (ret < 0 ||
	    (ret = exec_cgroup(&x.o->cgroup, x.cgroup, sizeof(x.cgroup), err)) < 0 ||
	    (ret = ctr_open(env->root, argv[0], false, &x.c, err)) < 0 ||
	    (ret = check_status(&x, err)) < 0 ||
	    (ret = exec_process_load(x.c, x.o, argc - 1, argv + 1, &x.spec, err)) < 0 ||
	    (ret = check_options(x.o, x.spec->process.terminal, err)) < 0 ||
	    (ret = new_exec_id(x.exec_id, sizeof(x.exec_id), err)) < 0)
		return ret;
	x.s.id = x.c->id;
	x.s.exec_id = x.exec_id;
	ret = x.o->detach ? run_detached(&x, env, err) : run_foreground(&x, err);
	if (ret < 0)
		err->exit_status = 0; /* 255, as of any failure: others are the process's own */
	return ret;
}

const struct cmd_verb cmd_exec = {
	.name = "exec",
	.summary = "execute a new process inside the container",
	.usage = "[command options] <container-id> <command> [arguments...]\n"
		 "   runsm exec [command options] --process process.json <container-id>",
	.opts = opts,
	.nopts = RSM_ARRAY_SIZE(opts),
	.opts_size = sizeof(struct exec_opts),
	.min_args = 1,
	.max_args = -1,
	.stop_at_arg = true,
	.error_status = 255,
	.error_prefix = "exec failed",
	.run = run,
};
