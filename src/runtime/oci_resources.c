// SPDX-License-Identifier: Apache-2.0
/*
 * linux.resources of config.json (config-linux.md, Control groups).
 *
 * Limits that a VM has by construction are turned into its shape: memory into guest RAM, CPU quota
 * into vCPUs, pids into a cgroup inside the guest. What needs a cgroup on the host is refused until
 * the VMM is put into one.
 */
#include "runtime/oci_parse.h"

#define NEEDS_CGROUP "limits by host cgroups are not supported yet"

/* Negative means no limit, like 0. */
static int take_limit(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	int64_t n;
	int ret = oci_take_i64(p, v, &n);

	if (ret == 0)
		*(uint64_t *)to = n > 0 ? (uint64_t)n : 0;
	return ret;
}

static int take_quota(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	int64_t *quota = to;
	int ret = oci_take_i64(p, v, quota);

	if (ret == 0 && *quota < 0)
		*quota = 0;
	return ret;
}

/* What every cgroup has, and containerd writes out, asks for nothing. */
#define SHARES_DEFAULT 1024

static int take_shares(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	uint64_t shares;
	int ret = oci_take_u64(p, v, &shares);

	if (ret == 0 && shares != 0 && shares != SHARES_DEFAULT)
		return oci_fail(p, EOPNOTSUPP, "other than %d: " NEEDS_CGROUP, SHARES_DEFAULT);
	return ret;
}

#define AT(member) offsetof(struct oci_linux, member)
static const struct oci_field memory_fields[] = {
	OCI_FIELD("limit", NUMBER, take_limit, AT(memory_limit)),
	OCI_IGNORE("swap", NUMBER,
		   "the guest has no swap, so memory plus swap is at most the limit"),
	OCI_REFUSE("reservation", NUMBER, NEEDS_CGROUP),
	OCI_REFUSE("kernel", NUMBER, "kernel memory limits were removed from Linux"),
	OCI_REFUSE("kernelTCP", NUMBER, "kernel memory limits were removed from Linux"),
	OCI_IGNORE("swappiness", NUMBER, "the guest has no swap"),
	OCI_REFUSE("disableOOMKiller", BOOL, NULL),
	OCI_IGNORE("useHierarchy", BOOL, "cgroup v2 inside the guest is always hierarchical"),
	OCI_IGNORE("checkBeforeUpdate", BOOL, "concerns updates only"),
};

static const struct oci_field cpu_fields[] = {
	OCI_FIELD("quota", NUMBER, take_quota, AT(cpu_quota)),
	OCI_FIELD("period", NUMBER, oci_take_u64, AT(cpu_period)),
	OCI_FIELD("shares", NUMBER, take_shares, 0),
	OCI_REFUSE("burst", NUMBER, NEEDS_CGROUP),
	OCI_REFUSE("realtimeRuntime", NUMBER, NEEDS_CGROUP),
	OCI_REFUSE("realtimePeriod", NUMBER, NEEDS_CGROUP),
	OCI_REFUSE("cpus", STRING, NEEDS_CGROUP),
	OCI_REFUSE("mems", STRING, NEEDS_CGROUP),
	OCI_REFUSE("idle", NUMBER, NEEDS_CGROUP),
};

static const struct oci_field pids_fields[] = {
	OCI_FIELD("limit", NUMBER, take_limit, AT(pids_limit)),
};
#undef AT

#define TAKE(part)                                                                                 \
	static int take_##part(struct oci_parser *p, const struct rsm_json *v, void *to)           \
	{                                                                                          \
		return oci_take_object(p, v, part##_fields, RSM_ARRAY_SIZE(part##_fields), to);    \
	}
TAKE(memory)
TAKE(cpu)
TAKE(pids)

static const struct oci_field resources_fields[] = {
	OCI_IGNORE("devices", ARRAY,
		   "the rules are about the host's devices, and the guest has none of them"),
	OCI_FIELD("memory", OBJECT, take_memory, 0),
	OCI_FIELD("cpu", OBJECT, take_cpu, 0),
	OCI_FIELD("pids", OBJECT, take_pids, 0),
	OCI_REFUSE("blockIO", OBJECT, NEEDS_CGROUP),
	OCI_REFUSE("hugepageLimits", ARRAY, NEEDS_CGROUP),
	OCI_REFUSE("network", OBJECT, NEEDS_CGROUP),
	OCI_REFUSE("rdma", OBJECT, NEEDS_CGROUP),
	OCI_REFUSE("unified", OBJECT, NEEDS_CGROUP),
};

int oci_take_resources(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	return oci_take_object(p, v, resources_fields, RSM_ARRAY_SIZE(resources_fields), to);
}
