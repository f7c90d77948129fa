// SPDX-License-Identifier: Apache-2.0
/*
 * process.scheduler, process.ioPriority and process.execCPUAffinity of config.json (config.md,
 * Linux Process). All of them are applied inside the guest, whose kernel schedules the container.
 */
#include "runtime/oci_parse.h"

#include <linux/ioprio.h>
#include <linux/sched.h>
#include <stdlib.h>
#include <string.h>

#define RT_PRIORITY_MAX   99
#define DEADLINE_MIN      1024 /* ns; sched(7): under that, the kernel refuses */
#define DEADLINE_MAX      (1ULL << 63)
#define POLICY_HAS_NO_ISO "SCHED_ISO is not in Linux"

static const struct {
	const char *name;
	uint32_t policy;
	const char *refused;
} policies[] = {
	{"SCHED_OTHER", SCHED_NORMAL, NULL},
	{"SCHED_FIFO", SCHED_FIFO, NULL},
	{"SCHED_RR", SCHED_RR, NULL},
	{"SCHED_BATCH", SCHED_BATCH, NULL},
	{"SCHED_ISO", 4, POLICY_HAS_NO_ISO},
	{"SCHED_IDLE", SCHED_IDLE, NULL},
	{"SCHED_DEADLINE", SCHED_DEADLINE, NULL},
};

static const struct {
	const char *name;
	uint64_t flag;
} sched_flags[] = {
	{"SCHED_FLAG_RESET_ON_FORK", SCHED_FLAG_RESET_ON_FORK},
	{"SCHED_FLAG_RECLAIM", SCHED_FLAG_RECLAIM},
	{"SCHED_FLAG_DL_OVERRUN", SCHED_FLAG_DL_OVERRUN},
	{"SCHED_FLAG_KEEP_POLICY", SCHED_FLAG_KEEP_POLICY},
	{"SCHED_FLAG_KEEP_PARAMS", SCHED_FLAG_KEEP_PARAMS},
	{"SCHED_FLAG_UTIL_CLAMP_MIN", SCHED_FLAG_UTIL_CLAMP_MIN},
	{"SCHED_FLAG_UTIL_CLAMP_MAX", SCHED_FLAG_UTIL_CLAMP_MAX},
};

static const struct {
	const char *name;
	uint32_t class;
} io_classes[] = {
	{"IOPRIO_CLASS_RT", IOPRIO_CLASS_RT},
	{"IOPRIO_CLASS_BE", IOPRIO_CLASS_BE},
	{"IOPRIO_CLASS_IDLE", IOPRIO_CLASS_IDLE},
};

static int fail_at(struct oci_parser *p, const char *member, const char *what)
{
	(void)oci_enter(p, member);
	return oci_fail(p, EINVAL, "%s", what);
}

/* ---- scheduler */

static int take_policy(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	const char *name = rsm_json_string(v);

	for (size_t i = 0; i < RSM_ARRAY_SIZE(policies); i++) {
		if (strcmp(policies[i].name, name) != 0)
			continue;
		if (policies[i].refused)
			return oci_fail(p, EOPNOTSUPP, "%s", policies[i].refused);
		*(uint32_t *)to = policies[i].policy;
		return 0;
	}
	return oci_fail(p, EINVAL, "unknown policy '%s'", name);
}

static int take_nice(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	int32_t n;
	int ret = oci_take_i32(p, v, &n);

	if (ret == 0 && (n < -20 || n > 19))
		return oci_fail(p, EINVAL, "%d is not between -20 and 19", n);
	if (ret == 0)
		*(int32_t *)to = n;
	return ret;
}

static int take_flag(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	const char *name = rsm_json_string(v);

	for (size_t i = 0; i < RSM_ARRAY_SIZE(sched_flags); i++) {
		if (strcmp(sched_flags[i].name, name) == 0) {
			*(uint64_t *)to = sched_flags[i].flag;
			return 0;
		}
	}
	return oci_fail(p, EINVAL, "unknown flag '%s'", name);
}

static int take_flags(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	void *items = NULL;
	size_t n = 0;
	int ret = oci_take_array(p, v, RSM_JSON_STRING, sizeof(uint64_t), take_flag, &items, &n);

	for (size_t i = 0; ret == 0 && i < n; i++)
		*(uint64_t *)to |= ((const uint64_t *)items)[i];
	return ret;
}

#define AT(member) offsetof(struct oci_scheduler, member)
static const struct oci_field scheduler_fields[] = {
	OCI_FIELD("policy", STRING, take_policy, AT(policy)),
	OCI_FIELD("nice", NUMBER, take_nice, AT(nice)),
	OCI_FIELD("priority", NUMBER, oci_take_u32, AT(priority)),
	OCI_FIELD("flags", ARRAY, take_flags, AT(flags)),
	OCI_FIELD("runtime", NUMBER, oci_take_u64, AT(runtime)),
	OCI_FIELD("deadline", NUMBER, oci_take_u64, AT(deadline)),
	OCI_FIELD("period", NUMBER, oci_take_u64, AT(period)),
};
#undef AT

/* What belongs to which policy: sched(7), sched_setattr(2). */
static int check_scheduler(struct oci_parser *p, const struct oci_scheduler *s)
{
	bool realtime = s->policy == SCHED_FIFO || s->policy == SCHED_RR;

	if (realtime && (s->priority < 1 || s->priority > RT_PRIORITY_MAX))
		return fail_at(p, "priority", "SCHED_FIFO and SCHED_RR need one from 1 to 99");
	if (!realtime && s->priority)
		return fail_at(p, "priority", "only SCHED_FIFO and SCHED_RR have one");
	if (s->policy != SCHED_DEADLINE) {
		if (s->runtime)
			return fail_at(p, "runtime", "only SCHED_DEADLINE has one");
		if (s->deadline)
			return fail_at(p, "deadline", "only SCHED_DEADLINE has one");
		if (s->period)
			return fail_at(p, "period", "only SCHED_DEADLINE has one");
		return 0;
	}
	if (s->runtime < DEADLINE_MIN || s->runtime >= DEADLINE_MAX)
		return fail_at(p, "runtime", "must be at least 1024 ns, and less than 2^63");
	if (s->deadline < s->runtime || s->deadline >= DEADLINE_MAX)
		return fail_at(p, "deadline", "must be at least the runtime, and less than 2^63");
	if (s->period && (s->period < s->deadline || s->period >= DEADLINE_MAX))
		return fail_at(p, "period", "must be at least the deadline, and less than 2^63");
	return 0;
}

int oci_take_scheduler(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	struct oci_scheduler *s = &((struct oci_process *)to)->scheduler;
	int ret;

	if (oci_is_unset(v))
		return 0;
	ret = oci_take_object(p, v, scheduler_fields, RSM_ARRAY_SIZE(scheduler_fields), s);
	if (ret == 0 && !oci_require(p, v, "policy"))
		return -EINVAL;
	s->given = true;
	return ret < 0 ? ret : check_scheduler(p, s);
}

/* ---- ioPriority */

struct io_priority {
	uint32_t class;
	int32_t level;
};

static int take_io_class(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	const char *name = rsm_json_string(v);

	for (size_t i = 0; i < RSM_ARRAY_SIZE(io_classes); i++) {
		if (strcmp(io_classes[i].name, name) == 0) {
			*(uint32_t *)to = io_classes[i].class;
			return 0;
		}
	}
	return oci_fail(p, EINVAL, "unknown class '%s'", name);
}

static int take_io_level(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	int32_t n;
	int ret = oci_take_i32(p, v, &n);

	if (ret == 0 && (n < 0 || n >= IOPRIO_NR_LEVELS))
		return oci_fail(p, EINVAL, "%d is not between 0 and 7", n);
	if (ret == 0)
		*(int32_t *)to = n;
	return ret;
}

static const struct oci_field io_priority_fields[] = {
	OCI_FIELD("class", STRING, take_io_class, offsetof(struct io_priority, class)),
	OCI_FIELD("priority", NUMBER, take_io_level, offsetof(struct io_priority, level)),
};

int oci_take_io_priority(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	struct io_priority io = {0};
	int ret;

	if (oci_is_unset(v))
		return 0;
	ret = oci_take_object(p, v, io_priority_fields, RSM_ARRAY_SIZE(io_priority_fields), &io);
	if (ret == 0 && !oci_require(p, v, "class"))
		return -EINVAL;
	((struct oci_process *)to)->io_priority =
		IOPRIO_PRIO_VALUE(io.class, (uint32_t)io.level);
	return ret;
}

/* ---- execCPUAffinity */

/* One "3" or "0-3"; Return: behind it, or NULL if it is neither */
static const char *take_range(const char *at, unsigned long *first, unsigned long *last)
{
	char *end;

	if (*at < '0' || *at > '9')
		return NULL;
	*first = *last = strtoul(at, &end, 10);
	if (*end == '-') {
		if (end[1] < '0' || end[1] > '9')
			return NULL;
		*last = strtoul(end + 1, &end, 10);
	}
	return end;
}

/* A list as the kernel writes it: "0-3,7". Spaces are skipped, as the specification has them. */
int oci_take_cpus(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	const char *at = rsm_json_string(v);
	struct oci_cpus *cpus = to;

	for (at += strspn(at, ", "); *at; at += strspn(at, ", ")) {
		unsigned long first, last;
		const char *end = take_range(at, &first, &last);

		if (!end || (*end && !strchr(", ", *end)))
			return oci_fail(p, EINVAL, "'%.40s' is not a list of CPUs (0-3,7)", at);
		if (first > last || last >= OCI_CPUS_MAX)
			return oci_fail(p, EINVAL,
					"'%.40s' is not a range of CPUs between 0 and %d", at,
					OCI_CPUS_MAX - 1);
		for (unsigned long i = first; i <= last; i++)
			cpus->bits[i / 8] |= (uint8_t)(1U << i % 8);
		cpus->given = true;
		at = end;
	}
	return 0;
}

static const struct oci_field affinity_fields[] = {
	OCI_FIELD("initial", STRING, oci_take_cpus, offsetof(struct oci_process, exec_initial)),
	OCI_FIELD("final", STRING, oci_take_cpus, offsetof(struct oci_process, exec_final)),
};

int oci_take_affinity(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	return oci_take_object(p, v, affinity_fields, RSM_ARRAY_SIZE(affinity_fields), to);
}
