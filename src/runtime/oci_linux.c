// SPDX-License-Identifier: Apache-2.0
/* linux of config.json, without resources and seccomp (config-linux.md). */
#include "runtime/oci_parse.h"

#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

/* ---- namespaces */

static const struct {
	const char *name;
	uint64_t flag;
	const char *refused;
} namespaces[] = {
	{"pid", CLONE_NEWPID, NULL},
	{"network", CLONE_NEWNET, NULL},
	{"ipc", CLONE_NEWIPC, NULL},
	{"uts", CLONE_NEWUTS, NULL},
	{"mount", CLONE_NEWNS, NULL},
	{"cgroup", CLONE_NEWCGROUP, NULL},
	{"user", CLONE_NEWUSER, "user namespaces are not supported yet"},
	{"time", 0, "time namespaces are not supported yet"},
};

struct namespace
{
	const char *type, *path;
};

static const struct oci_field namespace_fields[] = {
	OCI_FIELD("type", STRING, oci_take_string, offsetof(struct namespace, type)),
	OCI_FIELD("path", STRING, oci_take_string, offsetof(struct namespace, path)),
};

static int take_namespace(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	struct namespace *ns = to;
	int ret = oci_take_object(p, v, namespace_fields, RSM_ARRAY_SIZE(namespace_fields), ns);

	if (ret < 0)
		return ret;
	if (ns->path && ns->path[0]) {
		(void)oci_enter(p, "path");
		return oci_fail(p, EOPNOTSUPP,
				"joining an existing %s namespace ('%s') is not supported yet",
				ns->type ? ns->type : "?", ns->path);
	}
	if (ns->type)
		return 0;
	return oci_fail(p, EINVAL, "type is missing");
}

static int add_namespace(struct oci_parser *p, const char *type, uint64_t *set)
{
	for (size_t i = 0; i < RSM_ARRAY_SIZE(namespaces); i++) {
		if (strcmp(namespaces[i].name, type) != 0)
			continue;
		if (namespaces[i].refused)
			return oci_fail(p, EOPNOTSUPP, "%s", namespaces[i].refused);
		if (*set & namespaces[i].flag)
			return oci_fail(p, EINVAL, "namespace '%s' twice", type);
		*set |= namespaces[i].flag;
		return 0;
	}
	return oci_fail(p, EINVAL, "unknown namespace '%s'", type);
}

static int take_namespaces(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	struct oci_linux *l = to;
	struct namespace *ns;
	void *items = NULL;
	size_t n = 0;
	int ret = oci_take_array(p, v, RSM_JSON_OBJECT, sizeof(*ns), take_namespace, &items, &n);

	ns = items;
	for (size_t i = 0; ret == 0 && i < n; i++) {
		size_t mark = oci_enter_index(p, i);

		ret = add_namespace(p, ns[i].type, &l->namespaces);
		if (ret == 0)
			oci_leave(p, mark);
	}
	return ret;
}

/* A namespace that is not asked for is the caller's own, which no VM can share. */
static int check_namespaces(struct oci_parser *p, const struct oci_linux *l)
{
	for (size_t i = 0; i < RSM_ARRAY_SIZE(namespaces); i++) {
		if (namespaces[i].refused || namespaces[i].flag == CLONE_NEWCGROUP ||
		    (l->namespaces & namespaces[i].flag))
			continue;
		(void)oci_enter(p, "namespaces");
		return oci_fail(
			p, EOPNOTSUPP,
			"'%s' is missing: the host's %s namespace cannot be shared with a VM",
			namespaces[i].name, namespaces[i].name);
	}
	return 0;
}

/* ---- devices */

/* Character devices that mean the same in the guest as on the host: the kernel's own. */
static const struct {
	uint32_t major, minor;
} guest_devices[] = {
	{1, 3},    {1, 5},    {1, 7}, {1, 8}, {1, 9}, /* null zero full random urandom */
	{5, 0},    {5, 1},    {5, 2},                 /* tty console ptmx */
	{10, 200}, {10, 229},                         /* net/tun fuse */
};

static int take_device_type(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	const char *type = rsm_json_string(v);
	uint32_t *mode = to;

	if (strcmp(type, "c") == 0 || strcmp(type, "u") == 0)
		*mode = S_IFCHR;
	else if (strcmp(type, "p") == 0)
		*mode = S_IFIFO;
	else if (strcmp(type, "b") == 0)
		return oci_fail(p, EOPNOTSUPP,
				"block devices of the host cannot be given to a VM yet");
	else
		return oci_fail(p, EINVAL, "'%s' is none of c, u, p, b", type);
	return 0;
}

#define AT(member) offsetof(struct oci_device, member)
static const struct oci_field device_fields[] = {
	OCI_FIELD("type", STRING, take_device_type, AT(type)),
	OCI_FIELD("path", STRING, oci_take_string, AT(path)),
	OCI_FIELD("major", NUMBER, oci_take_u32, AT(major)),
	OCI_FIELD("minor", NUMBER, oci_take_u32, AT(minor)),
	OCI_FIELD("fileMode", NUMBER, oci_take_u32, AT(mode)),
	OCI_FIELD("uid", NUMBER, oci_take_u32, AT(uid)),
	OCI_FIELD("gid", NUMBER, oci_take_u32, AT(gid)),
};
#undef AT

static bool known_in_guest(const struct oci_device *d)
{
	for (size_t i = 0; i < RSM_ARRAY_SIZE(guest_devices); i++)
		if (d->major == guest_devices[i].major && d->minor == guest_devices[i].minor)
			return true;
	return false;
}

static int take_device(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	struct oci_device *d = to;
	int ret;

	d->mode = 0666;
	ret = oci_take_object(p, v, device_fields, RSM_ARRAY_SIZE(device_fields), d);
	if (ret < 0)
		return ret;
	d->mode &= 07777; /* Docker gives the file type too */
	if (!d->type)
		return oci_fail(p, EINVAL, "type is missing");
	if (!d->path || d->path[0] != '/')
		return oci_fail(p, EINVAL, "path is not an absolute path");
	if (d->type == S_IFCHR && !known_in_guest(d))
		return oci_fail(p, EOPNOTSUPP,
				"%s (%u:%u): devices of the host cannot be given to a VM yet",
				d->path, d->major, d->minor);
	return 0;
}

static int take_devices(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	struct oci_linux *l = to;
	void *items = NULL;
	int ret = oci_take_array(p, v, RSM_JSON_OBJECT, sizeof(struct oci_device), take_device,
				 &items, &l->n_devices);

	l->devices = items;
	return ret;
}

/* ---- the rest */

static int take_sysctl(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	struct oci_linux *l = to;
	int ret = oci_take_pairs(p, v, &l->sysctl, &l->n_sysctl);

	for (size_t i = 0; ret == 0 && i < l->n_sysctl; i++) {
		const char *key = l->sysctl[i].key;
		size_t mark = oci_enter(p, key);

		if (key[0] == '\0' || key[0] == '.' || key[0] == '/' || strstr(key, ".."))
			return oci_fail(p, EINVAL, "not the name of a kernel parameter");
		oci_leave(p, mark);
	}
	return ret;
}

static int take_propagation(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	const char *name = rsm_json_string(v);
	uint64_t flags = oci_propagation(name);

	if (!flags && name[0])
		return oci_fail(p, EINVAL, "'%s' is not a mount propagation", name);
	*(uint64_t *)to = flags;
	return 0;
}

static int take_absolute_paths(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	struct oci_strv *paths = to;
	int ret = oci_take_strv(p, v, paths);

	for (size_t i = 0; ret == 0 && i < paths->n; i++) {
		if (paths->v[i][0] != '/') {
			(void)oci_enter_index(p, i);
			return oci_fail(p, EINVAL, "'%s' is not an absolute path", paths->v[i]);
		}
	}
	return ret;
}

#define AT(member) offsetof(struct oci_linux, member)
static const struct oci_field linux_fields[] = {
	OCI_FIELD("namespaces", ARRAY, take_namespaces, 0),
	OCI_FIELD("devices", ARRAY, take_devices, 0),
	OCI_FIELD("sysctl", OBJECT, take_sysctl, 0),
	OCI_FIELD("resources", OBJECT, oci_take_resources, 0),
	OCI_FIELD("cgroupsPath", STRING, oci_take_string, AT(cgroups_path)),
	OCI_FIELD("seccomp", OBJECT, oci_take_seccomp, AT(seccomp)),
	OCI_FIELD("rootfsPropagation", STRING, take_propagation, AT(rootfs_propagation)),
	OCI_FIELD("maskedPaths", ARRAY, take_absolute_paths, AT(masked_paths)),
	OCI_FIELD("readonlyPaths", ARRAY, take_absolute_paths, AT(readonly_paths)),
	OCI_IGNORE("mountLabel", STRING,
		   "an SELinux label of the host has no meaning in the guest"),
	OCI_REFUSE("uidMappings", ARRAY, "user namespaces are not supported yet"),
	OCI_REFUSE("gidMappings", ARRAY, "user namespaces are not supported yet"),
	OCI_REFUSE("netDevices", OBJECT, NULL),
	OCI_REFUSE("intelRdt", OBJECT, "the host's cache allocation does not reach into a VM"),
	OCI_REFUSE("personality", OBJECT, NULL),
	OCI_REFUSE("timeOffsets", OBJECT, "time namespaces are not supported yet"),
};
#undef AT

int oci_take_linux(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	int ret = oci_take_object(p, v, linux_fields, RSM_ARRAY_SIZE(linux_fields), to);

	return ret < 0 ? ret : check_namespaces(p, to);
}
