/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linux.resources as properties of a systemd unit (systemd.resource-control(5)).
 *
 * systemd writes the cgroup's files from them, and does so again whenever it likes (daemon-reload,
 * a change of another property): what they do not say it may undo. So every limit that has a
 * property is given as one, besides being written to its file, which knows more and finer values.
 * Values are the same as there: memory and tasks are those of the VM (cgroup_limits.h).
 */
#ifndef RSM_RUNTIME_CGROUP_PROPS_H
#define RSM_RUNTIME_CGROUP_PROPS_H

#include "runtime/cgroup_limits.h"

#define CGROUP_PROPS_MAX        64
#define CGROUP_PROPS_ANNOTATION "org.systemd.property."

enum cgroup_prop_kind {
	CGROUP_PROP_U64,     /* t */
	CGROUP_PROP_I64,     /* x */
	CGROUP_PROP_U32,     /* u */
	CGROUP_PROP_I32,     /* i */
	CGROUP_PROP_DOUBLE,  /* d */
	CGROUP_PROP_BOOL,    /* b */
	CGROUP_PROP_TEXT,    /* s */
	CGROUP_PROP_STRINGS, /* as */
	CGROUP_PROP_BYTES,   /* ay, a bit per CPU or memory node */
};

/**
 * struct cgroup_prop - One property
 * @since:	version of systemd that has it; one before that is not told
 * @value:	of the integers and BOOL; those with a sign in two's complement
 * @number:	DOUBLE
 * @text:	TEXT; the NULL-terminated list of STRINGS; the bytes of BYTES, @value of them
 */
struct cgroup_prop {
	const char *name;
	enum cgroup_prop_kind kind;
	unsigned since;
	uint64_t value;
	double number;
	const void *text;
};

struct cgroup_props {
	struct cgroup_prop v[CGROUP_PROPS_MAX];
	size_t n;
};

/* What accounts for every container; @v2: names of a pure version 2 host */
void cgroup_props_accounting(bool v2, struct cgroup_props *to);

/* What cgroup_limit() writes, as far as there are properties for it. They refer to @l. */
void cgroup_props_limits(bool v2, const struct oci_linux *l, const struct cgroup_vm *vm,
			 struct cgroup_props *to);

/**
 * cgroup_props_rates() - What cgroup_limit_rates() writes: CPU time
 * @quota:	µs in a period; 0 or less: no limit
 * @period:	µs; 0: the kernel's own
 */
void cgroup_props_rates(int64_t quota, uint64_t period, struct cgroup_props *to);

/**
 * cgroup_props_annotations() - Annotations "org.systemd.property.NAME" as properties
 * @arena:	for what they refer to
 *
 * Behind those of the limits, so that they are the ones that hold.
 * Return: 0; -EINVAL, -EOPNOTSUPP or -E2BIG naming the annotation; -ENOMEM
 */
int cgroup_props_annotations(const struct oci_pair *v, size_t n, struct arena *arena,
			     struct cgroup_props *to, struct rsm_error *err);

/* Is there one that only some versions of systemd have? */
bool cgroup_props_need_version(const struct cgroup_props *p);

#endif
