// SPDX-License-Identifier: Apache-2.0
/* linux of config.json, without resources and seccomp (config-linux.md). */
#include "runtime/oci_parse.h"

#include <string.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/stat.h>

/* ---- devices */

#define ANY_MINOR UINT32_MAX

/*
 * Devices that mean the same in the guest as on the host: the kernel's own. What stands for a piece
 * of hardware, or a driver that would reach the host's, is not among them. Whether the guest's
 * kernel has the driver is for the agent to say.
 */
static const struct {
	uint32_t type, major, minor;
} guest_devices[] = {
	{S_IFCHR, 1, 3},           /* null */
	{S_IFCHR, 1, 5},           /* zero */
	{S_IFCHR, 1, 7},           /* full */
	{S_IFCHR, 1, 8},           /* random */
	{S_IFCHR, 1, 9},           /* urandom */
	{S_IFCHR, 1, 11},          /* kmsg */
	{S_IFCHR, 5, 0},           /* tty */
	{S_IFCHR, 5, 1},           /* console */
	{S_IFCHR, 5, 2},           /* ptmx */
	{S_IFCHR, 10, 200},        /* net/tun */
	{S_IFCHR, 10, 203},        /* cuse */
	{S_IFCHR, 10, 229},        /* fuse */
	{S_IFCHR, 10, 235},        /* autofs */
	{S_IFCHR, 10, 237},        /* loop-control */
	{S_IFBLK, 1, ANY_MINOR},   /* ram0 and so on */
	{S_IFBLK, 7, ANY_MINOR},   /* loop0 and so on */
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
		*mode = S_IFBLK;
	else
		return oci_fail(p, EINVAL, "'%s' is none of c, u, p, b", type);
	return 0;
}

#define AT(member) offsetof(struct oci_device, member)
static const struct oci_field device_fields[] = {
	OCI_FIELD("type", STRING, take_device_type, AT(type)),
	OCI_FIELD("path", STRING, oci_take_abs_path, AT(path)),
	OCI_FIELD("major", NUMBER, oci_take_u32, AT(major)),
	OCI_FIELD("minor", NUMBER, oci_take_u32, AT(minor)),
	OCI_FIELD("fileMode", NUMBER, oci_take_u32, AT(mode)),
	OCI_FIELD("uid", NUMBER, oci_take_id, AT(uid)),
	OCI_FIELD("gid", NUMBER, oci_take_id, AT(gid)),
};
#undef AT

bool oci_guest_device(uint32_t type, uint32_t major, uint32_t minor)
{
	for (size_t i = 0; i < RSM_ARRAY_SIZE(guest_devices); i++)
		if (type == guest_devices[i].type && major == guest_devices[i].major &&
		    (minor == guest_devices[i].minor || guest_devices[i].minor == ANY_MINOR))
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
	if (!oci_require(p, v, "type") || !oci_require(p, v, "path"))
		return -EINVAL;
	return 0;
}

static bool same_device(const struct oci_device *a, const struct oci_device *b)
{
	return a->type == b->type && a->major == b->major && a->minor == b->minor;
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

static int check_paths(struct oci_parser *p, const struct oci_linux *l)
{
	for (size_t i = 0; i < l->n_devices; i++) {
		for (size_t k = 0; k < i; k++) {
			if (strcmp(l->devices[i].path, l->devices[k].path) != 0 ||
			    same_device(&l->devices[i], &l->devices[k]))
				continue;
			(void)oci_enter_index(p, i);
			return oci_fail(p, EINVAL, "%.100s is another device in element %zu",
					l->devices[i].path, k);
		}
	}
	return 0;
}

/* A privileged container gets whatever there is: its last rule about everything allows it. */
static bool is_privileged(const struct oci_linux *l)
{
	const uint32_t all = OCI_DEVICE_READ | OCI_DEVICE_WRITE | OCI_DEVICE_MKNOD;

	for (size_t i = l->n_device_rules; i > 0; i--) {
		const struct oci_device_rule *r = &l->device_rules[i - 1];

		if (!r->type && r->major < 0 && r->minor < 0 && r->access == all)
			return r->allow;
	}
	return false;
}

int oci_check_devices(struct oci_parser *p, struct oci_linux *l)
{
	const bool privileged = is_privileged(l);
	const size_t top = oci_enter(p, "devices");
	size_t kept = 0;

	for (size_t i = 0; i < l->n_devices; i++) {
		struct oci_device *d = &l->devices[i];

		if (d->type == S_IFIFO || oci_guest_device(d->type, d->major, d->minor)) {
			d->optional = privileged;
			l->devices[kept++] = *d;
		} else if (!privileged) {
			(void)oci_enter_index(p, i);
			return oci_fail(p, EOPNOTSUPP,
					"%.100s (%c %u:%u): a device of the host, which the VM does "
					"not have",
					d->path, d->type == S_IFBLK ? 'b' : 'c', d->major, d->minor);
		}
	}
	if (kept < l->n_devices)
		oci_warn(p, "linux.devices: %zu of them are devices of the host, which the VM does not have",
			 l->n_devices - kept);
	l->n_devices = kept;
	if (check_paths(p, l) < 0)
		return -EINVAL;
	oci_leave(p, top);
	return 0;
}

/* ---- the rest */

#define SYSCTL_NAME_MAX 200

static int take_sysctl(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	struct oci_linux *l = to;
	int ret = oci_take_pairs(p, v, &l->sysctl, &l->n_sysctl);

	for (size_t i = 0; ret == 0 && i < l->n_sysctl; i++) {
		const char *key = l->sysctl[i].key;
		size_t mark = oci_enter(p, key);

		if (key[0] == '\0' || key[0] == '.' || key[0] == '/' || strstr(key, ".."))
			return oci_fail(p, EINVAL, "not the name of a kernel parameter");
		if (strcmp(key, "kernel.hostname") == 0 || strcmp(key, "kernel/hostname") == 0)
			return oci_fail(p, EINVAL, "hostname is the field for it");
		if (strlen(key) > SYSCTL_NAME_MAX)
			return oci_fail(p, EINVAL, "longer than %d bytes", SYSCTL_NAME_MAX);
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

/* ---- personality */

static int take_domain(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	const char *name = rsm_json_string(v);

	if (strcmp(name, "LINUX") == 0)
		*(uint64_t *)to = PER_LINUX;
	else if (strcmp(name, "LINUX32") == 0)
		*(uint64_t *)to = PER_LINUX32;
	else
		return oci_fail(p, EINVAL, "'%s' is neither LINUX nor LINUX32", name);
	return 0;
}

static const struct oci_field personality_fields[] = {
	OCI_FIELD("domain", STRING, take_domain, offsetof(struct oci_linux, personality)),
	OCI_REFUSE("flags", ARRAY, "the specification defines none"),
};

static int take_personality(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	struct oci_linux *l = to;
	int ret;

	if (oci_is_unset(v))
		return 0;
	ret = oci_take_object(p, v, personality_fields, RSM_ARRAY_SIZE(personality_fields), l);
	if (ret == 0 && !oci_require(p, v, "domain"))
		return -EINVAL;
	l->has_personality = true;
	return ret;
}

#define AT(member) offsetof(struct oci_linux, member)
static const struct oci_field linux_fields[] = {
	OCI_FIELD("namespaces", ARRAY, oci_take_namespaces, 0),
	OCI_FIELD("devices", ARRAY, take_devices, 0),
	OCI_FIELD("sysctl", OBJECT, take_sysctl, 0),
	OCI_FIELD("resources", OBJECT, oci_take_resources, 0),
	OCI_FIELD("cgroupsPath", STRING, oci_take_string, AT(cgroups_path)),
	OCI_FIELD("seccomp", OBJECT, oci_take_seccomp, AT(seccomp)),
	OCI_FIELD("rootfsPropagation", STRING, take_propagation, AT(rootfs_propagation)),
	OCI_FIELD("maskedPaths", ARRAY, oci_take_abs_paths, AT(masked_paths)),
	OCI_FIELD("readonlyPaths", ARRAY, oci_take_abs_paths, AT(readonly_paths)),
	OCI_IGNORE("mountLabel", STRING,
		   "an SELinux label of the host has no meaning in the guest"),
	OCI_FIELD("uidMappings", ARRAY, oci_take_uid_map, 0),
	OCI_FIELD("gidMappings", ARRAY, oci_take_gid_map, 0),
	OCI_REFUSE_ANY("netDevices", OBJECT,
		       "a network device of the host cannot be moved into a VM"),
	OCI_REFUSE("intelRdt", OBJECT, "the host's cache allocation does not reach into a VM"),
	OCI_REFUSE("memoryPolicy", OBJECT, "the guest has one memory node only"),
	OCI_FIELD("personality", OBJECT, take_personality, 0),
	OCI_FIELD("timeOffsets", OBJECT, oci_take_time_offsets, 0),
};
#undef AT

int oci_take_linux(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	int ret = oci_take_object(p, v, linux_fields, RSM_ARRAY_SIZE(linux_fields), to);

	if (ret == 0)
		ret = oci_check_devices(p, to);
	return ret < 0 ? ret : oci_check_namespaces(p, to);
}
