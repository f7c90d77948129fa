// SPDX-License-Identifier: Apache-2.0
#include "runtime/cmd.h"

#include "base/math.h"
#include "runtime/ctr_client.h"
#include "runtime/signals.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

/* After SIGKILL the VM goes down; a VMM that is still there then is itself stuck. */
#define VMM_END_TIMEOUT_MS 10000
#define VMM_END_TRIES	   50
#define VMM_END_PAUSE_NS   (100 * 1000000L)

struct kill_opts {
	bool all;
};

static const struct cmd_opt opts[] = {
	{"all", 'a', CMD_FLAG, offsetof(struct kill_opts, all),
	 "send the specified signal to all processes inside the container"},
};

/*
 * Is the VMM gone, or about to be? One that ends closes its socket before its process is gone.
 */
static bool vmm_ends(const struct ctr *c, int ret)
{
	const struct timespec pause = {.tv_nsec = VMM_END_PAUSE_NS};

	if (ret == -ECONNRESET || ret == -EPIPE || ret == -ECONNREFUSED || ret == -ENOENT)
		for (int i = 0; i < VMM_END_TRIES && ctr_vmm_alive(c); i++)
			(void)nanosleep(&pause, NULL);
	return !ctr_vmm_alive(c);
}

static int run(const struct cmd_env *env, const void *o, int argc, char **argv,
	       struct rsm_error *err)
{
	const struct kill_opts *ko = o;
	const char *name = argc > 1 && argv[1][0] ? argv[1] : "TERM";
	_cleanup_ctr_ struct ctr *c = NULL;
	int sig, status, ret = ctr_open(env->root, argv[0], false, &c, err);

	if (ret < 0)
		return ret;
	sig = sig_parse(name);
	if (sig < 0)
		return rsm_fail(err, EINVAL, "unknown signal \"%s\"", name);
	status = ctr_status(c, err);
	if (status < 0 && sig == SIGKILL) /* mute: SIGKILL must work nevertheless */
		return ctr_kill_vmm(c, VMM_END_TIMEOUT_MS);
	if (status < 0)
		return status;
	if (status == CTR_STOPPED)
		return ko->all ? 0 : rsm_fail(err, ESRCH, "container not running");
	ret = ctr_signal(c, sig, ko->all, err);
	if (ret == 0)
		return 0;
	if (vmm_ends(c, ret)) /* it ended between the question and the signal */
		return ko->all || sig == SIGKILL ? 0
						 : rsm_fail(err, ESRCH, "container not running");
	if (ret == -ETIMEDOUT && sig == SIGKILL)
		return ctr_kill_vmm(c, VMM_END_TIMEOUT_MS);
	if (ret == -ETIMEDOUT) { /* as for a process that is stopped: callers go on to SIGKILL */
		rsm_log_warn("%s; the signal waits for the VMM", err->message);
		return 0;
	}
	return rsm_error_prefix(err, "unable to signal init");
}

const struct cmd_verb cmd_kill = {
	.name = "kill",
	.summary = "send a signal (default: SIGTERM) to the container's init process",
	.usage = "[command options] <container-id> [signal]",
	.opts = opts,
	.nopts = RSM_ARRAY_SIZE(opts),
	.opts_size = sizeof(struct kill_opts),
	.min_args = 1,
	.max_args = 2,
	.run = run,
};
