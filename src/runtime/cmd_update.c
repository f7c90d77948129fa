// SPDX-License-Identifier: Apache-2.0
/*
 * update: other limits for a container that is there. Options become the JSON that --resources has,
 * so that both are checked by the parser of config.json. Memory and pids are set in the guest, the
 * rest, and room for pids, in the host's cgroup. What a VM is made with stays: its RAM and its vCPUs.
 */
#include "runtime/cmd.h"

#include "base/buf.h"
#include "base/io.h"
#include "base/json.h"
#include "base/math.h"
#include "runtime/cgroup_driver.h"
#include "runtime/ctr_client.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct update_opts {
	const char *resources;
	const char *blkio_weight, *cpu_period, *cpu_quota, *cpu_burst, *cpu_share, *cpu_idle;
	const char *rt_period, *rt_runtime, *cpus, *mems;
	const char *memory, *memory_reservation, *memory_swap, *pids_limit;
};

#define AT(member) offsetof(struct update_opts, member)
static const struct cmd_opt opts[] = {
	{"resources", 'r', CMD_STRING, AT(resources),
	 "file with the resources to update, as in config.json, or '-' for standard input; other "
	 "options are ignored then"},
	{"blkio-weight", 0, CMD_STRING, AT(blkio_weight), "block I/O weight, from 10 to 1000"},
	{"cpu-period", 0, CMD_STRING, AT(cpu_period), "length of a CPU period in us"},
	{"cpu-quota", 0, CMD_STRING, AT(cpu_quota), "CPU time in a period in us; -1: no limit"},
	{"cpu-burst", 0, CMD_STRING, AT(cpu_burst), "CPU time that may be saved up in us"},
	{"cpu-share", 0, CMD_STRING, AT(cpu_share), "CPU shares (relative weight)"},
	{"cpu-idle", 0, CMD_STRING, AT(cpu_idle), "1: run only when nothing else does"},
	{"cpu-rt-period", 0, CMD_STRING, AT(rt_period), "refused: the VM's threads are not realtime"},
	{"cpu-rt-runtime", 0, CMD_STRING, AT(rt_runtime), "refused: the VM's threads are not realtime"},
	{"cpuset-cpus", 0, CMD_STRING, AT(cpus), "CPUs of the host to use"},
	{"cpuset-mems", 0, CMD_STRING, AT(mems), "memory nodes of the host to use"},
	{"memory", 0, CMD_STRING, AT(memory), "memory limit in bytes, at most what the VM was made with"},
	{"memory-reservation", 0, CMD_STRING, AT(memory_reservation), "soft limit in bytes"},
	{"memory-swap", 0, CMD_STRING, AT(memory_swap), "without effect: the guest has no swap"},
	{"pids-limit", 0, CMD_STRING, AT(pids_limit), "number of processes; -1: no limit"},
};

/* Which option is which member of linux.resources; rows of one object follow each other. */
static const struct {
	size_t offset;
	const char *option, *object, *member;
	bool text, bytes;
} members[] = {
	{AT(blkio_weight), "blkio-weight", "blockIO", "weight", false, false},
	{AT(cpu_period), "cpu-period", "cpu", "period", false, false},
	{AT(cpu_quota), "cpu-quota", "cpu", "quota", false, false},
	{AT(cpu_burst), "cpu-burst", "cpu", "burst", false, false},
	{AT(cpu_share), "cpu-share", "cpu", "shares", false, false},
	{AT(cpu_idle), "cpu-idle", "cpu", "idle", false, false},
	{AT(rt_period), "cpu-rt-period", "cpu", "realtimePeriod", false, false},
	{AT(rt_runtime), "cpu-rt-runtime", "cpu", "realtimeRuntime", false, false},
	{AT(cpus), "cpuset-cpus", "cpu", "cpus", true, false},
	{AT(mems), "cpuset-mems", "cpu", "mems", true, false},
	{AT(memory), "memory", "memory", "limit", false, true},
	{AT(memory_reservation), "memory-reservation", "memory", "reservation", false, true},
	{AT(memory_swap), "memory-swap", "memory", "swap", false, true},
	{AT(pids_limit), "pids-limit", "pids", "limit", false, false},
};
#undef AT

/* "512m" and the like, as runc takes them: powers of 1024, an optional "b" or "ib" behind */
static int take_number(const char *text, bool bytes, int64_t *ret)
{
	static const char units[] = "kmgtp";
	const char *unit = NULL;
	char *end;

	errno = 0;
	*ret = strtoll(text, &end, 10);
	if (end == text || errno)
		return -EINVAL;
	if (bytes && *end && *ret >= 0) {
		unit = strchr(units, *end | 0x20);
		for (const char *u = units; unit && u <= unit; u++)
			if (!rsm_mul(*ret, (int64_t)1024, ret))
				return -ERANGE;
		end += unit != NULL;
		if (strcasecmp(end, "b") == 0 || (unit && strcasecmp(end, "ib") == 0))
			return 0;
	}
	return *end ? -EINVAL : 0;
}

static int add_member(struct rsm_jsongen *g, size_t i, const char *value, struct rsm_error *err)
{
	int64_t n;

	if (members[i].text) {
		rsm_jsongen_kstring(g, members[i].member, value);
		return 0;
	}
	if (take_number(value, members[i].bytes, &n) < 0)
		return rsm_fail(err, EINVAL, "invalid value for %s: '%s' is not a %s",
				members[i].option, value,
				members[i].bytes ? "size" : "whole number");
	rsm_jsongen_kint(g, members[i].member, n);
	return 0;
}

static int json_of_options(const struct update_opts *o, struct rsm_buf *to, struct rsm_error *err)
{
	_cleanup_jsongen_ struct rsm_jsongen *g = NULL;
	const char *open = NULL, *text;
	size_t len;
	int ret = rsm_jsongen_new(false, &g);

	if (ret < 0)
		return rsm_fail(err, ENOMEM, "out of memory");
	rsm_jsongen_object(g);
	for (size_t i = 0; ret == 0 && i < RSM_ARRAY_SIZE(members); i++) {
		const char *value = *(const char *const *)((const char *)o + members[i].offset);

		if (!value || !value[0])
			continue;
		if (!open || strcmp(open, members[i].object) != 0) {
			if (open)
				rsm_jsongen_end_object(g);
			open = members[i].object;
			rsm_jsongen_key(g, open);
			rsm_jsongen_object(g);
		}
		ret = add_member(g, i, value, err);
	}
	if (ret < 0)
		return ret;
	if (open)
		rsm_jsongen_end_object(g);
	rsm_jsongen_end_object(g);
	if (rsm_jsongen_finish(g, &text, &len) < 0 || rsm_buf_add(to, text, len) < 0)
		return rsm_fail(err, ENOMEM, "out of memory");
	return 0;
}

static int read_resources(const char *path, struct rsm_buf *to, struct rsm_error *err)
{
	bool in = strcmp(path, "-") == 0;
	_cleanup_close_ int file = in ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = 1;

	if (!in && file < 0)
		return rsm_fail_errno(err, errno, "--resources: open '%s'", path);
	while (n > 0) {
		void *at = rsm_buf_reserve(to, 4096);

		if (!at || to->len > RSM_JSON_MAX_BYTES)
			return rsm_fail(err, EFBIG, "--resources: '%s' is too long", path);
		n = rsm_read_full(in ? STDIN_FILENO : file, at, 4096);
		if (n < 0)
			return rsm_fail_errno(err, (int)n, "--resources: read '%s'", path);
		to->len += (size_t)n;
	}
	return 0;
}

/* "No limit" is a number that the parser takes for "none given": negative, or of memory too large. */
static bool lifts(const struct rsm_json *tree, const char *object, const char *member)
{
	const struct rsm_json *o = rsm_json_get(tree, object), *v;
	int64_t n;

	v = o && rsm_json_type(o) == RSM_JSON_OBJECT ? rsm_json_get(o, member) : NULL;
	return v && rsm_json_type(v) == RSM_JSON_NUMBER && rsm_json_int64(v, &n) && n != 0;
}

static int parse(const struct rsm_buf *b, struct oci_spec **ret, struct rsm_error *err)
{
	_cleanup_json_ struct rsm_json *tree = NULL;
	int r = oci_spec_parse_resources(b->data, b->len, ret, err);
	struct oci_linux *l;

	if (r == 0)
		r = rsm_json_parse(b->data, b->len, &tree, err);
	if (r < 0)
		return r;
	l = &(*ret)->linux_;
	if (!l->memory_limit && lifts(tree, "memory", "limit"))
		l->memory_limit = UINT64_MAX;
	if (!l->pids_limit && lifts(tree, "pids", "limit"))
		l->pids_limit = UINT64_MAX;
	if (!l->cpu_quota && lifts(tree, "cpu", "quota"))
		l->cpu_quota = -1;
	return 0;
}

static int update_guest(struct ctr *c, const struct oci_linux *l, struct rsm_error *err)
{
	Runsm__UpdateContainerRequest request = RUNSM__UPDATE_CONTAINER_REQUEST__INIT;
	_cleanup_client_ struct ctr_client *cl = NULL;
	int ret;

	if (!l->memory_limit && !l->pids_limit)
		return 0;
	ret = ctr_connect(c, &cl, err);
	if (ret < 0)
		return ret;
	request.id = c->id;
	request.memory_limit = l->memory_limit;
	request.pids_limit = l->pids_limit;
	return ctr_call(cl, "UpdateContainer", &request.base, CTR_CALL_TIMEOUT_MS, NULL, err);
}

static int update_host(struct ctr *c, struct oci_linux *l, struct rsm_error *err)
{
	/* more threads than there can be vCPUs do no harm */
	const struct cgroup_use use = {
		.statefd = -1,
		.limits = l,
		.vm = {.vcpus = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN)},
	};
	_cleanup_cgroup_ struct cgroup *cg = NULL;
	struct cgroup none = {0};
	int ret = cgroup_load(c->dirfd, &cg, err);

	l->memory_limit = 0; /* the VM's own does not change */
	return ret < 0 ? ret : cgroup_update(cg ? cg : &none, &use, err);
}

static int run(const struct cmd_env *env, const void *opts_, int argc, char **argv,
	       struct rsm_error *err)
{
	const struct update_opts *o = opts_;
	_cleanup_buf_ struct rsm_buf json = {0};
	_cleanup_spec_ struct oci_spec *spec = NULL;
	_cleanup_ctr_ struct ctr *c = NULL;
	int ret = ctr_open(env->root, argv[0], true, &c, err);

	if (ret < 0)
		return ret;
	ret = ctr_status(c, err);
	if (ret < 0)
		return ret;
	if (ret == CTR_STOPPED || ret == CTR_CREATING)
		return rsm_fail(err, EINVAL, "container not running");
	ret = o->resources ? read_resources(o->resources, &json, err)
			   : json_of_options(o, &json, err);
	if (ret == 0)
		ret = parse(&json, &spec, err);
	if (ret == 0)
		ret = update_guest(c, &spec->linux_, err);
	return ret < 0 ? ret : update_host(c, &spec->linux_, err);
}

const struct cmd_verb cmd_update = {
	.name = "update",
	.summary = "update container resource constraints",
	.usage = "<container-id>",
	.opts = opts,
	.nopts = RSM_ARRAY_SIZE(opts),
	.opts_size = sizeof(struct update_opts),
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
