// SPDX-License-Identifier: Apache-2.0
/* pause and resume: the VM as a whole stops, guest clock included. */
#include "runtime/cmd.h"

#include "runtime/ctr_client.h"
#include "runtime/processes.h"
#include "runtime/stats.h"

static int run_pause(const struct cmd_env *env, const void *opts, int argc, char **argv,
		     struct rsm_error *err)
{
	struct rsm_error unknown = RSM_ERROR_INIT;
	_cleanup_ctr_ struct ctr *c = NULL;
	int status, ret = ctr_open(env->root, argv[0], true, &c, err);

	if (ret < 0)
		return ret;
	status = ctr_status(c, err);
	if (status < 0)
		return status;
	if (status != CTR_RUNNING && status != CTR_CREATED)
		return rsm_fail(err, EINVAL, "container not running");
	/* Pausing matters more than a later ps or events. */
	if (processes_remember(c, &unknown) < 0 || stats_remember(c, &unknown) < 0)
		rsm_log_warn("%s", unknown.message);
	return ctr_simple_call(c, "Pause", CTR_CALL_TIMEOUT_MS, NULL, err);
}

static int run_resume(const struct cmd_env *env, const void *opts, int argc, char **argv,
		      struct rsm_error *err)
{
	_cleanup_ctr_ struct ctr *c = NULL;
	int status, ret = ctr_open(env->root, argv[0], true, &c, err);

	if (ret < 0)
		return ret;
	status = ctr_status(c, err);
	if (status < 0)
		return status;
	if (status != CTR_PAUSED)
		return rsm_fail(err, EINVAL, "container not paused");
	return ctr_simple_call(c, "Resume", CTR_CALL_TIMEOUT_MS, NULL, err);
}

const struct cmd_verb cmd_pause = {
	.name = "pause",
	.summary = "suspend all processes inside the container",
	.usage = "<container-id>",
	.min_args = 1,
	.max_args = 1,
	.run = run_pause,
};

const struct cmd_verb cmd_resume = {
	.name = "resume",
	.summary = "resume all processes that have been paused",
	.usage = "<container-id>",
	.min_args = 1,
	.max_args = 1,
	.run = run_resume,
};
