// SPDX-License-Identifier: Apache-2.0
/* hooks of config.json (config.md, POSIX-platform Hooks). */
#include "runtime/oci_parse.h"

static int take_path(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	const char *path = rsm_json_string(v);

	if (path[0] != '/')
		return oci_fail(p, EINVAL, "'%s' is not an absolute path", path);
	*(const char **)to = path;
	return 0;
}

static int take_env(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	struct oci_hook *hook = to;

	hook->has_env = true;
	return oci_take_strv(p, v, &hook->env);
}

/* Seconds; a poll() takes no more of them than this as milliseconds. */
static int take_timeout(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	int64_t n;
	int ret = oci_take_i64(p, v, &n);

	if (ret < 0)
		return ret;
	if (n <= 0 || n > OCI_HOOK_TIMEOUT_MAX)
		return oci_fail(p, EINVAL, "%lld is not between 1 and %d", (long long)n,
				OCI_HOOK_TIMEOUT_MAX);
	*(uint32_t *)to = (uint32_t)n;
	return 0;
}

static const struct oci_field hook_fields[] = {
	OCI_FIELD("path", STRING, take_path, offsetof(struct oci_hook, path)),
	OCI_FIELD("args", ARRAY, oci_take_strv, offsetof(struct oci_hook, args)),
	OCI_FIELD("env", ARRAY, take_env, 0),
	OCI_FIELD("timeout", NUMBER, take_timeout, offsetof(struct oci_hook, timeout)),
};

static int take_hook(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	struct oci_hook *hook = to;
	int ret = oci_take_object(p, v, hook_fields, RSM_ARRAY_SIZE(hook_fields), hook);

	if (ret == 0 && !hook->path) {
		(void)oci_enter(p, "path");
		return oci_fail(p, EINVAL, "is missing");
	}
	return ret;
}

static int take_list(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	struct oci_hook_list *list = to;
	void *items;
	int ret = oci_take_array(p, v, RSM_JSON_OBJECT, sizeof(struct oci_hook), take_hook, &items,
				 &list->n);

	if (ret == 0)
		list->v = items;
	return ret;
}

#define LIST(name, kind) OCI_FIELD(name, ARRAY, take_list, kind * sizeof(struct oci_hook_list))
static const struct oci_field hooks_fields[OCI_HOOK_KINDS] = {
	[OCI_PRESTART] = LIST("prestart", OCI_PRESTART),
	[OCI_CREATE_RUNTIME] = LIST("createRuntime", OCI_CREATE_RUNTIME),
	[OCI_CREATE_CONTAINER] = LIST("createContainer", OCI_CREATE_CONTAINER),
	[OCI_START_CONTAINER] = LIST("startContainer", OCI_START_CONTAINER),
	[OCI_POSTSTART] = LIST("poststart", OCI_POSTSTART),
	[OCI_POSTSTOP] = LIST("poststop", OCI_POSTSTOP),
};

int oci_take_hooks(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	return oci_take_object(p, v, hooks_fields, RSM_ARRAY_SIZE(hooks_fields), to);
}

const char *oci_hook_kind_name(size_t kind)
{
	return kind < OCI_HOOK_KINDS ? hooks_fields[kind].name : NULL;
}
