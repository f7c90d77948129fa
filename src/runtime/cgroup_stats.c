// SPDX-License-Identifier: Apache-2.0
/*
 * File names: Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst of Linux. Their contents are
 * the host kernel's, and trusted; a line in another form is passed over.
 */
#include "runtime/cgroup_stats.h"

#include "base/io.h"
#include "base/math.h"
#include "runtime/cgroup_file.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TICK_NS 10000000ULL /* USER_HZ is 100 on x86-64 */
#define US_NS   1000ULL

void cgroup_stats_put(struct rsm_jsongen *g, const char *key, uint64_t value)
{
	if (value == 0)
		return;
	rsm_jsongen_key(g, key);
	rsm_jsongen_uint(g, value);
}

static void put_always(struct rsm_jsongen *g, const char *key, uint64_t value)
{
	rsm_jsongen_key(g, key);
	rsm_jsongen_uint(g, value);
}

/* The text of a file of @controller's directory, NULL if there is none. */
static char *text_of(const struct cgroup *cg, const char *controller, const char *file)
{
	const struct cgroup_dir *d = cgroup_controller(cg, controller);
	char *text;

	if (!d || rsm_read_file_at(d->fd, file, CGROUP_FILE_MAX, &text, NULL) < 0)
		return NULL;
	return text;
}

/* Its number; 0 if there is none */
static uint64_t number_of(const struct cgroup *cg, const char *controller, const char *file)
{
	const struct cgroup_dir *d = cgroup_controller(cg, controller);
	uint64_t n;

	return d && cgroup_read_u64(d->fd, file, &n) == 0 ? n : 0;
}

/* VALUE of a line "NAME VALUE"; 0 if there is none */
static uint64_t value_of(const char *text, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = text; at && *at; at = strchr(at, '\n'), at = at ? at + 1 : NULL)
		if (strncmp(at, name, len) == 0 && at[len] == ' ')
			return strtoull(at + len + 1, NULL, 10);
	return 0;
}

/* ---- cpu */

/* Lines "CPU USER SYSTEM" of cpuacct.usage_all, below a heading. */
static void put_percpu_modes(struct rsm_jsongen *g, const char *text)
{
	static const char *const keys[] = {"percpu_kernel", "percpu_user"};
	bool any = text && strchr(text, '\n') && strchr(text, '\n')[1];

	for (size_t k = 0; any && k < RSM_ARRAY_SIZE(keys); k++) {
		rsm_jsongen_key(g, keys[k]);
		rsm_jsongen_array(g);
		for (const char *at = strchr(text, '\n'); at; at = strchr(at + 1, '\n')) {
			uint64_t user, kernel;

			if (sscanf(at + 1, "%*u %" SCNu64 " %" SCNu64, &user, &kernel) == 2)
				rsm_jsongen_uint(g, k == 0 ? kernel : user);
		}
		rsm_jsongen_end_array(g);
	}
}

static void put_percpu(struct rsm_jsongen *g, const char *text)
{
	char *end;

	rsm_jsongen_key(g, "percpu");
	rsm_jsongen_array(g);
	for (const char *at = text; at; at = end) {
		unsigned long long n = strtoull(at, &end, 10);

		if (end == at)
			break;
		rsm_jsongen_uint(g, n);
	}
	rsm_jsongen_end_array(g);
}

static void usage_v1(struct rsm_jsongen *g, const struct cgroup *cg)
{
	_cleanup_free_ char *stat = text_of(cg, "cpuacct", "cpuacct.stat");
	_cleanup_free_ char *percpu = text_of(cg, "cpuacct", "cpuacct.usage_percpu");
	_cleanup_free_ char *all = text_of(cg, "cpuacct", "cpuacct.usage_all");

	cgroup_stats_put(g, "total", number_of(cg, "cpuacct", "cpuacct.usage"));
	if (percpu)
		put_percpu(g, percpu);
	put_percpu_modes(g, all);
	put_always(g, "kernel", value_of(stat, "system") * TICK_NS);
	put_always(g, "user", value_of(stat, "user") * TICK_NS);
}

static void usage_us(struct rsm_jsongen *g, const struct cgroup_cpu_time *t)
{
	const uint64_t most = UINT64_MAX / US_NS;

	cgroup_stats_put(g, "total", rsm_min(t->usage, most) * US_NS);
	put_always(g, "kernel", rsm_min(t->system, most) * US_NS);
	put_always(g, "user", rsm_min(t->user, most) * US_NS);
}

void cgroup_stats_cpu(struct rsm_jsongen *g, const struct cgroup *cg,
		      const struct cgroup_cpu_time *inside)
{
	_cleanup_free_ char *stat = text_of(cg, "cpu", "cpu.stat");
	struct cgroup_cpu_time host;
	uint64_t throttled;

	rsm_jsongen_key(g, "cpu");
	rsm_jsongen_object(g);
	rsm_jsongen_key(g, "usage");
	rsm_jsongen_object(g);
	if (cg->v2 && stat) {
		host = (struct cgroup_cpu_time){value_of(stat, "usage_usec"),
						value_of(stat, "user_usec"),
						value_of(stat, "system_usec")};
		usage_us(g, &host);
	} else if (!cg->v2 && cgroup_controller(cg, "cpuacct")) {
		usage_v1(g, cg);
	} else {
		usage_us(g, inside);
	}
	rsm_jsongen_end_object(g);
	rsm_jsongen_key(g, "throttling");
	rsm_jsongen_object(g);
	throttled = cg->v2 ? value_of(stat, "throttled_usec") * US_NS
			   : value_of(stat, "throttled_time");
	cgroup_stats_put(g, "periods", value_of(stat, "nr_periods"));
	cgroup_stats_put(g, "throttledPeriods", value_of(stat, "nr_throttled"));
	cgroup_stats_put(g, "throttledTime", throttled);
	rsm_jsongen_end_object(g);
	rsm_jsongen_end_object(g);
}

/* ---- cpuset */

/* "0-2,5" as [0,1,2,5] */
static void put_list(struct rsm_jsongen *g, const char *key, const char *text)
{
	unsigned first, last;
	int used;

	if (!text || sscanf(text, "%u", &first) != 1)
		return;
	rsm_jsongen_key(g, key);
	rsm_jsongen_array(g);
	for (const char *at = text; sscanf(at, "%u%n", &first, &used) == 1;) {
		at += used;
		last = first;
		if (sscanf(at, "-%u%n", &last, &used) == 1)
			at += used;
		for (unsigned i = first; i <= last && i <= UINT16_MAX; i++)
			rsm_jsongen_uint(g, i);
		at += *at == ',';
	}
	rsm_jsongen_end_array(g);
}

void cgroup_stats_cpuset(struct rsm_jsongen *g, const struct cgroup *cg)
{
	static const char *const flags[] = {
		"mem_hardwall",       "mem_exclusive",   "memory_migrate",    "memory_spread_page",
		"memory_spread_slab", "memory_pressure", "sched_load_balance"};
	_cleanup_free_ char *cpus = cg->v2 ? NULL : text_of(cg, "cpuset", "cpuset.cpus");
	_cleanup_free_ char *mems = cg->v2 ? NULL : text_of(cg, "cpuset", "cpuset.mems");
	_cleanup_free_ char *level = text_of(cg, "cpuset", "cpuset.sched_relax_domain_level");
	char file[64];

	rsm_jsongen_key(g, "cpuset");
	rsm_jsongen_object(g);
	put_list(g, "cpus", cpus);
	put_always(g, "cpu_exclusive", number_of(cg, "cpuset", "cpuset.cpu_exclusive"));
	put_list(g, "mems", mems);
	for (size_t i = 0; i < RSM_ARRAY_SIZE(flags); i++) {
		(void)rsm_format(file, sizeof(file), "cpuset.%s", flags[i]);
		put_always(g, flags[i], number_of(cg, "cpuset", file));
	}
	rsm_jsongen_kint(g, "sched_relax_domain_level", level ? strtoll(level, NULL, 10) : 0);
	rsm_jsongen_end_object(g);
}

/* ---- blkio */

struct io_file {
	const char *file, *key;
};

static void put_io(struct rsm_jsongen *g, unsigned major, unsigned minor, const char *op,
		   uint64_t value)
{
	rsm_jsongen_object(g);
	cgroup_stats_put(g, "major", major);
	cgroup_stats_put(g, "minor", minor);
	if (op[0])
		rsm_jsongen_kstring(g, "op", op);
	cgroup_stats_put(g, "value", value);
	rsm_jsongen_end_object(g);
}

/* Lines "MAJOR:MINOR [OP] VALUE" and a total. */
static void put_io_v1(struct rsm_jsongen *g, const char *key, const char *text)
{
	bool open = false;

	for (const char *at = text; at && *at; at = strchr(at, '\n'), at = at ? at + 1 : NULL) {
		unsigned major, minor;
		uint64_t value;
		char op[16] = "";

		if (sscanf(at, "%u:%u %15[A-Za-z] %" SCNu64, &major, &minor, op, &value) != 4 &&
		    (op[0] || sscanf(at, "%u:%u %" SCNu64, &major, &minor, &value) != 3))
			continue;
		if (!open) {
			rsm_jsongen_key(g, key);
			rsm_jsongen_array(g);
		}
		open = true;
		put_io(g, major, minor, op, value);
	}
	if (open)
		rsm_jsongen_end_array(g);
}

/* What the disk's scheduler has is more than what the throttle has: the first that is there. */
static void blkio_v1(struct rsm_jsongen *g, const struct cgroup *cg)
{
	static const char *const sources[] = {"bfq.%s_recursive", "%s_recursive",
					      "throttle.%s_recursive", "throttle.%s"};
	static const struct io_file files[] = {
		{"io_service_bytes", "ioServiceBytesRecursive"},
		{"io_serviced", "ioServicedRecursive"},
		{"io_queued", "ioQueueRecursive"},
		{"io_service_time", "ioServiceTimeRecursive"},
		{"io_wait_time", "ioWaitTimeRecursive"},
		{"io_merged", "ioMergedRecursive"},
		{"time", "ioTimeRecursive"},
		{"sectors", "sectorsRecursive"},
	};

	for (size_t i = 0; i < RSM_ARRAY_SIZE(files); i++) {
		for (size_t k = 0; k < RSM_ARRAY_SIZE(sources); k++) {
			_cleanup_free_ char *text = NULL;
			char name[64], file[80];

			(void)snprintf(name, sizeof(name), sources[k], files[i].file);
			(void)snprintf(file, sizeof(file), "blkio.%s", name);
			text = text_of(cg, "blkio", file);
			if (!text)
				continue;
			put_io_v1(g, files[i].key, text);
			break;
		}
	}
}

/* Lines "MAJOR:MINOR rbytes=N wbytes=N rios=N wios=N …". */
static void put_io_v2(struct rsm_jsongen *g, const char *text, const char *key,
		      const char *const names[2])
{
	static const char *const ops[] = {"Read", "Write"};
	bool open = false;

	for (const char *at = text; at && *at; at = strchr(at, '\n'), at = at ? at + 1 : NULL) {
		const char *end = strchrnul(at, '\n'), *v;
		unsigned major, minor;

		if (sscanf(at, "%u:%u ", &major, &minor) != 2)
			continue;
		for (size_t i = 0; i < RSM_ARRAY_SIZE(ops); i++) {
			v = strstr(at, names[i]);
			if (!v || v > end)
				continue;
			if (!open) {
				rsm_jsongen_key(g, key);
				rsm_jsongen_array(g);
			}
			open = true;
			put_io(g, major, minor, ops[i], strtoull(v + strlen(names[i]), NULL, 10));
		}
	}
	if (open)
		rsm_jsongen_end_array(g);
}

void cgroup_stats_blkio(struct rsm_jsongen *g, const struct cgroup *cg)
{
	static const char *const bytes[] = {" rbytes=", " wbytes="};
	static const char *const ios[] = {" rios=", " wios="};
	_cleanup_free_ char *stat = cg->v2 ? text_of(cg, "blkio", "io.stat") : NULL;

	rsm_jsongen_key(g, "blkio");
	rsm_jsongen_object(g);
	if (cg->v2) {
		put_io_v2(g, stat, "ioServiceBytesRecursive", bytes);
		put_io_v2(g, stat, "ioServicedRecursive", ios);
	} else {
		blkio_v1(g, cg);
	}
	rsm_jsongen_end_object(g);
}

/* ---- hugetlb */

static void put_huge(struct rsm_jsongen *g, const struct cgroup *cg, const char *size)
{
	_cleanup_free_ char *events = NULL;
	char file[80];

	rsm_jsongen_key(g, size);
	rsm_jsongen_object(g);
	(void)snprintf(file, sizeof(file), "hugetlb.%s.%s", size,
		       cg->v2 ? "current" : "usage_in_bytes");
	cgroup_stats_put(g, "usage", number_of(cg, "hugetlb", file));
	(void)snprintf(file, sizeof(file), "hugetlb.%s.%s", size,
		       cg->v2 ? "events" : "max_usage_in_bytes");
	if (cg->v2)
		events = text_of(cg, "hugetlb", file);
	else
		cgroup_stats_put(g, "max", number_of(cg, "hugetlb", file));
	(void)snprintf(file, sizeof(file), "hugetlb.%s.failcnt", size);
	put_always(g, "failcnt", cg->v2 ? value_of(events, "max") : number_of(cg, "hugetlb", file));
	rsm_jsongen_end_object(g);
}

/* One object for each size of page that the host has. */
void cgroup_stats_hugetlb(struct rsm_jsongen *g, const struct cgroup *cg)
{
	const struct cgroup_dir *d = cgroup_controller(cg, "hugetlb");
	const char *tail = cg->v2 ? ".current" : ".usage_in_bytes";
	int fd = d ? openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	_cleanup_closedir_ DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

	rsm_jsongen_key(g, "hugetlb");
	rsm_jsongen_object(g);
	for (struct dirent *e; dir && (e = readdir(dir)) != NULL;) {
		size_t len = strcspn(e->d_name + rsm_min(strlen(e->d_name), (size_t)8), ".");
		char size[16];

		if (strncmp(e->d_name, "hugetlb.", 8) != 0 || len >= sizeof(size) ||
		    strcmp(e->d_name + 8 + len, tail) != 0)
			continue;
		(void)rsm_format(size, sizeof(size), "%.*s", (int)len, e->d_name + 8);
		put_huge(g, cg, size);
	}
	rsm_jsongen_end_object(g);
	if (fd >= 0 && !dir)
		close(fd);
}
