// SPDX-License-Identifier: Apache-2.0
/*
 * linux.resources.devices: what the compiled programs decide. They are run by the few instructions of
 * BPF that they are made of; that a kernel takes them is for spec-tests/devices.bats.
 */
#include "cmocka_all.h"

#include "base/math.h"
#include "runtime/device_filter.h"

#include <linux/bpf.h>
#include <string.h>
#include <sys/stat.h>

#define R OCI_DEVICE_READ
#define W OCI_DEVICE_WRITE
#define M OCI_DEVICE_MKNOD

static const struct bpf_insn *insns;
static size_t n_insns;
static bool reached[8192];

static bool step(uint64_t *r, const struct bpf_cgroup_dev_ctx *ctx, size_t *pc)
{
	const struct bpf_insn *i = &insns[*pc];

	assert_in_range(*pc, 0, n_insns - 1);
	reached[*pc] = true;
	(*pc)++;
	switch (i->code) {
	case BPF_LDX | BPF_MEM | BPF_W: {
		uint32_t word;

		assert_int_equal(i->src_reg, BPF_REG_1);
		memcpy(&word, (const char *)ctx + i->off, sizeof(word));
		r[i->dst_reg] = word;
		break;
	}
	case BPF_ALU64 | BPF_MOV | BPF_X:
		r[i->dst_reg] = r[i->src_reg];
		break;
	case BPF_ALU64 | BPF_MOV | BPF_K:
		r[i->dst_reg] = (uint64_t)(int64_t)i->imm;
		break;
	case BPF_ALU64 | BPF_RSH | BPF_K:
		r[i->dst_reg] >>= i->imm;
		break;
	case BPF_ALU64 | BPF_AND | BPF_K:
		r[i->dst_reg] &= (uint64_t)(int64_t)i->imm;
		break;
	case BPF_JMP | BPF_JNE | BPF_K:
		*pc += r[i->dst_reg] != (uint64_t)(int64_t)i->imm ? (size_t)i->off : 0;
		break;
	case BPF_JMP | BPF_JSET | BPF_K:
		*pc += r[i->dst_reg] & (uint64_t)(int64_t)i->imm ? (size_t)i->off : 0;
		break;
	case BPF_JMP | BPF_JA:
		*pc += (size_t)i->off;
		break;
	case BPF_JMP | BPF_EXIT:
		return false;
	default:
		fail_msg("instruction %zu: code %#x", *pc - 1, i->code);
	}
	return true;
}

static bool allows(uint32_t type, uint32_t major, uint32_t minor, uint32_t access)
{
	uint32_t wanted = (access & R ? BPF_DEVCG_ACC_READ : 0U) |
			  (access & W ? BPF_DEVCG_ACC_WRITE : 0U) |
			  (access & M ? BPF_DEVCG_ACC_MKNOD : 0U);
	const struct bpf_cgroup_dev_ctx ctx = {
		.access_type = wanted << 16 | (type == S_IFBLK ? BPF_DEVCG_DEV_BLOCK
							       : BPF_DEVCG_DEV_CHAR),
		.major = major,
		.minor = minor,
	};
	uint64_t r[MAX_BPF_REG] = {0};
	size_t pc = 0;

	while (step(r, &ctx, &pc))
		;
	return r[0] != 0;
}

static void compile(struct arena *a, const struct oci_device_rule *rules, size_t n)
{
	size_t len;
	void *text;

	assert_int_equal(device_filter_new(a, rules, n, &text, &len), 0);
	assert_int_equal(len % sizeof(struct bpf_insn), 0);
	insns = text;
	n_insns = len / sizeof(struct bpf_insn);
	memset(reached, 0, sizeof(reached));
}

static const struct oci_device_rule nothing = {false, 0, -1, -1, R | W | M};

static void without_rules_default_devices_alone_are_allowed(void **state)
{
	struct arena a = {0};

	compile(&a, NULL, 0);
	assert_true(allows(S_IFCHR, 1, 3, R | W));
	assert_true(allows(S_IFCHR, 136, 7, R | W));
	assert_true(allows(S_IFBLK, 8, 0, M));
	assert_true(allows(S_IFCHR, 10, 229, M));
	assert_false(allows(S_IFBLK, 8, 0, R));
	assert_false(allows(S_IFBLK, 1, 3, R));
	assert_false(allows(S_IFCHR, 10, 229, R | W));
	assert_false(allows(S_IFCHR, 1, 11, R | M));
	arena_free(&a);
}

static void last_rule_about_a_device_decides(void **state)
{
	static const struct oci_device_rule rules[] = {
		{true, 0, -1, -1, R | W | M},
		{false, S_IFCHR, 10, -1, R | W | M},
		{true, S_IFCHR, 10, 229, R | W},
		{false, S_IFCHR, 10, 229, W},
	};
	struct arena a = {0};

	compile(&a, rules, RSM_ARRAY_SIZE(rules));
	assert_true(allows(S_IFBLK, 8, 0, R | W));
	assert_false(allows(S_IFCHR, 10, 1, R));
	assert_true(allows(S_IFCHR, 10, 229, R));
	assert_false(allows(S_IFCHR, 10, 229, W));
	assert_false(allows(S_IFCHR, 10, 229, R | W));
	arena_free(&a);
}

static void accesses_may_come_from_several_rules(void **state)
{
	static const struct oci_device_rule rules[] = {
		nothing,
		{true, S_IFBLK, 8, 1, R},
		{true, S_IFBLK, 8, -1, W},
	};
	struct arena a = {0};

	compile(&a, rules, RSM_ARRAY_SIZE(rules));
	assert_true(allows(S_IFBLK, 8, 1, R | W));
	assert_true(allows(S_IFBLK, 8, 2, W));
	assert_false(allows(S_IFBLK, 8, 2, R | W));
	arena_free(&a);
}

/* What is in a container without asking cannot be taken away, as with runc. */
static void default_devices_stay_allowed(void **state)
{
	static const struct oci_device_rule rules[] = {nothing, {false, S_IFCHR, 1, 3, R | W}};
	struct arena a = {0};

	compile(&a, rules, RSM_ARRAY_SIZE(rules));
	assert_true(allows(S_IFCHR, 1, 3, R | W));
	assert_false(allows(S_IFCHR, 1, 11, R));
	arena_free(&a);
}

/* The verifier refuses a program with instructions that nothing leads to. */
static void nothing_follows_a_rule_about_everything(void **state)
{
	static const struct oci_device_rule rules[] = {
		{true, S_IFBLK, 8, 0, R}, {true, 0, -1, -1, R | W | M}, {false, S_IFBLK, 8, 0, W}};
	struct arena a = {0};

	compile(&a, rules, RSM_ARRAY_SIZE(rules));
	for (uint32_t access = 0; access < 8; access++)
		for (uint32_t major = 0; major < 140; major++)
			for (uint32_t minor = 0; minor < 256; minor++) {
				(void)allows(S_IFCHR, major, minor, access);
				(void)allows(S_IFBLK, major, minor, access);
			}
	for (size_t i = 0; i < n_insns; i++)
		if (!reached[i])
			fail_msg("instruction %zu of %zu is never reached", i, n_insns);
	assert_true(allows(S_IFBLK, 8, 0, R));
	assert_false(allows(S_IFBLK, 8, 0, W));
	arena_free(&a);
}

static void largest_program_has_room(void **state)
{
	static struct oci_device_rule rules[OCI_DEVICE_RULES_MAX];
	struct arena a = {0};

	for (size_t i = 0; i < RSM_ARRAY_SIZE(rules); i++)
		rules[i] = (struct oci_device_rule){i % 2 == 0, S_IFBLK, (int32_t)i, INT32_MAX, R};
	compile(&a, rules, RSM_ARRAY_SIZE(rules));
	assert_in_range(n_insns, RSM_ARRAY_SIZE(rules), RSM_ARRAY_SIZE(reached));
	assert_true(allows(S_IFBLK, 0, INT32_MAX, R));
	assert_false(allows(S_IFBLK, 1, INT32_MAX, R));
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_rules_default_devices_alone_are_allowed),
		cmocka_unit_test(last_rule_about_a_device_decides),
		cmocka_unit_test(accesses_may_come_from_several_rules),
		cmocka_unit_test(default_devices_stay_allowed),
		cmocka_unit_test(nothing_follows_a_rule_about_everything),
		cmocka_unit_test(largest_program_has_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
