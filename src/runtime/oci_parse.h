/* SPDX-License-Identifier: Apache-2.0 */
/* The table-driven parser behind oci.h; included by oci_*.c only. */
#ifndef RSM_RUNTIME_OCI_PARSE_H
#define RSM_RUNTIME_OCI_PARSE_H

#include "base/math.h"
#include "runtime/oci.h"

#define OCI_PATH_MAX 256

/**
 * struct oci_parser - One parse in progress
 * @path:	of the value being looked at, for messages; cut off rather than overrun
 */
struct oci_parser {
	struct oci_spec *spec;
	struct rsm_error *err;
	char path[OCI_PATH_MAX];
	size_t path_len;
};

enum oci_status {
	OCI_SUPPORTED,
	OCI_IGNORED, /* @note says why that changes nothing in a VM */
	OCI_REFUSED, /* @note says why, or is NULL: not supported yet */
};

/* @to: the member the field's row points at. Return: 0 or negative errno with p->err set */
typedef int (*oci_take_fn)(struct oci_parser *p, const struct rsm_json *v, void *to);

/**
 * struct oci_field - One member of an object of the specification
 * @type:	JSON type it must have
 * @take:	stores it at @offset of the object's struct; unused unless supported
 */
struct oci_field {
	const char *name;
	enum rsm_json_type type;
	enum oci_status status;
	oci_take_fn take;
	size_t offset;
	const char *note;
};

#define OCI_FIELD(name, type, take, offset)                                                        \
	{                                                                                          \
		name, RSM_JSON_##type, OCI_SUPPORTED, take, offset, NULL                           \
	}
#define OCI_IGNORE(name, type, why)                                                                \
	{                                                                                          \
		name, RSM_JSON_##type, OCI_IGNORED, NULL, 0, why                                   \
	}
#define OCI_REFUSE(name, type, why)                                                                \
	{                                                                                          \
		name, RSM_JSON_##type, OCI_REFUSED, NULL, 0, why                                   \
	}

/* Put "PATH: …" into the parser's error. Return: -@code */
int oci_fail(struct oci_parser *p, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Add a line to the spec's warnings. */
void oci_warn(struct oci_parser *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Go down to a member or element, and back to where @mark was taken. */
size_t oci_enter(struct oci_parser *p, const char *key);
size_t oci_enter_index(struct oci_parser *p, size_t i);
void oci_leave(struct oci_parser *p, size_t mark);

/* Zeroed memory that lives as long as the spec; NULL with p->err set. */
void *oci_alloc(struct oci_parser *p, size_t n, size_t size);
/* The same for a copy of a string. */
char *oci_strdup(struct oci_parser *p, const char *s);

/* Check @v's type. */
int oci_expect(struct oci_parser *p, const struct rsm_json *v, enum rsm_json_type type);

/* Does @v ask for nothing: null, false, 0, "", [], or an object of only such? */
bool oci_is_unset(const struct rsm_json *v);

/**
 * oci_take_object() - Store the members of @v as their rows say
 * @fields:	@n rows
 * @into:	struct that the rows' offsets refer to
 */
int oci_take_object(struct oci_parser *p, const struct rsm_json *v, const struct oci_field *fields,
		    size_t n, void *into);

/**
 * oci_take_array() - Store each element of @v in an array of @size byte structs
 * @type:	of each element
 */
int oci_take_array(struct oci_parser *p, const struct rsm_json *v, enum rsm_json_type type,
		   size_t size, oci_take_fn take, void **ret, size_t *ret_n);

/* Takers for scalars. */
int oci_take_bool(struct oci_parser *p, const struct rsm_json *v, void *to);   /* bool */
int oci_take_u32(struct oci_parser *p, const struct rsm_json *v, void *to);    /* uint32_t */
int oci_take_u64(struct oci_parser *p, const struct rsm_json *v, void *to);    /* uint64_t */
int oci_take_i64(struct oci_parser *p, const struct rsm_json *v, void *to);    /* int64_t */
int oci_take_string(struct oci_parser *p, const struct rsm_json *v, void *to); /* const char * */
int oci_take_strv(struct oci_parser *p, const struct rsm_json *v, void *to);   /* struct oci_strv */
/* An object of strings. */
int oci_take_pairs(struct oci_parser *p, const struct rsm_json *v, struct oci_pair **ret,
		   size_t *ret_n);

/* Takers for the larger parts; @to as named. */
int oci_take_process(struct oci_parser *p, const struct rsm_json *v, void *to);   /* oci_process */
int oci_take_mounts(struct oci_parser *p, const struct rsm_json *v, void *to);    /* oci_spec */
int oci_take_linux(struct oci_parser *p, const struct rsm_json *v, void *to);     /* oci_linux */
int oci_take_resources(struct oci_parser *p, const struct rsm_json *v, void *to); /* oci_linux */
int oci_take_seccomp(struct oci_parser *p, const struct rsm_json *v, void *to);   /* oci_seccomp */

/* MS_* of a propagation name ("rslave"), 0 if it is none. */
uint64_t oci_propagation(const char *name);

#endif
