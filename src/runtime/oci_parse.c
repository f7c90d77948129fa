// SPDX-License-Identifier: Apache-2.0
#include "runtime/oci_parse.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int oci_fail(struct oci_parser *p, int code, const char *fmt, ...)
{
	char text[RSM_ERROR_MESSAGE_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (p->path_len == 0)
		return rsm_fail(p->err, code, "%s", text);
	return rsm_fail(p->err, code, "%s: %s", p->path, text);
}

void oci_warn(struct oci_parser *p, const char *fmt, ...)
{
	char text[RSM_ERROR_MESSAGE_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)rsm_buf_addf(&p->spec->warnings, "%s: %s\n", p->path, text);
}

static size_t enter(struct oci_parser *p, const char *fmt, const char *key, size_t i)
{
	size_t mark = p->path_len, room = sizeof(p->path) - mark;
	int n = key ? snprintf(p->path + mark, room, fmt, key)
		    : snprintf(p->path + mark, room, fmt, i);

	p->path_len = n < 0 || (size_t)n >= room ? sizeof(p->path) - 1 : mark + (size_t)n;
	return mark;
}

size_t oci_enter(struct oci_parser *p, const char *key)
{
	return enter(p, p->path_len ? ".%s" : "%s", key, 0);
}

size_t oci_enter_index(struct oci_parser *p, size_t i)
{
	return enter(p, "[%zu]", NULL, i);
}

void oci_leave(struct oci_parser *p, size_t mark)
{
	p->path_len = mark;
	p->path[mark] = '\0';
}

void *oci_alloc(struct oci_parser *p, size_t n, size_t size)
{
	void *data = arena_alloc(&p->spec->arena, n, size);

	if (!data)
		(void)oci_fail(p, ENOMEM, "out of memory");
	return data;
}

char *oci_strdup(struct oci_parser *p, const char *s)
{
	size_t len = strlen(s) + 1;
	char *copy = oci_alloc(p, len, 1);

	return copy ? memcpy(copy, s, len) : NULL;
}

void oci_spec_free(struct oci_spec *spec)
{
	if (!spec)
		return;
	oci_spec_free(spec->process_owner);
	arena_free(&spec->arena);
	rsm_json_free(spec->tree);
	rsm_buf_free(&spec->warnings);
	free(spec);
}

static const char *with_article(enum rsm_json_type type)
{
	static const char *const names[] = {"null",     "a boolean", "a number",
					    "a string", "an array",  "an object"};

	return names[type];
}

int oci_expect(struct oci_parser *p, const struct rsm_json *v, enum rsm_json_type type)
{
	if (rsm_json_type(v) == type)
		return 0;
	return oci_fail(p, EINVAL, "expected %s, found %s", with_article(type),
			with_article(rsm_json_type(v)));
}

bool oci_is_unset(const struct rsm_json *v)
{
	uint64_t n;

	switch (rsm_json_type(v)) {
	case RSM_JSON_NULL:
		return true;
	case RSM_JSON_BOOL:
		return !rsm_json_bool(v);
	case RSM_JSON_NUMBER:
		return rsm_json_uint64(v, &n) && n == 0;
	case RSM_JSON_STRING:
		return rsm_json_string(v)[0] == '\0';
	case RSM_JSON_ARRAY:
		return rsm_json_len(v) == 0;
	case RSM_JSON_OBJECT:
		for (size_t i = 0; i < rsm_json_len(v); i++)
			if (!oci_is_unset(rsm_json_at(v, i)))
				return false;
		return true;
	}
	return false;
}

static int take_field(struct oci_parser *p, const struct rsm_json *v, const struct oci_field *f,
		      void *into)
{
	int ret;

	if (p->seen)
		p->seen(p->cookie, p->path, f->status, f->note);
	if (rsm_json_type(v) == RSM_JSON_NULL)
		return 0; /* as absent: what encoders of optional members write */
	ret = oci_expect(p, v, f->type);
	if (ret < 0)
		return ret;
	switch (f->status) {
	case OCI_SUPPORTED:
		return f->take(p, v, (char *)into + f->offset);
	case OCI_IGNORED:
		return 0;
	case OCI_REFUSED:
		if (f->any ? rsm_json_len(v) == 0 : oci_is_unset(v))
			return 0;
		return oci_fail(p, EOPNOTSUPP, "%s", f->note ? f->note : "not supported yet");
	}
	return -EINVAL;
}

int oci_take_object(struct oci_parser *p, const struct rsm_json *v, const struct oci_field *fields,
		    size_t n, void *into)
{
	for (size_t i = 0; i < n; i++) {
		const struct rsm_json *member = rsm_json_get(v, fields[i].name);
		size_t mark;
		int ret;

		if (!member)
			continue;
		mark = oci_enter(p, fields[i].name);
		ret = take_field(p, member, &fields[i], into);
		if (ret < 0)
			return ret;
		oci_leave(p, mark);
	}
	return 0;
}

int oci_take_array(struct oci_parser *p, const struct rsm_json *v, enum rsm_json_type type,
		   size_t size, oci_take_fn take, void **ret, size_t *ret_n)
{
	size_t n = rsm_json_len(v);
	char *items = oci_alloc(p, n, size);

	if (!items)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		size_t mark = oci_enter_index(p, i);
		int r = oci_expect(p, rsm_json_at(v, i), type);

		if (r == 0)
			r = take(p, rsm_json_at(v, i), items + i * size);
		if (r < 0)
			return r;
		oci_leave(p, mark);
	}
	*ret = items;
	*ret_n = n;
	return 0;
}

const struct rsm_json *oci_require(struct oci_parser *p, const struct rsm_json *v, const char *name)
{
	const struct rsm_json *member = rsm_json_get(v, name);

	if (member && rsm_json_type(member) != RSM_JSON_NULL)
		return member;
	(void)oci_enter(p, name);
	(void)oci_fail(p, EINVAL, "is missing");
	return NULL;
}

int oci_take_bool(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	*(bool *)to = rsm_json_bool(v);
	return 0;
}

int oci_take_u64(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	if (!rsm_json_uint64(v, to))
		return oci_fail(p, EINVAL, "%s is not an integer between 0 and 2^64-1",
				rsm_json_number_text(v));
	return 0;
}

int oci_take_i64(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	if (!rsm_json_int64(v, to))
		return oci_fail(p, EINVAL, "%s is not an integer between -2^63 and 2^63-1",
				rsm_json_number_text(v));
	return 0;
}

int oci_take_u32(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	uint64_t n;

	if (!rsm_json_uint64(v, &n) || n > UINT32_MAX)
		return oci_fail(p, EINVAL, "%s is not an integer between 0 and 4294967295",
				rsm_json_number_text(v));
	*(uint32_t *)to = (uint32_t)n;
	return 0;
}

/* The last number stands for "leave it as it is" in chown(2) and its like. */
int oci_take_id(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	int ret = oci_take_u32(p, v, to);

	if (ret == 0 && *(uint32_t *)to == UINT32_MAX)
		return oci_fail(p, EINVAL, "%u is not an ID: the highest is %u", UINT32_MAX,
				UINT32_MAX - 1);
	return ret;
}

int oci_take_i32(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	int64_t n;

	if (!rsm_json_int64(v, &n) || n < INT32_MIN || n > INT32_MAX)
		return oci_fail(p, EINVAL, "%s is not an integer between -2^31 and 2^31-1",
				rsm_json_number_text(v));
	*(int32_t *)to = (int32_t)n;
	return 0;
}

int oci_take_string(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	*(const char **)to = rsm_json_string(v);
	return 0;
}

int oci_take_strv(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	struct oci_strv *strv = to;
	void *items;
	int ret = oci_take_array(p, v, RSM_JSON_STRING, sizeof(const char *), oci_take_string,
				 &items, &strv->n);

	if (ret == 0)
		strv->v = items;
	return ret;
}

int oci_take_pairs(struct oci_parser *p, const struct rsm_json *v, struct oci_pair **ret,
		   size_t *ret_n)
{
	size_t n = rsm_json_len(v);
	struct oci_pair *pairs = oci_alloc(p, n, sizeof(*pairs));

	if (!pairs)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		size_t mark = oci_enter(p, rsm_json_key_at(v, i));
		int r = oci_expect(p, rsm_json_at(v, i), RSM_JSON_STRING);

		if (r < 0)
			return r;
		pairs[i].key = rsm_json_key_at(v, i);
		pairs[i].value = rsm_json_string(rsm_json_at(v, i));
		oci_leave(p, mark);
	}
	*ret = pairs;
	*ret_n = n;
	return 0;
}

/* ---- paths */

static int check_path(struct oci_parser *p, const char *path)
{
	if (strlen(path) >= PATH_MAX)
		return oci_fail(p, ENAMETOOLONG, "longer than a path can be (%d bytes)",
				PATH_MAX - 1);
	for (const char *at = path; *at; at += strspn(at, "/")) {
		size_t len = strcspn(at, "/");

		if (len > NAME_MAX)
			return oci_fail(p, ENAMETOOLONG,
					"a name in it is longer than %d bytes: '%.40s...'", NAME_MAX,
					at);
		at += len;
	}
	return 0;
}

int oci_take_path(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	int ret = check_path(p, rsm_json_string(v));

	return ret < 0 ? ret : oci_take_string(p, v, to);
}

int oci_take_abs_path(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	const char *path = rsm_json_string(v);

	if (path[0] != '/')
		return oci_fail(p, EINVAL, "'%.100s' is not an absolute path", path);
	return oci_take_path(p, v, to);
}

int oci_take_abs_paths(struct oci_parser *p, const struct rsm_json *v, void *to)
{
	struct oci_strv *strv = to;
	void *items;
	int ret = oci_take_array(p, v, RSM_JSON_STRING, sizeof(const char *), oci_take_abs_path,
				 &items, &strv->n);

	if (ret == 0)
		strv->v = items;
	return ret;
}
