// SPDX-License-Identifier: Apache-2.0
/* mounts of config.json (config.md, Mounts; mount(8) for the names of options). */
#include "runtime/oci_parse.h"

#include <string.h>
#include <sys/mount.h>

#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif
/* linux/fs.h and sys/mount.h do not go together; these are not in the latter. */
#define MS_ACL     (1UL << 16) /* MS_POSIXACL */
#define MS_VERSION (1UL << 23) /* MS_I_VERSION */
#define MS_LAZY    (1UL << 25) /* MS_LAZYTIME */
#define MS_QUIETLY (1UL << 15) /* MS_SILENT */

/**
 * struct option - A mount option that is not the file system's own business
 * @set, @clear: MS_* bits it adds and takes away
 * @propagation: it changes propagation instead
 */
struct option {
	const char *name;
	uint64_t set, clear, propagation;
};

static const struct option options[] = {
	{"acl", MS_ACL, 0, 0},
	{"async", 0, MS_SYNCHRONOUS, 0},
	{"atime", 0, MS_NOATIME, 0},
	{"bind", MS_BIND, 0, 0},
	{"defaults", 0, 0, 0},
	{"dev", 0, MS_NODEV, 0},
	{"diratime", 0, MS_NODIRATIME, 0},
	{"dirsync", MS_DIRSYNC, 0, 0},
	{"exec", 0, MS_NOEXEC, 0},
	{"iversion", MS_VERSION, 0, 0},
	{"lazytime", MS_LAZY, 0, 0},
	{"loud", 0, MS_QUIETLY, 0},
	{"mand", MS_MANDLOCK, 0, 0},
	{"noacl", 0, MS_ACL, 0},
	{"noatime", MS_NOATIME, 0, 0},
	{"nodev", MS_NODEV, 0, 0},
	{"nodiratime", MS_NODIRATIME, 0, 0},
	{"noexec", MS_NOEXEC, 0, 0},
	{"noiversion", 0, MS_VERSION, 0},
	{"nolazytime", 0, MS_LAZY, 0},
	{"nomand", 0, MS_MANDLOCK, 0},
	{"norelatime", 0, MS_RELATIME, 0},
	{"nostrictatime", 0, MS_STRICTATIME, 0},
	{"nosuid", MS_NOSUID, 0, 0},
	{"nosymfollow", MS_NOSYMFOLLOW, 0, 0},
	{"private", 0, 0, MS_PRIVATE},
	{"rbind", MS_BIND | MS_REC, 0, 0},
	{"relatime", MS_RELATIME, 0, 0},
	{"ro", MS_RDONLY, 0, 0},
	{"rprivate", 0, 0, MS_PRIVATE | MS_REC},
	{"rshared", 0, 0, MS_SHARED | MS_REC},
	{"rslave", 0, 0, MS_SLAVE | MS_REC},
	{"runbindable", 0, 0, MS_UNBINDABLE | MS_REC},
	{"rw", 0, MS_RDONLY, 0},
	{"shared", 0, 0, MS_SHARED},
	{"silent", MS_QUIETLY, 0, 0},
	{"slave", 0, 0, MS_SLAVE},
	{"strictatime", MS_STRICTATIME, 0, 0},
	{"suid", 0, MS_NOSUID, 0},
	{"symfollow", 0, MS_NOSYMFOLLOW, 0},
	{"sync", MS_SYNCHRONOUS, 0, 0},
	{"unbindable", 0, 0, MS_UNBINDABLE},
};

/* Options that runc knows and that would be silently wrong as file system data. */
static const char *const refused_options[] = {
	"idmap",        "ridmap",      "rro",       "rrw",     "rnosuid",      "rsuid",
	"rnodev",       "rdev",        "rnoexec",   "rexec",   "rnodiratime",  "rdiratime",
	"rrelatime",    "rnorelatime", "rnoatime",  "ratime",  "rstrictatime", "rnostrictatime",
	"rnosymfollow", "rsymfollow",  "tmpcopyup", "remount",
};

/* What is mounted inside the guest for a type of config.json. */
static const struct {
	const char *type, *in_guest;
} types[] = {
	{"proc", "proc"},     {"sysfs", "sysfs"},    {"tmpfs", "tmpfs"},     {"devpts", "devpts"},
	{"mqueue", "mqueue"}, {"cgroup", "cgroup2"}, {"cgroup2", "cgroup2"}, {"bind", "bind"},
};

const char *oci_mount_option_name(size_t i)
{
	return i < RSM_ARRAY_SIZE(options) ? options[i].name : NULL;
}

uint64_t oci_propagation(const char *name)
{
	for (size_t i = 0; i < RSM_ARRAY_SIZE(options); i++)
		if (strcmp(options[i].name, name) == 0)
			return options[i].propagation;
	return 0;
}

static const struct option *find_option(const char *name)
{
	for (size_t i = 0; i < RSM_ARRAY_SIZE(options); i++)
		if (strcmp(options[i].name, name) == 0)
			return &options[i];
	return NULL;
}

static int apply_option(struct oci_parser *p, struct oci_mount *m, const char *name,
			struct rsm_buf *data)
{
	const struct option *o = find_option(name);

	if (o) {
		m->flags = (m->flags & ~o->clear) | o->set;
		if (o->propagation)
			m->propagation = o->propagation;
		return 0;
	}
	for (size_t i = 0; i < RSM_ARRAY_SIZE(refused_options); i++)
		if (strcmp(refused_options[i], name) == 0)
			return oci_fail(p, EOPNOTSUPP, "mount option '%s' is not supported yet",
					name);
	if (name[0] == '\0')
		return 0;
	/* A comma would smuggle in options that were not looked at. */
	if (strchr(name, ','))
		return oci_fail(p, EINVAL, "'%s': one option per string", name);
	return rsm_buf_addf(data, "%s%s", data->len ? "," : "", name);
}

static int take_options(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	_cleanup_buf_ struct rsm_buf data = {0};
	struct oci_mount *m = to;
	struct oci_strv names = {0};
	int ret = oci_take_strv(p, v, &names);

	if (ret < 0)
		return ret;
	for (size_t i = 0; i < names.n; i++) {
		size_t mark = oci_enter_index(p, i);

		ret = apply_option(p, m, names.v[i], &data);
		if (ret < 0)
			return ret;
		oci_leave(p, mark);
	}
	if (rsm_buf_ok(&data) < 0)
		return oci_fail(p, ENOMEM, "out of memory");
	m->data = data.len ? oci_strdup(p, data.data) : "";
	return m->data ? 0 : -ENOMEM;
}

#define AT(member) offsetof(struct oci_mount, member)
static const struct oci_field mount_fields[] = {
	OCI_FIELD("destination", STRING, oci_take_string, AT(destination)),
	OCI_FIELD("type", STRING, oci_take_string, AT(type)),
	OCI_FIELD("source", STRING, oci_take_string, AT(source)),
	OCI_FIELD("options", ARRAY, take_options, 0),
	OCI_REFUSE("uidMappings", ARRAY, "ID-mapped mounts are not supported yet"),
	OCI_REFUSE("gidMappings", ARRAY, "ID-mapped mounts are not supported yet"),
};
#undef AT

static int fail_at(struct oci_parser *p, const char *member, int code, const char *what)
{
	(void)oci_enter(p, member);
	return oci_fail(p, code, "%s", what);
}

static int resolve_type(struct oci_parser *p, struct oci_mount *m)
{
	if (m->flags & MS_BIND)
		m->type = "bind";
	else if (strcmp(m->type, "bind") == 0)
		m->flags |= MS_BIND;
	for (size_t i = 0; i < RSM_ARRAY_SIZE(types); i++) {
		if (strcmp(types[i].type, m->type) == 0) {
			m->type = types[i].in_guest;
			return 0;
		}
	}
	(void)oci_enter(p, "type");
	return oci_fail(p, EOPNOTSUPP, "file system type '%s' is not supported yet", m->type);
}

static int take_mount(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	struct oci_mount *m = to;
	int ret;

	m->type = m->source = m->data = m->destination = "";
	ret = oci_take_object(p, v, mount_fields, RSM_ARRAY_SIZE(mount_fields), m);
	if (ret < 0)
		return ret;
	if (m->destination[0] == '\0')
		return fail_at(p, "destination", EINVAL, "must not be empty");
	if (m->destination[0] != '/') {
		/* Deprecated by the specification, taken by runc: relative to the root. */
		char *absolute = oci_alloc(p, strlen(m->destination) + 2, 1);

		if (!absolute)
			return -ENOMEM;
		oci_warn(p, "destination '%s' is not absolute", m->destination);
		absolute[0] = '/';
		(void)strcpy(absolute + 1, m->destination);
		m->destination = absolute;
	}
	ret = resolve_type(p, m);
	if (ret < 0)
		return ret;
	if ((m->flags & MS_BIND) && m->source[0] == '\0')
		return fail_at(p, "source", EINVAL, "a bind mount needs one");
	return 0;
}

int oci_take_mounts(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	struct oci_spec *spec = to;
	void *items = NULL;
	int ret = oci_take_array(p, v, RSM_JSON_OBJECT, sizeof(struct oci_mount), take_mount,
				 &items, &spec->n_mounts);

	spec->mounts = items;
	return ret;
}
