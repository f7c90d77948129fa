// SPDX-License-Identifier: Apache-2.0
/*
 * The policy as tables: leaves that are not shown, bits that are not shown, and a few fields that
 * describe this VM's topology. Everything else is what KVM says it supports on this host. Bit names
 * are those of the Intel SDM vol. 2A, CPUID, and AMD's APM vol. 3, appendix E.
 */
#include "vmm/cpuid.h"

#include "base/math.h"

#include <string.h>

#define BIT(n) (1u << (n))

enum reg {
	EAX,
	EBX,
	ECX,
	EDX,
};

/* First and last leaf of ranges that the guest does not see. */
static const struct {
	uint32_t first, last;
} hidden[] = {
	{0x5, 0x5},               /* MONITOR/MWAIT: an idle vCPU must halt, not hold a core */
	{0xa, 0xa},               /* performance counters */
	{0xb, 0xb},               /* topology: made anew */
	{0xf, 0x10},              /* cache and bandwidth allocation */
	{0x12, 0x12},             /* SGX */
	{0x14, 0x18},             /* PT; host frequencies; deterministic TLB parameters */
	{0x1b, 0x1f},             /* PCONFIG, LBR, AMX, topology v2 */
	{0x23, 0x23},             /* performance counters v6 */
	{0x8000000a, 0x8000000a}, /* SVM */
	{0x8000001b, 0x8000001c}, /* IBS, LWP */
	{0x8000001f, 0x80000020}, /* SEV; bandwidth allocation */
	{0x80000022, 0x80000023}, /* performance counters; memory encryption keys */
};

static const struct {
	uint32_t function, index;
	enum reg reg;
	uint32_t clear;
} cleared[] = {
	/* DTES64, MONITOR, DS-CPL, VMX, SMX, EIST, TM2, CNXT-ID, SDBG, xTPR, PDCM, DCA; OSXSAVE
	 * follows the guest's CR4 */
	{1, 0, ECX,
	 BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(7) | BIT(8) | BIT(10) | BIT(11) |
		 BIT(14) | BIT(15) | BIT(18) | BIT(27)},
	/* DS, ACPI, HTT (set again where true), TM, PBE */
	{1, 0, EDX, BIT(21) | BIT(22) | BIT(28) | BIT(29) | BIT(31)},
	/* thermal and power: all but ARAT */
	{6, 0, EAX, ~BIT(2)},
	{6, 0, EBX, ~0u},
	{6, 0, ECX, ~0u},
	{6, 0, EDX, ~0u},
	/* SGX, HLE, RDT-M, RTM, RDT-A, PT */
	{7, 0, EBX, BIT(2) | BIT(4) | BIT(11) | BIT(12) | BIT(15) | BIT(25)},
	/* WAITPKG, TME, ENQCMD, SGX_LC, PKS */
	{7, 0, ECX, BIT(5) | BIT(13) | BIT(29) | BIT(30) | BIT(31)},
	/* hybrid, PCONFIG, LBR, AMX-BF16, AMX-TILE, AMX-INT8, CORE_CAPABILITIES */
	{7, 0, EDX, BIT(15) | BIT(18) | BIT(19) | BIT(22) | BIT(24) | BIT(25) | BIT(30)},
	/* AMX-FP16, LAM */
	{7, 1, EAX, BIT(21) | BIT(26)},
	/* XTILECFG, XTILEDATA */
	{0xd, 0, EAX, BIT(17) | BIT(18)},
	/* HC_MAP_GPA_RANGE, MIGRATION_CONTROL: for encrypted guests */
	{0x40000001, 0, EAX, BIT(16) | BIT(17)},
	/* SVM, IBS, SKINIT, WDT, LWP, NodeId, PerfCtr core, NB, LLC, MONITORX */
	{0x80000001, 0, ECX,
	 BIT(2) | BIT(10) | BIT(12) | BIT(13) | BIT(15) | BIT(19) | BIT(23) | BIT(24) | BIT(28) |
		 BIT(29)},
	/* power management: all but the invariant TSC */
	{0x80000007, 0, EAX, ~0u},
	{0x80000007, 0, EBX, ~0u},
	{0x80000007, 0, ECX, ~0u},
	{0x80000007, 0, EDX, ~BIT(8)},
};

static uint32_t *reg_of(struct kvm_cpuid_entry2 *e, enum reg reg)
{
	switch (reg) {
	case EAX:
		return &e->eax;
	case EBX:
		return &e->ebx;
	case ECX:
		return &e->ecx;
	default:
		return &e->edx;
	}
}

struct kvm_cpuid_entry2 *cpuid_find(struct cpuid_table *table, uint32_t function, uint32_t index)
{
	for (uint32_t i = 0; i < table->head.nent; i++)
		if (table->entries[i].function == function && table->entries[i].index == index)
			return &table->entries[i];
	return NULL;
}

static bool is_hidden(uint32_t function)
{
	for (size_t i = 0; i < RSM_ARRAY_SIZE(hidden); i++)
		if (function >= hidden[i].first && function <= hidden[i].last)
			return true;
	return false;
}

static void hide_leaves(struct cpuid_table *table)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < table->head.nent; i++)
		if (!is_hidden(table->entries[i].function))
			table->entries[kept++] = table->entries[i];
	table->head.nent = kept;
}

static void clear_bits(struct cpuid_table *table)
{
	for (size_t i = 0; i < RSM_ARRAY_SIZE(cleared); i++) {
		struct kvm_cpuid_entry2 *e =
			cpuid_find(table, cleared[i].function, cleared[i].index);

		if (e)
			*reg_of(e, cleared[i].reg) &= ~cleared[i].clear;
	}
}

/* Bits needed to number @n things. */
static unsigned id_bits(unsigned n)
{
	return n > 1 ? 32 - (unsigned)__builtin_clz(n - 1) : 0;
}

static void set_field(uint32_t *reg, unsigned low, unsigned width, uint32_t value)
{
	uint32_t mask = (uint32_t)((1ULL << width) - 1) << low;

	*reg = (*reg & ~mask) | ((value << low) & mask);
}

/* Leaves 4 and 0x8000001d: who shares a cache. The last level is everybody's, others are private.
 */
static void share_caches(struct cpuid_table *table, unsigned vcpus)
{
	for (uint32_t i = 0; i < table->head.nent; i++) {
		struct kvm_cpuid_entry2 *e = &table->entries[i];
		bool shared = (e->eax >> 5 & 7) >= 3;

		if ((e->function != 4 && e->function != 0x8000001d) || !(e->eax & 0x1f))
			continue;
		set_field(&e->eax, 14, 12, shared ? (1u << id_bits(vcpus)) - 1 : 0);
		if (e->function == 4)
			set_field(&e->eax, 26, 6, rsm_min(vcpus - 1, 63u));
	}
}

/* Extended topology: subleaf 0 threads, 1 cores, 2 ends the list. */
static void add_topology(struct cpuid_table *table, unsigned vcpus)
{
	const struct kvm_cpuid_entry2 levels[] = {
		{.function = 0xb, .index = 0, .eax = 0, .ebx = 1, .ecx = 1 << 8 | 0},
		{.function = 0xb,
		 .index = 1,
		 .eax = id_bits(vcpus),
		 .ebx = vcpus,
		 .ecx = 2 << 8 | 1},
		{.function = 0xb, .index = 2, .ecx = 2},
	};
	struct kvm_cpuid_entry2 *basic = cpuid_find(table, 0, 0);

	if (!basic || basic->eax < 0xb || table->head.nent + 3 > CPUID_ENTRIES_MAX)
		return;
	for (size_t i = 0; i < RSM_ARRAY_SIZE(levels); i++) {
		table->entries[table->head.nent] = levels[i];
		table->entries[table->head.nent++].flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
	}
}

/* Extended state (leaf 0xd) that belongs to a feature of another leaf, and goes with it. */
static const struct {
	uint32_t state; /* bits of XCR0 */
	uint32_t function;
	enum reg reg;
	unsigned bit;
} states[] = {
	{BIT(2), 1, ECX, 28},                   /* AVX */
	{BIT(3) | BIT(4), 7, EBX, 14},          /* MPX */
	{BIT(5) | BIT(6) | BIT(7), 7, EBX, 16}, /* AVX-512 */
	{BIT(9), 7, ECX, 3},                    /* PKU */
};

/* Bits of XCR0 that are fine to show: Linux finds it inconsistent if a state has no feature. */
static uint32_t usable_states(struct cpuid_table *table, uint32_t mask)
{
	for (size_t i = 0; i < RSM_ARRAY_SIZE(states); i++) {
		struct kvm_cpuid_entry2 *e = cpuid_find(table, states[i].function, 0);

		if (!e || !(*reg_of(e, states[i].reg) & BIT(states[i].bit)))
			mask &= ~states[i].state;
	}
	return mask;
}

static void trim_states(struct cpuid_table *table)
{
	struct kvm_cpuid_entry2 *main_leaf = cpuid_find(table, 0xd, 0);
	uint32_t mask, size = 576; /* legacy area and header */

	if (!main_leaf)
		return;
	mask = main_leaf->eax = usable_states(table, main_leaf->eax);
	for (uint32_t i = 0; i < table->head.nent; i++) {
		struct kvm_cpuid_entry2 *e = &table->entries[i];

		if (e->function != 0xd || e->index < 2 || e->index > 31)
			continue;
		if (e->ecx & 1) /* supervisor state: in XSS, not XCR0 */
			continue;
		if (mask & BIT(e->index))
			size = rsm_max(size, e->eax + e->ebx);
		else
			e->eax = e->ebx = e->ecx = e->edx = 0;
	}
	main_leaf->ecx = size;
}

void cpuid_filter(struct cpuid_table *table, const struct cpuid_policy *policy)
{
	struct kvm_cpuid_entry2 *e;

	hide_leaves(table);
	clear_bits(table);
	e = cpuid_find(table, 1, 0);
	if (e) {
		e->ecx |= BIT(31); /* a hypervisor is present */
		if (policy->tsc_deadline)
			e->ecx |= BIT(24);
		else
			e->ecx &= ~BIT(24);
		if (policy->vcpus > 1)
			e->edx |= BIT(28);
		set_field(&e->ebx, 16, 8, rsm_min(1u << id_bits(policy->vcpus), 255u));
	}
	e = cpuid_find(table, 0x80000008, 0);
	if (e) {
		set_field(&e->ecx, 0, 8, rsm_min(policy->vcpus - 1, 255u));
		set_field(&e->ecx, 12, 4, id_bits(policy->vcpus));
	}
	trim_states(table);
	share_caches(table, policy->vcpus);
	add_topology(table, policy->vcpus);
}

void cpuid_set_vcpu(struct cpuid_table *table, unsigned index)
{
	for (uint32_t i = 0; i < table->head.nent; i++) {
		struct kvm_cpuid_entry2 *e = &table->entries[i];

		switch (e->function) {
		case 1:
			set_field(&e->ebx, 24, 8, index);
			break;
		case 0xb:
			e->edx = index;
			break;
		case 0x8000001e: /* extended APIC id; core id, one thread per core; node 0 */
			e->eax = index;
			e->ebx = index & 0xff;
			e->ecx = 0;
			break;
		default:
			break;
		}
	}
}
