// SPDX-License-Identifier: Apache-2.0
/* Which limit is which property: the table of docs/systemd.md of runc 1.1, and I/O weights. */
#include "runtime/cgroup_props.h"

#include "base/math.h"

#include <string.h>

#define CPU_PERIOD   100000U /* µs, the kernel's own */
#define SECOND       1000000U
#define QUOTA_GRAIN  10000U /* µs in a second: systemd counts percents */
#define SINCE_CPUSET 244
#define SINCE_PERIOD 242
#define SINCE_IDLE   252
#define CPU_IDLE     0 /* CPUWeight=idle */

static struct cgroup_prop *add(struct cgroup_props *to, const char *name,
			       enum cgroup_prop_kind kind, uint64_t value)
{
	struct cgroup_prop *p = &to->v[to->n++];

	rsm_assert(to->n <= CGROUP_PROPS_MAX);
	*p = (struct cgroup_prop){.name = name, .kind = kind, .value = value};
	return p;
}

void cgroup_props_accounting(bool v2, struct cgroup_props *to)
{
	(void)add(to, "MemoryAccounting", CGROUP_PROP_BOOL, true);
	(void)add(to, "CPUAccounting", CGROUP_PROP_BOOL, true);
	(void)add(to, v2 ? "IOAccounting" : "BlockIOAccounting", CGROUP_PROP_BOOL, true);
	(void)add(to, "TasksAccounting", CGROUP_PROP_BOOL, true);
}

/* A bit per CPU, from the lowest on; zeroes at the end are left out. */
static void add_set(struct cgroup_props *to, const char *name, const struct oci_cpus *set)
{
	size_t n = sizeof(set->bits);
	struct cgroup_prop *p;

	while (n > 0 && set->bits[n - 1] == 0)
		n--;
	if (n == 0)
		return;
	p = add(to, name, CGROUP_PROP_BYTES, n);
	p->text = set->bits;
	p->since = SINCE_CPUSET;
}

/* Files of unified that have a property. Their values are bytes or weights, or "max". */
static const struct {
	const char *file, *property;
} unified[] = {
	{"cpu.weight", "CPUWeight"},          {"memory.high", "MemoryHigh"},
	{"memory.low", "MemoryLow"},          {"memory.min", "MemoryMin"},
	{"memory.swap.max", "MemorySwapMax"},
};

/* Return: false for what only the kernel understands: it gets the text as it is in any case */
static bool number_of(const char *text, uint64_t *ret)
{
	char *end;

	if (strcmp(text, "max") == 0) {
		*ret = UINT64_MAX;
		return true;
	}
	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	*ret = strtoull(text, &end, 10);
	return *end == '\0' && errno == 0;
}

static void add_unified(const struct oci_resources *r, struct cgroup_props *to)
{
	for (size_t k = 0; k < RSM_ARRAY_SIZE(unified); k++) {
		const char *text = NULL;
		uint64_t value;

		for (size_t i = 0; i < r->n_unified; i++)
			if (strcmp(r->unified[i].key, unified[k].file) == 0)
				text = r->unified[i].value;
		if (text && number_of(text, &value))
			(void)add(to, unified[k].property, CGROUP_PROP_U64, value);
	}
}

static void add_cpu(bool v2, const struct oci_resources *r, struct cgroup_props *to)
{
	if (v2 && r->cpu_idle == 1)
		add(to, "CPUWeight", CGROUP_PROP_U64, CPU_IDLE)->since = SINCE_IDLE;
	else if (r->cpu_shares && v2)
		(void)add(to, "CPUWeight", CGROUP_PROP_U64, cgroup_weight_of_shares(r->cpu_shares));
	else if (r->cpu_shares)
		(void)add(to, "CPUShares", CGROUP_PROP_U64, r->cpu_shares);
	add_set(to, "AllowedCPUs", &r->cpu_set);
	add_set(to, "AllowedMemoryNodes", &r->mem_set);
}

void cgroup_props_limits(bool v2, const struct oci_linux *l, const struct cgroup_vm *vm,
			 struct cgroup_props *to)
{
	const struct oci_resources *r = &l->resources;

	if (l->memory_limit)
		(void)add(to, v2 ? "MemoryMax" : "MemoryLimit", CGROUP_PROP_U64,
			  cgroup_vm_memory(vm));
	if (r->memory_reservation && v2)
		(void)add(to, "MemoryLow", CGROUP_PROP_U64, r->memory_reservation);
	if (l->pids_limit)
		(void)add(to, "TasksMax", CGROUP_PROP_U64, cgroup_vm_pids(l->pids_limit, vm));
	add_cpu(v2, r, to);
	if (r->io_weight)
		(void)add(to, v2 ? "IOWeight" : "BlockIOWeight", CGROUP_PROP_U64,
			  v2 ? cgroup_weight_of_io(r->io_weight) : r->io_weight);
	if (v2)
		add_unified(r, to);
}

void cgroup_props_rates(int64_t quota, uint64_t period, struct cgroup_props *to)
{
	uint64_t share = UINT64_MAX, product; /* of a second; no limit */

	if (period)
		add(to, "CPUQuotaPeriodUSec", CGROUP_PROP_U64, period)->since = SINCE_PERIOD;
	if (quota > 0 && rsm_mul((uint64_t)quota, (uint64_t)SECOND, &product)) {
		share = product / (period ? period : CPU_PERIOD);
		/* upwards, so that the finer quota in the file is within what systemd knows */
		share = share > UINT64_MAX - QUOTA_GRAIN
				? UINT64_MAX
				: (share + QUOTA_GRAIN - 1) / QUOTA_GRAIN * QUOTA_GRAIN;
		share = rsm_max(share, (uint64_t)QUOTA_GRAIN);
	}
	(void)add(to, "CPUQuotaPerSecUSec", CGROUP_PROP_U64, share);
}

bool cgroup_props_need_version(const struct cgroup_props *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->v[i].since)
			return true;
	return false;
}
