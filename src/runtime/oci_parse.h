/* SPDX-License-Identifier: Apache-2.0 */
/* The table-driven parser behind oci.h; included by oci_*.c only. */
#ifndef RSM_RUNTIME_OCI_PARSE_H
#define RSM_RUNTIME_OCI_PARSE_H

#include "base/math.h"
#include "runtime/oci.h"

#define OCI_PATH_MAX 256

enum oci_status {
	OCI_SUPPORTED,
	OCI_IGNORED, /* @note says why that changes nothing in a VM */
	OCI_REFUSED, /* @note says why, or is NULL: not supported yet */
};

/* Told of every member that a row knows, before its value is looked at. */
typedef void (*oci_seen_fn)(void *cookie, const char *path, enum oci_status status,
			    const char *note);

/**
 * struct oci_parser - One parse in progress
 * @path:	of the value being looked at, for messages; cut off rather than overrun
 * @seen:	may be NULL
 */
struct oci_parser {
	struct oci_spec *spec;
	struct rsm_error *err;
	char path[OCI_PATH_MAX];
	size_t path_len;
	oci_seen_fn seen;
	void *cookie;
};

/* @to: the member the field's row points at. Return: 0 or negative errno with p->err set */
typedef int (*oci_take_fn)(struct oci_parser *p, const struct rsm_json *v, void *to);

/**
 * struct oci_field - One member of an object of the specification
 * @type:	JSON type it must have
 * @take:	stores it at @offset of the object's struct; unused unless supported
 * @any:	refused: even a member that is empty itself asks for something
 */
struct oci_field {
	const char *name;
	enum rsm_json_type type;
	enum oci_status status;
	oci_take_fn take;
	size_t offset;
	const char *note;
	bool any;
};

#define OCI_FIELD(name, type, take, offset)                                                        \
	{                                                                                          \
		name, RSM_JSON_##type, OCI_SUPPORTED, take, offset, NULL, false                         \
	}
#define OCI_IGNORE(name, type, why)                                                                \
	{                                                                                          \
		name, RSM_JSON_##type, OCI_IGNORED, NULL, 0, why, false                            \
	}
#define OCI_REFUSE(name, type, why)                                                                \
	{                                                                                          \
		name, RSM_JSON_##type, OCI_REFUSED, NULL, 0, why, false                            \
	}
#define OCI_REFUSE_ANY(name, type, why)                                                            \
	{                                                                                          \
		name, RSM_JSON_##type, OCI_REFUSED, NULL, 0, why, true                             \
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

/* The member that an object cannot do without; NULL with p->err set if it is missing or null. */
const struct rsm_json *oci_require(struct oci_parser *p, const struct rsm_json *v,
				   const char *name);

/* Takers for scalars. */
int oci_take_bool(struct oci_parser *p, const struct rsm_json *v, void *to);   /* bool */
int oci_take_u32(struct oci_parser *p, const struct rsm_json *v, void *to);    /* uint32_t */
int oci_take_id(struct oci_parser *p, const struct rsm_json *v, void *to);     /* uid or gid */
int oci_take_i32(struct oci_parser *p, const struct rsm_json *v, void *to);    /* int32_t */
int oci_take_u64(struct oci_parser *p, const struct rsm_json *v, void *to);    /* uint64_t */
int oci_take_i64(struct oci_parser *p, const struct rsm_json *v, void *to);    /* int64_t */
int oci_take_string(struct oci_parser *p, const struct rsm_json *v, void *to); /* const char * */
int oci_take_strv(struct oci_parser *p, const struct rsm_json *v, void *to);   /* struct oci_strv */
/* Strings that the kernel can take as a path: not too long, nor any of its components. */
int oci_take_path(struct oci_parser *p, const struct rsm_json *v, void *to);     /* const char * */
int oci_take_abs_path(struct oci_parser *p, const struct rsm_json *v, void *to); /* const char * */
int oci_take_abs_paths(struct oci_parser *p, const struct rsm_json *v,
		       void *to); /* struct oci_strv */
int oci_take_cpus(struct oci_parser *p, const struct rsm_json *v, void *to); /* struct oci_cpus */
/* An object of strings. */
int oci_take_pairs(struct oci_parser *p, const struct rsm_json *v, struct oci_pair **ret,
		   size_t *ret_n);

/* Takers for the larger parts; @to as named. */
int oci_take_scheduler(struct oci_parser *p, const struct rsm_json *v, void *to); /* oci_process */
int oci_take_io_priority(struct oci_parser *p, const struct rsm_json *v,
			 void *to); /* oci_process */
int oci_take_affinity(struct oci_parser *p, const struct rsm_json *v, void *to);    /* oci_process */
int oci_take_namespaces(struct oci_parser *p, const struct rsm_json *v, void *to);  /* oci_linux */
int oci_take_uid_map(struct oci_parser *p, const struct rsm_json *v, void *to);     /* oci_linux */
int oci_take_gid_map(struct oci_parser *p, const struct rsm_json *v, void *to);     /* oci_linux */
int oci_take_time_offsets(struct oci_parser *p, const struct rsm_json *v, void *to); /* oci_linux */
int oci_take_process(struct oci_parser *p, const struct rsm_json *v, void *to);   /* oci_process */
int oci_take_mounts(struct oci_parser *p, const struct rsm_json *v, void *to);    /* oci_spec */
int oci_take_hooks(struct oci_parser *p, const struct rsm_json *v, void *to);     /* oci_hook_list[] */
int oci_take_linux(struct oci_parser *p, const struct rsm_json *v, void *to);     /* oci_linux */
int oci_take_resources(struct oci_parser *p, const struct rsm_json *v, void *to); /* oci_linux */
int oci_take_device_rules(struct oci_parser *p, const struct rsm_json *v, void *to); /* oci_linux */
int oci_take_seccomp(struct oci_parser *p, const struct rsm_json *v, void *to);   /* oci_seccomp */

/* What device rules demand of the devices; once all of linux is read. */
int oci_check_devices(struct oci_parser *p, struct oci_linux *l);
/* What namespaces and their members demand of each other, and of the process; once all is read. */
int oci_check_namespaces(struct oci_parser *p, const struct oci_linux *l);
int oci_check_ids(struct oci_parser *p, const struct oci_spec *spec);

/* oci_spec_parse() with a look at the rows that were used: for tests and documentation. */
int oci_spec_parse_seen(const char *text, size_t len, oci_seen_fn seen, void *cookie,
			struct oci_spec **ret, struct rsm_error *err);

/* MS_* of a propagation name ("rslave"), 0 if it is none. */
uint64_t oci_propagation(const char *name);

#endif
