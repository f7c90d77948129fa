// SPDX-License-Identifier: Apache-2.0
#include "runtime/cmd.h"

#include "runtime/ctr_client.h"
#include "runtime/hooks.h"

#include <string.h>

#define VMM_END_TIMEOUT_MS 10000

/* A startContainer hook that fails is the container's end (runtime.md, Lifecycle, 7). */
static void destroy(struct ctr *c)
{
	struct rsm_error err = RSM_ERROR_INIT;
	int ret = ctr_kill_vmm(c, VMM_END_TIMEOUT_MS);

	if (ret < 0 || hooks_remove(c, &err) < 0)
		rsm_log_warn("destroy container '%s': %s", c->id,
			     ret < 0 ? strerror(-ret) : err.message);
}

static int run(const struct cmd_env *env, const void *opts, int argc, char **argv,
	       struct rsm_error *err)
{
	_cleanup_spec_ struct oci_spec *hooks = NULL;
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
	ret = hooks_load(c, &hooks, err);
	if (ret < 0)
		return ret;
	ret = ctr_simple_call(c, "Start", hooks_start_timeout(hooks), NULL, err);
	if (ret == 0)
		hooks_poststart(hooks, c);
	else if (hooks && hooks->hooks[OCI_START_CONTAINER].n > 0)
		destroy(c);
	return ret;
}

const struct cmd_verb cmd_start = {
	.name = "start",
	.summary = "execute the user defined process in a created container",
	.usage = "<container-id>",
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
