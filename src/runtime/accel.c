// SPDX-License-Identifier: Apache-2.0
/* Which machine, and where its programs are. */
#include "runtime/settings.h"

#include "base/io.h"
#include "vmm/probe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int accel_choose(enum accel wanted, enum accel *ret, char reason[ACCEL_REASON_MAX],
		 struct rsm_error *err)
{
	struct kvm_probe_result probe = {.state = KVM_PROBE_ABSENT};
	int r;

	if (wanted == ACCEL_TCG) {
		(void)snprintf(reason, ACCEL_REASON_MAX, "asked for");
		*ret = ACCEL_TCG;
		return 0;
	}
	r = kvm_probe(&probe);
	if (r < 0)
		return rsm_fail_errno(err, r, "probe KVM");
	if (probe.state == KVM_PROBE_USABLE) {
		(void)snprintf(reason, ACCEL_REASON_MAX, "KVM is usable");
		*ret = ACCEL_KVM;
		return 0;
	}
	(void)snprintf(reason, ACCEL_REASON_MAX, "KVM is %s: %s", kvm_probe_state_name(probe.state),
		       probe.reason);
	if (wanted == ACCEL_KVM)
		return rsm_fail(err, ENODEV,
				"accel kvm was asked for, but %s; %s, or set RUNSM_ACCEL=auto to "
				"run by emulation",
				reason, kvm_probe_advice(probe.state));
	*ret = ACCEL_TCG;
	return 0;
}

int find_helper(const char *name, char ret[PATH_MAX], struct rsm_error *err)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n > 0) {
		self[n] = '\0';
		slash = strrchr(self, '/');
		if (slash) {
			*slash = '\0';
			if (rsm_format(ret, PATH_MAX, "%s/%s", self, name) == 0 &&
			    access(ret, X_OK) == 0)
				return 0;
		}
	}
	if (rsm_format(ret, PATH_MAX, "%s/%s", RUNSM_LIBEXECDIR, name) == 0 &&
	    access(ret, X_OK) == 0)
		return 0;
	return rsm_fail(err, ENOENT, "%s is neither beside this program nor in %s", name,
			RUNSM_LIBEXECDIR);
}

int find_qemu(char ret[PATH_MAX], struct rsm_error *err)
{
	static const char name[] = "qemu-system-x86_64";
	const char *path = getenv("PATH");

	if (!path || !*path) /* as some daemons start their children */
		path = "/usr/local/bin:/usr/bin:/bin";
	while (*path) {
		size_t len = strcspn(path, ":");

		if (len > 0 && path[0] == '/' &&
		    rsm_format(ret, PATH_MAX, "%.*s/%s", (int)len, path, name) == 0 &&
		    access(ret, X_OK) == 0)
			return 0;
		path += len + (path[len] == ':');
	}
	return rsm_fail(
		err, ENOENT,
		"QEMU (%s) is not in PATH, and the tcg machine needs it: install the package "
		"qemu-system-x86",
		name);
}
