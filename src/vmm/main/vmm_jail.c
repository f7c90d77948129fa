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

static int leave_root(struct sandbox *s, struct rsm_error *err)
{
	int r;

	rsm_close(&s->state_fd); /* a way up to the host's root */
	r = jail_root(err);
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
