// SPDX-License-Identifier: Apache-2.0
#include "runtime/vmconfig.h"

#include "base/math.h"
#include "cmocka_all.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

/* A bundle directory of its own for each test. */
static char dir[] = "/tmp/runsm-test-vmconfig-XXXXXX";

static int make_bundle(void **state)
{
	(void)strcpy(dir + strlen(dir) - 6, "XXXXXX");
	return mkdtemp(dir) && chdir(dir) == 0 && mkdir("rootfs", 0755) == 0 ? 0 : -1;
}

static int remove_bundle(void **state)
{
	char command[100];

	(void)snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return chdir("/") == 0 && system(command) == 0 ? 0 : -1;
}

static struct oci_spec *parse(const char *mounts, const char *resources)
{
	_cleanup_buf_ struct rsm_buf b = {0};
	struct rsm_error err = RSM_ERROR_INIT;
	struct oci_spec *spec = NULL;

	(void)rsm_buf_addf(
		&b,
		"{\"ociVersion\":\"1.0.2\",\"hostname\":\"h\",\"root\":{\"path\":\"rootfs\","
		"\"readonly\":true},\"process\":{\"args\":[\"a\",\"b\"],\"cwd\":\"/w\","
		"\"env\":[\"E=1\"],\"user\":{\"uid\":1,\"gid\":2},\"rlimits\":[{\"type\":"
		"\"RLIMIT_CORE\",\"soft\":1,\"hard\":2}]},\"mounts\":[%s],\"linux\":{"
		"\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"network\"},{\"type\":\"ipc\"},"
		"{\"type\":\"uts\"},{\"type\":\"mount\"}],\"resources\":{%s}}}",
		mounts, resources);
	if (oci_spec_parse(b.data, b.len, &spec, &err) < 0)
		fail_msg("%s", err.message);
	return spec;
}

static int build(struct arena *a, const struct oci_spec *spec, Runsm__VmConfig **ret,
		 struct rsm_error *err)
{
	static const struct settings settings = {.guest_dir = "/guest", .boot_timeout_ms = 5000};
	const struct vm_request req = {.id = "c",
				       .spec = spec,
				       .settings = &settings,
				       .bundle = dir,
				       .rootfs = "/bundle/rootfs",
				       .qemu = "/qemu",
				       .accel = ACCEL_TCG,
				       .extra_fds = 2};

	return vmconfig_new(a, &req, ret, err);
}

static void quota_and_period_become_vcpus(void **state)
{
	static const struct {
		int64_t quota;
		uint64_t period;
		long online;
		uint32_t set, vcpus;
	} cases[] = {
		{0, 0, 8, 0, 1},
		{-1, 100000, 8, 0, 1},
		{100000, 100000, 8, 0, 1},
		{100001, 100000, 8, 0, 2},
		{1, 100000, 8, 0, 1},
		{250000, 0, 8, 0, 3},
		{1600000, 100000, 8, 0, 8},
		{INT64_MAX, 1, 4, 0, 4},
		{400000, 100000, -1, 0, 4},
		{INT64_MAX, 1, -1, 0, 254},
		{0, 0, 8, 3, 3},
		{0, 0, 2, 3, 2},
		{400000, 100000, 8, 3, 3},
		{200000, 100000, 8, 3, 2},
	};

	for (size_t i = 0; i < RSM_ARRAY_SIZE(cases); i++)
		assert_int_equal(vmconfig_vcpus(cases[i].quota, cases[i].period, cases[i].online,
						cases[i].set),
				 cases[i].vcpus);
}

static void a_memory_limit_becomes_guest_ram(void **state)
{
	assert_true(vmconfig_memory(0, 0) == 1ULL << 30);
	assert_true(vmconfig_memory(512ULL << 20, 0) == 512ULL << 20);
	assert_true(vmconfig_memory((512ULL << 20) + 1, 0) == 514ULL << 20);
	assert_true(vmconfig_memory(1, 0) == VM_MIN_MEMORY);
	assert_true(vmconfig_memory(UINT64_MAX, 0) == (UINT64_MAX & ~((2ULL << 20) - 1)));
	/* never more than the host has, whose size is no multiple of anything */
	assert_true(vmconfig_memory(8ULL << 30, 9ULL << 30) == 8ULL << 30);
	assert_true(vmconfig_memory(64ULL << 30, (9ULL << 30) + 4096) == 9ULL << 30);
	assert_true(vmconfig_memory(1, 4096) == VM_MIN_MEMORY);
}

static void a_limit_below_the_least_vm_is_the_guests_to_keep(void **state)
{
	static const struct {
		const char *resources;
		uint64_t inside, vm;
	} cases[] = {
		{"\"memory\":{\"limit\":1048576}", 1048576, VM_MIN_MEMORY},
		{"\"memory\":{\"limit\":134217727}", 134217727, VM_MIN_MEMORY},
		{"\"memory\":{\"limit\":134217728}", 0, VM_MIN_MEMORY},
		{"\"memory\":{\"limit\":0}", 0, VM_DEFAULT_MEMORY},
	};

	for (size_t i = 0; i < RSM_ARRAY_SIZE(cases); i++) {
		struct oci_spec *spec = parse("", cases[i].resources);
		struct rsm_error err = RSM_ERROR_INIT;
		struct arena arena = {0};
		Runsm__VmConfig *c = NULL;

		assert_int_equal(build(&arena, spec, &c, &err), 0);
		assert_true(c->container->memory_limit == cases[i].inside);
		assert_true(c->memory_bytes == cases[i].vm);
		arena_free(&arena);
		oci_spec_free(spec);
	}
}

static void the_process_and_the_machine_are_carried_over(void **state)
{
	struct oci_spec *spec = parse("", "\"memory\":{\"limit\":268435456}");
	struct rsm_error err = RSM_ERROR_INIT;
	struct arena arena = {0};
	Runsm__VmConfig *c = NULL;
	const Runsm__Process *p;

	assert_int_equal(build(&arena, spec, &c, &err), 0);
	p = c->container->process;
	assert_string_equal(c->kernel, "/guest/kernel");
	assert_string_equal(c->accel, "tcg");
	assert_true(c->memory_bytes == 268435456);
	assert_int_equal(c->n_exports, 1);
	assert_string_equal(c->exports[0]->name, "root");
	assert_true(c->exports[0]->readonly && c->container->root_readonly);
	assert_string_equal(p->args[1], "b");
	assert_string_equal(p->env[0], "E=1");
	assert_string_equal(p->cwd, "/w");
	assert_int_equal(p->user->gid, 2);
	assert_int_equal(p->n_rlimits, 1);
	assert_true(p->rlimits[0]->hard == 2);
	assert_false(p->has_capabilities);
	assert_int_equal(p->stdio->n_extra, 2);
	assert_int_equal(p->stdio->extra[1]->fd, 4);
	arena_free(&arena);
	oci_spec_free(spec);
}

static void a_tap_is_for_the_kvm_machine_and_has_a_name(void **state)
{
	static const struct settings settings = {.guest_dir = "/guest"};
	static const struct {
		const char *name;
		enum accel accel;
		const char *message;
	} cases[] = {
		{"tap0", ACCEL_KVM, NULL},
		{"tap0", ACCEL_TCG, "io.runsm.tap: 'tap0': the tcg machine has no"},
		{"", ACCEL_KVM, "io.runsm.tap: '' is no name"},
	};

	for (size_t i = 0; i < RSM_ARRAY_SIZE(cases); i++) {
		_cleanup_buf_ struct rsm_buf b = {0};
		struct rsm_error err = RSM_ERROR_INIT;
		struct oci_spec *spec = parse("", ""), *with = NULL;
		struct arena arena = {0};
		Runsm__VmConfig *c = NULL;
		struct vm_request req = {.id = "c",
					 .settings = &settings,
					 .bundle = dir,
					 .rootfs = "/r",
					 .accel = cases[i].accel};

		(void)rsm_buf_addf(&b,
				   "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"rootfs\"},"
				   "\"process\":{\"args\":[\"a\"],\"cwd\":\"/\"},\"linux\":{"
				   "\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"network\"},"
				   "{\"type\":\"ipc\"},{\"type\":\"uts\"},{\"type\":\"mount\"}]},"
				   "\"annotations\":{\"io.runsm.tap\":\"%s\"}}",
				   cases[i].name);
		assert_int_equal(oci_spec_parse(b.data, b.len, &with, &err), 0);
		req.spec = with;
		if (cases[i].message) {
			assert_true(vmconfig_new(&arena, &req, &c, &err) < 0);
			assert_non_null(strstr(err.message, cases[i].message));
		} else {
			assert_int_equal(vmconfig_new(&arena, &req, &c, &err), 0);
			assert_string_equal(c->tap, "tap0");
			assert_true(c->container->nic);
			arena_free(&arena);
			req.spec = spec;
			assert_int_equal(vmconfig_new(&arena, &req, &c, &err), 0);
			assert_string_equal(c->tap, "");
			assert_false(c->container->nic);
		}
		arena_free(&arena);
		oci_spec_free(spec);
		oci_spec_free(with);
	}
}

static void dev_null_needs_no_stream(void **state)
{
	const struct oci_linux none = {0};
	struct oci_spec *spec = parse("", "");
	int saved = dup(STDIN_FILENO), null = open("/dev/null", O_RDONLY);
	struct arena arena = {0};
	const Runsm__Process *p;

	assert_true(saved >= 0 && dup2(null, STDIN_FILENO) == 0);
	p = vmconfig_process(&arena, &spec->process, &none, false, 0);
	assert_true(dup2(saved, STDIN_FILENO) == 0);
	close(saved);
	close(null);
	assert_int_equal(p->stdio->stdin_port, 0);
	assert_int_equal(p->stdio->stdout_port, 1);
	arena_free(&arena);
	oci_spec_free(spec);
}

static void binds_become_exports_of_directories_and_single_files(void **state)
{
	struct oci_spec *spec;
	struct rsm_error err = RSM_ERROR_INIT;
	struct arena arena = {0};
	Runsm__VmConfig *c = NULL;
	char path[100];

	assert_int_equal(close(creat("file", 0644)), 0);
	assert_int_equal(symlink("rootfs", "link"), 0);
	spec = parse(
		"{\"destination\":\"/p\",\"type\":\"proc\",\"source\":\"proc\"},"
		"{\"destination\":\"/f\",\"type\":\"bind\",\"source\":\"file\",\"options\":[\"ro\"]},"
		"{\"destination\":\"/d\",\"type\":\"none\",\"source\":\"link\",\"options\":"
		"[\"rbind\",\"size=1\"]}",
		"");
	assert_int_equal(build(&arena, spec, &c, &err), 0);
	assert_int_equal(c->n_exports, 3);
	assert_string_equal(c->exports[1]->name, "m1");
	(void)snprintf(path, sizeof(path), "%s/file", dir);
	assert_string_equal(c->exports[1]->path, path);
	assert_true(c->exports[1]->is_file && c->exports[1]->readonly && c->exports[1]->shared);
	(void)snprintf(path, sizeof(path), "%s/rootfs", dir);
	assert_string_equal(c->exports[2]->path, path);
	assert_true(!c->exports[2]->is_file && c->exports[2]->recursive &&
		    !c->exports[2]->readonly);
	assert_int_equal(c->container->n_mounts, 3);
	assert_string_equal(c->container->mounts[2]->export, "m2");
	assert_string_equal(c->container->mounts[2]->data, "");
	assert_string_equal(c->container->mounts[0]->export, "");
	arena_free(&arena);
	oci_spec_free(spec);
}

static void an_overlay_becomes_an_export_that_is_mounted_for_it(void **state)
{
	struct oci_spec *spec = parse(
		"{\"destination\":\"/rw\",\"type\":\"overlay\",\"options\":[\"lowerdir=/a:/b\"]},"
		"{\"destination\":\"/ro\",\"type\":\"overlay\",\"options\":"
		"[\"nosuid\",\"lowerdir=c\",\"upperdir=d\",\"workdir=e\",\"ro\"]}",
		"");
	struct rsm_error err = RSM_ERROR_INIT;
	struct arena arena = {0};
	Runsm__VmConfig *c = NULL;

	assert_int_equal(build(&arena, spec, &c, &err), 0);
	assert_int_equal(c->n_exports, 3);
	assert_string_equal(c->exports[0]->overlay, "");
	assert_string_equal(c->exports[1]->overlay, "lowerdir=/a:/b");
	assert_string_equal(c->exports[1]->path, dir);
	assert_true(!c->exports[1]->readonly && c->exports[1]->shared);
	assert_string_equal(c->exports[2]->overlay, "lowerdir=c,upperdir=d,workdir=e");
	assert_true(c->exports[2]->readonly);
	assert_string_equal(c->container->mounts[1]->type, "bind");
	assert_string_equal(c->container->mounts[1]->export, "m1");
	assert_string_equal(c->container->mounts[1]->data, "");
	arena_free(&arena);
	oci_spec_free(spec);
}

static void sources_that_no_vm_can_share_are_refused_by_name(void **state)
{
	static const struct {
		const char *source, *message;
	} cases[] = {
		{"nowhere", "mounts[0].source: 'nowhere': "},
		{"socket", "mounts[0].source: '"},
		{"hardware", "mounts[0].source: '"},
	};
	struct sockaddr_un addr = {.sun_family = AF_UNIX, .sun_path = "socket"};
	int sock = socket(AF_UNIX, SOCK_STREAM, 0);

	assert_int_equal(bind(sock, (struct sockaddr *)&addr, sizeof(addr)), 0);
	close(sock);
	if (mknod("hardware", S_IFBLK | 0600, makedev(8, 0)) < 0)
		skip(); /* only root may */
	for (size_t i = 0; i < RSM_ARRAY_SIZE(cases); i++) {
		struct rsm_error err = RSM_ERROR_INIT;
		struct arena arena = {0};
		Runsm__VmConfig *c = NULL;
		struct oci_spec *spec;
		char mount[200];

		(void)snprintf(mount, sizeof(mount),
			       "{\"destination\":\"/x\",\"type\":\"bind\",\"source\":\"%s\"}",
			       cases[i].source);
		spec = parse(mount, "");
		assert_true(build(&arena, spec, &c, &err) < 0);
		if (strncmp(err.message, cases[i].message, strlen(cases[i].message)) != 0)
			fail_msg("%s", err.message);
		arena_free(&arena);
		oci_spec_free(spec);
	}
}

static bool is_dir(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static void mount_points_are_made_inside_the_root_only(void **state)
{
	static const char *const destinations[] = {"/proc",  "/dev",   "/dev/pts", "/a/b/c/",
						   "/esc/x", "/../up", "/abs/y"};
	Runsm__Mount mounts[RSM_ARRAY_SIZE(destinations) + 1];
	Runsm__Mount *list[RSM_ARRAY_SIZE(mounts)];
	Runsm__CreateContainerRequest c = RUNSM__CREATE_CONTAINER_REQUEST__INIT;
	struct stat st;

	assert_int_equal(mkdir("outside", 0755), 0);
	assert_int_equal(symlink("../outside", "rootfs/esc"), 0);
	assert_int_equal(symlink("/tmp", "rootfs/abs"), 0);
	for (size_t i = 0; i < RSM_ARRAY_SIZE(mounts); i++) {
		runsm__mount__init(&mounts[i]);
		list[i] = &mounts[i];
		mounts[i].destination =
			(char *)(i < RSM_ARRAY_SIZE(destinations) ? destinations[i] : "/etc/one");
	}
	mounts[RSM_ARRAY_SIZE(destinations)].is_file = true;
	c.mounts = list;
	c.n_mounts = RSM_ARRAY_SIZE(list);
	vmconfig_make_mountpoints("rootfs", &c);
	assert_true(is_dir("rootfs/proc") && is_dir("rootfs/dev") && is_dir("rootfs/a/b/c"));
	assert_false(is_dir("rootfs/dev/pts")); /* is in the mount on /dev */
	assert_false(is_dir("outside/x"));      /* the link means /outside of the root */
	assert_true(is_dir("rootfs/up"));
	assert_false(is_dir("up"));
	assert_int_equal(lstat("rootfs/etc/one", &st), 0);
	assert_true(S_ISREG(st.st_mode));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quota_and_period_become_vcpus),
		cmocka_unit_test(a_memory_limit_becomes_guest_ram),
		cmocka_unit_test(a_limit_below_the_least_vm_is_the_guests_to_keep),
		cmocka_unit_test_setup_teardown(the_process_and_the_machine_are_carried_over,
						make_bundle, remove_bundle),
		cmocka_unit_test_setup_teardown(a_tap_is_for_the_kvm_machine_and_has_a_name,
						make_bundle, remove_bundle),
		cmocka_unit_test_setup_teardown(dev_null_needs_no_stream, make_bundle,
						remove_bundle),
		cmocka_unit_test_setup_teardown(
			binds_become_exports_of_directories_and_single_files, make_bundle,
			remove_bundle),
		cmocka_unit_test_setup_teardown(
			an_overlay_becomes_an_export_that_is_mounted_for_it, make_bundle,
			remove_bundle),
		cmocka_unit_test_setup_teardown(sources_that_no_vm_can_share_are_refused_by_name,
						make_bundle, remove_bundle),
		cmocka_unit_test_setup_teardown(mount_points_are_made_inside_the_root_only,
						make_bundle, remove_bundle),
	};

	return cmocka_run_group_tests_name("runtime/vmconfig", tests, NULL, NULL);
}
