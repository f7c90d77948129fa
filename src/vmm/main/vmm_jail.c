// SPDX-License-Identifier: Apache-2.0
/*
 * The order in which runsm-vmm goes to jail (vmm/jail.h has the steps, docs/security.md the whole
 * ladder): when everything that needs a name, a driver or a right is open, and before the guest's
 * first instruction; on the tcg machine when QEMU is executed, which has a smaller jail of its own.
 * No other thread is there yet: those that come inherit it.
 */
#include "vmm/main/vmm_sandbox.h"

#include "vmm/jail.h"

int sandbox_jail(struct sandbox *s, struct rsm_error *err)
{
	int r = jail_keep_caps(JAIL_FUSE_CAPS);

	return r < 0 ? rsm_fail_errno(err, r, "give up capabilities") : 0;
}
