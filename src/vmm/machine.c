// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine.h"

#include "base/math.h"

#include <errno.h>
#include <string.h>

static const struct machine_ops *const machine_table[] = {
	&machine_kvm,
	&machine_tcg,
};

const struct machine_ops *machine_find(const char *name)
{
	for (size_t i = 0; i < RSM_ARRAY_SIZE(machine_table); i++)
		if (strcmp(machine_table[i]->name, name) == 0)
			return machine_table[i];
	return NULL;
}

int machine_create(const struct machine_ops *ops, struct rsm_loop *loop,
		   const struct machine_config *config, machine_exited_fn exited, void *cookie,
		   struct machine **ret, struct rsm_error *err)
{
	struct machine *m;
	int r;

	if (!config->vcpus || !config->memory)
		return rsm_fail(err, EINVAL, "a machine needs memory and a CPU");
	r = ops->create(loop, config, exited, cookie, &m, err);
	if (r < 0)
		return rsm_error_prefix(err, "%s machine", ops->name);
	m->ops = ops;
	*ret = m;
	return 0;
}

int machine_start(struct machine *m, struct rsm_error *err)
{
	return m->ops->start(m, err) < 0 ? rsm_error_prefix(err, "%s machine", m->ops->name) : 0;
}

int machine_pause(struct machine *m, machine_done_fn done, void *cookie)
{
	return m->ops->pause(m, done, cookie);
}

int machine_resume(struct machine *m, machine_done_fn done, void *cookie)
{
	return m->ops->resume(m, done, cookie);
}

int machine_set_generation(struct machine *m, const uint8_t id[MACHINE_GENERATION_BYTES])
{
	return m->ops->set_generation ? m->ops->set_generation(m, id) : -EOPNOTSUPP;
}

void machine_free(struct machine *m)
{
	if (m)
		m->ops->free(m);
}
