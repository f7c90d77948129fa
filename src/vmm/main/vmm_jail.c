// SPDX-License-Identifier: Apache-2.0
/*
 * The order in which runsm-vmm goes to jail (vmm/jail.h has the steps, docs/security.md the whole
 * ladder): when everything that needs a name, a driver or a right is open, and before the guest's
 * first instruction; on the tcg machine when QEMU is executed, which has a smaller jail of its own.
 * No other thread is there yet: those that come inherit it.
 */
#include "vmm/main/vmm_sandbox.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "vmm/jail.h"

#include <stdlib.h>
#include <string.h>

static int shown_export(const struct sandbox *s, const char *name)
{
	for (size_t i = 0; i < s->config->n_exports; i++)
		if (strcmp(s->config->exports[i]->name, name) == 0)
			return vmm_exports_shown(s->exports, i);
	return -1;
}

/* The host's id of the container's root. */
static uint32_t root_id(Runsm__IdMapping *const *map, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (map[i]->container == 0 && map[i]->size)
			return map[i]->host;
	return 0;
}

/*
 * What those see who look for the container's files in our namespace: its root file system and the
 * bind mounts. The guest's own file systems are not on the host, and covered.
 */
static int make_view(const struct sandbox *s, struct jail_mount **mounts, struct jail_view *view)
{
	const Runsm__CreateContainerRequest *c = s->config->container;
	struct jail_mount *m = calloc(c->n_mounts + 1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	*mounts = m;
	*view = (struct jail_view){
		.root = shown_export(s, c->root_export),
		.mounts = m,
		.uid = root_id(c->uid_mappings, c->n_uid_mappings),
		.gid = root_id(c->gid_mappings, c->n_gid_mappings),
	};
	for (size_t i = 0; i < c->n_mounts; i++) {
		const Runsm__Mount *from = c->mounts[i];

		if (strcmp(from->type, "remount") == 0 || strcmp(from->type, "device") == 0)
			continue;
		m[view->n++] = (struct jail_mount){
			.destination = from->destination,
			.tree = shown_export(s, from->export),
			.is_file = from->is_file,
			.cover = !from->export[0],
		};
	}
	return 0;
}

static int leave_root(struct sandbox *s, struct rsm_error *err)
{
	_cleanup_free_ struct jail_mount *mounts = NULL;
	struct jail_view view;
	int r = make_view(s, &mounts, &view);

	if (r < 0)
		return rsm_fail_errno(err, r, "list the mounts");
	rsm_close(&s->state_fd); /* a way up to the host's root */
	r = jail_root(&view, err);
	vmm_exports_hide(s->exports);
	if (r < 0)
		return r;
	if (r > 0) {
		rsm_log_debug("%s: no mount namespace without CAP_SYS_ADMIN", s->config->id);
		return 0;
	}
	r = vmm_exports_rerooted(s->exports);
	return r < 0 ? rsm_fail_errno(err, r, "open /proc/self/fd") : 0;
}

int sandbox_jail(struct sandbox *s, struct rsm_error *err)
{
	int r = leave_root(s, err);

	if (r < 0)
		return rsm_error_prefix(err, "jail");
	r = jail_keep_caps(JAIL_FUSE_CAPS);
	if (r < 0)
		return rsm_fail_errno(err, r, "jail: give up capabilities");
	r = jail_syscalls();
	return r < 0 ? rsm_fail_errno(err, r, "jail: seccomp filter") : 0;
}
