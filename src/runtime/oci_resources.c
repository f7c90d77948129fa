// SPDX-License-Identifier: Apache-2.0
/*
 * linux.resources of config.json (config-linux.md, Control groups).
 *
 * Limits that a VM has by construction are turned into its shape: memory into guest RAM, CPU quota
 * and cpuset into vCPUs, pids into a cgroup inside the guest. They and the others are written to the
 * host's cgroup of the VM, by cgroup_limits.c. Device rules are the guest's (device_filter.h). What a
 * VM keeps by not having any is ignored.
 */
#include "runtime/oci_parse.h"

#include <string.h>

/* Negative means no limit, like 0. */
static int take_limit(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	int64_t n;
	int ret = oci_take_i64(p, v, &n);

	if (ret == 0)
		*(uint64_t *)to = n > 0 ? (uint64_t)n : 0;
	return ret;
}

/* What cgroup version 1 shows for no limit: the largest number of bytes in pages. */
#define V1_NO_LIMIT (INT64_MAX & ~4095LL)

static int take_memory_limit(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	uint64_t *limit = to;
	int ret = take_limit(p, v, to);

	if (ret == 0 && *limit >= V1_NO_LIMIT)
		*limit = 0;
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

static int take_idle(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	int64_t *idle = to;
	int ret = oci_take_i64(p, v, idle);

	if (ret == 0 && *idle != 0 && *idle != 1)
		return oci_fail(p, EINVAL, "%lld is neither 0 nor 1", (long long)*idle);
	return ret;
}

/* The list is checked, and handed on as it is. */
static int take_cpus(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	struct oci_resources *r = to;
	int ret = oci_take_cpus(p, v, &r->cpu_set);

	if (ret == 0 && r->cpu_set.given)
		r->cpus = rsm_json_string(v);
	return ret;
}

static int take_mems(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	struct oci_resources *r = to;
	int ret = oci_take_cpus(p, v, &r->mem_set);

	if (ret == 0 && r->mem_set.given)
		r->mems = rsm_json_string(v);
	return ret;
}

#define AT(member)   offsetof(struct oci_linux, member)
#define HOST(member) offsetof(struct oci_linux, resources.member)
#define NO_KERNEL    "kernel memory limits were removed from Linux"
#define NO_REALTIME  "the VM's threads are ordinary ones; process.scheduler is for the guest's"

static const struct oci_field memory_fields[] = {
	OCI_FIELD("limit", NUMBER, take_memory_limit, AT(memory_limit)),
	OCI_IGNORE("swap", NUMBER,
		   "the guest has no swap, so memory plus swap is at most the limit"),
	OCI_FIELD("reservation", NUMBER, take_limit, HOST(memory_reservation)),
	OCI_REFUSE("kernel", NUMBER, NO_KERNEL),
	OCI_REFUSE("kernelTCP", NUMBER, NO_KERNEL),
	OCI_IGNORE("swappiness", NUMBER, "the guest has no swap"),
	OCI_REFUSE("disableOOMKiller", BOOL,
		   "without it the guest would stand still, and nobody could make room"),
	OCI_IGNORE("useHierarchy", BOOL, "cgroup v2 inside the guest is always hierarchical"),
	OCI_IGNORE("checkBeforeUpdate", BOOL, "an update that leaves too little memory ends processes, as in cgroup v2"),
};

static const struct oci_field cpu_fields[] = {
	OCI_FIELD("quota", NUMBER, take_quota, AT(cpu_quota)),
	OCI_FIELD("period", NUMBER, oci_take_u64, AT(cpu_period)),
	OCI_FIELD("shares", NUMBER, oci_take_u64, HOST(cpu_shares)),
	OCI_FIELD("burst", NUMBER, oci_take_u64, HOST(cpu_burst)),
	OCI_REFUSE("realtimeRuntime", NUMBER, NO_REALTIME),
	OCI_REFUSE("realtimePeriod", NUMBER, NO_REALTIME),
	OCI_FIELD("cpus", STRING, take_cpus, AT(resources)),
	OCI_FIELD("mems", STRING, take_mems, AT(resources)),
	OCI_FIELD("idle", NUMBER, take_idle, HOST(cpu_idle)),
};

static const struct oci_field pids_fields[] = {
	OCI_FIELD("limit", NUMBER, take_limit, AT(pids_limit)),
};
#undef AT

/* ---- blockIO */

#define WEIGHT_MIN     10
#define WEIGHT_MAX     1000
#define NO_LEAF_WEIGHT "leaf weights were removed from Linux"

static int take_weight(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	uint32_t *weight = to;
	int ret = oci_take_u32(p, v, weight);

	if (ret == 0 && *weight != 0 && (*weight < WEIGHT_MIN || *weight > WEIGHT_MAX))
		return oci_fail(p, EINVAL, "%u is not between %d and %d", *weight, WEIGHT_MIN,
				WEIGHT_MAX);
	return ret;
}

static int take_device_weight(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	uint32_t weight = 0;
	int ret = take_weight(p, v, &weight);

	*(uint64_t *)to = weight;
	return ret;
}

#define AT(member) offsetof(struct oci_io_device, member)
static const struct oci_field weight_fields[] = {
	OCI_FIELD("major", NUMBER, oci_take_u32, AT(major)),
	OCI_FIELD("minor", NUMBER, oci_take_u32, AT(minor)),
	OCI_FIELD("weight", NUMBER, take_device_weight, AT(value)),
	OCI_REFUSE("leafWeight", NUMBER, NO_LEAF_WEIGHT),
};

static const struct oci_field rate_fields[] = {
	OCI_FIELD("major", NUMBER, oci_take_u32, AT(major)),
	OCI_FIELD("minor", NUMBER, oci_take_u32, AT(minor)),
	OCI_FIELD("rate", NUMBER, oci_take_u64, AT(value)),
};
#undef AT

static int take_weight_of_device(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	int ret = oci_take_object(p, v, weight_fields, RSM_ARRAY_SIZE(weight_fields), to);

	if (ret < 0)
		return ret;
	if (!oci_require(p, v, "major") || !oci_require(p, v, "minor"))
		return -EINVAL;
	if (((struct oci_io_device *)to)->value == 0)
		return oci_fail(p, EINVAL, "has no weight");
	return 0;
}

static int take_rate_of_device(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	int ret = oci_take_object(p, v, rate_fields, RSM_ARRAY_SIZE(rate_fields), to);

	if (ret < 0)
		return ret;
	return oci_require(p, v, "major") && oci_require(p, v, "minor") &&
			       oci_require(p, v, "rate")
		       ? 0
		       : -EINVAL;
}

static int take_devices(struct oci_parser *p, const struct rsm_json *v, oci_take_fn take, void *to)
{
	struct oci_io_devices *devices = to;
	void *items;
	int ret = oci_take_array(p, v, RSM_JSON_OBJECT, sizeof(*devices->v), take, &items,
				 &devices->n);

	if (ret == 0)
		devices->v = items;
	return ret;
}

static int take_weights(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	return take_devices(p, v, take_weight_of_device, to);
}

static int take_rates(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	return take_devices(p, v, take_rate_of_device, to);
}

static const struct oci_field blockio_fields[] = {
	OCI_FIELD("weight", NUMBER, take_weight, HOST(io_weight)),
	OCI_REFUSE("leafWeight", NUMBER, NO_LEAF_WEIGHT),
	OCI_FIELD("weightDevice", ARRAY, take_weights, HOST(io_weights)),
	OCI_FIELD("throttleReadBpsDevice", ARRAY, take_rates, HOST(io_rates[OCI_IO_READ_BPS])),
	OCI_FIELD("throttleWriteBpsDevice", ARRAY, take_rates, HOST(io_rates[OCI_IO_WRITE_BPS])),
	OCI_FIELD("throttleReadIOPSDevice", ARRAY, take_rates, HOST(io_rates[OCI_IO_READ_IOPS])),
	OCI_FIELD("throttleWriteIOPSDevice", ARRAY, take_rates, HOST(io_rates[OCI_IO_WRITE_IOPS])),
};

/* ---- unified */

/*
 * Files whose value cannot be written as it is, because the VM is in the cgroup and not the
 * container, or that are no limits at all.
 */
static const struct {
	const char *file, *instead;
} not_unified[] = {
	{"memory.max", "linux.resources.memory.limit"},
	{"pids.max", "linux.resources.pids.limit"},
	{"cpu.max", "linux.resources.cpu.quota"},
	{"cpu.max.burst", "linux.resources.cpu.burst"},
	{"cpuset.cpus", "linux.resources.cpu.cpus"},
};

static int take_unified(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	struct oci_resources *r = to;
	int ret = oci_take_pairs(p, v, &r->unified, &r->n_unified);

	for (size_t i = 0; ret == 0 && i < r->n_unified; i++) {
		const char *file = r->unified[i].key;
		size_t mark = oci_enter(p, file);

		if (!file[0] || strchr(file, '/') || !strchr(file, '.') || file[0] == '.' ||
		    strlen(file) > 64)
			return oci_fail(p, EINVAL, "not a file of a cgroup");
		if (strncmp(file, "cgroup.", 7) == 0)
			return oci_fail(p, EOPNOTSUPP, "not a limit");
		for (size_t k = 0; k < RSM_ARRAY_SIZE(not_unified); k++)
			if (strcmp(file, not_unified[k].file) == 0)
				return oci_fail(p, EOPNOTSUPP, "use %s, which the VM is made by",
						not_unified[k].instead);
		oci_leave(p, mark);
	}
	return ret;
}

#define TAKE(part)                                                                                 \
	static int take_##part(struct oci_parser *p, const struct rsm_json *v, void *to)           \
	{                                                                                          \
		return oci_take_object(p, v, part##_fields, RSM_ARRAY_SIZE(part##_fields), to);    \
	}
TAKE(memory)
TAKE(cpu)
TAKE(pids)
TAKE(blockio)

static const struct oci_field resources_fields[] = {
	OCI_FIELD("devices", ARRAY, oci_take_device_rules, 0),
	OCI_FIELD("memory", OBJECT, take_memory, 0),
	OCI_FIELD("cpu", OBJECT, take_cpu, 0),
	OCI_FIELD("pids", OBJECT, take_pids, 0),
	OCI_FIELD("blockIO", OBJECT, take_blockio, 0),
	OCI_IGNORE("hugepageLimits", ARRAY,
		   "the VM takes none of the host's huge pages; the guest's are part of its memory"),
	OCI_REFUSE("network", OBJECT, "the VM's packets have neither class nor priority"),
	OCI_IGNORE("rdma", OBJECT, "the guest has no RDMA devices to use up"),
	OCI_FIELD("unified", OBJECT, take_unified, offsetof(struct oci_linux, resources)),
};

int oci_take_resources(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	return oci_take_object(p, v, resources_fields, RSM_ARRAY_SIZE(resources_fields), to);
}
