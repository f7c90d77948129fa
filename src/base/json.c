// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"

#include "base/math.h"

#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_gen.h>
#include <yajl/yajl_parse.h>

/*
 * yajl's event parser drives a small tree builder of our own: yajl's own tree keeps neither the
 * text of numbers that do not fit nor tells duplicate keys.
 */
struct rsm_json {
	enum rsm_json_type type;
	bool boolean;
	char *text; /* string value, or number as written */
	size_t len; /* children */
	size_t size;
	char **keys; /* objects only */
	struct rsm_json **items;
};

struct builder {
	struct rsm_json *root;
	struct rsm_json *stack[RSM_JSON_MAX_DEPTH];
	size_t depth;
	char *key; /* pending member key of the innermost object */
	const char *why;
	char why_buf[96];
	int code;
};

void rsm_json_free(struct rsm_json *v)
{
	if (!v)
		return;
	for (size_t i = 0; i < v->len; i++) {
		if (v->keys)
			free(v->keys[i]);
		rsm_json_free(v->items[i]);
	}
	free(v->keys);
	free(v->items);
	free(v->text);
	free(v);
}

static int refuse(struct builder *b, int code, const char *why)
{
	b->code = code;
	b->why = why;
	return 0; /* yajl: cancel */
}

static bool grow(struct rsm_json *v)
{
	size_t size = v->size ? v->size * 2 : 8;
	struct rsm_json **items;

	if (v->len < v->size)
		return true;
	items = reallocarray(v->items, size, sizeof(*items));
	if (!items)
		return false;
	v->items = items;
	if (v->type == RSM_JSON_OBJECT) {
		char **keys = reallocarray(v->keys, size, sizeof(*keys));

		if (!keys)
			return false;
		v->keys = keys;
	}
	v->size = size;
	return true;
}

/* Attach a fresh node of @type to the innermost container. NULL: out of memory, refused. */
static struct rsm_json *attach(struct builder *b, enum rsm_json_type type)
{
	struct rsm_json *v = calloc(1, sizeof(*v)), *parent;

	if (!v) {
		refuse(b, ENOMEM, "out of memory");
		return NULL;
	}
	v->type = type;
	if (b->depth == 0) {
		b->root = v;
		return v;
	}
	parent = b->stack[b->depth - 1];
	if (!grow(parent)) {
		free(v);
		refuse(b, ENOMEM, "out of memory");
		return NULL;
	}
	if (parent->type == RSM_JSON_OBJECT)
		parent->keys[parent->len] = rsm_steal_ptr(b->key);
	parent->items[parent->len++] = v;
	return v;
}

static int open_container(struct builder *b, enum rsm_json_type type)
{
	struct rsm_json *v;

	if (b->depth == RSM_JSON_MAX_DEPTH)
		return refuse(b, E2BIG, "nested too deeply");
	v = attach(b, type);
	if (!v)
		return 0;
	b->stack[b->depth++] = v;
	return 1;
}

static int on_null(void *ctx)
{
	return attach(ctx, RSM_JSON_NULL) != NULL;
}

static int on_boolean(void *ctx, int value)
{
	struct rsm_json *v = attach(ctx, RSM_JSON_BOOL);

	if (v)
		v->boolean = value != 0;
	return v != NULL;
}

static int set_text(struct builder *b, enum rsm_json_type type, const char *s, size_t len)
{
	struct rsm_json *v;

	if (memchr(s, '\0', len))
		return refuse(b, EINVAL, "string contains a NUL character");
	v = attach(b, type);
	if (!v)
		return 0;
	v->text = strndup(s, len);
	return v->text ? 1 : refuse(b, ENOMEM, "out of memory");
}

static int on_number(void *ctx, const char *s, size_t len)
{
	return set_text(ctx, RSM_JSON_NUMBER, s, len);
}

static int on_string(void *ctx, const unsigned char *s, size_t len)
{
	return set_text(ctx, RSM_JSON_STRING, len ? (const char *)s : "", len);
}

static int on_key(void *ctx, const unsigned char *s, size_t len)
{
	struct builder *b = ctx;
	struct rsm_json *object = b->stack[b->depth - 1];
	char *key;

	if (memchr(s, '\0', len))
		return refuse(b, EINVAL, "key contains a NUL character");
	key = strndup((const char *)s, len);
	if (!key)
		return refuse(b, ENOMEM, "out of memory");
	if (rsm_json_get(object, key)) {
		(void)snprintf(b->why_buf, sizeof(b->why_buf), "duplicate key '%s'", key);
		free(key);
		return refuse(b, EINVAL, b->why_buf);
	}
	free(b->key);
	b->key = key;
	return 1;
}

static int on_start_map(void *ctx)
{
	return open_container(ctx, RSM_JSON_OBJECT);
}

static int on_start_array(void *ctx)
{
	return open_container(ctx, RSM_JSON_ARRAY);
}

static int on_end(void *ctx)
{
	struct builder *b = ctx;

	b->depth--;
	return 1;
}

static const yajl_callbacks callbacks = {
	.yajl_null = on_null,
	.yajl_boolean = on_boolean,
	.yajl_number = on_number,
	.yajl_string = on_string,
	.yajl_start_map = on_start_map,
	.yajl_map_key = on_key,
	.yajl_end_map = on_end,
	.yajl_start_array = on_start_array,
	.yajl_end_array = on_end,
};

static unsigned line_of(const char *text, size_t len, size_t offset)
{
	unsigned line = 1;

	for (size_t i = 0; i < len && i < offset; i++)
		line += text[i] == '\n';
	return line;
}

/* Where the builder stands: "process.args[1]", "" at the top. Cut off rather than overrun. */
static void path_of(const struct builder *b, char *buf, size_t size)
{
	size_t at = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < b->depth; i++) {
		const struct rsm_json *c = b->stack[i];
		bool innermost = i + 1 == b->depth;
		size_t index = innermost ? c->len : c->len - 1;
		int n = 0;

		if (c->type == RSM_JSON_ARRAY) {
			n = snprintf(buf + at, size - at, "[%zu]", index);
		} else {
			const char *key = innermost ? b->key : c->keys[index];

			if (key)
				n = snprintf(buf + at, size - at, "%s%s", at ? "." : "", key);
		}
		if (n < 0 || (size_t)n >= size - at)
			return;
		at += (size_t)n;
	}
}

static int parse_failed(struct builder *b, yajl_handle h, const char *text, size_t len,
			struct rsm_error *err)
{
	unsigned line = line_of(text, len, yajl_get_bytes_consumed(h));
	unsigned char *why;
	char path[256];

	path_of(b, path, sizeof(path));
	if (b->why)
		return rsm_fail(err, b->code, "line %u: %s%s%s", line, path, path[0] ? ": " : "",
				b->why);
	why = yajl_get_error(h, 0, (const unsigned char *)text, len);
	if (why)
		why[strcspn((char *)why, "\n")] = '\0';
	rsm_fail(err, EINVAL, "line %u: %s", line, why ? (char *)why : "not valid JSON");
	yajl_free_error(h, why);
	return -EINVAL;
}

int rsm_json_parse(const char *text, size_t len, struct rsm_json **ret, struct rsm_error *err)
{
	struct builder b = { 0 };
	yajl_status status;
	yajl_handle h;
	int r = 0;

	if (len > RSM_JSON_MAX_BYTES)
		return rsm_fail(err, E2BIG, "larger than %d bytes", RSM_JSON_MAX_BYTES);
	h = yajl_alloc(&callbacks, NULL, &b);
	if (!h)
		return rsm_fail(err, ENOMEM, "out of memory");
	status = yajl_parse(h, (const unsigned char *)text, len);
	if (status == yajl_status_ok)
		status = yajl_complete_parse(h);
	if (status != yajl_status_ok)
		r = parse_failed(&b, h, text, len, err);
	else if (!b.root)
		r = rsm_fail(err, EINVAL, "empty document");
	yajl_free(h);
	free(b.key);
	if (r < 0)
		rsm_json_free(b.root);
	else
		*ret = b.root;
	return r;
}

enum rsm_json_type rsm_json_type(const struct rsm_json *v)
{
	return v->type;
}

const char *rsm_json_type_name(enum rsm_json_type type)
{
	static const char *const names[] = { "null", "boolean", "number",
					     "string", "array", "object" };

	return names[type];
}

const struct rsm_json *rsm_json_get(const struct rsm_json *v, const char *key)
{
	if (!v || v->type != RSM_JSON_OBJECT)
		return NULL;
	for (size_t i = 0; i < v->len; i++)
		if (strcmp(v->keys[i], key) == 0)
			return v->items[i];
	return NULL;
}

size_t rsm_json_len(const struct rsm_json *v)
{
	return v ? v->len : 0;
}

const struct rsm_json *rsm_json_at(const struct rsm_json *v, size_t i)
{
	rsm_assert(v && i < v->len);
	return v->items[i];
}

const char *rsm_json_key_at(const struct rsm_json *v, size_t i)
{
	rsm_assert(v && v->type == RSM_JSON_OBJECT && i < v->len);
	return v->keys[i];
}

const char *rsm_json_string(const struct rsm_json *v)
{
	rsm_assert(v && v->type == RSM_JSON_STRING);
	return v->text;
}

bool rsm_json_bool(const struct rsm_json *v)
{
	rsm_assert(v && v->type == RSM_JSON_BOOL);
	return v->boolean;
}

const char *rsm_json_number_text(const struct rsm_json *v)
{
	rsm_assert(v && v->type == RSM_JSON_NUMBER);
	return v->text;
}

bool rsm_json_int64(const struct rsm_json *v, int64_t *ret)
{
	const char *text = rsm_json_number_text(v);
	long long value;
	char *end;

	errno = 0;
	value = strtoll(text, &end, 10);
	if (errno || *end)
		return false;
	*ret = value;
	return true;
}

bool rsm_json_uint64(const struct rsm_json *v, uint64_t *ret)
{
	const char *text = rsm_json_number_text(v);
	unsigned long long value;
	char *end;

	if (text[0] == '-')
		return false;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || *end)
		return false;
	*ret = value;
	return true;
}

struct rsm_jsongen {
	yajl_gen gen;
	bool failed;
};

int rsm_jsongen_new(bool pretty, struct rsm_jsongen **ret)
{
	_cleanup_free_ struct rsm_jsongen *g = calloc(1, sizeof(*g));

	if (!g)
		return -ENOMEM;
	g->gen = yajl_gen_alloc(NULL);
	if (!g->gen)
		return -ENOMEM;
	(void)yajl_gen_config(g->gen, yajl_gen_beautify, pretty ? 1 : 0);
	(void)yajl_gen_config(g->gen, yajl_gen_indent_string, "  ");
	*ret = rsm_steal_ptr(g);
	return 0;
}

void rsm_jsongen_free(struct rsm_jsongen *g)
{
	if (!g)
		return;
	yajl_gen_free(g->gen);
	free(g);
}

static void check(struct rsm_jsongen *g, yajl_gen_status status)
{
	if (status != yajl_gen_status_ok)
		g->failed = true;
}

void rsm_jsongen_object(struct rsm_jsongen *g)
{
	check(g, yajl_gen_map_open(g->gen));
}

void rsm_jsongen_end_object(struct rsm_jsongen *g)
{
	check(g, yajl_gen_map_close(g->gen));
}

void rsm_jsongen_array(struct rsm_jsongen *g)
{
	check(g, yajl_gen_array_open(g->gen));
}

void rsm_jsongen_end_array(struct rsm_jsongen *g)
{
	check(g, yajl_gen_array_close(g->gen));
}

void rsm_jsongen_string(struct rsm_jsongen *g, const char *s)
{
	check(g, yajl_gen_string(g->gen, (const unsigned char *)s, strlen(s)));
}

void rsm_jsongen_key(struct rsm_jsongen *g, const char *key)
{
	rsm_jsongen_string(g, key);
}

static void number(struct rsm_jsongen *g, const char *text)
{
	check(g, yajl_gen_number(g->gen, text, strlen(text)));
}

void rsm_jsongen_int(struct rsm_jsongen *g, int64_t v)
{
	check(g, yajl_gen_integer(g->gen, v));
}

void rsm_jsongen_uint(struct rsm_jsongen *g, uint64_t v)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)v);
	number(g, text);
}

void rsm_jsongen_bool(struct rsm_jsongen *g, bool v)
{
	check(g, yajl_gen_bool(g->gen, v));
}

void rsm_jsongen_null(struct rsm_jsongen *g)
{
	check(g, yajl_gen_null(g->gen));
}

void rsm_jsongen_value(struct rsm_jsongen *g, const struct rsm_json *v)
{
	switch (v->type) {
	case RSM_JSON_NULL:
		rsm_jsongen_null(g);
		return;
	case RSM_JSON_BOOL:
		rsm_jsongen_bool(g, v->boolean);
		return;
	case RSM_JSON_NUMBER:
		number(g, v->text);
		return;
	case RSM_JSON_STRING:
		rsm_jsongen_string(g, v->text);
		return;
	case RSM_JSON_ARRAY:
		rsm_jsongen_array(g);
		for (size_t i = 0; i < v->len; i++)
			rsm_jsongen_value(g, v->items[i]);
		rsm_jsongen_end_array(g);
		return;
	case RSM_JSON_OBJECT:
		rsm_jsongen_object(g);
		for (size_t i = 0; i < v->len; i++) {
			rsm_jsongen_key(g, v->keys[i]);
			rsm_jsongen_value(g, v->items[i]);
		}
		rsm_jsongen_end_object(g);
		return;
	}
}

void rsm_jsongen_kstring(struct rsm_jsongen *g, const char *key, const char *s)
{
	rsm_jsongen_key(g, key);
	rsm_jsongen_string(g, s);
}

void rsm_jsongen_kint(struct rsm_jsongen *g, const char *key, int64_t v)
{
	rsm_jsongen_key(g, key);
	rsm_jsongen_int(g, v);
}

void rsm_jsongen_kbool(struct rsm_jsongen *g, const char *key, bool v)
{
	rsm_jsongen_key(g, key);
	rsm_jsongen_bool(g, v);
}

int rsm_jsongen_finish(struct rsm_jsongen *g, const char **ret, size_t *ret_len)
{
	const unsigned char *text;
	size_t len;

	if (g->failed || yajl_gen_get_buf(g->gen, &text, &len) != yajl_gen_status_ok)
		return -ENOMEM;
	*ret = (const char *)text;
	if (ret_len)
		*ret_len = len;
	return 0;
}
