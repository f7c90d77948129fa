// SPDX-License-Identifier: Apache-2.0
/* linux.resources.devices (config-linux.md, Allowed Device list). */
#include "runtime/oci_parse.h"

#include <string.h>
#include <sys/stat.h>

static int take_type(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	const char *type = rsm_json_string(v);
	uint32_t *mode = to;

	if (strcmp(type, "c") == 0 || strcmp(type, "u") == 0)
		*mode = S_IFCHR;
	else if (strcmp(type, "b") == 0)
		*mode = S_IFBLK;
	else if (type[0] && strcmp(type, "a") != 0)
		return oci_fail(p, EINVAL, "'%s' is none of a, c, u, b", type);
	return 0;
}

/* -1 is any, as if it were not given. */
static int take_number(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	int64_t n = -1;
	int ret = oci_take_i64(p, v, &n);

	if (ret == 0 && (n < -1 || n > INT32_MAX))
		return oci_fail(p, EINVAL, "%lld is no device number", (long long)n);
	*(int32_t *)to = (int32_t)n;
	return ret;
}

static int take_access(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	static const char letters[] = "rwm";
	uint32_t *access = to;

	for (const char *c = rsm_json_string(v); *c; c++) {
		const char *at = strchr(letters, *c);

		if (at)
			*access |= 1U << (at - letters);
		else /* as runc */
			oci_warn(p, "linux.resources.devices: access '%s': only r, w and m count",
				 rsm_json_string(v));
	}
	return 0;
}

#define AT(member) offsetof(struct oci_device_rule, member)
static const struct oci_field rule_fields[] = {
	OCI_FIELD("allow", BOOL, oci_take_bool, AT(allow)),
	OCI_FIELD("type", STRING, take_type, AT(type)),
	OCI_FIELD("major", NUMBER, take_number, AT(major)),
	OCI_FIELD("minor", NUMBER, take_number, AT(minor)),
	OCI_FIELD("access", STRING, take_access, AT(access)),
};
#undef AT

static int take_rule(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	struct oci_device_rule *r = to;
	int ret;

	r->major = r->minor = -1;
	ret = oci_take_object(p, v, rule_fields, RSM_ARRAY_SIZE(rule_fields), r);
	if (ret < 0)
		return ret;
	if (!oci_require(p, v, "allow"))
		return -EINVAL;
	if (!r->access)
		return oci_fail(p, EINVAL, "has no access");
	return 0;
}

int oci_take_device_rules(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	struct oci_linux *l = to;
	void *items = NULL;
	int ret = oci_take_array(p, v, RSM_JSON_OBJECT, sizeof(*l->device_rules), take_rule, &items,
				 &l->n_device_rules);

	if (ret == 0 && l->n_device_rules > OCI_DEVICE_RULES_MAX)
		return oci_fail(p, E2BIG, "has more than %d elements", OCI_DEVICE_RULES_MAX);
	if (ret == 0)
		l->device_rules = items;
	return ret;
}
