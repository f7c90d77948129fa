// SPDX-License-Identifier: Apache-2.0
#include "runtime/cmd.h"

#include "runtime/ctr.h"

#include <stdio.h>

static int run(const struct cmd_env *env, const void *opts, int argc, char **argv,
	       struct rsm_error *err)
{
	_cleanup_jsongen_ struct rsm_jsongen *g = NULL;
	_cleanup_ctr_ struct ctr *c = NULL;
	const char *text;
	int status, ret = ctr_open(env->root, argv[0], false, &c, err);

	if (ret < 0)
		return ret;
	status = ctr_status(c, err);
	if (status < 0)
		return status;
	if (rsm_jsongen_new(true, &g) < 0)
		return rsm_fail(err, ENOMEM, "out of memory");
	rsm_jsongen_object(g);
	ctr_state_json(g, c, (enum ctr_status)status, NULL);
	rsm_jsongen_end_object(g);
	if (rsm_jsongen_finish(g, &text, NULL) < 0)
		return rsm_fail(err, ENOMEM, "out of memory");
	printf("%s", text);
	return 0;
}

const struct cmd_verb cmd_state = {
	.name = "state",
	.summary = "output the state of a container",
	.usage = "<container-id>",
	.description =
		"Print the state as JSON: ociVersion, id, pid (of the VMM), status, bundle, rootfs,\n"
		"   created, annotations, owner.",
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
