// SPDX-License-Identifier: Apache-2.0
#include "runtime/cmd.h"

#include "base/math.h"
#include "runtime/hooks.h"

struct delete_opts {
	bool force;
};

static const struct cmd_opt opts[] = {
	{"force", 'f', CMD_FLAG, offsetof(struct delete_opts, force),
	 "delete the container even if it is running (uses SIGKILL)"},
};

/* A VMM has no work of its own to finish: the kernel takes it down with all it holds. */
#define VMM_END_TIMEOUT_MS 10000

static int kill_vmm(struct ctr *c, struct rsm_error *err)
{
	int ret = ctr_kill_vmm(c, VMM_END_TIMEOUT_MS);

	return ret < 0 ? rsm_fail_errno(err, ret, "kill the VMM of container '%s' (pid %d)", c->id,
					c->state.pid)
		       : 0;
}

/* No state.json, or none that can be read: nothing there, or what a killed create left. */
static int delete_remains(const struct cmd_env *env, const char *id, bool damaged,
			  struct rsm_error *err)
{
	struct rsm_error why = RSM_ERROR_INIT;
	int ret = ctr_remove_remains(env->root, id, damaged, &why);

	if (ret >= 0)
		return 0;
	*err = why;
	return ret;
}

static int run(const struct cmd_env *env, const void *o, int argc, char **argv,
	       struct rsm_error *err)
{
	const struct delete_opts *d = o;
	_cleanup_ctr_ struct ctr *c = NULL;
	int status, ret = ctr_open(env->root, argv[0], !d->force, &c, err);

	if (ret == -ENOENT && d->force)
		return delete_remains(env, argv[0], false, err);
	if (ret < 0 && d->force && ctr_check_id(argv[0], NULL) == 0) {
		rsm_log_warn("%s", err->message);
		return delete_remains(env, argv[0], true, err);
	}
	if (ret < 0)
		return ret;
	if (d->force) {
		/* First the VMM, then the lock: whoever holds it may be waiting for that VMM. */
		ret = kill_vmm(c, err);
		if (ret < 0)
			return ret;
		ctr_free(rsm_steal_ptr(c));
		ret = ctr_open(env->root, argv[0], true, &c, err);
		if (ret == -ENOENT)
			return 0;
		if (ret == 0)
			ret = kill_vmm(c, err);
		return ret < 0 ? ret : hooks_remove(c, err);
	}
	status = ctr_status(c, err);
	if (status < 0)
		return status;
	if (status == CTR_CREATED) /* nothing of the container ran yet */
		ret = kill_vmm(c, err);
	else if (status != CTR_STOPPED)
		return rsm_fail(err, EBUSY, "cannot delete container %s that is not stopped: %s",
				c->id, ctr_status_name((enum ctr_status)status));
	return ret < 0 ? ret : hooks_remove(c, err);
}

const struct cmd_verb cmd_delete = {
	.name = "delete",
	.summary = "delete any resources held by the container",
	.usage = "[command options] <container-id>",
	.opts = opts,
	.nopts = RSM_ARRAY_SIZE(opts),
	.opts_size = sizeof(struct delete_opts),
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
