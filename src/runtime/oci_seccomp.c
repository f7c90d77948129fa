// SPDX-License-Identifier: Apache-2.0
/*
 * linux.seccomp of config.json (config-linux.md, Seccomp), compiled on the host.
 *
 * libseccomp turns the rules into BPF here, so that the guest's agent needs no compiler: it loads
 * the bytes as they are. As runc does, system calls that this libseccomp does not know are skipped
 * (profiles name calls of newer kernels), conditions on one argument given twice become
 * alternatives, and calls newer than the profile are answered by ENOSYS (oci_seccomp_enosys.c).
 */
#include "runtime/oci_parse.h"

#include "base/io.h"
#include "runtime/oci_seccomp.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>

#define ARGS_MAX 6
#define NO_AGENT "there is no seccomp agent inside the guest to ask"

RSM_DEFINE_CLEANUP(scmp_filter_ctx, seccomp_release, NULL);

struct arg {
	uint32_t index;
	uint32_t op; /* enum scmp_compare */
	uint64_t value, value_two;
};

struct rule {
	struct oci_strv names;
	const char *action;
	uint32_t errno_ret;
	bool has_errno;
	struct arg *args;
	size_t n_args;
};

struct profile {
	const char *default_action;
	uint32_t default_errno;
	bool has_default_errno;
	struct oci_strv architectures;
	uint32_t flags;
	struct rule *rules;
	size_t n_rules;
};

static const struct {
	const char *name;
	uint32_t action;
	bool takes_errno;
} actions[] = {
	{"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW, false},
	{"SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0), true},
	{"SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD, false},
	{"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS, false},
	{"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD, false},
	{"SCMP_ACT_LOG", SCMP_ACT_LOG, false},
	{"SCMP_ACT_TRACE", SCMP_ACT_TRACE(0), true},
	{"SCMP_ACT_TRAP", SCMP_ACT_TRAP, false},
};

static const struct {
	const char *name;
	uint32_t op;
} operators[] = {
	{"SCMP_CMP_EQ", SCMP_CMP_EQ}, {"SCMP_CMP_GE", SCMP_CMP_GE},
	{"SCMP_CMP_GT", SCMP_CMP_GT}, {"SCMP_CMP_LE", SCMP_CMP_LE},
	{"SCMP_CMP_LT", SCMP_CMP_LT}, {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ},
	{"SCMP_CMP_NE", SCMP_CMP_NE},
};

static const struct {
	const char *name;
	uint32_t flag;
} flags[] = {
	{"SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC},
	{"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
	{"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
};

/*
 * Architectures a program can have in the guest. The rules for the others, which profiles for many
 * machines name, would never be used there.
 */
static const struct {
	const char *name;
	uint32_t arch; /* 0: of another machine */
} architectures[] = {
	{"SCMP_ARCH_X86_64", SCMP_ARCH_X86_64},
	{"SCMP_ARCH_X86", SCMP_ARCH_X86},
	{"SCMP_ARCH_X32", SCMP_ARCH_X32},
	{"SCMP_ARCH_AARCH64", 0},
	{"SCMP_ARCH_ARM", 0},
	{"SCMP_ARCH_LOONGARCH64", 0},
	{"SCMP_ARCH_M68K", 0},
	{"SCMP_ARCH_MIPS", 0},
	{"SCMP_ARCH_MIPS64", 0},
	{"SCMP_ARCH_MIPS64N32", 0},
	{"SCMP_ARCH_MIPSEL", 0},
	{"SCMP_ARCH_MIPSEL64", 0},
	{"SCMP_ARCH_MIPSEL64N32", 0},
	{"SCMP_ARCH_PARISC", 0},
	{"SCMP_ARCH_PARISC64", 0},
	{"SCMP_ARCH_PPC", 0},
	{"SCMP_ARCH_PPC64", 0},
	{"SCMP_ARCH_PPC64LE", 0},
	{"SCMP_ARCH_RISCV64", 0},
	{"SCMP_ARCH_S390", 0},
	{"SCMP_ARCH_S390X", 0},
	{"SCMP_ARCH_SH", 0},
	{"SCMP_ARCH_SHEB", 0},
};

const char *oci_seccomp_action_name(size_t i)
{
	return i < RSM_ARRAY_SIZE(actions) ? actions[i].name : NULL;
}

const char *oci_seccomp_operator_name(size_t i)
{
	return i < RSM_ARRAY_SIZE(operators) ? operators[i].name : NULL;
}

const char *oci_seccomp_arch_name(size_t i)
{
	return i < RSM_ARRAY_SIZE(architectures) ? architectures[i].name : NULL;
}

const char *oci_seccomp_flag_name(size_t i)
{
	return i < RSM_ARRAY_SIZE(flags) ? flags[i].name : NULL;
}

/* ---- taking it apart */

static int take_op(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	const char *name = rsm_json_string(v);

	for (size_t i = 0; i < RSM_ARRAY_SIZE(operators); i++) {
		if (strcmp(operators[i].name, name) == 0) {
			*(uint32_t *)to = operators[i].op;
			return 0;
		}
	}
	return oci_fail(p, EINVAL, "unknown operator '%s'", name);
}

static int take_index(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	int ret = oci_take_u32(p, v, to);

	if (ret == 0 && *(uint32_t *)to >= ARGS_MAX)
		return oci_fail(p, EINVAL, "a system call has %d arguments", ARGS_MAX);
	return ret;
}

#define AT(member) offsetof(struct arg, member)
static const struct oci_field arg_fields[] = {
	OCI_FIELD("index", NUMBER, take_index, AT(index)),
	OCI_FIELD("value", NUMBER, oci_take_u64, AT(value)),
	OCI_FIELD("valueTwo", NUMBER, oci_take_u64, AT(value_two)),
	OCI_FIELD("op", STRING, take_op, AT(op)),
};
#undef AT

static int take_arg(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	struct arg *a = to;
	int ret = oci_take_object(p, v, arg_fields, RSM_ARRAY_SIZE(arg_fields), a);

	if (ret == 0 && (!oci_require(p, v, "index") || !oci_require(p, v, "value") ||
			 !oci_require(p, v, "op")))
		return -EINVAL;
	return ret;
}

static int take_args(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	struct rule *r = to;
	void *items = NULL;
	int ret = oci_take_array(p, v, RSM_JSON_OBJECT, sizeof(struct arg), take_arg, &items,
				 &r->n_args);

	r->args = items;
	return ret;
}

static int take_errno(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	int ret = oci_take_u32(p, v, to);

	/* The low 16 bits of a filter's answer carry it; Linux knows none above 4095. */
	if (ret == 0 && *(uint32_t *)to > 4095)
		return oci_fail(p, EINVAL, "%u is not an error number", *(uint32_t *)to);
	return ret;
}

static int take_rule_errno(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	struct rule *r = to;

	r->has_errno = true;
	return take_errno(p, v, &r->errno_ret);
}

static int take_default_errno(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	struct profile *profile = to;

	profile->has_default_errno = true;
	return take_errno(p, v, &profile->default_errno);
}

#define AT(member) offsetof(struct rule, member)
static const struct oci_field rule_fields[] = {
	OCI_FIELD("names", ARRAY, oci_take_strv, AT(names)),
	OCI_FIELD("action", STRING, oci_take_string, AT(action)),
	OCI_FIELD("errnoRet", NUMBER, take_rule_errno, 0),
	OCI_FIELD("args", ARRAY, take_args, 0),
};
#undef AT

static int take_rule(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	struct rule *r = to;
	int ret = oci_take_object(p, v, rule_fields, RSM_ARRAY_SIZE(rule_fields), r);

	if (ret == 0 && (!oci_require(p, v, "names") || !oci_require(p, v, "action")))
		return -EINVAL;
	if (ret < 0)
		return ret;
	(void)oci_enter(p, "names");
	if (r->names.n == 0)
		return oci_fail(p, EINVAL, "must not be empty");
	for (size_t i = 0; i < r->names.n; i++) {
		if (r->names.v[i][0] == '\0') {
			(void)oci_enter_index(p, i);
			return oci_fail(p, EINVAL, "must not be empty");
		}
	}
	return 0;
}

static int take_rules(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	struct profile *profile = to;
	void *items = NULL;
	int ret = oci_take_array(p, v, RSM_JSON_OBJECT, sizeof(struct rule), take_rule, &items,
				 &profile->n_rules);

	profile->rules = items;
	return ret;
}

static int take_flags(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	struct oci_strv names = {0};
	int ret = oci_take_strv(p, v, &names);

	for (size_t i = 0; ret == 0 && i < names.n; i++) {
		size_t k = 0;

		while (k < RSM_ARRAY_SIZE(flags) && strcmp(flags[k].name, names.v[i]) != 0)
			k++;
		if (k == RSM_ARRAY_SIZE(flags)) {
			(void)oci_enter_index(p, i);
			if (strcmp(names.v[i], "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV") == 0)
				return oci_fail(p, EOPNOTSUPP, "%s: " NO_AGENT, names.v[i]);
			return oci_fail(p, EINVAL, "unknown flag '%s'", names.v[i]);
		}
		*(uint32_t *)to |= flags[k].flag;
	}
	return ret;
}

#define AT(member) offsetof(struct profile, member)
static const struct oci_field profile_fields[] = {
	OCI_FIELD("defaultAction", STRING, oci_take_string, AT(default_action)),
	OCI_FIELD("defaultErrnoRet", NUMBER, take_default_errno, 0),
	OCI_FIELD("architectures", ARRAY, oci_take_strv, AT(architectures)),
	OCI_FIELD("flags", ARRAY, take_flags, AT(flags)),
	OCI_REFUSE("listenerPath", STRING, NO_AGENT),
	OCI_REFUSE("listenerMetadata", STRING, NO_AGENT),
	OCI_FIELD("syscalls", ARRAY, take_rules, 0),
};
#undef AT

/* ---- compiling */

static int resolve_action(struct oci_parser *p, const char *name, bool has_errno, uint32_t error,
			  uint32_t *ret)
{
	for (size_t i = 0; i < RSM_ARRAY_SIZE(actions); i++) {
		if (strcmp(actions[i].name, name) != 0)
			continue;
		*ret = actions[i].action;
		if (actions[i].takes_errno)
			*ret |= has_errno ? error : EPERM;
		else if (has_errno && error)
			return oci_fail(p, EINVAL, "%s returns no error number", name);
		return 0;
	}
	if (strcmp(name, "SCMP_ACT_NOTIFY") == 0)
		return oci_fail(
			p, EOPNOTSUPP,
			"SCMP_ACT_NOTIFY: " NO_AGENT);
	return oci_fail(p, EINVAL, "unknown action '%s'", name);
}

/* All conditions must hold; but those on one argument given twice are alternatives. */
static int add_rule(scmp_filter_ctx ctx, uint32_t action, int nr, const struct rule *r)
{
	struct scmp_arg_cmp cmp[ARGS_MAX];
	bool alternatives = r->n_args > ARGS_MAX;
	unsigned seen = 0;

	for (size_t i = 0; i < r->n_args; i++) {
		if (seen & 1U << r->args[i].index)
			alternatives = true;
		seen |= 1U << r->args[i].index;
	}
	for (size_t i = 0; i < r->n_args; i++) {
		const struct arg *a = &r->args[i];
		struct scmp_arg_cmp *c = alternatives ? &cmp[0] : &cmp[i];
		int ret;

		*c = (struct scmp_arg_cmp){.arg = a->index,
					   .op = (enum scmp_compare)a->op,
					   .datum_a = a->value,
					   .datum_b = a->value_two};
		if (!alternatives)
			continue;
		ret = seccomp_rule_add_array(ctx, action, nr, 1, cmp);
		if (ret < 0)
			return ret;
	}
	if (alternatives)
		return 0;
	return seccomp_rule_add_array(ctx, action, nr, (unsigned)r->n_args, cmp);
}

static int add_rules(struct oci_parser *p, scmp_filter_ctx ctx, const struct profile *profile,
		     uint32_t default_action)
{
	size_t top = oci_enter(p, "syscalls");

	for (size_t i = 0; i < profile->n_rules; i++) {
		const struct rule *r = &profile->rules[i];
		size_t mark = oci_enter_index(p, i);
		uint32_t action;
		size_t at = oci_enter(p, "action");
		int ret = resolve_action(p, r->action, r->has_errno, r->errno_ret, &action);

		if (ret < 0)
			return ret;
		oci_leave(p, at);
		for (size_t k = 0; action != default_action && k < r->names.n; k++) {
			int nr = seccomp_syscall_resolve_name(r->names.v[k]);

			if (nr == __NR_SCMP_ERROR)
				continue;
			ret = add_rule(ctx, action, nr, r);
			if (ret < 0)
				return oci_fail(p, -ret, "rule for %s: %s", r->names.v[k],
						strerror(-ret));
		}
		oci_leave(p, mark);
	}
	oci_leave(p, top);
	return 0;
}

static int add_architecture(struct oci_parser *p, scmp_filter_ctx ctx, const char *name)
{
	for (size_t i = 0; i < RSM_ARRAY_SIZE(architectures); i++) {
		int ret;

		if (strcmp(architectures[i].name, name) != 0)
			continue;
		ret = architectures[i].arch ? seccomp_arch_add(ctx, architectures[i].arch) : 0;
		if (ret < 0 && ret != -EEXIST)
			return oci_fail(p, -ret, "%s: %s", name, strerror(-ret));
		return 0;
	}
	return oci_fail(p, EINVAL, "unknown architecture '%s'", name);
}

static int add_architectures(struct oci_parser *p, scmp_filter_ctx ctx,
			     const struct oci_strv *names)
{
	size_t top = oci_enter(p, "architectures");

	for (size_t i = 0; i < names->n; i++) {
		size_t mark = oci_enter_index(p, i);
		int ret = add_architecture(p, ctx, names->v[i]);

		if (ret < 0)
			return ret;
		oci_leave(p, mark);
	}
	oci_leave(p, top);
	return 0;
}

/* Does the profile deny what it does not name? A tracer is asked, and knows for itself. */
static bool denies(uint32_t action)
{
	return action != SCMP_ACT_ALLOW && action != SCMP_ACT_LOG &&
	       (action & SECCOMP_RET_ACTION_FULL) != SECCOMP_RET_TRACE;
}

static bool has_architecture(const struct profile *profile, const char *name)
{
	for (size_t i = 0; i < profile->architectures.n; i++)
		if (strcmp(profile->architectures.v[i], name) == 0)
			return true;
	return false;
}

static size_t make_stub(const struct profile *profile, struct sock_filter *to)
{
	struct seccomp_last last = {0};

	for (size_t i = 0; i < profile->n_rules; i++)
		for (size_t k = 0; k < profile->rules[i].names.n; k++)
			seccomp_last_name(&last, profile->rules[i].names.v[k]);
	return seccomp_enosys(&last, has_architecture(profile, "SCMP_ARCH_X32"),
			      has_architecture(profile, "SCMP_ARCH_X86"), to);
}

/* The compiled rules, behind @n instructions of @stub */
static int export_filter(struct oci_parser *p, scmp_filter_ctx ctx, const struct sock_filter *stub,
			 size_t n, struct oci_seccomp *ret)
{
	const size_t before = n * sizeof(*stub);
	_cleanup_close_ int fd = memfd_create("seccomp", MFD_CLOEXEC);
	off_t len;
	int r;

	if (fd < 0)
		return oci_fail(p, errno, "create a memfd: %s", strerror(errno));
	r = seccomp_export_bpf(ctx, fd);
	if (r < 0)
		return oci_fail(p, -r, "compile: %s", strerror(-r));
	len = lseek(fd, 0, SEEK_END);
	if (len <= 0 || (size_t)len + before > BPF_MAXINSNS * sizeof(struct sock_filter))
		return oci_fail(p, E2BIG, "the compiled filter has more than %d instructions",
				BPF_MAXINSNS);
	ret->len = before + (size_t)len;
	ret->filter = oci_alloc(p, ret->len, 1);
	if (!ret->filter)
		return -ENOMEM;
	memcpy(ret->filter, stub, before);
	if (pread(fd, (char *)ret->filter + before, (size_t)len, 0) != len)
		return oci_fail(p, EIO, "read the compiled filter");
	return 0;
}

int oci_take_seccomp(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	_cleanup_(seccomp_releasep) scmp_filter_ctx ctx = NULL;
	struct oci_seccomp *seccomp = to;
	struct sock_filter stub[SECCOMP_ENOSYS_LEN];
	struct profile profile = {0};
	uint32_t default_action = 0;
	int ret;

	if (oci_is_unset(v))
		return 0;
	ret = oci_take_object(p, v, profile_fields, RSM_ARRAY_SIZE(profile_fields), &profile);
	if (ret < 0)
		return ret;
	if (!oci_require(p, v, "defaultAction"))
		return -EINVAL;
	{
		size_t mark = oci_enter(p, "defaultAction");

		ret = resolve_action(p, profile.default_action, profile.has_default_errno,
				     profile.default_errno, &default_action);
		if (ret < 0)
			return ret;
		oci_leave(p, mark);
	}
	ctx = seccomp_init(default_action);
	if (!ctx)
		return oci_fail(p, ENOMEM, "initialise libseccomp");
	/* no_new_privs is the agent's to set, or not, as process.noNewPrivileges says. */
	(void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_NNP, 0);
	ret = add_architectures(p, ctx, &profile.architectures);
	if (ret == 0)
		ret = add_rules(p, ctx, &profile, default_action);
	if (ret == 0)
		ret = export_filter(p, ctx, stub,
				    denies(default_action) ? make_stub(&profile, stub) : 0, seccomp);
	seccomp->flags = profile.flags;
	return ret;
}
