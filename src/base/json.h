/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON behind one header; yajl is included nowhere else.
 *
 * Reading gives an immutable tree; writing is a small generator. Parsing is strict: one value,
 * UTF-8, no comments, no duplicate keys, bounded depth and size.
 */
#ifndef RSM_BASE_JSON_H
#define RSM_BASE_JSON_H

#include "base/buf.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RSM_JSON_MAX_DEPTH 64
#define RSM_JSON_MAX_BYTES (16 * 1024 * 1024)

enum rsm_json_type {
	RSM_JSON_NULL,
	RSM_JSON_BOOL,
	RSM_JSON_NUMBER,
	RSM_JSON_STRING,
	RSM_JSON_ARRAY,
	RSM_JSON_OBJECT,
};

struct rsm_json;

/**
 * rsm_json_parse() - Parse one JSON document
 * @ret:	freed with rsm_json_free()
 * Return: 0, or -EINVAL with line and reason in @err, -E2BIG, -ENOMEM
 */
int rsm_json_parse(const char *text, size_t len, struct rsm_json **ret, struct rsm_error *err);
void rsm_json_free(struct rsm_json *root);
RSM_DEFINE_CLEANUP(struct rsm_json *, rsm_json_free, NULL);
#define _cleanup_json_ _cleanup_(rsm_json_freep)

enum rsm_json_type rsm_json_type(const struct rsm_json *v);
const char *rsm_json_type_name(enum rsm_json_type type);

/* Member of an object, NULL if @v is NULL, not an object, or has no such key. */
const struct rsm_json *rsm_json_get(const struct rsm_json *v, const char *key);

/* Elements of an array or members of an object; 0 for NULL and scalars. */
size_t rsm_json_len(const struct rsm_json *v);
const struct rsm_json *rsm_json_at(const struct rsm_json *v, size_t i); /* element or member value */
const char *rsm_json_key_at(const struct rsm_json *v, size_t i);

/* Value accessors; the type must match (rsm_assert). Strings are NUL-terminated; embedded NULs
 * are refused at parse time. */
const char *rsm_json_string(const struct rsm_json *v);
bool rsm_json_bool(const struct rsm_json *v);
/* false if the number is not an integer in range */
bool rsm_json_int64(const struct rsm_json *v, int64_t *ret);
bool rsm_json_uint64(const struct rsm_json *v, uint64_t *ret);
/* the number as it was written */
const char *rsm_json_number_text(const struct rsm_json *v);

/*
 * Generator. Calls nest; a key goes before each member value inside an object. Out of memory is
 * remembered and reported by rsm_jsongen_finish().
 */
struct rsm_jsongen;

int rsm_jsongen_new(bool pretty, struct rsm_jsongen **ret);
void rsm_jsongen_free(struct rsm_jsongen *g);
RSM_DEFINE_CLEANUP(struct rsm_jsongen *, rsm_jsongen_free, NULL);
#define _cleanup_jsongen_ _cleanup_(rsm_jsongen_freep)

void rsm_jsongen_object(struct rsm_jsongen *g);
void rsm_jsongen_end_object(struct rsm_jsongen *g);
void rsm_jsongen_array(struct rsm_jsongen *g);
void rsm_jsongen_end_array(struct rsm_jsongen *g);
void rsm_jsongen_key(struct rsm_jsongen *g, const char *key);
void rsm_jsongen_string(struct rsm_jsongen *g, const char *s);
void rsm_jsongen_int(struct rsm_jsongen *g, int64_t v);
void rsm_jsongen_uint(struct rsm_jsongen *g, uint64_t v);
void rsm_jsongen_bool(struct rsm_jsongen *g, bool v);
void rsm_jsongen_null(struct rsm_jsongen *g);
/* a parsed value, copied */
void rsm_jsongen_value(struct rsm_jsongen *g, const struct rsm_json *v);

/* Key and value in one call. */
void rsm_jsongen_kstring(struct rsm_jsongen *g, const char *key, const char *s);
void rsm_jsongen_kint(struct rsm_jsongen *g, const char *key, int64_t v);
void rsm_jsongen_kbool(struct rsm_jsongen *g, const char *key, bool v);

/* The text, NUL-terminated, valid until the generator is freed. Return: 0 or -ENOMEM */
int rsm_jsongen_finish(struct rsm_jsongen *g, const char **ret, size_t *ret_len);

#endif
