// SPDX-License-Identifier: Apache-2.0
/* The top of config.json (config.md), and the doors to the parser. */
#include "runtime/oci_parse.h"

#include "base/io.h"

#include <ctype.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Any 1.x: later minor versions only add members, and added members are ignored. */
static int take_version(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	static const char digits[] = "0123456789";
	const char *s = rsm_json_string(v), *at = s;

	if (strncmp(at, "1.", 2) == 0 && isdigit((unsigned char)at[2])) {
		at += 2;
		at += strspn(at, digits);
		if (at[0] == '.' && isdigit((unsigned char)at[1]))
			at += 1 + strspn(at + 1, digits);
		if (*at == '\0' || *at == '-' || *at == '+') {
			*(const char **)to = s;
			return 0;
		}
	}
	return oci_fail(p, EINVAL, "'%.40s' is not a version 1.x of the specification", s);
}

#define AT(member) offsetof(struct oci_spec, member)
static const struct oci_field root_fields[] = {
	OCI_FIELD("path", STRING, oci_take_path, AT(root_path)),
	OCI_FIELD("readonly", BOOL, oci_take_bool, AT(root_readonly)),
};

static int take_root(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	struct oci_spec *spec = to;
	int ret = oci_take_object(p, v, root_fields, RSM_ARRAY_SIZE(root_fields), spec);

	if (ret == 0 && (!spec->root_path || spec->root_path[0] == '\0')) {
		(void)oci_enter(p, "path");
		return oci_fail(p, EINVAL, "must not be empty");
	}
	return ret;
}

/* uname(2) takes at most 64 bytes. */
static int take_hostname(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	if (strlen(rsm_json_string(v)) > 64)
		return oci_fail(p, EINVAL, "longer than 64 bytes");
	return oci_take_string(p, v, to);
}

static int take_annotations(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	struct oci_spec *spec = to;

	if (rsm_json_get(v, ""))
		return oci_fail(p, EINVAL, "a key is empty");
	return oci_take_pairs(p, v, &spec->annotations, &spec->n_annotations);
}

static const struct oci_field spec_fields[] = {
	OCI_FIELD("ociVersion", STRING, take_version, AT(oci_version)),
	OCI_FIELD("process", OBJECT, oci_take_process, AT(process)),
	OCI_FIELD("root", OBJECT, take_root, 0),
	OCI_FIELD("hostname", STRING, take_hostname, AT(hostname)),
	OCI_FIELD("domainname", STRING, take_hostname, AT(domainname)),
	OCI_FIELD("mounts", ARRAY, oci_take_mounts, 0),
	OCI_FIELD("hooks", OBJECT, oci_take_hooks, AT(hooks)),
	OCI_FIELD("annotations", OBJECT, take_annotations, 0),
	OCI_FIELD("linux", OBJECT, oci_take_linux, AT(linux_)),
	OCI_REFUSE("vm", OBJECT, "the machine is chosen by runsm's own configuration"),
	OCI_REFUSE("solaris", OBJECT, "not a Linux container"),
	OCI_REFUSE("windows", OBJECT, "not a Linux container"),
	OCI_REFUSE("zos", OBJECT, "not a Linux container"),
	OCI_REFUSE("freebsd", OBJECT, "not a Linux container"),
};
#undef AT

/* Members without which there is no Linux container. */
static const char *const required[] = {"ociVersion", "process", "root", "linux"};

static int take_spec(struct oci_parser *p, const struct rsm_json *v)
{
	int ret = oci_expect(p, v, RSM_JSON_OBJECT);

	if (ret < 0)
		return ret;
	for (size_t i = 0; i < RSM_ARRAY_SIZE(required); i++)
		if (!oci_require(p, v, required[i]))
			return -EINVAL;
	ret = oci_take_object(p, v, spec_fields, RSM_ARRAY_SIZE(spec_fields), p->spec);
	return ret < 0 ? ret : oci_check_ids(p, p->spec);
}

static int take_hooks_alone(struct oci_parser *p, const struct rsm_json *v)
{
	const struct rsm_json *hooks = rsm_json_get(v, "hooks");

	(void)oci_enter(p, "hooks");
	return hooks && rsm_json_type(hooks) == RSM_JSON_OBJECT
		       ? oci_take_hooks(p, hooks, p->spec->hooks)
		       : 0;
}

static int take_process_alone(struct oci_parser *p, const struct rsm_json *v)
{
	(void)oci_enter(p, "process");
	int ret = oci_expect(p, v, RSM_JSON_OBJECT);

	return ret < 0 ? ret : oci_take_process(p, v, &p->spec->process);
}

static int take_resources_alone(struct oci_parser *p, const struct rsm_json *v)
{
	int ret;

	(void)oci_enter(p, "linux");
	(void)oci_enter(p, "resources");
	ret = oci_expect(p, v, RSM_JSON_OBJECT);
	return ret < 0 ? ret : oci_take_resources(p, v, &p->spec->linux_);
}

static int parse(const char *text, size_t len,
		 int (*take)(struct oci_parser *p, const struct rsm_json *v), oci_seen_fn seen,
		 void *cookie, struct oci_spec **ret, struct rsm_error *err)
{
	_cleanup_spec_ struct oci_spec *spec = calloc(1, sizeof(*spec));
	struct oci_parser p = {.spec = spec, .err = err, .seen = seen, .cookie = cookie};
	int r;

	if (!spec)
		return rsm_fail(err, ENOMEM, "out of memory");
	r = rsm_json_parse(text, len, &spec->tree, err);
	if (r < 0)
		return r;
	r = take(&p, spec->tree);
	if (r < 0)
		return r;
	*ret = rsm_steal_ptr(spec);
	return 0;
}

int oci_spec_parse(const char *text, size_t len, struct oci_spec **ret, struct rsm_error *err)
{
	return parse(text, len, take_spec, NULL, NULL, ret, err);
}

int oci_spec_parse_seen(const char *text, size_t len, oci_seen_fn seen, void *cookie,
			struct oci_spec **ret, struct rsm_error *err)
{
	return parse(text, len, take_spec, seen, cookie, ret, err);
}

int oci_spec_parse_process(const char *text, size_t len, struct oci_spec **ret,
			   struct rsm_error *err)
{
	return parse(text, len, take_process_alone, NULL, NULL, ret, err);
}

int oci_spec_parse_hooks(const char *text, size_t len, struct oci_spec **ret,
			 struct rsm_error *err)
{
	return parse(text, len, take_hooks_alone, NULL, NULL, ret, err);
}

int oci_spec_parse_resources(const char *text, size_t len, struct oci_spec **ret,
			     struct rsm_error *err)
{
	return parse(text, len, take_resources_alone, NULL, NULL, ret, err);
}

const struct rsm_json *oci_spec_annotations(const struct oci_spec *spec)
{
	return rsm_json_get(spec->tree, "annotations");
}

int oci_bundle_read(const char *bundle, char **ret, size_t *ret_len, struct rsm_error *err)
{
	_cleanup_close_ int dir = open(bundle, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	int r;

	if (dir < 0)
		return rsm_fail_errno(err, errno, "bundle '%s'", bundle);
	/* Not a pipe or device, which might never end. */
	if (fstatat(dir, "config.json", &st, 0) == 0 && !S_ISREG(st.st_mode))
		return rsm_fail(err, EINVAL, "'%s/config.json' is not a regular file", bundle);
	r = rsm_read_file_at(dir, "config.json", RSM_JSON_MAX_BYTES, ret, ret_len);
	if (r == -ENOENT)
		return rsm_fail(err, ENOENT,
				"JSON specification file config.json not found in '%s'", bundle);
	if (r == -EFBIG)
		return rsm_fail(err, EFBIG, "%s/config.json is larger than %d bytes", bundle,
				RSM_JSON_MAX_BYTES);
	return r < 0 ? rsm_fail_errno(err, r, "read '%s/config.json'", bundle) : 0;
}
