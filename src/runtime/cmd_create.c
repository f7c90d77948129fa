// SPDX-License-Identifier: Apache-2.0
#include "runtime/cmd.h"

#include "base/math.h"
#include "runtime/launch.h"

struct create_opts {
	struct launch_opts l;
};

static const struct cmd_opt opts[] = {LAUNCH_OPTS(struct create_opts)};

static int run(const struct cmd_env *env, const void *o, int argc, char **argv,
	       struct rsm_error *err)
{
	struct launch_opts lo = ((const struct create_opts *)o)->l;
	_cleanup_ctr_ struct ctr *c = NULL;
	_cleanup_close_ int pidfd = -1;

	lo.detach = true;
	return launch(env, argv[0], &lo, &c, &pidfd, err);
}

const struct cmd_verb cmd_create = {
	.name = "create",
	.summary = "create a container",
	.usage = "[command options] <container-id>",
	.description =
		"Boot a microVM for the bundle and prepare the container in it, up to the point\n"
		"   where its program would start; \"runsm start\" starts it.",
	.opts = opts,
	.nopts = RSM_ARRAY_SIZE(opts),
	.opts_size = sizeof(struct create_opts),
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
