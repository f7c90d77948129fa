// SPDX-License-Identifier: Apache-2.0
#include "runtime/cmd.h"

#include "runtime/ctr_client.h"

static int run(const struct cmd_env *env, const void *opts, int argc, char **argv,
	       struct rsm_error *err)
{
	_cleanup_ctr_ struct ctr *c = NULL;
	int status, ret = ctr_open(env->root, argv[0], true, &c, err);

	if (ret < 0)
		return ret;
	status = ctr_status(c, err);
	if (status < 0)
		return status;
	if (status == CTR_STOPPED)
		return rsm_fail(err, EINVAL, "cannot start a container that has stopped");
	if (status == CTR_CREATING)
		return rsm_fail(err, EINVAL, "cannot start a container that is being created");
	if (status == CTR_PAUSED)
		return rsm_fail(err, EINVAL, "cannot start a container in the paused state");
	if (status != CTR_CREATED)
		return rsm_fail(err, EINVAL, "cannot start an already running container");
	return ctr_simple_call(c, "Start", CTR_CALL_TIMEOUT_MS, NULL, err);
}

const struct cmd_verb cmd_start = {
	.name = "start",
	.summary = "execute the user defined process in a created container",
	.usage = "<container-id>",
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
