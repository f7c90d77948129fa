// SPDX-License-Identifier: Apache-2.0
/* state.json: reading, writing, printing. */
#include "runtime/ctr.h"

#include "base/io.h"
#include "base/math.h"

#include <fcntl.h>
#include <string.h>

#include "runtime/ctr_private.h"

const char *ctr_status_name(enum ctr_status status)
{
	static const char *const names[] = {"creating", "created", "running", "paused", "stopped"};

	return (size_t)status < RSM_ARRAY_SIZE(names) ? names[status] : "unknown";
}

/* Borrow a string member of @v; "" if it is missing. */
static char *string_of(const struct rsm_json *v, const char *key)
{
	const struct rsm_json *m = rsm_json_get(v, key);

	if (!m || rsm_json_type(m) != RSM_JSON_STRING)
		return (char *)"";
	return (char *)rsm_json_string(m);
}

static uint64_t number_of(const struct rsm_json *v, const char *key)
{
	const struct rsm_json *m = rsm_json_get(v, key);
	uint64_t n = 0;

	if (m && rsm_json_type(m) == RSM_JSON_NUMBER)
		(void)rsm_json_uint64(m, &n);
	return n;
}

static bool bool_of(const struct rsm_json *v, const char *key)
{
	const struct rsm_json *m = rsm_json_get(v, key);

	return m && rsm_json_type(m) == RSM_JSON_BOOL && rsm_json_bool(m);
}

int ctr_state_load(struct ctr *c, struct rsm_error *err)
{
	struct ctr_state *s = &c->state;
	_cleanup_free_ char *text = NULL;
	size_t len;
	int ret = rsm_read_file_at(c->dirfd, "state.json", RSM_JSON_MAX_BYTES, &text, &len);

	if (ret == -ENOENT)
		return rsm_fail(err, ENOENT, "container does not exist");
	if (ret < 0)
		return rsm_fail_errno(err, ret, "read state.json of container '%s'", c->id);
	ret = rsm_json_parse(text, len, &s->tree, err);
	if (ret == 0 && rsm_json_type(s->tree) != RSM_JSON_OBJECT)
		ret = rsm_fail(err, EINVAL, "not an object");
	if (ret < 0)
		return rsm_error_prefix(err, "state.json of container '%s'", c->id);
	s->oci_version = string_of(s->tree, "ociVersion");
	s->bundle = string_of(s->tree, "bundle");
	s->rootfs = string_of(s->tree, "rootfs");
	s->created = string_of(s->tree, "created");
	s->machine = string_of(s->tree, "machine");
	s->pid = (pid_t)number_of(s->tree, "pid");
	s->pid_start = number_of(s->tree, "pidStart");
	s->owner = (uid_t)number_of(s->tree, "owner");
	s->terminal = bool_of(s->tree, "terminal");
	s->creating = bool_of(s->tree, "creating");
	s->hooks = bool_of(s->tree, "hooks");
	s->annotations = (struct rsm_json *)rsm_json_get(s->tree, "annotations");
	return 0;
}

int ctr_save(struct ctr *c, struct rsm_error *err)
{
	const struct ctr_state *s = &c->state;
	_cleanup_jsongen_ struct rsm_jsongen *g = NULL;
	const char *text = NULL;
	size_t len = 0;
	int ret = rsm_jsongen_new(true, &g);

	if (ret < 0)
		return rsm_fail(err, ENOMEM, "out of memory");
	rsm_jsongen_object(g);
	rsm_jsongen_kstring(g, "ociVersion", s->oci_version);
	rsm_jsongen_kstring(g, "id", c->id);
	rsm_jsongen_kint(g, "pid", s->pid);
	rsm_jsongen_key(g, "pidStart");
	rsm_jsongen_uint(g, s->pid_start);
	rsm_jsongen_kstring(g, "bundle", s->bundle);
	rsm_jsongen_kstring(g, "rootfs", s->rootfs);
	rsm_jsongen_kstring(g, "created", s->created);
	rsm_jsongen_kint(g, "owner", s->owner);
	rsm_jsongen_kstring(g, "machine", s->machine);
	rsm_jsongen_kbool(g, "terminal", s->terminal);
	rsm_jsongen_kbool(g, "creating", s->creating);
	rsm_jsongen_kbool(g, "hooks", s->hooks);
	if (s->annotations) {
		rsm_jsongen_key(g, "annotations");
		rsm_jsongen_value(g, s->annotations);
	}
	rsm_jsongen_end_object(g);
	ret = rsm_jsongen_finish(g, &text, &len);
	if (ret == 0)
		ret = rsm_write_file_atomic_at(c->dirfd, "state.json", text, len, 0600);
	return ret < 0 ? rsm_fail_errno(err, ret, "write state.json of container '%s'", c->id) : 0;
}

void ctr_state_json(struct rsm_jsongen *g, const struct ctr *c, enum ctr_status status,
		    const char *owner)
{
	const struct ctr_state *s = &c->state;

	rsm_jsongen_kstring(g, "ociVersion", s->oci_version);
	rsm_jsongen_kstring(g, "id", c->id);
	rsm_jsongen_kint(g, "pid", status == CTR_STOPPED ? 0 : s->pid);
	rsm_jsongen_kstring(g, "status", ctr_status_name(status));
	rsm_jsongen_kstring(g, "bundle", s->bundle);
	rsm_jsongen_kstring(g, "rootfs", s->rootfs);
	rsm_jsongen_kstring(g, "created", s->created);
	if (s->annotations && rsm_json_len(s->annotations) > 0) {
		rsm_jsongen_key(g, "annotations");
		rsm_jsongen_value(g, s->annotations);
	}
	rsm_jsongen_kstring(g, "owner", owner ? owner : "");
}
