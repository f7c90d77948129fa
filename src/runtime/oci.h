/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.json of an OCI bundle, as C.
 *
 * Parsing is by tables (oci_parse.h): every field that runtime-spec 1.2 knows has a row that says
 * whether it is supported, ignored (and why that is right for a VM), or refused. A refused field is
 * an error only if it asks for something: null, false, 0, "" and empty arrays and objects do not.
 * Fields the specification does not know are ignored, as it demands.
 *
 * Errors name the JSON path: "process.user.uid: expected a number, found a string".
 */
#ifndef RSM_RUNTIME_OCI_H
#define RSM_RUNTIME_OCI_H

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "runtime/arena.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct oci_strv {
	const char **v;
	size_t n;
};

struct oci_pair {
	const char *key, *value;
};

struct oci_user {
	uint32_t uid, gid, umask;
	bool has_umask;
	uint32_t *additional_gids;
	size_t n_additional_gids;
};

/* Bit i is capability number i. */
struct oci_caps {
	uint64_t bounding, effective, inheritable, permitted, ambient;
};

struct oci_rlimit {
	uint32_t resource; /* RLIMIT_* */
	uint64_t soft, hard;
};

/**
 * struct oci_scheduler - What sched_setattr(2) takes
 * @given:	there is one
 * @flags:	SCHED_FLAG_*
 * @runtime, @deadline, @period: ns
 */
struct oci_scheduler {
	bool given;
	uint32_t policy, priority;
	int32_t nice;
	uint64_t flags, runtime, deadline, period;
};

/* A set of CPUs as sched_setaffinity(2) takes it. */
#define OCI_CPUS_MAX 1024
struct oci_cpus {
	bool given;
	uint8_t bits[OCI_CPUS_MAX / 8];
};

struct oci_process {
	bool terminal;
	uint32_t console_rows, console_cols; /* 0: not given */
	struct oci_user user;
	struct oci_strv args, env;
	const char *cwd;
	struct oci_caps caps;
	bool has_caps;
	struct oci_rlimit *rlimits;
	size_t n_rlimits;
	bool no_new_privileges;
	int32_t oom_score_adj;
	bool has_oom_score_adj;
	struct oci_scheduler scheduler;
	uint32_t io_priority; /* as ioprio_set(2) takes it; 0: not given */
	struct oci_cpus exec_initial, exec_final;
};

/**
 * struct oci_mount - One entry of mounts
 * @type:	as the guest mounts it: proc, sysfs, tmpfs, devpts, mqueue, cgroup2 or bind
 * @source:	as given; "" if there was none
 * @flags:	MS_*; MS_BIND and MS_REC with a bind
 * @propagation: MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE, with MS_REC; or 0
 * @data:	the remaining options, separated by commas
 * @rec_set, @rec_clr: MOUNT_ATTR_* of the whole tree to set and to clear, as mount_setattr(2) does
 * @copy_up:	a tmpfs that begins with what its mount point has
 */
struct oci_mount {
	const char *destination, *type, *source, *data;
	uint64_t flags, propagation, rec_set, rec_clr;
	bool copy_up;
};

struct oci_device {
	const char *path;
	uint32_t type; /* S_IFCHR, S_IFBLK or S_IFIFO */
	uint32_t major, minor, mode, uid, gid;
	bool optional; /* the guest's kernel need not have it */
};

enum oci_device_access {
	OCI_DEVICE_READ = 1,
	OCI_DEVICE_WRITE = 2,
	OCI_DEVICE_MKNOD = 4,
};

#define OCI_DEVICE_RULES_MAX 1024

/**
 * struct oci_device_rule - One element of linux.resources.devices
 * @type:	S_IFCHR or S_IFBLK; 0: both
 * @major, @minor: -1: any
 * @access:	OCI_DEVICE_*
 */
struct oci_device_rule {
	bool allow;
	uint32_t type;
	int32_t major, minor;
	uint32_t access;
};

/* In the order of a container's life. */
enum oci_hook_kind {
	OCI_PRESTART,
	OCI_CREATE_RUNTIME,
	OCI_CREATE_CONTAINER,
	OCI_START_CONTAINER,
	OCI_POSTSTART,
	OCI_POSTSTOP,
	OCI_HOOK_KINDS,
};

#define OCI_HOOK_TIMEOUT_MAX 1000000 /* seconds */

/**
 * struct oci_hook - One hook
 * @args:	argv; none given: the path alone
 * @has_env:	environment given, be it empty; else the hook inherits one, as with runc
 * @timeout:	seconds; 0: none
 */
struct oci_hook {
	const char *path;
	struct oci_strv args, env;
	bool has_env;
	uint32_t timeout;
};

struct oci_hook_list {
	struct oci_hook *v;
	size_t n;
};

/* A compiled filter: @len bytes of struct sock_filter. */
struct oci_seccomp {
	void *filter;
	size_t len;
	uint32_t flags; /* SECCOMP_FILTER_FLAG_* */
};

struct oci_idmap {
	uint32_t container, host, size;
};

/* Seconds and nanoseconds that a time namespace's clock is ahead of the guest's. */
struct oci_offset {
	int64_t secs;
	uint32_t nanosecs;
};

/* A limit or weight of one block device of the host. */
struct oci_io_device {
	uint32_t major, minor;
	uint64_t value;
};

struct oci_io_devices {
	struct oci_io_device *v;
	size_t n;
};

enum oci_io_rate {
	OCI_IO_READ_BPS,
	OCI_IO_WRITE_BPS,
	OCI_IO_READ_IOPS,
	OCI_IO_WRITE_IOPS,
	OCI_IO_RATES,
};

/**
 * struct oci_resources - What is left to the host's cgroup alone
 * @cpus, @mems: lists as the kernel takes them, or NULL
 * @cpu_set, @mem_set: what they say
 *
 * 0 is "not given", and no limit.
 */
struct oci_resources {
	uint64_t cpu_shares, cpu_burst /* µs */, memory_reservation /* bytes */;
	int64_t cpu_idle;
	const char *cpus, *mems;
	struct oci_cpus cpu_set, mem_set;
	uint32_t io_weight; /* 10 to 1000 */
	struct oci_io_devices io_weights, io_rates[OCI_IO_RATES];
	struct oci_pair *unified;
	size_t n_unified;
};

struct oci_linux {
	uint64_t namespaces; /* CLONE_NEW* */
	const char *network_path; /* of a network namespace to join; NULL: a new one */
	struct oci_idmap *uid_map, *gid_map;
	size_t n_uid_map, n_gid_map;
	struct oci_offset monotonic, boottime;
	uint64_t personality; /* PER_* */
	bool has_personality;
	struct oci_device *devices;
	size_t n_devices;
	struct oci_device_rule *device_rules;
	size_t n_device_rules;
	struct oci_strv masked_paths, readonly_paths;
	struct oci_pair *sysctl;
	size_t n_sysctl;
	const char *cgroups_path;    /* NULL: not given */
	uint64_t rootfs_propagation; /* MS_* or 0 */
	struct oci_seccomp seccomp;
	uint64_t pids_limit;   /* 0: none */
	uint64_t memory_limit; /* bytes; 0: none */
	int64_t cpu_quota;     /* µs per period; 0: none */
	uint64_t cpu_period;   /* µs; 0: not given */
	struct oci_resources resources;
};

/**
 * struct oci_spec - A parsed config.json
 * @warnings:	lines about things that were accepted without effect, for the log
 *
 * All strings and arrays live as long as the struct.
 */
struct oci_spec {
	const char *oci_version;
	struct oci_process process;
	const char *root_path; /* as given */
	bool root_readonly;
	const char *hostname, *domainname; /* NULL: not given */
	struct oci_mount *mounts;
	size_t n_mounts;
	struct oci_linux linux_;
	struct oci_hook_list hooks[OCI_HOOK_KINDS];
	struct oci_pair *annotations;
	size_t n_annotations;
	struct rsm_buf warnings;
	/* private */
	struct rsm_json *tree;
	struct arena arena;
	struct oci_spec *process_owner; /* of a ->process that was put in its place */
};

/**
 * oci_spec_parse() - Parse and check a config.json
 * @ret:	freed with oci_spec_free()
 * Return: 0, or -EINVAL, -EOPNOTSUPP, -E2BIG, -ENOMEM with the path of the culprit in @err
 */
int oci_spec_parse(const char *text, size_t len, struct oci_spec **ret, struct rsm_error *err);

/* Read @bundle/config.json. @ret: malloc'ed, NUL-terminated */
int oci_bundle_read(const char *bundle, char **ret, size_t *ret_len, struct rsm_error *err);

/* A process object alone (exec --process FILE): only ->process is filled. */
int oci_spec_parse_process(const char *text, size_t len, struct oci_spec **ret,
			   struct rsm_error *err);

/* The annotations as they are written; NULL if there are none. */
const struct rsm_json *oci_spec_annotations(const struct oci_spec *spec);

/* Of a config.json that was accepted before, ->hooks alone. */
int oci_spec_parse_hooks(const char *text, size_t len, struct oci_spec **ret,
			 struct rsm_error *err);

/* Of linux.resources alone: ->linux_, as far as they are in it. */
int oci_spec_parse_resources(const char *text, size_t len, struct oci_spec **ret,
			     struct rsm_error *err);

void oci_spec_free(struct oci_spec *spec);
RSM_DEFINE_CLEANUP(struct oci_spec *, oci_spec_free, NULL);
#define _cleanup_spec_ _cleanup_(oci_spec_freep)

/* The config.json that `runsm spec` writes. */
const char *oci_default_spec(void);
/* The one of `runsm spec --rootless`, with root in the container being @uid and @gid outside.
 * Return: 0, -1 if @buf is too small (OCI_ROOTLESS_SPEC_MAX is enough) */
int oci_rootless_spec(char *buf, size_t size, unsigned uid, unsigned gid);
#define OCI_ROOTLESS_SPEC_MAX 8192

/* ---- names */

/* Number of "CAP_…", or -1. */
int oci_cap_number(const char *name);
/* Name of a capability the guest's kernel knows, NULL beyond the last. */
const char *oci_cap_name(unsigned number);
/* RLIMIT_* of "RLIMIT_…", or -1. */
int oci_rlimit_number(const char *name);
/* Name of an enum oci_hook_kind as config.json has it; NULL beyond the last. */
const char *oci_hook_kind_name(size_t kind);
/* Has each guest the device, meaning the same as on the host, if its kernel has the driver?
 * @type: S_IFCHR or S_IFBLK */
bool oci_guest_device(uint32_t type, uint32_t major, uint32_t minor);
/* The i-th mount option this parser knows, in alphabetical order; NULL beyond the last. */
const char *oci_mount_option_name(size_t i);
/* The same for seccomp actions and operators. */
const char *oci_seccomp_action_name(size_t i);
const char *oci_seccomp_operator_name(size_t i);
const char *oci_seccomp_arch_name(size_t i);
const char *oci_seccomp_flag_name(size_t i);
/* The i-th type of namespace this parser knows, taken or not; NULL beyond the last. */
const char *oci_namespace_name(size_t i);

/* ---- oci_accepts.c: is it taken, by a parser asked on the spot? */

bool oci_accepts_namespace(const char *type);
/* Members of linux, begun by a comma. */
bool oci_accepts_linux(const char *members);
/* Members of an element of mounts. */
bool oci_accepts_mount(const char *members);

#endif
