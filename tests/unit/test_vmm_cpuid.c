// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpuid.h"

#include "cmocka_all.h"

#include <stdlib.h>
#include <string.h>

static void add(struct cpuid_table *t, uint32_t function, uint32_t index, uint32_t value)
{
	t->entries[t->head.nent++] = (struct kvm_cpuid_entry2){
		.function = function,
		.index = index,
		.eax = value,
		.ebx = value,
		.ecx = value,
		.edx = value,
	};
}

/* A host that has everything. */
static void make_host(struct cpuid_table *t)
{
	static const uint32_t leaves[] = {
		1,          5,          6,          0xa,        0xb,        0xf,
		0x10,       0x12,       0x14,       0x15,       0x16,       0x1d,
		0x1f,       0x40000000, 0x40000001, 0x80000001, 0x80000007, 0x80000008,
		0x8000000a, 0x8000001b, 0x8000001e, 0x8000001f};

	memset(t, 0, sizeof(*t));
	add(t, 0, 0, 0x20);
	for (size_t i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++)
		add(t, leaves[i], 0, ~0u);
	add(t, 7, 0, ~0u);
	add(t, 7, 1, ~0u);
	add(t, 0xd, 0, ~0u);
	add(t, 4, 0, 0x21 | ~0u << 14); /* level 1 */
	add(t, 4, 3, 0x63 | ~0u << 14); /* level 3 */
	add(t, 4, 4, 0);
}

static void nested_virtualisation_and_counters_are_not_shown(void **state)
{
	static const uint32_t gone[] = {5,    0xa,  0xf,  0x10,       0x12,       0x14,      0x15,
					0x16, 0x1d, 0x1f, 0x8000000a, 0x8000001b, 0x8000001f};
	struct cpuid_policy policy = {.vcpus = 1, .tsc_deadline = true};
	struct cpuid_table t;

	make_host(&t);
	cpuid_filter(&t, &policy);
	for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++)
		assert_null(cpuid_find(&t, gone[i], 0));
	assert_false(cpuid_find(&t, 1, 0)->ecx & 1u << 5);          /* VMX */
	assert_false(cpuid_find(&t, 1, 0)->ecx & 1u << 3);          /* MONITOR */
	assert_false(cpuid_find(&t, 0x80000001, 0)->ecx & 1u << 2); /* SVM */
	assert_false(cpuid_find(&t, 7, 0)->ebx & 1u << 2);          /* SGX */
	assert_int_equal(cpuid_find(&t, 6, 0)->eax, 1u << 2);
	assert_int_equal(cpuid_find(&t, 0x80000007, 0)->edx, 1u << 8);
	assert_false(cpuid_find(&t, 0xd, 0)->eax & 3u << 17); /* AMX state */
}

static void hypervisor_and_tsc_deadline_are_shown(void **state)
{
	struct cpuid_policy policy = {.vcpus = 1, .tsc_deadline = true};
	struct cpuid_table t;

	memset(&t, 0, sizeof(t));
	add(&t, 1, 0, 0);
	cpuid_filter(&t, &policy);
	assert_int_equal(cpuid_find(&t, 1, 0)->ecx, 1u << 31 | 1u << 24);
	policy.tsc_deadline = false;
	cpuid_filter(&t, &policy);
	assert_int_equal(cpuid_find(&t, 1, 0)->ecx, 1u << 31);
}

static void topology_is_one_package_of_single_threaded_cores(void **state)
{
	struct cpuid_policy policy = {.vcpus = 6};
	struct cpuid_table t;

	make_host(&t);
	cpuid_filter(&t, &policy);
	assert_true(cpuid_find(&t, 1, 0)->edx & 1u << 28);
	assert_int_equal(cpuid_find(&t, 1, 0)->ebx >> 16 & 0xff, 8);
	assert_int_equal(cpuid_find(&t, 0xb, 0)->ebx, 1);
	assert_int_equal(cpuid_find(&t, 0xb, 1)->eax, 3);
	assert_int_equal(cpuid_find(&t, 0xb, 1)->ebx, 6);
	assert_int_equal(cpuid_find(&t, 4, 0)->eax, 0x21 | 5u << 26);
	assert_int_equal(cpuid_find(&t, 4, 3)->eax, 0x63 | 7u << 14 | 5u << 26);
	assert_int_equal(cpuid_find(&t, 4, 4)->eax, 0);
	assert_int_equal(cpuid_find(&t, 0x80000008, 0)->ecx & 0xf0ff, 3u << 12 | 5);
}

static void single_vcpu_has_no_hyperthreading_flag(void **state)
{
	struct cpuid_policy policy = {.vcpus = 1};
	struct cpuid_table t;

	make_host(&t);
	cpuid_filter(&t, &policy);
	assert_false(cpuid_find(&t, 1, 0)->edx & 1u << 28);
	assert_int_equal(cpuid_find(&t, 0xb, 1)->eax, 0);
	assert_int_equal(cpuid_find(&t, 0xb, 1)->ebx, 1);
}

static void every_vcpu_has_its_apic_id(void **state)
{
	struct cpuid_policy policy = {.vcpus = 4};
	struct cpuid_table t;

	make_host(&t);
	cpuid_filter(&t, &policy);
	for (unsigned i = 0; i < 4; i++) {
		cpuid_set_vcpu(&t, i);
		assert_int_equal(cpuid_find(&t, 1, 0)->ebx >> 24, i);
		for (unsigned level = 0; level < 3; level++)
			assert_int_equal(cpuid_find(&t, 0xb, level)->edx, i);
		assert_int_equal(cpuid_find(&t, 0x8000001e, 0)->eax, i);
	}
}

static void extended_state_goes_with_its_feature(void **state)
{
	struct cpuid_policy policy = {.vcpus = 1};
	struct cpuid_table t;
	struct kvm_cpuid_entry2 *e;

	memset(&t, 0, sizeof(t));
	add(&t, 1, 0, 1u << 28); /* AVX, no PKU in leaf 7 */
	add(&t, 7, 0, 0);
	add(&t, 0xd, 0, 0x207);
	add(&t, 0xd, 2, 0);
	add(&t, 0xd, 9, 0);
	e = cpuid_find(&t, 0xd, 2);
	e->eax = 256;
	e->ebx = 576;
	e = cpuid_find(&t, 0xd, 9);
	e->eax = 8;
	e->ebx = 2688;
	cpuid_filter(&t, &policy);
	assert_int_equal(cpuid_find(&t, 0xd, 0)->eax, 7);
	assert_int_equal(cpuid_find(&t, 0xd, 0)->ecx, 576 + 256);
	assert_int_equal(cpuid_find(&t, 0xd, 2)->eax, 256);
	assert_int_equal(cpuid_find(&t, 0xd, 9)->eax, 0);
}

static void full_table_is_not_overrun(void **state)
{
	struct cpuid_policy policy = {.vcpus = 2};
	struct cpuid_table *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	add(t, 0, 0, 0x20);
	while (t->head.nent < CPUID_ENTRIES_MAX)
		add(t, 0x40000100 + t->head.nent, 0, 0);
	cpuid_filter(t, &policy);
	assert_int_equal(t->head.nent, CPUID_ENTRIES_MAX);
	free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nested_virtualisation_and_counters_are_not_shown),
		cmocka_unit_test(hypervisor_and_tsc_deadline_are_shown),
		cmocka_unit_test(topology_is_one_package_of_single_threaded_cores),
		cmocka_unit_test(single_vcpu_has_no_hyperthreading_flag),
		cmocka_unit_test(every_vcpu_has_its_apic_id),
		cmocka_unit_test(extended_state_goes_with_its_feature),
		cmocka_unit_test(full_table_is_not_overrun),
	};

	return cmocka_run_group_tests_name("vmm/cpuid", tests, NULL, NULL);
}
