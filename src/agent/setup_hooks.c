// SPDX-License-Identifier: Apache-2.0
/* startContainer hooks: as the container's user, in its root and namespaces, as runc does it. */
#include "agent/setup.h"

#include "base/cleanup.h"
#include "base/run.h"

#include <errno.h>
#include <string.h>

/* NULL-terminated; points into @v, and is freed with free() */
static const char **terminated(char **v, size_t n, const char *only)
{
	const char **list = calloc(n + 2, sizeof(*list));

	if (!list)
		return NULL;
	for (size_t i = 0; i < n; i++)
		list[i] = v[i];
	if (n == 0)
		list[0] = only;
	return list;
}

static int run_hook(const Runsm__Hook *hook, const char *state, char **env, struct rsm_error *err)
{
	_cleanup_free_ const char **argv = terminated(hook->args, hook->n_args, hook->path);
	_cleanup_free_ const char **own = terminated(hook->env, hook->n_env, NULL);
	const struct rsm_run run = {
		.spawn = {.path = hook->path,
			  .argv = argv,
			  .envp = hook->has_env ? own : (const char *const *)env},
		.input = state,
		.timeout = hook->timeout,
		.watch = {-1, -1},
	};

	return argv && own ? rsm_run(&run, err) : rsm_fail(err, ENOMEM, "out of memory");
}

int setup_start_hooks(const Runsm__CreateContainerRequest *r, char **env, struct rsm_error *err)
{
	for (size_t i = 0; i < r->n_start_hooks; i++)
		if (run_hook(r->start_hooks[i], r->hook_state, env, err) < 0)
			return rsm_error_prefix(err,
						"error running hook: error running startContainer hook #%zu ('%s')", i,
						r->start_hooks[i]->path);
	return 0;
}
