// SPDX-License-Identifier: Apache-2.0
/*
 * linux.namespaces of config.json, and what only means something in one of them: uidMappings,
 * gidMappings, timeOffsets (config-linux.md, Namespaces and the sections after it). The guest's
 * kernel makes them all, so none can be shared with what runs under the host's.
 */
#include "runtime/oci_parse.h"

#include <sched.h>
#include <string.h>

#define MAPPINGS_MAX 340 /* user_namespaces(7) */
#define NANOSECONDS  1000000000U

#define NOT_THE_HOSTS                                                                              \
	"it belongs to the host's kernel, and the container runs under a kernel of its own"

static const struct {
	const char *name;
	uint64_t flag;
	bool optional;
	const char *no_path; /* why one cannot be joined; NULL: it can */
} namespaces[] = {
	{"pid", CLONE_NEWPID, false, NOT_THE_HOSTS},
	{"network", CLONE_NEWNET, false, NULL}, /* the VMM joins it */
	{"ipc", CLONE_NEWIPC, false, NOT_THE_HOSTS},
	{"uts", CLONE_NEWUTS, false, NOT_THE_HOSTS},
	{"mount", CLONE_NEWNS, false, NOT_THE_HOSTS},
	{"cgroup", CLONE_NEWCGROUP, true, NOT_THE_HOSTS},
	{"user", CLONE_NEWUSER, true, NOT_THE_HOSTS},
	{"time", CLONE_NEWTIME, true, NOT_THE_HOSTS},
};

struct namespace
{
	const char *type, *path;
};

static const struct oci_field namespace_fields[] = {
	OCI_FIELD("type", STRING, oci_take_string, offsetof(struct namespace, type)),
	OCI_FIELD("path", STRING, oci_take_path, offsetof(struct namespace, path)),
};

static int add_namespace(struct oci_parser *p, const struct namespace *ns, struct oci_linux *l)
{
	for (size_t i = 0; i < RSM_ARRAY_SIZE(namespaces); i++) {
		if (strcmp(namespaces[i].name, ns->type) != 0)
			continue;
		if (ns->path && ns->path[0] && namespaces[i].no_path) {
			(void)oci_enter(p, "path");
			return oci_fail(p, EOPNOTSUPP,
					"an existing %s namespace ('%s') cannot be joined: %s",
					ns->type, ns->path, namespaces[i].no_path);
		}
		if (l->namespaces & namespaces[i].flag)
			return oci_fail(p, EINVAL, "namespace '%s' twice", ns->type);
		l->namespaces |= namespaces[i].flag;
		if (ns->path && ns->path[0])
			l->network_path = ns->path;
		return 0;
	}
	(void)oci_enter(p, "type");
	return oci_fail(p, EINVAL, "unknown namespace '%s'", ns->type);
}

static int take_namespace(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	int ret = oci_take_object(p, v, namespace_fields, RSM_ARRAY_SIZE(namespace_fields), to);

	if (ret == 0 && !oci_require(p, v, "type"))
		return -EINVAL;
	return ret;
}

int oci_take_namespaces(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	struct oci_linux *l = to;
	void *items = NULL;
	size_t n = 0;
	int ret = oci_take_array(p, v, RSM_JSON_OBJECT, sizeof(struct namespace), take_namespace,
				 &items, &n);

	for (size_t i = 0; ret == 0 && i < n; i++) {
		size_t mark = oci_enter_index(p, i);

		ret = add_namespace(p, &((const struct namespace *)items)[i], l);
		if (ret == 0)
			oci_leave(p, mark);
	}
	return ret;
}

const char *oci_namespace_name(size_t i)
{
	return i < RSM_ARRAY_SIZE(namespaces) ? namespaces[i].name : NULL;
}

/* ---- uidMappings and gidMappings */

#define AT(member) offsetof(struct oci_idmap, member)
static const struct oci_field idmap_fields[] = {
	OCI_FIELD("containerID", NUMBER, oci_take_id, AT(container)),
	OCI_FIELD("hostID", NUMBER, oci_take_id, AT(host)),
	OCI_FIELD("size", NUMBER, oci_take_u32, AT(size)),
};
#undef AT

static int take_mapping(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	static const char *const members[] = {"containerID", "hostID", "size"};
	struct oci_idmap *m = to;
	int ret = oci_take_object(p, v, idmap_fields, RSM_ARRAY_SIZE(idmap_fields), m);

	for (size_t i = 0; ret == 0 && i < RSM_ARRAY_SIZE(members); i++)
		if (!oci_require(p, v, members[i]))
			return -EINVAL;
	if (ret < 0)
		return ret;
	if (m->size == 0) {
		(void)oci_enter(p, "size");
		return oci_fail(p, EINVAL, "must not be 0");
	}
	if (m->size > UINT32_MAX - m->container || m->size > UINT32_MAX - m->host) {
		(void)oci_enter(p, "size");
		return oci_fail(p, EINVAL, "%u reaches beyond the highest ID", m->size);
	}
	return 0;
}

static bool overlap(uint32_t a, uint32_t b, uint32_t a_size, uint32_t b_size)
{
	return a < b ? b - a < a_size : a - b < b_size;
}

static int take_map(struct oci_parser *p, const struct rsm_json *v, struct oci_idmap **ret_map,
		    size_t *ret_n)
{
	struct oci_idmap *m;
	void *items = NULL;
	size_t n = 0;
	int ret;

	if (rsm_json_len(v) > MAPPINGS_MAX)
		return oci_fail(p, EINVAL, "more than %d mappings", MAPPINGS_MAX);
	ret = oci_take_array(p, v, RSM_JSON_OBJECT, sizeof(struct oci_idmap), take_mapping, &items,
			     &n);
	m = items;
	for (size_t i = 0; ret == 0 && i < n; i++) {
		for (size_t k = 0; k < i; k++) {
			if (!overlap(m[i].container, m[k].container, m[i].size, m[k].size) &&
			    !overlap(m[i].host, m[k].host, m[i].size, m[k].size))
				continue;
			(void)oci_enter_index(p, i);
			return oci_fail(p, EINVAL, "overlaps with element %zu", k);
		}
	}
	*ret_map = m;
	*ret_n = n;
	return ret;
}

int oci_take_uid_map(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	struct oci_linux *l = to;

	return take_map(p, v, &l->uid_map, &l->n_uid_map);
}

int oci_take_gid_map(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	struct oci_linux *l = to;

	return take_map(p, v, &l->gid_map, &l->n_gid_map);
}

/* ---- timeOffsets */

static int take_nanosecs(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	int ret = oci_take_u32(p, v, to);

	if (ret == 0 && *(uint32_t *)to >= NANOSECONDS)
		return oci_fail(p, EINVAL, "%u is a second or more", *(uint32_t *)to);
	return ret;
}

/* The kernel's clocks, and so their offsets, stay within 2^63 ns. */
static int take_secs(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	const int64_t max = INT64_MAX / NANOSECONDS / 2;
	int64_t n;
	int ret = oci_take_i64(p, v, &n);

	if (ret == 0 && (n < -max || n > max))
		return oci_fail(p, EINVAL, "%s is not between -%lld and %lld",
				rsm_json_number_text(v), (long long)max, (long long)max);
	if (ret == 0)
		*(int64_t *)to = n;
	return ret;
}

static const struct oci_field offset_fields[] = {
	OCI_FIELD("secs", NUMBER, take_secs, offsetof(struct oci_offset, secs)),
	OCI_FIELD("nanosecs", NUMBER, take_nanosecs, offsetof(struct oci_offset, nanosecs)),
};

static int take_offset(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	return oci_take_object(p, v, offset_fields, RSM_ARRAY_SIZE(offset_fields), to);
}

static const struct oci_field clock_fields[] = {
	OCI_FIELD("monotonic", OBJECT, take_offset, offsetof(struct oci_linux, monotonic)),
	OCI_FIELD("boottime", OBJECT, take_offset, offsetof(struct oci_linux, boottime)),
};

int oci_take_time_offsets(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	for (size_t i = 0; i < rsm_json_len(v); i++) {
		const char *key = rsm_json_key_at(v, i);
		size_t k = 0;

		while (k < RSM_ARRAY_SIZE(clock_fields) && strcmp(clock_fields[k].name, key) != 0)
			k++;
		if (k == RSM_ARRAY_SIZE(clock_fields)) {
			(void)oci_enter(p, key);
			return oci_fail(p, EINVAL, "not a clock that can have an offset");
		}
	}
	return oci_take_object(p, v, clock_fields, RSM_ARRAY_SIZE(clock_fields), to);
}

/* ---- together */

static bool is_zero(const struct oci_offset *o)
{
	return o->secs == 0 && o->nanosecs == 0;
}

static const struct oci_idmap *find_mapping(const struct oci_idmap *map, size_t n, uint32_t id)
{
	for (size_t i = 0; i < n; i++)
		if (id >= map[i].container && id - map[i].container < map[i].size)
			return &map[i];
	return NULL;
}

static int fail_at(struct oci_parser *p, const char *member, int code, const char *what)
{
	(void)oci_enter(p, member);
	return oci_fail(p, code, "%s", what);
}

int oci_check_namespaces(struct oci_parser *p, const struct oci_linux *l)
{
	/* One that is not asked for is the caller's own, which no VM can share. */
	for (size_t i = 0; i < RSM_ARRAY_SIZE(namespaces); i++) {
		if (namespaces[i].optional || (l->namespaces & namespaces[i].flag))
			continue;
		(void)oci_enter(p, "namespaces");
		return oci_fail(
			p, EOPNOTSUPP,
			"'%s' is missing: the host's %s namespace cannot be shared with a VM",
			namespaces[i].name, namespaces[i].name);
	}
	if (!(l->namespaces & CLONE_NEWTIME) && !(is_zero(&l->monotonic) && is_zero(&l->boottime)))
		return fail_at(p, "timeOffsets", EINVAL, "needs a time namespace");
	if (!(l->namespaces & CLONE_NEWUSER)) {
		if (l->n_uid_map || l->n_gid_map)
			return fail_at(p, l->n_uid_map ? "uidMappings" : "gidMappings", EINVAL,
				       "needs a user namespace");
		return 0;
	}
	/* runc: the container is set up by the namespace's root. */
	if (!find_mapping(l->uid_map, l->n_uid_map, 0))
		return fail_at(p, "uidMappings", EINVAL,
			       "a user namespace needs a mapping for ID 0");
	if (!find_mapping(l->gid_map, l->n_gid_map, 0))
		return fail_at(p, "gidMappings", EINVAL,
			       "a user namespace needs a mapping for ID 0");
	return 0;
}

int oci_check_ids(struct oci_parser *p, const struct oci_spec *spec)
{
	const struct oci_user *u = &spec->process.user;
	const struct oci_linux *l = &spec->linux_;

	if (!(l->namespaces & CLONE_NEWUSER))
		return 0;
	(void)oci_enter(p, "process");
	(void)oci_enter(p, "user");
	if (!find_mapping(l->uid_map, l->n_uid_map, u->uid))
		return fail_at(p, "uid", EINVAL, "not mapped in the user namespace");
	if (!find_mapping(l->gid_map, l->n_gid_map, u->gid))
		return fail_at(p, "gid", EINVAL, "not mapped in the user namespace");
	for (size_t i = 0; i < u->n_additional_gids; i++) {
		if (find_mapping(l->gid_map, l->n_gid_map, u->additional_gids[i]))
			continue;
		(void)oci_enter(p, "additionalGids");
		(void)oci_enter_index(p, i);
		return oci_fail(p, EINVAL, "not mapped in the user namespace");
	}
	oci_leave(p, 0);
	return 0;
}
