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

/* mount(2) takes a page; the agent puts a mode in front. */
#define OPTIONS_MAX 4000

/**
 * struct option - A mount option that is not the file system's own business
 * @set, @clear: MS_* bits it adds and takes away
 * @propagation: it changes propagation instead
 * @rec_set, @rec_clr: MOUNT_ATTR_* bits it adds and takes away in the whole tree
 * @refused:	why it cannot be had
 * @copy_up:	tmpcopyup
 */
struct option {
	const char *name;
	uint64_t set, clear, propagation, rec_set, rec_clr;
	const char *refused;
	bool copy_up;
};

/* clang-format off */
#define SETS(name, flags)     {name, .set = (flags)}
#define CLEARS(name, flags)   {name, .clear = (flags)}
#define SPREADS(name, flags)  {name, .propagation = (flags)}
#define SETS_ALL(name, attr)   {name, .rec_set = (attr)}
#define CLEARS_ALL(name, attr) {name, .rec_clr = (attr)}
#define REFUSED(name, why)    {name, .refused = (why)}
#define NOTHING(name)         {name, .set = 0}
/* clang-format on */

/* An access time mode is a value, not a bit: the bits of the old one go when a new one comes. */
#define ATIME MOUNT_ATTR__ATIME

#define NO_IDMAP                                                                                   \
	"ID-mapped mounts of virtio-fs are not in the guest's kernel; change the owners on the "   \
	"host, or use a user namespace"

static const struct option options[] = {
	SETS("acl", MS_ACL),
	CLEARS("async", MS_SYNCHRONOUS),
	CLEARS("atime", MS_NOATIME),
	SETS("bind", MS_BIND),
	NOTHING("defaults"),
	CLEARS("dev", MS_NODEV),
	CLEARS("diratime", MS_NODIRATIME),
	SETS("dirsync", MS_DIRSYNC),
	CLEARS("exec", MS_NOEXEC),
	REFUSED("idmap", NO_IDMAP),
	SETS("iversion", MS_VERSION),
	SETS("lazytime", MS_LAZY),
	CLEARS("loud", MS_QUIETLY),
	SETS("mand", MS_MANDLOCK),
	CLEARS("noacl", MS_ACL),
	SETS("noatime", MS_NOATIME),
	SETS("nodev", MS_NODEV),
	SETS("nodiratime", MS_NODIRATIME),
	SETS("noexec", MS_NOEXEC),
	CLEARS("noiversion", MS_VERSION),
	CLEARS("nolazytime", MS_LAZY),
	CLEARS("nomand", MS_MANDLOCK),
	CLEARS("norelatime", MS_RELATIME),
	CLEARS("nostrictatime", MS_STRICTATIME),
	SETS("nosuid", MS_NOSUID),
	SETS("nosymfollow", MS_NOSYMFOLLOW),
	SPREADS("private", MS_PRIVATE),
	{"ratime", .rec_clr = ATIME},
	SETS("rbind", MS_BIND | MS_REC),
	CLEARS_ALL("rdev", MOUNT_ATTR_NODEV),
	CLEARS_ALL("rdiratime", MOUNT_ATTR_NODIRATIME),
	SETS("relatime", MS_RELATIME),
	SETS("remount", MS_REMOUNT),
	CLEARS_ALL("rexec", MOUNT_ATTR_NOEXEC),
	REFUSED("ridmap", NO_IDMAP),
	{"rnoatime", .rec_set = MOUNT_ATTR_NOATIME, .rec_clr = ATIME},
	SETS_ALL("rnodev", MOUNT_ATTR_NODEV),
	SETS_ALL("rnodiratime", MOUNT_ATTR_NODIRATIME),
	SETS_ALL("rnoexec", MOUNT_ATTR_NOEXEC),
	{"rnorelatime", .rec_set = MOUNT_ATTR_STRICTATIME, .rec_clr = ATIME},
	{"rnostrictatime", .rec_clr = ATIME},
	SETS_ALL("rnosuid", MOUNT_ATTR_NOSUID),
	SETS_ALL("rnosymfollow", MOUNT_ATTR_NOSYMFOLLOW),
	SETS("ro", MS_RDONLY),
	SPREADS("rprivate", MS_PRIVATE | MS_REC),
	{"rrelatime", .rec_clr = ATIME},
	SETS_ALL("rro", MOUNT_ATTR_RDONLY),
	CLEARS_ALL("rrw", MOUNT_ATTR_RDONLY),
	SPREADS("rshared", MS_SHARED | MS_REC),
	SPREADS("rslave", MS_SLAVE | MS_REC),
	{"rstrictatime", .rec_set = MOUNT_ATTR_STRICTATIME, .rec_clr = ATIME},
	CLEARS_ALL("rsuid", MOUNT_ATTR_NOSUID),
	CLEARS_ALL("rsymfollow", MOUNT_ATTR_NOSYMFOLLOW),
	SPREADS("runbindable", MS_UNBINDABLE | MS_REC),
	CLEARS("rw", MS_RDONLY),
	SPREADS("shared", MS_SHARED),
	SETS("silent", MS_QUIETLY),
	SPREADS("slave", MS_SLAVE),
	SETS("strictatime", MS_STRICTATIME),
	CLEARS("suid", MS_NOSUID),
	CLEARS("symfollow", MS_NOSYMFOLLOW),
	SETS("sync", MS_SYNCHRONOUS),
	{"tmpcopyup", .copy_up = true},
	SPREADS("unbindable", MS_UNBINDABLE),
};

/*
 * SELinux labels for the files of a bind mount: those who call a runtime set them themselves, and
 * the guest's kernel knows none.
 */
static const char *const relabel_options[] = {"Z", "z"};

/* What is mounted inside the guest for a type of config.json; an overlay on the host, before. */
static const struct {
	const char *type, *in_guest;
} types[] = {
	{"proc", "proc"},     {"sysfs", "sysfs"},    {"tmpfs", "tmpfs"},     {"devpts", "devpts"},
	{"mqueue", "mqueue"}, {"cgroup", "cgroup2"}, {"cgroup2", "cgroup2"}, {"bind", "bind"},
	{"overlay", "overlay"},
};

const char *oci_mount_option_name(size_t i)
{
	size_t at = 0;

	for (size_t k = 0; k < RSM_ARRAY_SIZE(options); k++)
		if (!options[k].refused && at++ == i)
			return options[k].name;
	return NULL;
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

static void apply(struct oci_mount *m, const struct option *o)
{
	m->flags = (m->flags & ~o->clear) | o->set;
	if (o->propagation)
		m->propagation = o->propagation;
	if (o->rec_clr == ATIME)
		m->rec_set &= ~(uint64_t)ATIME;
	m->rec_set = (m->rec_set & ~o->rec_clr) | o->rec_set;
	m->rec_clr = (m->rec_clr & ~o->rec_set) | o->rec_clr;
	m->copy_up |= o->copy_up;
}

static int apply_option(struct oci_parser *p, struct oci_mount *m, const char *name,
			struct rsm_buf *data)
{
	const struct option *o = find_option(name);

	if (o && o->refused)
		return oci_fail(p, EOPNOTSUPP, "mount option '%s': %s", name, o->refused);
	if (o)
		apply(m, o);
	if (o || name[0] == '\0')
		return 0;
	for (size_t i = 0; i < RSM_ARRAY_SIZE(relabel_options); i++)
		if (strcmp(relabel_options[i], name) == 0)
			return 0;
	/* A comma would smuggle in options that were not looked at. */
	if (strchr(name, ','))
		return oci_fail(p, EINVAL, "'%.100s': one option per string", name);
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
	if (data.len >= OPTIONS_MAX)
		return oci_fail(p, E2BIG, "longer than %d bytes together", OPTIONS_MAX - 1);
	m->data = data.len ? oci_strdup(p, data.data) : "";
	return m->data ? 0 : -ENOMEM;
}

#define AT(member) offsetof(struct oci_mount, member)
static const struct oci_field mount_fields[] = {
	OCI_FIELD("destination", STRING, oci_take_path, AT(destination)),
	OCI_FIELD("type", STRING, oci_take_string, AT(type)),
	OCI_FIELD("source", STRING, oci_take_path, AT(source)),
	OCI_FIELD("options", ARRAY, take_options, 0),
	OCI_REFUSE("uidMappings", ARRAY, NO_IDMAP),
	OCI_REFUSE("gidMappings", ARRAY, NO_IDMAP),
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
	if (m->flags & MS_REMOUNT) {
		m->type = "remount";
		return 0;
	}
	for (size_t i = 0; i < RSM_ARRAY_SIZE(types); i++) {
		if (strcmp(types[i].type, m->type) == 0) {
			m->type = types[i].in_guest;
			return 0;
		}
	}
	(void)oci_enter(p, "type");
	return oci_fail(p, EOPNOTSUPP,
			"file system type '%.100s' cannot be mounted inside the VM: only proc, "
			"sysfs, tmpfs, devpts, mqueue, cgroup, cgroup2, overlay and bind can",
			m->type);
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
	if (strcmp(m->type, "bind") == 0) {
		if (m->source[0] == '\0')
			return fail_at(p, "source", EINVAL, "a bind mount needs one");
		if (m->data[0])
			oci_warn(p, "options without effect on a bind mount: %s", m->data);
	}
	if (strcmp(m->type, "overlay") == 0 && !strstr(m->data, "lowerdir"))
		return fail_at(p, "options", EINVAL, "an overlay needs a lowerdir");
	if (m->copy_up && strcmp(m->type, "tmpfs") != 0)
		return fail_at(p, "options", EINVAL, "'tmpcopyup' is for a tmpfs");
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
