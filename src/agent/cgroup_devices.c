// SPDX-License-Identifier: Apache-2.0
/* Which devices a container may use: version 2 of cgroups asks a BPF program, which the host made. */
#include "agent/agent.h"

#include "base/cleanup.h"

#include <linux/bpf.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int sys_bpf(enum bpf_cmd cmd, union bpf_attr *attr)
{
	long ret = syscall(SYS_bpf, cmd, attr, sizeof(*attr));

	return ret < 0 ? -errno : (int)ret;
}

int cgroup_filter_devices(int cgroup_fd, const void *program, size_t len, struct rsm_error *err)
{
	static const char license[] = "Apache-2.0";
	_cleanup_close_ int fd = -1;
	union bpf_attr attr;
	int ret;

	if (len == 0)
		return 0;
	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
	attr.insns = (uint64_t)(uintptr_t)program;
	attr.insn_cnt = (uint32_t)(len / sizeof(struct bpf_insn));
	attr.license = (uint64_t)(uintptr_t)license;
	fd = ret = sys_bpf(BPF_PROG_LOAD, &attr);
	if (ret < 0)
		return rsm_fail_errno(err, ret,
				      "linux.resources.devices: load their rules into the guest's kernel");
	memset(&attr, 0, sizeof(attr));
	attr.attach_type = BPF_CGROUP_DEVICE;
	attr.target_fd = (uint32_t)cgroup_fd;
	attr.attach_bpf_fd = (uint32_t)fd;
	attr.attach_flags = BPF_F_ALLOW_MULTI; /* systemd in a container adds its own below */
	ret = sys_bpf(BPF_PROG_ATTACH, &attr);
	return ret < 0 ? rsm_fail_errno(err, ret,
					"linux.resources.devices: attach their rules to the guest's cgroup")
		       : 0;
}
