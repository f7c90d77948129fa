// SPDX-License-Identifier: Apache-2.0
/* The record of a container's figures: from cgroups of both versions, and from a hostile guest. */
#include "cmocka_all.h"

#include "base/io.h"
#include "base/math.h"
#include "runtime/stats.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define MANY 5000

static char top[] = "/tmp/runsm-test-stats-XXXXXX";

static int make_top(void **state)
{
	(void)strcpy(top + strlen(top) - 6, "XXXXXX");
	return mkdtemp(top) ? 0 : -1;
}

static int remove_top(void **state)
{
	return rsm_remove_tree_at(AT_FDCWD, top);
}

/* The files of a cgroup that has the controllers @names. */
static void cgroup_files(struct cgroup *cg, bool v2, const char *names,
			 const char *const files[][2])
{
	*cg = (struct cgroup){.v2 = v2, .ndirs = 1};
	(void)strcpy(cg->dirs[0].names, names);
	cg->dirs[0].fd = open(top, O_PATH | O_DIRECTORY);
	assert_true(cg->dirs[0].fd >= 0);
	for (size_t i = 0; files[i][0]; i++)
		assert_int_equal(rsm_write_file_atomic_at(cg->dirs[0].fd, files[i][0], files[i][1],
							  strlen(files[i][1]), 0600),
				 0);
}

/* The record, and its member "data", parsed. */
static const struct rsm_json *event(const struct cgroup *cg, const Runsm__StatsResponse *guest,
				    struct rsm_json **tree)
{
	_cleanup_jsongen_ struct rsm_jsongen *g = NULL;
	struct rsm_error err = RSM_ERROR_INIT;
	const char *text;
	size_t len;

	assert_int_equal(rsm_jsongen_new(false, &g), 0);
	stats_event(g, "c", cg, guest);
	assert_int_equal(rsm_jsongen_finish(g, &text, &len), 0);
	assert_null(strchr(text, '\n'));
	assert_int_equal(strncmp(text, "{\"type\":\"stats\",\"id\":\"c\",\"data\":{", 33), 0);
	if (rsm_json_parse(text, len, tree, &err) < 0)
		fail_msg("%s: %s", err.message, text);
	return rsm_json_get(*tree, "data");
}

/* @path: members separated by dots, elements of arrays by number */
static const struct rsm_json *at(const struct rsm_json *v, const char *path)
{
	char copy[100], *save = NULL;

	(void)strcpy(copy, path);
	for (char *w = strtok_r(copy, ".", &save); v && w; w = strtok_r(NULL, ".", &save))
		v = rsm_json_type(v) == RSM_JSON_ARRAY
			    ? ((size_t)atoi(w) < rsm_json_len(v) ? rsm_json_at(v, (size_t)atoi(w))
								 : NULL)
			    : rsm_json_get(v, w);
	return v;
}

static void assert_number(const struct rsm_json *data, const char *path, uint64_t expected)
{
	const struct rsm_json *v = at(data, path);
	uint64_t n;

	if (!v || rsm_json_type(v) != RSM_JSON_NUMBER || !rsm_json_uint64(v, &n))
		fail_msg("%s is no number", path);
	if (n != expected)
		fail_msg("%s is %llu", path, (unsigned long long)n);
}

static void v1_files_become_runcs_members(void **state)
{
	static const char *const files[][2] = {
		{"cpuacct.usage", "3000\n"},
		{"cpuacct.stat", "user 7\nsystem 5\n"},
		{"cpuacct.usage_percpu", "1000 2000 \n"},
		{"cpuacct.usage_all", "cpu user system\n0 11 12\n1 21 22\n"},
		{"cpu.stat", "nr_periods 4\nnr_throttled 2\nthrottled_time 99\n"},
		{"cpuset.cpus", "0-2,5\n"},
		{"cpuset.mems", "0\n"},
		{"cpuset.sched_load_balance", "1\n"},
		{"cpuset.sched_relax_domain_level", "-1\n"},
		{"blkio.throttle.io_service_bytes", "8:0 Read 4096\n8:0 Write 0\nTotal 4096\n"},
		{"blkio.throttle.io_serviced", "8:0 Read 1\nTotal 1\n"},
		{"blkio.bfq.sectors_recursive", "8:16 77\n"},
		{"hugetlb.2MB.usage_in_bytes", "2097152\n"},
		{"hugetlb.2MB.max_usage_in_bytes", "4194304\n"},
		{"hugetlb.2MB.failcnt", "3\n"},
		{NULL, NULL},
	};
	const Runsm__StatsResponse guest = RUNSM__STATS_RESPONSE__INIT;
	_cleanup_json_ struct rsm_json *tree = NULL;
	const struct rsm_json *data;
	struct cgroup cg;
	int64_t level;

	cgroup_files(&cg, false, "cpu,cpuacct,cpuset,blkio,hugetlb", files);
	data = event(&cg, &guest, &tree);
	assert_number(data, "cpu.usage.total", 3000);
	assert_number(data, "cpu.usage.user", 70000000);
	assert_number(data, "cpu.usage.kernel", 50000000);
	assert_number(data, "cpu.usage.percpu.1", 2000);
	assert_number(data, "cpu.usage.percpu_user.1", 21);
	assert_number(data, "cpu.usage.percpu_kernel.0", 12);
	assert_int_equal(rsm_json_len(at(data, "cpu.usage.percpu_kernel")), 2);
	assert_number(data, "cpu.throttling.periods", 4);
	assert_number(data, "cpu.throttling.throttledPeriods", 2);
	assert_number(data, "cpu.throttling.throttledTime", 99);
	assert_int_equal(rsm_json_len(at(data, "cpuset.cpus")), 4);
	assert_number(data, "cpuset.cpus.3", 5);
	assert_number(data, "cpuset.sched_load_balance", 1);
	assert_number(data, "cpuset.mem_hardwall", 0);
	assert_true(rsm_json_int64(at(data, "cpuset.sched_relax_domain_level"), &level));
	assert_int_equal(level, -1);
	assert_number(data, "blkio.ioServiceBytesRecursive.0.value", 4096);
	assert_number(data, "blkio.ioServiceBytesRecursive.0.major", 8);
	assert_string_equal(rsm_json_string(at(data, "blkio.ioServiceBytesRecursive.1.op")),
			    "Write");
	assert_null(at(data, "blkio.ioServiceBytesRecursive.2"));
	assert_number(data, "blkio.sectorsRecursive.0.minor", 16);
	assert_number(data, "blkio.sectorsRecursive.0.value", 77);
	assert_null(at(data, "blkio.sectorsRecursive.0.op"));
	assert_null(at(data, "blkio.ioTimeRecursive"));
	assert_number(data, "hugetlb.2MB.usage", 2097152);
	assert_number(data, "hugetlb.2MB.max", 4194304);
	assert_number(data, "hugetlb.2MB.failcnt", 3);
	close(cg.dirs[0].fd);
}

static void v2_files_become_runcs_members(void **state)
{
	static const char *const files[][2] = {
		{"cpu.stat", "usage_usec 10\nuser_usec 7\nsystem_usec 3\nnr_periods 4\n"
			     "nr_throttled 2\nthrottled_usec 6\n"},
		{"io.stat",
		 "8:0 rbytes=4096 wbytes=5 rios=1 wios=2 dbytes=0 dios=0\n254:1 rbytes=6\n"},
		{"hugetlb.1GB.current", "0\n"},
		{"hugetlb.1GB.events", "max 9\n"},
		{NULL, NULL},
	};
	const Runsm__StatsResponse guest = RUNSM__STATS_RESPONSE__INIT;
	_cleanup_json_ struct rsm_json *tree = NULL;
	const struct rsm_json *data;
	struct cgroup cg;

	cgroup_files(&cg, true, "", files);
	data = event(&cg, &guest, &tree);
	assert_number(data, "cpu.usage.total", 10000);
	assert_number(data, "cpu.usage.kernel", 3000);
	assert_number(data, "cpu.throttling.throttledTime", 6000);
	assert_number(data, "blkio.ioServiceBytesRecursive.1.value", 5);
	assert_string_equal(rsm_json_string(at(data, "blkio.ioServiceBytesRecursive.1.op")),
			    "Write");
	assert_number(data, "blkio.ioServiceBytesRecursive.2.value", 6);
	assert_number(data, "blkio.ioServiceBytesRecursive.2.minor", 1);
	assert_null(at(data, "blkio.ioServiceBytesRecursive.3"));
	assert_number(data, "blkio.ioServicedRecursive.1.value", 2);
	assert_null(at(data, "hugetlb.1GB.usage"));
	assert_number(data, "hugetlb.1GB.failcnt", 9);
	close(cg.dirs[0].fd);
}

static void without_a_cgroup_the_guest_tells_the_cpu_time(void **state)
{
	Runsm__StatsResponse guest = RUNSM__STATS_RESPONSE__INIT;
	_cleanup_json_ struct rsm_json *tree = NULL;
	const struct rsm_json *data;

	guest.cpu_usage = 9;
	guest.cpu_system = UINT64_MAX;
	data = event(NULL, &guest, &tree);
	assert_number(data, "cpu.usage.total", 9000);
	assert_number(data, "cpu.usage.kernel", UINT64_MAX / 1000 * 1000);
	assert_int_equal(rsm_json_len(at(data, "blkio")), 0);
	assert_int_equal(rsm_json_len(at(data, "hugetlb")), 0);
}

static void memory_and_pids_are_the_guests_and_the_limit_is_at_most_the_vms(void **state)
{
	Runsm__Stat file = RUNSM__STAT__INIT, anon = RUNSM__STAT__INIT, *list[] = {&file, &anon};
	Runsm__StatsResponse guest = RUNSM__STATS_RESPONSE__INIT;
	struct rsm_json *tree = NULL;
	const struct rsm_json *data;

	file.name = (char *)"file";
	file.value = 10;
	anon.name = (char *)"anon";
	anon.value = 20;
	guest.memory_usage = 30;
	guest.memory_max_usage = 40;
	guest.memory_limit = UINT64_MAX;
	guest.memory_failures = 5;
	guest.memory_stat = list;
	guest.n_memory_stat = 2;
	guest.pids_current = 6;
	guest.pids_limit = UINT64_MAX;
	guest.vm_memory = 1000;
	data = event(NULL, &guest, &tree);
	assert_number(data, "memory.cache", 10);
	assert_number(data, "memory.usage.usage", 30);
	assert_number(data, "memory.usage.max", 40);
	assert_number(data, "memory.usage.limit", 1000);
	assert_number(data, "memory.usage.failcnt", 5);
	assert_number(data, "memory.swap.usage", 30);
	assert_number(data, "memory.raw.anon", 20);
	assert_number(data, "pids.current", 6);
	assert_null(at(data, "pids.limit"));
	rsm_json_free(tree);
	guest.memory_limit = 900;
	guest.pids_limit = 7;
	data = event(NULL, &guest, &tree);
	assert_number(data, "memory.usage.limit", 900);
	assert_number(data, "pids.limit", 7);
	rsm_json_free(tree);
}

/* What a guest may call an entry: nothing of it gets further than the log. */
static void names_that_no_kernel_has_are_left_out(void **state)
{
	static const char *const names[] = {"",  "a\"b", "a\nb", "\xff\xfe", "\033[2J",
					    "A", "..",   "good", "good",     "a b"};
	Runsm__Stat stats[RSM_ARRAY_SIZE(names) + 1], *list[RSM_ARRAY_SIZE(names) + 1];
	_cleanup_free_ char *huge = malloc(1 << 20);
	Runsm__StatsResponse guest = RUNSM__STATS_RESPONSE__INIT;
	_cleanup_json_ struct rsm_json *tree = NULL;
	const struct rsm_json *data;

	assert_non_null(huge);
	memset(huge, 'a', (1 << 20) - 1);
	huge[(1 << 20) - 1] = '\0';
	for (size_t i = 0; i < RSM_ARRAY_SIZE(stats); i++) {
		runsm__stat__init(&stats[i]);
		stats[i].name = i < RSM_ARRAY_SIZE(names) ? (char *)names[i] : huge;
		stats[i].value = UINT64_MAX;
		list[i] = &stats[i];
	}
	guest.memory_stat = list;
	guest.n_memory_stat = RSM_ARRAY_SIZE(list);
	data = event(NULL, &guest, &tree);
	assert_int_equal(rsm_json_len(at(data, "memory.raw")), 1);
	assert_number(data, "memory.raw.good", UINT64_MAX);
}

static void more_entries_than_any_kernel_has_are_left_out(void **state)
{
	static Runsm__Stat stats[MANY], *list[MANY];
	static char names[MANY][8];
	Runsm__StatsResponse guest = RUNSM__STATS_RESPONSE__INIT;
	_cleanup_json_ struct rsm_json *tree = NULL;
	const struct rsm_json *data;

	for (size_t i = 0; i < MANY; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "n%zu", i);
		runsm__stat__init(&stats[i]);
		stats[i].name = names[i];
		list[i] = &stats[i];
	}
	guest.memory_stat = list;
	guest.n_memory_stat = MANY;
	data = event(NULL, &guest, &tree);
	assert_int_equal(rsm_json_len(at(data, "memory.raw")), STATS_RAW_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(v1_files_become_runcs_members, make_top,
						remove_top),
		cmocka_unit_test_setup_teardown(v2_files_become_runcs_members, make_top,
						remove_top),
		cmocka_unit_test(without_a_cgroup_the_guest_tells_the_cpu_time),
		cmocka_unit_test(memory_and_pids_are_the_guests_and_the_limit_is_at_most_the_vms),
		cmocka_unit_test(names_that_no_kernel_has_are_left_out),
		cmocka_unit_test(more_entries_than_any_kernel_has_are_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
