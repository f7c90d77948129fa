// SPDX-License-Identifier: Apache-2.0
/* process of config.json, which is also what `exec --process` reads (config.md, Process). */
#include "runtime/oci_parse.h"

#include <assert.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>

#define EXEC_STRING_MAX (32 * 4096) /* MAX_ARG_STRLEN, the NUL included */

static const char *const cap_names[] = {
	"CAP_CHOWN",
	"CAP_DAC_OVERRIDE",
	"CAP_DAC_READ_SEARCH",
	"CAP_FOWNER",
	"CAP_FSETID",
	"CAP_KILL",
	"CAP_SETGID",
	"CAP_SETUID",
	"CAP_SETPCAP",
	"CAP_LINUX_IMMUTABLE",
	"CAP_NET_BIND_SERVICE",
	"CAP_NET_BROADCAST",
	"CAP_NET_ADMIN",
	"CAP_NET_RAW",
	"CAP_IPC_LOCK",
	"CAP_IPC_OWNER",
	"CAP_SYS_MODULE",
	"CAP_SYS_RAWIO",
	"CAP_SYS_CHROOT",
	"CAP_SYS_PTRACE",
	"CAP_SYS_PACCT",
	"CAP_SYS_ADMIN",
	"CAP_SYS_BOOT",
	"CAP_SYS_NICE",
	"CAP_SYS_RESOURCE",
	"CAP_SYS_TIME",
	"CAP_SYS_TTY_CONFIG",
	"CAP_MKNOD",
	"CAP_LEASE",
	"CAP_AUDIT_WRITE",
	"CAP_AUDIT_CONTROL",
	"CAP_SETFCAP",
	"CAP_MAC_OVERRIDE",
	"CAP_MAC_ADMIN",
	"CAP_SYSLOG",
	"CAP_WAKE_ALARM",
	"CAP_BLOCK_SUSPEND",
	"CAP_AUDIT_READ",
	"CAP_PERFMON",
	"CAP_BPF",
	"CAP_CHECKPOINT_RESTORE",
};
static_assert(RSM_ARRAY_SIZE(cap_names) == 41, "one name per capability of Linux 6.1");

static const struct {
	const char *name;
	int number;
} rlimit_names[] = {
	{"RLIMIT_AS", RLIMIT_AS},
	{"RLIMIT_CORE", RLIMIT_CORE},
	{"RLIMIT_CPU", RLIMIT_CPU},
	{"RLIMIT_DATA", RLIMIT_DATA},
	{"RLIMIT_FSIZE", RLIMIT_FSIZE},
	{"RLIMIT_LOCKS", RLIMIT_LOCKS},
	{"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
	{"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
	{"RLIMIT_NICE", RLIMIT_NICE},
	{"RLIMIT_NOFILE", RLIMIT_NOFILE},
	{"RLIMIT_NPROC", RLIMIT_NPROC},
	{"RLIMIT_RSS", RLIMIT_RSS},
	{"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
	{"RLIMIT_RTTIME", RLIMIT_RTTIME},
	{"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
	{"RLIMIT_STACK", RLIMIT_STACK},
};

int oci_cap_number(const char *name)
{
	for (size_t i = 0; i < RSM_ARRAY_SIZE(cap_names); i++)
		if (strcasecmp(cap_names[i], name) == 0)
			return (int)i;
	return -1;
}

const char *oci_cap_name(unsigned number)
{
	return number < RSM_ARRAY_SIZE(cap_names) ? cap_names[number] : NULL;
}

int oci_rlimit_number(const char *name)
{
	for (size_t i = 0; i < RSM_ARRAY_SIZE(rlimit_names); i++)
		if (strcmp(rlimit_names[i].name, name) == 0)
			return rlimit_names[i].number;
	return -1;
}

/* ---- user */

static int take_umask(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	struct oci_user *u = to;
	int ret = oci_take_u32(p, v, &u->umask);

	if (ret == 0 && u->umask > 0777)
		return oci_fail(p, EINVAL, "%u is larger than 0777", u->umask);
	u->has_umask = true;
	return ret;
}

static int take_gids(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	struct oci_user *u = to;
	void *items = NULL;
	int ret = oci_take_array(p, v, RSM_JSON_NUMBER, sizeof(uint32_t), oci_take_id, &items,
				 &u->n_additional_gids);

	u->additional_gids = items;
	return ret;
}

static const struct oci_field user_fields[] = {
	OCI_FIELD("uid", NUMBER, oci_take_id, offsetof(struct oci_user, uid)),
	OCI_FIELD("gid", NUMBER, oci_take_id, offsetof(struct oci_user, gid)),
	OCI_FIELD("umask", NUMBER, take_umask, 0),
	OCI_FIELD("additionalGids", ARRAY, take_gids, 0),
	OCI_IGNORE("username", STRING, "of other platforms than Linux"),
};

static int take_user(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	return oci_take_object(p, v, user_fields, RSM_ARRAY_SIZE(user_fields), to);
}

/* ---- capabilities */

static int take_cap_set(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	uint64_t *set = to;
	struct oci_strv names = {0};
	int ret = oci_take_strv(p, v, &names);

	for (size_t i = 0; ret == 0 && i < names.n; i++) {
		int n = oci_cap_number(names.v[i]);

		if (n < 0) /* runc's rule: newer callers name newer capabilities */
			oci_warn(p, "ignoring unknown capability %s", names.v[i]);
		else
			*set |= 1ULL << n;
	}
	return ret;
}

#define CAP_SET(set) OCI_FIELD(#set, ARRAY, take_cap_set, offsetof(struct oci_caps, set))
static const struct oci_field caps_fields[] = {
	CAP_SET(bounding),  CAP_SET(effective), CAP_SET(inheritable),
	CAP_SET(permitted), CAP_SET(ambient),
};

/* capset(2) would refuse it. Ambient ones that are not permitted and inheritable are left out, as
 * runc has it. */
static int check_subset(struct oci_parser *p, const char *name, uint64_t set, const char *of_name,
			uint64_t of)
{
	uint64_t extra = set & ~of;

	if (!extra)
		return 0;
	(void)oci_enter(p, name);
	return oci_fail(p, EINVAL, "%s is not in %s", cap_names[__builtin_ctzll(extra)], of_name);
}

static int take_caps(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	struct oci_process *process = to;
	struct oci_caps *c = &process->caps;
	int ret = oci_take_object(p, v, caps_fields, RSM_ARRAY_SIZE(caps_fields), c);

	process->has_caps = true;
	if (ret == 0)
		ret = check_subset(p, "effective", c->effective, "permitted", c->permitted);
	if (ret == 0)
		ret = check_subset(p, "inheritable", c->inheritable, "bounding", c->bounding);
	return ret;
}

/* ---- rlimits */

static int take_rlimit_type(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	int n = oci_rlimit_number(rsm_json_string(v));

	if (n < 0)
		return oci_fail(p, EINVAL, "unknown resource limit '%s'", rsm_json_string(v));
	*(uint32_t *)to = (uint32_t)n;
	return 0;
}

static const struct oci_field rlimit_fields[] = {
	OCI_FIELD("type", STRING, take_rlimit_type, offsetof(struct oci_rlimit, resource)),
	OCI_FIELD("soft", NUMBER, oci_take_u64, offsetof(struct oci_rlimit, soft)),
	OCI_FIELD("hard", NUMBER, oci_take_u64, offsetof(struct oci_rlimit, hard)),
};

static int take_rlimit(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	struct oci_rlimit *limit = to;
	int ret = oci_take_object(p, v, rlimit_fields, RSM_ARRAY_SIZE(rlimit_fields), limit);

	if (ret == 0 && (!oci_require(p, v, "type") || !oci_require(p, v, "soft") ||
			 !oci_require(p, v, "hard")))
		return -EINVAL;
	if (ret == 0 && limit->soft > limit->hard)
		return oci_fail(p, EINVAL, "the soft limit is above the hard limit");
	return ret;
}

/* One entry per resource: a second one would contradict the first (config.md: MUST error). */
static int take_rlimits(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	struct oci_process *process = to;
	void *items = NULL;
	uint64_t seen = 0;
	int ret = oci_take_array(p, v, RSM_JSON_OBJECT, sizeof(struct oci_rlimit), take_rlimit,
				 &items, &process->n_rlimits);

	process->rlimits = items;
	for (size_t i = 0; ret == 0 && i < process->n_rlimits; i++) {
		if (seen & 1ULL << process->rlimits[i].resource) {
			(void)oci_enter_index(p, i);
			return oci_fail(p, EINVAL, "the same resource limit twice");
		}
		seen |= 1ULL << process->rlimits[i].resource;
	}
	return ret;
}

/* ---- process */

static const struct oci_field console_size_fields[] = {
	OCI_FIELD("height", NUMBER, oci_take_u32, offsetof(struct oci_process, console_rows)),
	OCI_FIELD("width", NUMBER, oci_take_u32, offsetof(struct oci_process, console_cols)),
};

static int take_console_size(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	struct oci_process *process = to;
	int ret = oci_take_object(p, v, console_size_fields, RSM_ARRAY_SIZE(console_size_fields),
				  process);

	if (ret == 0 && (process->console_rows > UINT16_MAX || process->console_cols > UINT16_MAX))
		return oci_fail(p, EINVAL, "larger than a terminal can be (65535)");
	return ret;
}

static int take_oom_score_adj(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	struct oci_process *process = to;
	int64_t n;
	int ret = oci_take_i64(p, v, &n);

	if (ret < 0)
		return ret;
	if (n < -1000 || n > 1000)
		return oci_fail(p, EINVAL, "%lld is not between -1000 and 1000", (long long)n);
	process->oom_score_adj = (int32_t)n;
	process->has_oom_score_adj = true;
	return 0;
}

/* execve(2) takes no longer ones. */
static int take_exec_string(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	if (strlen(rsm_json_string(v)) >= EXEC_STRING_MAX)
		return oci_fail(p, E2BIG, "longer than %d bytes", EXEC_STRING_MAX - 1);
	return oci_take_string(p, v, to);
}

static int take_variable(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	const char *text = rsm_json_string(v), *equals = strchr(text, '=');

	if (!equals || equals == text)
		return oci_fail(p, EINVAL, "'%.40s' is not of the form NAME=VALUE", text);
	return take_exec_string(p, v, to);
}

static int take_exec_strv(struct oci_parser *p, const struct rsm_json *v, oci_take_fn take,
			  struct oci_strv *strv)
{
	void *items = NULL;
	int ret = oci_take_array(p, v, RSM_JSON_STRING, sizeof(const char *), take, &items,
				 &strv->n);

	strv->v = items;
	return ret;
}

static int take_env(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	return take_exec_strv(p, v, take_variable, to);
}

static int take_args(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	struct oci_strv *args = to;
	int ret = take_exec_strv(p, v, take_exec_string, args);

	if (ret == 0 && args->n == 0)
		return oci_fail(p, EINVAL, "must not be empty");
	return ret;
}

#define AT(member) offsetof(struct oci_process, member)
static const struct oci_field process_fields[] = {
	OCI_FIELD("terminal", BOOL, oci_take_bool, AT(terminal)),
	OCI_FIELD("consoleSize", OBJECT, take_console_size, 0),
	OCI_FIELD("user", OBJECT, take_user, AT(user)),
	OCI_FIELD("args", ARRAY, take_args, AT(args)),
	OCI_IGNORE("commandLine", STRING, "of other platforms than Linux"),
	OCI_FIELD("env", ARRAY, take_env, AT(env)),
	OCI_FIELD("cwd", STRING, oci_take_abs_path, AT(cwd)),
	OCI_FIELD("capabilities", OBJECT, take_caps, 0),
	OCI_FIELD("rlimits", ARRAY, take_rlimits, 0),
	OCI_FIELD("noNewPrivileges", BOOL, oci_take_bool, AT(no_new_privileges)),
	OCI_FIELD("oomScoreAdj", NUMBER, take_oom_score_adj, 0),
	OCI_IGNORE("apparmorProfile", STRING,
		   "profiles of the host confine host processes; the container's run in the VM"),
	OCI_IGNORE("selinuxLabel", STRING,
		   "labels of the host confine host processes; the container's run in the VM"),
	OCI_FIELD("scheduler", OBJECT, oci_take_scheduler, 0),
	OCI_FIELD("ioPriority", OBJECT, oci_take_io_priority, 0),
	OCI_FIELD("execCPUAffinity", OBJECT, oci_take_affinity, 0),
};
#undef AT

int oci_take_process(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	struct oci_process *process = to;
	int ret = oci_take_object(p, v, process_fields, RSM_ARRAY_SIZE(process_fields), process);

	if (ret < 0)
		return ret;
	if (process->args.n == 0)
		(void)oci_enter(p, "args");
	else if (!process->cwd)
		(void)oci_enter(p, "cwd");
	else
		return 0;
	return oci_fail(p, EINVAL, "must not be empty");
}
