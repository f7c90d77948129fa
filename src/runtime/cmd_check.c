// SPDX-License-Identifier: Apache-2.0
#include "runtime/cmd.h"

static int run(const struct cmd_env *env, const void *opts, int argc, char **argv,
	       struct rsm_error *err)
{
	return rsm_fail(err, EOPNOTSUPP, "this command is not supported yet");
}

const struct cmd_verb cmd_check = {
	.name = "check",
	.summary = "not supported yet",
	.usage = "",
	.max_args = -1,
	.stop_at_arg = true,
	.run = run,
};
