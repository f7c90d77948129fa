// SPDX-License-Identifier: Apache-2.0
/* linux.resources in the files of a cgroup: names and values of both versions, on a fake. */
#include "cmocka_all.h"

#include "base/io.h"
#include "base/math.h"
#include "runtime/cgroup_file.h"
#include "runtime/cgroup_limits.h"

#include "oci_sample.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIB (1ULL << 20)

static char top[] = "/tmp/rsm-limits-XXXXXX";

/* Every file a host may have; "" ends them. */
static const char *const files[] = {
	"cpu.shares", "cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.cfs_burst_us", "cpu.idle",
	"cpu.weight", "cpu.max", "cpu.max.burst", "cpuset.cpus", "cpuset.mems",
	"memory.limit_in_bytes", "memory.soft_limit_in_bytes", "memory.max", "memory.low",
	"memory.high", "pids.max", "blkio.weight", "blkio.weight_device",
	"blkio.throttle.read_bps_device", "blkio.throttle.write_bps_device",
	"blkio.throttle.read_iops_device", "blkio.throttle.write_iops_device", "io.weight", "io.max",
	"io.bfq.weight", "blkio.bfq.weight", "blkio.bfq.weight_device",
};

static const struct cgroup_vm small = {.memory = 256 * MIB, .vcpus = 2};

static void add_file(int fd, const char *name)
{
	int file = openat(fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(file >= 0);
	close(file);
}

static int make_top(void **state)
{
	(void)strcpy(top + strlen(top) - 6, "XXXXXX");
	return mkdtemp(top) ? 0 : -1;
}

static int remove_top(void **state)
{
	int fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (size_t i = 0; i < RSM_ARRAY_SIZE(files); i++)
		(void)unlinkat(fd, files[i], 0);
	close(fd);
	return rmdir(top);
}

/* A cgroup whose one directory has the files of all controllers, but none of bfq's. */
static struct cgroup *fake(bool v2)
{
	struct cgroup *cg = calloc(1, sizeof(*cg));

	assert_non_null(cg);
	cg->v2 = v2;
	cg->ndirs = 1;
	(void)strcpy(cg->dirs[0].names, v2 ? "" : "cpu,cpuset,memory,pids,blkio");
	cg->dirs[0].mount = strdup(top);
	cg->dirs[0].path = strdup("/fake");
	cg->dirs[0].fd = open(top, O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; i < RSM_ARRAY_SIZE(files); i++)
		if (!strstr(files[i], ".bfq."))
			add_file(cg->dirs[0].fd, files[i]);
	return cg;
}

static struct oci_spec *resources(const char *members)
{
	struct rsm_error err = RSM_ERROR_INIT;
	struct oci_spec *spec = NULL;

	if (parse_with(RESOURCES, members, &spec, &err) < 0)
		fail_msg("%s: %s", members, err.message);
	return spec;
}

static int apply(const struct cgroup *cg, const char *members, struct rsm_error *err)
{
	_cleanup_spec_ struct oci_spec *spec = resources(members);
	int ret = cgroup_limit(cg, &spec->linux_, &small, err);

	return ret < 0 ? ret : cgroup_limit_rates(cg, &spec->linux_, err);
}

static void applied(const struct cgroup *cg, const char *members)
{
	struct rsm_error err = RSM_ERROR_INIT;

	if (apply(cg, members, &err) < 0)
		fail_msg("%s: %s", members, err.message);
}

static void refused(const struct cgroup *cg, const char *members, const char *message)
{
	struct rsm_error err = RSM_ERROR_INIT;

	assert_true(apply(cg, members, &err) < 0);
	if (!strstr(err.message, message))
		fail_msg("'%s' is not in: %s", message, err.message);
}

static void has(const char *file, const char *want)
{
	_cleanup_free_ char *text = NULL;
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", top, file);
	assert_int_equal(rsm_read_file_at(AT_FDCWD, path, 4096, &text, NULL), 0);
	if (strcmp(text, want) != 0)
		fail_msg("%s: '%s', not '%s'", file, text, want);
}

#define EVERYTHING                                                                                 \
	"\"cpu\":{\"shares\":512,\"quota\":50000,\"period\":20000,\"burst\":3000,\"idle\":1,"      \
	"\"cpus\":\"0-1,3\",\"mems\":\"0\"},"                                                      \
	"\"memory\":{\"limit\":268435456,\"reservation\":1048576},\"pids\":{\"limit\":100},"       \
	"\"blockIO\":{\"weight\":10,"                                                              \
	"\"weightDevice\":[{\"major\":8,\"minor\":1,\"weight\":1000}],"                            \
	"\"throttleReadBpsDevice\":[{\"major\":8,\"minor\":2,\"rate\":3}],"                        \
	"\"throttleWriteBpsDevice\":[{\"major\":8,\"minor\":4,\"rate\":5}],"                       \
	"\"throttleReadIOPSDevice\":[{\"major\":8,\"minor\":6,\"rate\":7}],"                       \
	"\"throttleWriteIOPSDevice\":[{\"major\":8,\"minor\":8,\"rate\":9}]}"

static void version_1_files_and_values(void **state)
{
	_cleanup_cgroup_ struct cgroup *cg = fake(false);

	applied(cg, EVERYTHING);
	has("cpu.shares", "512");
	has("cpu.cfs_quota_us", "50000");
	has("cpu.cfs_period_us", "20000");
	has("cpu.cfs_burst_us", "3000");
	has("cpu.idle", "1");
	has("cpuset.cpus", "0-1,3");
	has("cpuset.mems", "0");
	has("memory.soft_limit_in_bytes", "1048576");
	has("pids.max", "258"); /* not 100: 256 of the VMM and 2 vCPUs */
	has("blkio.weight", "10");
	has("blkio.weight_device", "8:1 1000");
	has("blkio.throttle.read_bps_device", "8:2 3");
	has("blkio.throttle.write_bps_device", "8:4 5");
	has("blkio.throttle.read_iops_device", "8:6 7");
	has("blkio.throttle.write_iops_device", "8:8 9");
	has("memory.limit_in_bytes", "404750336"); /* 256 + 128 + 2 MiB */
	has("memory.max", "");
	has("cpu.max", "");
	has("io.max", "");
}

static void version_2_files_and_values(void **state)
{
	_cleanup_cgroup_ struct cgroup *cg = fake(true);

	applied(cg, EVERYTHING ",\"unified\":{\"memory.high\":\"77\"}");
	has("cpu.weight", "20");
	has("cpu.max", "50000 20000");
	has("cpu.max.burst", "3000");
	has("cpu.idle", "1");
	has("cpuset.cpus", "0-1,3");
	has("cpuset.mems", "0");
	has("memory.max", "404750336");
	has("memory.low", "1048576");
	has("memory.high", "77");
	has("pids.max", "258");
	has("cpu.shares", "");
	has("memory.limit_in_bytes", "");
	has("blkio.weight", "");
}

static void version_2_io_limits(void **state)
{
	static const struct {
		const char *members, *file, *text;
	} cases[] = {
		{"\"weight\":10", "io.weight", "1"},
		{"\"weight\":1000", "io.weight", "10000"},
		{"\"weightDevice\":[{\"major\":8,\"minor\":1,\"weight\":505}]", "io.weight", "8:1 5000"},
		{"\"throttleReadBpsDevice\":[{\"major\":8,\"minor\":0,\"rate\":5}]", "io.max",
		 "8:0 rbps=5"},
		{"\"throttleWriteBpsDevice\":[{\"major\":8,\"minor\":0,\"rate\":6}]", "io.max",
		 "8:0 wbps=6"},
		{"\"throttleReadIOPSDevice\":[{\"major\":8,\"minor\":0,\"rate\":7}]", "io.max",
		 "8:0 riops=7"},
		{"\"throttleWriteIOPSDevice\":[{\"major\":8,\"minor\":0,\"rate\":0}]", "io.max",
		 "8:0 wiops=max"},
	};

	for (size_t i = 0; i < RSM_ARRAY_SIZE(cases); i++) {
		_cleanup_cgroup_ struct cgroup *cg = fake(true);
		char members[256];

		(void)snprintf(members, sizeof(members), "\"blockIO\":{%s}", cases[i].members);
		applied(cg, members);
		has(cases[i].file, cases[i].text);
	}
}

static void weights_of_bfq_are_not_scaled(void **state)
{
	_cleanup_cgroup_ struct cgroup *v1 = fake(false), *v2 = fake(true);

	add_file(v1->dirs[0].fd, "blkio.bfq.weight");
	add_file(v1->dirs[0].fd, "blkio.bfq.weight_device");
	add_file(v2->dirs[0].fd, "io.bfq.weight");
	applied(v1, "\"blockIO\":{\"weight\":300,"
		    "\"weightDevice\":[{\"major\":8,\"minor\":1,\"weight\":500}]}");
	has("blkio.bfq.weight", "300");
	has("blkio.bfq.weight_device", "8:1 500");
	has("blkio.weight", "");
	applied(v2, "\"blockIO\":{\"weight\":300}");
	has("io.bfq.weight", "300");
	has("io.weight", "");
}

static void shares_become_weights_at_both_ends(void **state)
{
	static const struct {
		const char *shares, *weight;
	} cases[] = {{"1", "1"}, {"2", "1"}, {"1024", "39"}, {"262144", "10000"}, {"9999999", "10000"}};

	for (size_t i = 0; i < RSM_ARRAY_SIZE(cases); i++) {
		_cleanup_cgroup_ struct cgroup *cg = fake(true);
		char members[64];

		(void)snprintf(members, sizeof(members), "\"cpu\":{\"shares\":%s}", cases[i].shares);
		applied(cg, members);
		has("cpu.weight", cases[i].weight);
	}
}

static void nothing_asked_for_writes_nothing(void **state)
{
	_cleanup_cgroup_ struct cgroup *v1 = fake(false);

	applied(v1, "\"cpu\":{\"shares\":0,\"quota\":-1,\"cpus\":\"\",\"mems\":\"\"},"
		    "\"memory\":{\"limit\":-1,\"reservation\":0},\"pids\":{\"limit\":-1},"
		    "\"blockIO\":{\"weight\":0,\"weightDevice\":null,\"throttleReadBpsDevice\":[]},"
		    "\"unified\":{},\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":0}],"
		    "\"rdma\":{\"mlx\":{\"hcaHandles\":1}}");
	for (size_t i = 0; i < RSM_ARRAY_SIZE(files); i++)
		if (!strstr(files[i], ".bfq."))
			has(files[i], "");
}

static void boot_is_not_slowed_down(void **state)
{
	_cleanup_cgroup_ struct cgroup *cg = fake(false);
	_cleanup_spec_ struct oci_spec *spec = resources(EVERYTHING);

	assert_int_equal(cgroup_limit(cg, &spec->linux_, &small, NULL), 0);
	has("cpu.cfs_quota_us", "");
	has("cpu.cfs_period_us", "");
	has("blkio.throttle.read_bps_device", "");
	has("cpu.shares", "512");
	has("pids.max", "258");
}

static void what_the_host_does_not_have_is_refused_by_field_and_file(void **state)
{
	_cleanup_cgroup_ struct cgroup *v1 = fake(false), *v2 = fake(true);
	struct cgroup none = {0};

	refused(v1, "\"unified\":{\"memory.high\":\"1\"}", "linux.resources.unified: this host");
	refused(v2, "\"unified\":{\"hugetlb.2MB.max\":\"1\"}",
		"linux.resources.unified.hugetlb.2MB.max: this host's cgroups have no 'hugetlb.2MB.max'");
	assert_int_equal(unlinkat(v1->dirs[0].fd, "blkio.weight", 0), 0);
	refused(v1, "\"blockIO\":{\"weight\":10}",
		"linux.resources.blockIO.weight: this host's cgroups have no 'blkio.weight'");
	refused(&none, "\"cpu\":{\"cpus\":\"0\"}",
		"linux.resources.cpu.cpus: there is no cgroup of the controller 'cpuset'");
	refused(&none, "\"memory\":{\"reservation\":1}", "linux.resources.memory.reservation: there");
	refused(&none, "\"cpu\":{\"burst\":1}", "linux.resources.cpu.burst: there");
	refused(&none, "\"blockIO\":{\"throttleReadBpsDevice\":[{\"major\":8,\"minor\":0,\"rate\":1}]}",
		"linux.resources.blockIO.throttleReadBpsDevice: there");
}

static void what_the_vm_holds_itself_needs_no_cgroup(void **state)
{
	struct cgroup none = {0};

	applied(&none, "\"memory\":{\"limit\":268435456},\"pids\":{\"limit\":10},"
		       "\"cpu\":{\"quota\":10000,\"period\":20000,\"shares\":1024}");
}

static void limits_of_the_vm_have_room_for_what_is_beside_guest_ram(void **state)
{
	struct cgroup_vm vm = {.memory = 1024 * MIB};

	assert_true(cgroup_vm_memory(&vm) == (1024 + 128 + 8) * MIB);
	vm.files = 1024;
	assert_true(cgroup_vm_memory(&vm) == (1024 + 128 + 8 + 2) * MIB);
	vm.files = UINT64_MAX; /* then the guest has not RAM enough to know so many */
	assert_true(cgroup_vm_memory(&vm) == (3 * 1024 + 128 + 8) * MIB);
	vm.files = 0;
	vm.emulated = true;
	assert_true(cgroup_vm_memory(&vm) == (1024 + 128 + 8 + 1280) * MIB);
}

static void an_update_keeps_what_is_not_given(void **state)
{
	_cleanup_cgroup_ struct cgroup *cg = fake(true);

	assert_int_equal(cgroup_write(cg->dirs[0].fd, "cpu.max", "7000 9\n"), 0);
	applied(cg, "\"cpu\":{\"period\":20000}");
	has("cpu.max", "7000 20000");
	add_file(cg->dirs[0].fd, "cpu.max");
	applied(cg, "\"cpu\":{\"quota\":30000}");
	has("cpu.max", "30000");
}

static void more_processes_than_there_can_be_are_no_limit(void **state)
{
	_cleanup_cgroup_ struct cgroup *cg = fake(false);

	applied(cg, "\"pids\":{\"limit\":9223372036854775807}");
	has("pids.max", "max");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_top, remove_top)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(version_1_files_and_values),
		TEST(version_2_files_and_values),
		TEST(version_2_io_limits),
		TEST(weights_of_bfq_are_not_scaled),
		TEST(shares_become_weights_at_both_ends),
		TEST(nothing_asked_for_writes_nothing),
		TEST(boot_is_not_slowed_down),
		TEST(what_the_host_does_not_have_is_refused_by_field_and_file),
		TEST(what_the_vm_holds_itself_needs_no_cgroup),
		TEST(limits_of_the_vm_have_room_for_what_is_beside_guest_ram),
		TEST(an_update_keeps_what_is_not_given),
		TEST(more_processes_than_there_can_be_are_no_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
