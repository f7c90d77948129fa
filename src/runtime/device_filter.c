// SPDX-License-Identifier: Apache-2.0
/*
 * The program looks at the rules from the last to the first, and keeps in R3 which of the wanted
 * accesses no rule has spoken about yet:
 *
 *	R2 = type, R3 = wanted, R4 = major, R5 = minor
 *	for each rule: if it is about the device
 *		allow:	R3 &= ~access; if R3 is 0: return 1
 *		deny:	if R3 & access: return 0
 *	return 0
 *
 * A rule about everything ends it: the verifier refuses instructions that are never reached.
 */
#include "runtime/device_filter.h"

#include "base/math.h"

#include <assert.h>
#include <linux/bpf.h>
#include <sys/stat.h>

#define ALL_ACCESS (BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE)
#define RWM	   (OCI_DEVICE_READ | OCI_DEVICE_WRITE | OCI_DEVICE_MKNOD)

/* A rule at most, and what is before and after all of them */
#define INSNS_OF_RULE 7
#define INSNS_BESIDE  8

static_assert(sizeof(struct bpf_insn) == 8, "struct bpf_insn");

/* As runc: every node can be made; these can be opened. */
static const struct oci_device_rule always[] = {
	{true, S_IFCHR, -1, -1, OCI_DEVICE_MKNOD},
	{true, S_IFBLK, -1, -1, OCI_DEVICE_MKNOD},
	{true, S_IFCHR, 1, 3, RWM},    /* null */
	{true, S_IFCHR, 1, 5, RWM},    /* zero */
	{true, S_IFCHR, 1, 7, RWM},    /* full */
	{true, S_IFCHR, 1, 8, RWM},    /* random */
	{true, S_IFCHR, 1, 9, RWM},    /* urandom */
	{true, S_IFCHR, 5, 0, RWM},    /* tty */
	{true, S_IFCHR, 5, 1, RWM},    /* console */
	{true, S_IFCHR, 5, 2, RWM},    /* ptmx */
	{true, S_IFCHR, 136, -1, RWM}, /* pts */
	{true, S_IFCHR, 10, 200, RWM}, /* net/tun */
};

struct program {
	struct bpf_insn *insns;
	size_t n;
	bool complete;
};

static void emit(struct program *p, uint8_t code, uint8_t dst, uint8_t src, int16_t off, int32_t imm)
{
	p->insns[p->n++] = (struct bpf_insn){
		.code = code, .dst_reg = dst & 15, .src_reg = src & 15, .off = off, .imm = imm};
}

static void load_word(struct program *p, uint8_t dst, size_t offset)
{
	emit(p, BPF_LDX | BPF_MEM | BPF_W, dst, BPF_REG_1, (int16_t)offset, 0);
}

static void emit_return(struct program *p, bool allow)
{
	emit(p, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, allow);
	emit(p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

static void emit_begin(struct program *p)
{
	load_word(p, BPF_REG_2, offsetof(struct bpf_cgroup_dev_ctx, access_type));
	emit(p, BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_3, BPF_REG_2, 0, 0);
	emit(p, BPF_ALU64 | BPF_RSH | BPF_K, BPF_REG_3, 0, 0, 16);
	emit(p, BPF_ALU64 | BPF_AND | BPF_K, BPF_REG_2, 0, 0, 0xffff);
	load_word(p, BPF_REG_4, offsetof(struct bpf_cgroup_dev_ctx, major));
	load_word(p, BPF_REG_5, offsetof(struct bpf_cgroup_dev_ctx, minor));
}

static int32_t access_bits(uint32_t access)
{
	return (int32_t)((access & OCI_DEVICE_READ ? BPF_DEVCG_ACC_READ : 0U) |
			 (access & OCI_DEVICE_WRITE ? BPF_DEVCG_ACC_WRITE : 0U) |
			 (access & OCI_DEVICE_MKNOD ? BPF_DEVCG_ACC_MKNOD : 0U));
}

static int32_t device_type(uint32_t type)
{
	return type == S_IFBLK ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR;
}

/* A jump out of the rule if @reg is not @value: where it goes is filled in at its end. */
static void leave_unless(struct program *p, uint8_t reg, int32_t value, size_t *jumps, size_t *n)
{
	jumps[(*n)++] = p->n;
	emit(p, BPF_JMP | BPF_JNE | BPF_K, reg, 0, 0, value);
}

static void emit_rule(struct program *p, const struct oci_device_rule *r)
{
	int32_t access = access_bits(r->access);
	size_t jumps[3], njumps = 0;

	if (r->type)
		leave_unless(p, BPF_REG_2, device_type(r->type), jumps, &njumps);
	if (r->major >= 0)
		leave_unless(p, BPF_REG_4, r->major, jumps, &njumps);
	if (r->minor >= 0)
		leave_unless(p, BPF_REG_5, r->minor, jumps, &njumps);
	p->complete = njumps == 0 && access == ALL_ACCESS;
	if (!p->complete && r->allow) {
		emit(p, BPF_ALU64 | BPF_AND | BPF_K, BPF_REG_3, 0, 0, ~access);
		emit(p, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_3, 0, 2, 0);
	} else if (!p->complete) {
		/* JSET jumps over the jump that leaves the rule */
		emit(p, BPF_JMP | BPF_JSET | BPF_K, BPF_REG_3, 0, 1, access);
		emit(p, BPF_JMP | BPF_JA, 0, 0, 2, 0);
	}
	emit_return(p, r->allow);
	for (size_t i = 0; i < njumps; i++)
		p->insns[jumps[i]].off = (int16_t)(p->n - jumps[i] - 1);
}

int device_filter_new(struct arena *arena, const struct oci_device_rule *rules, size_t n,
		      void **ret, size_t *ret_len)
{
	struct program p = {0};
	size_t count = n + RSM_ARRAY_SIZE(always);

	rsm_assert(n <= OCI_DEVICE_RULES_MAX);
	p.insns = arena_alloc(arena, count * INSNS_OF_RULE + INSNS_BESIDE, sizeof(*p.insns));
	if (!p.insns)
		return -ENOMEM;
	emit_begin(&p);
	for (size_t i = RSM_ARRAY_SIZE(always); i > 0; i--)
		emit_rule(&p, &always[i - 1]);
	for (size_t i = n; i > 0 && !p.complete; i--)
		emit_rule(&p, &rules[i - 1]);
	if (!p.complete)
		emit_return(&p, false);
	*ret = p.insns;
	*ret_len = p.n * sizeof(*p.insns);
	return 0;
}
