// SPDX-License-Identifier: Apache-2.0
#include "runtime/cgroup_driver.h"

#include "runtime/cgroup_scope.h"

static int make(struct cgroup *cg, const struct cgroup_use *use, struct rsm_error *err)
{
	int ret = cgroup_make(cg, use->statefd, use->asked_for || cg->unit, err);

	return ret < 0 ? ret : cgroup_limit(cg, use->limits, &use->vm, err);
}

int cgroup_prepare(struct cgroup *cg, const struct cgroup_use *use, struct rsm_error *err)
{
	return cg->unit ? cgroup_scope_prepare(cg, use, err) : make(cg, use, err);
}

int cgroup_enter(struct cgroup *cg, const struct cgroup_use *use, pid_t vmm, struct rsm_error *err)
{
	int ret = 0;

	if (cg->unit) {
		ret = cgroup_scope_start(cg, use, vmm, err);
		if (ret == 0)
			ret = make(cg, use, err);
	}
	return ret < 0 ? ret : cgroup_place(cg, vmm, err);
}

int cgroup_rates(struct cgroup *cg, const struct cgroup_use *use, struct rsm_error *err)
{
	int ret = cg->unit ? cgroup_scope_rates(cg, use, err) : 0;

	return ret < 0 ? ret : cgroup_limit_rates(cg, use->limits, err);
}

int cgroup_update(struct cgroup *cg, const struct cgroup_use *use, struct rsm_error *err)
{
	int ret = cg->unit ? cgroup_scope_limits(cg, use, err) : 0;

	if (ret == 0)
		ret = cgroup_limit(cg, use->limits, &use->vm, err);
	return ret < 0 ? ret : cgroup_rates(cg, use, err);
}
