// SPDX-License-Identifier: Apache-2.0
/* Which cgroup directories a container gets, on hosts of every kind; and their making, on a fake. */
#include "cmocka_all.h"

#include "base/io.h"
#include "runtime/cgroup.h"
#include "runtime/cgroup_file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define V1_MOUNTS                                                                                  \
	"31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"                               \
	"32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:4 - cgroup cgroup rw,cpu,cpuacct\n"     \
	"35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"                        \
	"40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"           \
	"41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
#define V1_OWN "4:cpu,cpuacct:/\n3:memory:/own/place\n1:name=systemd:/\n0::/\n"

static struct cgroup *find(const char *mounts, const char *own, const char *v2_root,
			   const char *path)
{
	const struct cgroup_where where = {.id = "c", .cgroups_path = path, .root = "/run/runsm"};
	struct rsm_error err = RSM_ERROR_INIT;
	struct cgroup *cg = NULL;

	if (cgroup_find(mounts, own, v2_root, &where, &cg, &err) < 0)
		fail_msg("%s", err.message);
	return cg;
}

static void assert_dir(const struct cgroup *cg, const char *controller, const char *path)
{
	const struct cgroup_dir *d = cgroup_controller(cg, controller);
	char full[PATH_MAX];

	assert_non_null(d);
	assert_int_equal(cgroup_dir_path(d, full, sizeof(full)), 0);
	assert_string_equal(full, path);
}

static void v1_hierarchies_are_found_by_their_controllers(void **state)
{
	_cleanup_cgroup_ struct cgroup *cg = find(V1_MOUNTS, V1_OWN, NULL, "/a/b");

	assert_false(cg->v2);
	assert_int_equal(cg->ndirs, 4);
	assert_dir(cg, "cpu", "/sys/fs/cgroup/cpu,cpuacct/a/b");
	assert_dir(cg, "cpuacct", "/sys/fs/cgroup/cpu,cpuacct/a/b");
	assert_dir(cg, "memory", "/sys/fs/cgroup/memory/a/b");
	assert_dir(cg, "name=systemd", "/sys/fs/cgroup/systemd/a/b");
	assert_null(cgroup_controller(cg, "pids"));
	assert_null(cgroup_controller(cg, "cpuac"));
}

static void hybrid_host_has_its_v2_hierarchy_joined(void **state)
{
	_cleanup_cgroup_ struct cgroup *cg = find(V1_MOUNTS, V1_OWN, NULL, "/a");

	assert_string_equal(cg->dirs[3].names, "");
	assert_string_equal(cg->dirs[3].mount, "/sys/fs/cgroup/unified");
}

static void relative_path_is_below_the_callers_own_cgroups(void **state)
{
	_cleanup_cgroup_ struct cgroup *cg = find(V1_MOUNTS, V1_OWN, NULL, "a/b");

	assert_dir(cg, "memory", "/sys/fs/cgroup/memory/own/place/a/b");
	assert_dir(cg, "cpu", "/sys/fs/cgroup/cpu,cpuacct/a/b");
}

static void relative_path_respects_what_is_mounted(void **state)
{
	static const char mounts[] = "35 31 0:32 /docker/x /sys/fs/cgroup/memory rw - cgroup "
				     "cgroup rw,memory\n";
	_cleanup_cgroup_ struct cgroup *inside = find(mounts, "3:memory:/docker/x/y\n", NULL, "a");
	_cleanup_cgroup_ struct cgroup *at = find(mounts, "3:memory:/docker/x\n", NULL, "a");
	_cleanup_cgroup_ struct cgroup *beside = find(mounts, "3:memory:/docker/xy\n", NULL, "a");

	assert_dir(inside, "memory", "/sys/fs/cgroup/memory/y/a");
	assert_dir(at, "memory", "/sys/fs/cgroup/memory/a");
	assert_dir(beside, "memory", "/sys/fs/cgroup/memory/a");
}

static void default_path_is_below_runsm(void **state)
{
	const struct cgroup_where other = {.id = "c", .root = "/elsewhere"},
				  third = {.id = "c", .root = "/third"};
	_cleanup_cgroup_ struct cgroup *cg = find(V1_MOUNTS, V1_OWN, NULL, NULL), *b = NULL,
				       *c = NULL;

	assert_dir(cg, "memory", "/sys/fs/cgroup/memory/runsm/c");
	assert_true(cg->own_parent);
	assert_int_equal(cgroup_find(V1_MOUNTS, V1_OWN, NULL, &other, &b, NULL), 0);
	assert_int_equal(cgroup_find(V1_MOUNTS, V1_OWN, NULL, &third, &c, NULL), 0);
	assert_int_equal(strncmp(b->dirs[0].path, "/runsm@", 7), 0);
	assert_string_equal(strrchr(b->dirs[0].path, '/'), "/c");
	assert_string_not_equal(b->dirs[0].path, c->dirs[0].path);
}

static void v2_host_has_one_directory_for_all_controllers(void **state)
{
	/* the v1 mounts below a v2 mount that covers them do not count */
	static const char mounts[] = V1_MOUNTS "50 23 0:40 / /sys/fs/cgroup rw - cgroup2 none rw\n";
	_cleanup_cgroup_ struct cgroup *cg =
		find(mounts, "3:memory:/m\n0::/user/me\n", "/sys/fs/cgroup", "a");

	assert_true(cg->v2);
	assert_int_equal(cg->ndirs, 1);
	assert_dir(cg, "memory", "/sys/fs/cgroup/user/me/a");
	assert_dir(cg, "pids", "/sys/fs/cgroup/user/me/a");
}

static void mount_points_are_unescaped(void **state)
{
	static const char mounts[] =
		"35 31 0:32 / /a\\040b/c\\134d rw - cgroup cgroup rw,memory\n";
	_cleanup_cgroup_ struct cgroup *cg = find(mounts, "3:memory:/\n", NULL, "/x");

	assert_dir(cg, "memory", "/a b/c\\d/x");
}

static void host_without_cgroups_gives_none(void **state)
{
	_cleanup_cgroup_ struct cgroup *none = find("", "", NULL, NULL);
	_cleanup_cgroup_ struct cgroup *unmounted = find("", V1_OWN, NULL, NULL);
	_cleanup_cgroup_ struct cgroup *rubbish = find(" - cgroup", "x\n::\n\n3:memory", NULL, NULL);

	assert_int_equal(none->ndirs, 0);
	assert_int_equal(unmounted->ndirs, 0);
	assert_int_equal(rubbish->ndirs, 0);
}

static void path_that_climbs_is_refused(void **state)
{
	static const char *const bad[] = {"/a/../b", "..", "a/..", "/.."};
	struct cgroup *cg = NULL;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct cgroup_where where = {.id = "c", .cgroups_path = bad[i], .root = "/r"};
		struct rsm_error err = RSM_ERROR_INIT;

		assert_int_equal(cgroup_find(V1_MOUNTS, V1_OWN, NULL, &where, &cg, &err), -EINVAL);
		assert_non_null(strstr(err.message, "linux.cgroupsPath"));
	}
}

static void made_saved_loaded_and_removed(void **state)
{
	char top[] = "/tmp/rsm-cgroup-XXXXXX", mounts[256], path[PATH_MAX];
	_cleanup_cgroup_ struct cgroup *cg = NULL, *loaded = NULL, *gone = NULL;
	struct rsm_error err = RSM_ERROR_INIT;
	int fd;

	assert_non_null(mkdtemp(top));
	fd = open(top, O_RDONLY | O_DIRECTORY);
	(void)snprintf(mounts, sizeof(mounts),
		       "1 2 0:3 / %s rw - cgroup cgroup rw,memory\n", top);
	cg = find(mounts, "3:memory:/\n", NULL, NULL);
	assert_int_equal(cgroup_save(cg, fd, &err), 0);
	assert_int_equal(cgroup_make(cg, fd, true, &err), 0);
	(void)snprintf(path, sizeof(path), "%s/runsm/c", top);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(cgroup_load(fd, &loaded, &err), 0);
	assert_true(loaded->dirs[0].fd >= 0);
	assert_string_equal(loaded->dirs[0].path, "/runsm/c");
	assert_true(loaded->own_parent);
	assert_int_equal(cgroup_remove_saved(fd, &err), 0);
	assert_int_equal(faccessat(fd, "runsm", F_OK, 0), -1);
	assert_int_equal(cgroup_remove_saved(fd, &err), 0);
	assert_int_equal(unlinkat(fd, "cgroup.json", 0), 0);
	assert_int_equal(cgroup_load(fd, &gone, &err), 0);
	assert_null(gone);
	close(fd);
	assert_int_equal(rmdir(top), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(v1_hierarchies_are_found_by_their_controllers),
		cmocka_unit_test(hybrid_host_has_its_v2_hierarchy_joined),
		cmocka_unit_test(relative_path_is_below_the_callers_own_cgroups),
		cmocka_unit_test(relative_path_respects_what_is_mounted),
		cmocka_unit_test(default_path_is_below_runsm),
		cmocka_unit_test(v2_host_has_one_directory_for_all_controllers),
		cmocka_unit_test(mount_points_are_unescaped),
		cmocka_unit_test(host_without_cgroups_gives_none),
		cmocka_unit_test(path_that_climbs_is_refused),
		cmocka_unit_test(made_saved_loaded_and_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
