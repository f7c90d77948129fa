// SPDX-License-Identifier: Apache-2.0
/* File names: Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst of Linux. */
#include "runtime/cgroup_limits.h"

#include "base/io.h"
#include "base/log.h"
#include "base/math.h"
#include "runtime/cgroup_file.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RESOURCES          "linux.resources."
#define SHARES_DEFAULT     1024

/* ---- what the VM takes beside guest RAM */

#define VMM_MEMORY    (128ULL << 20) /* programs, their heaps, virtqueues, socket buffers */
#define RAM_PER_TABLE 128            /* page tables: 8 bytes a page, in two processes, and as much again */
/* QEMU's translation buffer (1 GiB at most unless told otherwise) and its index */
#define TCG_MEMORY (1280ULL << 20)
/* A file that the guest knows holds an open fd on the host, with its inode and name in the host's
 * kernel. The guest pays about half as much for it out of its own RAM. */
#define FILE_MEMORY    2048
#define FILES_PER_RAM  2
#define PIDS_OF_VMM    256 /* threads beside those of the vCPUs */
#define PIDS_MAX       (1U << 22) /* the kernel's; pids.max takes no more */

uint64_t cgroup_vm_memory(const struct cgroup_vm *vm)
{
	uint64_t files = rsm_min(vm->files, UINT64_MAX / FILE_MEMORY) * FILE_MEMORY, sum;
	uint64_t most = rsm_min(vm->memory, UINT64_MAX / FILES_PER_RAM) * FILES_PER_RAM;
	uint64_t beside = VMM_MEMORY + vm->memory / RAM_PER_TABLE + (vm->emulated ? TCG_MEMORY : 0);

	if (!rsm_add(beside, rsm_min(files, most), &sum) || !rsm_add(sum, vm->memory, &sum))
		return UINT64_MAX;
	return sum;
}

uint64_t cgroup_vm_pids(uint64_t limit, const struct cgroup_vm *vm)
{
	/* the container's own are not among the host's: its limit is kept there as it is, if it can be */
	return limit > PIDS_MAX ? UINT64_MAX : rsm_max(limit, (uint64_t)PIDS_OF_VMM + vm->vcpus);
}

/* ---- weights */

uint64_t cgroup_weight_of_shares(uint64_t shares)
{
	if (shares < 2)
		shares = 2;
	shares = rsm_min(shares, (uint64_t)262144);
	return 1 + (shares - 2) * 9999 / 262142;
}

uint64_t cgroup_weight_of_io(uint64_t weight)
{
	return 1 + (weight - 10) * 9999 / 990;
}

/* ---- writing */

/**
 * struct target - A file of the cgroup, and what it is for
 * @field:	of config.json, below linux.resources
 * @controller:	whose hierarchy it is in, version 1
 */
struct target {
	const char *field, *controller, *file;
};

static int put(const struct cgroup *cg, struct target t, struct rsm_error *err, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static int put(const struct cgroup *cg, struct target t, struct rsm_error *err, const char *fmt, ...)
{
	const struct cgroup_dir *d = cgroup_controller(cg, t.controller);
	char text[4096];
	va_list ap;
	int ret;

	if (!d)
		return rsm_fail(err, ENOENT,
				RESOURCES "%s: there is no cgroup of the controller '%s'", t.field,
				t.controller);
	va_start(ap, fmt);
	ret = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (ret < 0 || (size_t)ret >= sizeof(text))
		return rsm_fail(err, E2BIG, RESOURCES "%s: too long", t.field);
	ret = cgroup_write(d->fd, t.file, text);
	if (ret == -ENOENT)
		return rsm_fail(err, ENOENT, RESOURCES "%s: this host's cgroups have no '%s'",
				t.field, t.file);
	if (ret < 0)
		return rsm_fail_errno(err, ret, RESOURCES "%s: write '%s' to '%s' of the cgroup '%s'",
				      t.field, text, t.file, d->path);
	return 0;
}

static bool has_file(const struct cgroup *cg, const char *controller, const char *file)
{
	const struct cgroup_dir *d = cgroup_controller(cg, controller);

	return d && faccessat(d->fd, file, F_OK, 0) == 0;
}

/* ---- memory and pids: a host without does not matter, the VM itself is the limit */

static int limit_memory(const struct cgroup *cg, const struct oci_linux *l,
			const struct cgroup_vm *vm, struct rsm_error *err)
{
	const char *max = cg->v2 ? "memory.max" : "memory.limit_in_bytes";
	const char *low = cg->v2 ? "memory.low" : "memory.soft_limit_in_bytes";
	int ret = 0;

	if (l->memory_limit && has_file(cg, "memory", max))
		ret = put(cg, (struct target){"memory.limit", "memory", max}, err, "%llu",
			  (unsigned long long)rsm_min(cgroup_vm_memory(vm), (uint64_t)INT64_MAX));
	if (ret == 0 && l->resources.memory_reservation)
		ret = put(cg, (struct target){"memory.reservation", "memory", low}, err, "%llu",
			  (unsigned long long)l->resources.memory_reservation);
	return ret;
}

static int limit_pids(const struct cgroup *cg, const struct oci_linux *l,
		      const struct cgroup_vm *vm, struct rsm_error *err)
{
	uint64_t max = cgroup_vm_pids(l->pids_limit, vm);

	if (!l->pids_limit || !has_file(cg, "pids", "pids.max"))
		return 0;
	if (max == UINT64_MAX)
		return put(cg, (struct target){"pids.limit", "pids", "pids.max"}, err, "max");
	return put(cg, (struct target){"pids.limit", "pids", "pids.max"}, err, "%llu",
		   (unsigned long long)max);
}

/* ---- cpu */

static int limit_cpu(const struct cgroup *cg, const struct oci_resources *r, struct rsm_error *err)
{
	/* what every cgroup begins with asks for nothing, and for no cgroup */
	bool shares = r->cpu_shares &&
		      (r->cpu_shares != SHARES_DEFAULT || cgroup_controller(cg, "cpu"));
	int ret = 0;

	if (shares && cg->v2)
		ret = put(cg, (struct target){"cpu.shares", "cpu", "cpu.weight"}, err, "%llu",
			  (unsigned long long)cgroup_weight_of_shares(r->cpu_shares));
	else if (shares)
		ret = put(cg, (struct target){"cpu.shares", "cpu", "cpu.shares"}, err, "%llu",
			  (unsigned long long)r->cpu_shares);
	if (ret == 0 && r->cpu_idle)
		ret = put(cg, (struct target){"cpu.idle", "cpu", "cpu.idle"}, err, "%lld",
			  (long long)r->cpu_idle);
	if (ret == 0 && r->mems)
		ret = put(cg, (struct target){"cpu.mems", "cpuset", "cpuset.mems"}, err, "%s",
			  r->mems);
	if (ret == 0 && r->cpus)
		ret = put(cg, (struct target){"cpu.cpus", "cpuset", "cpuset.cpus"}, err, "%s",
			  r->cpus);
	return ret;
}

static int limit_cpu_time_v1(const struct cgroup *cg, const struct oci_linux *l,
			     struct rsm_error *err)
{
	const struct target period = {"cpu.period", "cpu", "cpu.cfs_period_us"};
	const struct target quota = {"cpu.quota", "cpu", "cpu.cfs_quota_us"};
	struct rsm_error early = RSM_ERROR_INIT;
	bool period_last = false;
	int ret = 0;

	/* A period that the cgroup above would refuse with the quota there is may go with the new one. */
	if (l->cpu_period) {
		ret = put(cg, period, &early, "%llu", (unsigned long long)l->cpu_period);
		period_last = ret == -EINVAL && l->cpu_quota;
		if (ret < 0 && !period_last)
			*err = early;
	}
	if ((ret == 0 || period_last) && l->cpu_quota)
		ret = put(cg, quota, err, "%lld", (long long)l->cpu_quota);
	if (ret == 0 && period_last)
		ret = put(cg, period, err, "%llu", (unsigned long long)l->cpu_period);
	if (ret == 0 && l->resources.cpu_burst)
		ret = put(cg, (struct target){"cpu.burst", "cpu", "cpu.cfs_burst_us"}, err, "%llu",
			  (unsigned long long)l->resources.cpu_burst);
	return ret;
}

/* What is not given stays: the quota stands before the period, which may be left out. */
static int limit_cpu_time_v2(const struct cgroup *cg, const struct oci_linux *l,
			     struct rsm_error *err)
{
	const struct target max = {l->cpu_quota ? "cpu.quota" : "cpu.period", "cpu", "cpu.max"};
	unsigned long long period = l->cpu_period;
	_cleanup_free_ char *now = NULL;
	char quota[32] = "max";
	int ret = 0;

	if (l->cpu_quota > 0)
		(void)rsm_format(quota, sizeof(quota), "%lld", (long long)l->cpu_quota);
	else if (l->cpu_quota == 0 && cg->ndirs > 0 &&
		 rsm_read_file_at(cg->dirs[0].fd, max.file, 64, &now, NULL) == 0 && now[0])
		(void)rsm_format(quota, sizeof(quota), "%.*s", (int)strcspn(now, " \n"), now);
	if (period)
		ret = put(cg, max, err, "%s %llu", quota, period);
	else if (l->cpu_quota)
		ret = put(cg, max, err, "%s", quota);
	if (ret == 0 && l->resources.cpu_burst)
		ret = put(cg, (struct target){"cpu.burst", "cpu", "cpu.max.burst"}, err, "%llu",
			  (unsigned long long)l->resources.cpu_burst);
	return ret;
}

/* ---- blockIO */

struct io_rate {
	const char *field, *v1, *v2;
};

/* In the order of enum oci_io_rate. */
static const struct io_rate io_rates[OCI_IO_RATES] = {
	{"blockIO.throttleReadBpsDevice", "blkio.throttle.read_bps_device", "rbps"},
	{"blockIO.throttleWriteBpsDevice", "blkio.throttle.write_bps_device", "wbps"},
	{"blockIO.throttleReadIOPSDevice", "blkio.throttle.read_iops_device", "riops"},
	{"blockIO.throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", "wiops"},
};

static int limit_io_rates(const struct cgroup *cg, const struct oci_resources *r,
			  struct rsm_error *err)
{
	int ret = 0;

	for (size_t k = 0; k < OCI_IO_RATES; k++) {
		const struct io_rate *rate = &io_rates[k];
		const struct target t = {rate->field, "blkio", cg->v2 ? "io.max" : rate->v1};

		for (size_t i = 0; ret == 0 && i < r->io_rates[k].n; i++) {
			const struct oci_io_device *d = &r->io_rates[k].v[i];
			unsigned long long value = d->value;

			if (!cg->v2)
				ret = put(cg, t, err, "%u:%u %llu", d->major, d->minor, value);
			else if (value) /* 0 is no limit */
				ret = put(cg, t, err, "%u:%u %s=%llu", d->major, d->minor, rate->v2,
					  value);
			else
				ret = put(cg, t, err, "%u:%u %s=max", d->major, d->minor, rate->v2);
		}
	}
	return ret;
}

/* Schedulers differ in where they have their weights. */
static int limit_io_weights(const struct cgroup *cg, const struct oci_resources *r,
			    struct rsm_error *err)
{
	const char *bfq = cg->v2 ? "io.bfq.weight" : "blkio.bfq.weight";
	bool is_bfq = has_file(cg, "blkio", bfq);
	const char *file = is_bfq ? bfq : cg->v2 ? "io.weight" : "blkio.weight";
	const char *per_device = cg->v2 ? file : is_bfq ? "blkio.bfq.weight_device" : "blkio.weight_device";
	bool scaled = cg->v2 && !is_bfq; /* 10…1000 to 1…10000 */
	int ret = 0;

	if (r->io_weight)
		ret = put(cg, (struct target){"blockIO.weight", "blkio", file}, err, "%u",
			  scaled ? (unsigned)cgroup_weight_of_io(r->io_weight) : r->io_weight);
	for (size_t i = 0; ret == 0 && i < r->io_weights.n; i++) {
		const struct oci_io_device *d = &r->io_weights.v[i];
		unsigned long long weight = scaled ? cgroup_weight_of_io(d->value) : d->value;

		ret = put(cg, (struct target){"blockIO.weightDevice", "blkio", per_device}, err,
			  "%u:%u %llu", d->major, d->minor, weight);
	}
	return ret;
}

/* ---- unified */

static int limit_unified(const struct cgroup *cg, const struct oci_resources *r,
			 struct rsm_error *err)
{
	int ret = 0;

	if (r->n_unified && !cg->v2)
		return rsm_fail(err, EOPNOTSUPP,
				"invalid configuration: " RESOURCES
				"unified: this host has no pure cgroup version 2");
	for (size_t i = 0; ret == 0 && i < r->n_unified; i++) {
		char field[128];

		(void)snprintf(field, sizeof(field), "unified.%s", r->unified[i].key);
		ret = put(cg, (struct target){field, "", r->unified[i].key}, err, "%s",
			  r->unified[i].value);
	}
	return ret;
}

int cgroup_limit(const struct cgroup *cg, const struct oci_linux *l, const struct cgroup_vm *vm,
		 struct rsm_error *err)
{
	const struct oci_resources *r = &l->resources;
	int ret = limit_memory(cg, l, vm, err);

	if (ret == 0)
		ret = limit_pids(cg, l, vm, err);
	if (ret == 0)
		ret = limit_cpu(cg, r, err);
	if (ret == 0)
		ret = limit_io_weights(cg, r, err);
	return ret < 0 ? ret : limit_unified(cg, r, err);
}

int cgroup_limit_rates(const struct cgroup *cg, const struct oci_linux *l, struct rsm_error *err)
{
	int ret = 0;

	if (cgroup_controller(cg, "cpu") || l->resources.cpu_burst)
		ret = cg->v2 ? limit_cpu_time_v2(cg, l, err) : limit_cpu_time_v1(cg, l, err);
	else if (l->cpu_quota > 0) /* and a period alone limits nothing */
		rsm_log_warn(RESOURCES "cpu.quota: without a cgroup it is the number of vCPUs only");
	return ret < 0 ? ret : limit_io_rates(cg, &l->resources, err);
}
