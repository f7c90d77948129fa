/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest is told about its CPU. The policy is written in docs/cpuid.md. */
#ifndef RSM_VMM_CPUID_H
#define RSM_VMM_CPUID_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

#define CPUID_ENTRIES_MAX 256

/**
 * struct cpuid_table - A kvm_cpuid2 with room
 */
struct cpuid_table {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 entries[CPUID_ENTRIES_MAX];
};

/**
 * struct cpuid_policy - What the table is shaped for
 * @vcpus:	of the VM: one package, that many cores of one thread
 * @tsc_deadline: KVM has KVM_CAP_TSC_DEADLINE_TIMER
 */
struct cpuid_policy {
	unsigned vcpus;
	bool tsc_deadline;
};

/* Turn what KVM supports into what every vCPU of the guest sees. */
void cpuid_filter(struct cpuid_table *table, const struct cpuid_policy *policy);

/* The fields that differ from vCPU to vCPU. */
void cpuid_set_vcpu(struct cpuid_table *table, unsigned index);

/* NULL if there is no such leaf. */
struct kvm_cpuid_entry2 *cpuid_find(struct cpuid_table *table, uint32_t function, uint32_t index);

#endif
