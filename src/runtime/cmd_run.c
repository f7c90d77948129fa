// SPDX-License-Identifier: Apache-2.0
#include "runtime/cmd.h"

#include "base/math.h"
#include "base/proc.h"
#include "runtime/hooks.h"
#include "runtime/launch.h"
#include "runtime/session.h"
#include "runtime/tty.h"

#include <string.h>
#include <sys/wait.h>

struct run_opts {
	struct launch_opts l;
	bool keep, no_subreaper;
};

static const struct cmd_opt opts[] = {
	LAUNCH_OPTS(struct run_opts),
	{"detach", 'd', CMD_FLAG, offsetof(struct run_opts, l.detach),
	 "detach from the container's process"},
	{"keep", 0, CMD_FLAG, offsetof(struct run_opts, keep),
	 "do not delete the container after it exits"},
	{"no-subreaper", 0, CMD_FLAG, offsetof(struct run_opts, no_subreaper),
	 "accepted without effect: the container's processes are not the host's"},
};

static int vmm_status(const struct ctr *c)
{
	int status = 0;

	while (waitpid(c->state.pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status))
		rsm_log_error("the VMM was killed by signal %d (%s)", WTERMSIG(status),
			      strsignal(WTERMSIG(status)));
	return rsm_exit_status(status);
}

static void on_vmm_end(void *cookie, int fd, uint32_t events)
{
	rsm_loop_stop(cookie, 0);
}

/* From "created" to the VMM's end. Return: exit status, or -errno with the VMM still there */
static int run_foreground(struct ctr *c, const struct oci_spec *hooks, int pidfd,
			  struct session *s, struct rsm_error *err)
{
	Runsm__ContainerRequest request = RUNSM__CONTAINER_REQUEST__INIT;
	struct tty_raw raw = TTY_RAW_INIT;
	int ret = ctr_connect(c, &s->cl, err);

	if (ret == 0)
		ret = session_start(s, err);
	if (ret == 0)
		ret = rsm_loop_add(s->cl->loop, pidfd, EPOLLIN, on_vmm_end, s->cl->loop, NULL);
	if (ret < 0)
		return ret;
	if (c->state.terminal) {
		s->tty = tty_of_caller();
		if (s->tty >= 0)
			(void)tty_make_raw(s->tty, &raw);
	}
	request.id = c->id;
	ret = ctr_call(s->cl, "Start", &request.base, hooks_start_timeout(hooks), NULL, err);
	if (ret == 0) {
		hooks_poststart(hooks, c);
		/* From here on others may kill and delete. */
		rsm_close(&c->lock_fd);
		if (s->tty >= 0)
			session_resize(s);
		ret = rsm_loop_run(s->cl->loop);
		ret = ret < 0 ? rsm_fail_errno(err, ret, "wait for the VMM") : vmm_status(c);
	}
	tty_restore(&raw);
	return ret;
}

/* The container has ended. Somebody else may have deleted it meanwhile. */
static void remove_ended(const struct cmd_env *env, const char *id)
{
	struct rsm_error err = RSM_ERROR_INIT;
	_cleanup_ctr_ struct ctr *c = NULL;
	int ret = ctr_open(env->root, id, true, &c, &err);

	if (ret == 0 && !ctr_vmm_alive(c))
		ret = hooks_remove(c, &err);
	if (ret < 0 && ret != -ENOENT)
		rsm_log_warn("%s", err.message);
}

static int run(const struct cmd_env *env, const void *o, int argc, char **argv,
	       struct rsm_error *err)
{
	const struct run_opts *ro = o;
	struct session s = {.tty = -1, .signals = -1, .exec_id = (char *)""};
	_cleanup_ctr_ struct ctr *c = NULL;
	_cleanup_close_ int pidfd = -1;
	_cleanup_spec_ struct oci_spec *hooks = NULL;
	int ret = launch(env, argv[0], &ro->l, &c, &pidfd, err);

	if (ret < 0)
		return ret;
	s.id = c->id;
	ret = hooks_load(c, &hooks, err);
	if (ret == 0 && ro->l.detach) {
		ret = ctr_simple_call(c, "Start", hooks_start_timeout(hooks), NULL, err);
		if (ret == 0)
			hooks_poststart(hooks, c);
	} else if (ret == 0) {
		ret = session_block_signals(&s, err);
		if (ret == 0)
			ret = run_foreground(c, hooks, pidfd, &s, err);
		session_done(&s);
		ctr_client_free(s.cl);
		rsm_close(&s.tty);
	}
	if (ret < 0) {
		if (ro->l.pid_file)
			(void)unlink(ro->l.pid_file);
		launch_undo(c);
	} else if (!ro->l.detach && !ro->keep) {
		remove_ended(env, argv[0]);
	}
	return ret;
}

const struct cmd_verb cmd_run = {
	.name = "run",
	.summary = "create and run a container",
	.usage = "[command options] <container-id>",
	.description =
		"create, start, wait for the end, delete. Signals are passed on to the container's\n"
		"   process; the exit status is its own, or 128 and the number of the signal that\n"
		"   ended it.",
	.opts = opts,
	.nopts = RSM_ARRAY_SIZE(opts),
	.opts_size = sizeof(struct run_opts),
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
