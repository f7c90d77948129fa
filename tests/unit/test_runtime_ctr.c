// SPDX-License-Identifier: Apache-2.0
#include "base/math.h"
#include "base/proc.h"
#include "cmocka_all.h"
#include "runtime/ctr.h"
#include "runtime/settings.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char root[] = "/tmp/runsm-test-ctr-XXXXXX";

static int make_root(void **state)
{
	(void)strcpy(root + strlen(root) - 6, "XXXXXX");
	return mkdtemp(root) && chdir(root) == 0 ? 0 : -1;
}

static int remove_root(void **state)
{
	char command[100];

	(void)snprintf(command, sizeof(command), "rm -rf '%s'", root);
	return chdir("/") == 0 && system(command) == 0 ? 0 : -1;
}

static void ids_follow_runcs_rule(void **state)
{
	static const char *const good[] = {"a", "A9_+-.", "..a", "...", ".lock", "-x"};
	static const char *const bad[] = {"", ".", "..", "a/b", "a b", "a\n", "\xc3\xbc", "a:b"};
	char longest[CTR_ID_MAX + 2];

	for (size_t i = 0; i < RSM_ARRAY_SIZE(good); i++)
		assert_int_equal(ctr_check_id(good[i], NULL), 0);
	for (size_t i = 0; i < RSM_ARRAY_SIZE(bad); i++)
		assert_true(ctr_check_id(bad[i], NULL) < 0);
	memset(longest, 'x', sizeof(longest));
	longest[CTR_ID_MAX + 1] = '\0';
	assert_true(ctr_check_id(longest, NULL) < 0);
	assert_int_equal(ctr_check_id(longest + 1, NULL), 0);
}

/* A container whose "VMM" is process @pid. */
static void make_container(const char *id, pid_t pid)
{
	struct rsm_error err = RSM_ERROR_INIT;
	struct ctr *c = NULL;

	assert_int_equal(ctr_create(root, id, &c, &err), 0);
	c->state.oci_version = strdup("1.0.2");
	c->state.bundle = strdup("/b\"undle");
	c->state.rootfs = strdup("/b/rootfs");
	c->state.created = strdup("2024-01-01T00:00:00Z");
	c->state.machine = strdup("tcg");
	c->state.pid = pid;
	c->state.pid_start = rsm_proc_start_time(pid);
	c->state.owner = 77;
	assert_int_equal(rsm_json_parse("{\"k\":\"v\"}", 9, &c->state.annotations, &err), 0);
	assert_int_equal(ctr_save(c, &err), 0);
	ctr_free(c);
}

static void a_saved_state_is_read_back(void **state)
{
	struct rsm_error err = RSM_ERROR_INIT;
	struct ctr *c = NULL;
	struct stat st;

	make_container("c", getpid());
	assert_int_equal(ctr_open(root, "c", true, &c, &err), 0);
	assert_string_equal(c->state.bundle, "/b\"undle");
	assert_string_equal(c->state.machine, "tcg");
	assert_int_equal(c->state.owner, 77);
	assert_int_equal(c->state.pid, getpid());
	assert_true(c->state.pid_start == rsm_proc_start_time(getpid()));
	assert_string_equal(rsm_json_string(rsm_json_get(c->state.annotations, "k")), "v");
	assert_true(ctr_vmm_alive(c));
	assert_int_equal(fstat(c->dirfd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	ctr_free(c);
}

static void a_pid_that_another_process_has_now_is_not_the_vmm(void **state)
{
	struct rsm_error err = RSM_ERROR_INIT;
	struct ctr *c = NULL;

	make_container("c", getpid());
	assert_int_equal(ctr_open(root, "c", false, &c, &err), 0);
	c->state.pid_start++;
	assert_false(ctr_vmm_alive(c));
	assert_int_equal(ctr_vmm_pidfd(c), -ESRCH);
	assert_int_equal(ctr_kill_vmm(c, 1000), 0); /* or this test would not go on */
	assert_int_equal(ctr_status(c, &err), CTR_STOPPED);
	ctr_free(c);
}

static void a_zombie_is_stopped(void **state)
{
	struct rsm_error err = RSM_ERROR_INIT;
	struct ctr *c = NULL;
	pid_t pid = fork();

	if (pid == 0)
		for (;;)
			pause();
	make_container("c", pid);
	assert_int_equal(ctr_open(root, "c", false, &c, &err), 0);
	assert_true(ctr_vmm_alive(c));
	assert_int_equal(ctr_kill_vmm(c, 10000), 0);
	assert_int_equal(rsm_proc_state(pid), 'Z');
	assert_int_equal(ctr_status(c, &err), CTR_STOPPED);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(ctr_status(c, &err), CTR_STOPPED);
	ctr_free(c);
}

static void an_id_is_taken_until_its_container_is_removed(void **state)
{
	struct rsm_error err = RSM_ERROR_INIT;
	struct ctr *c = NULL;

	make_container("c", getpid());
	assert_int_equal(ctr_create(root, "c", &c, &err), -EEXIST);
	assert_string_equal(err.message, "container with given ID already exists");
	assert_int_equal(ctr_open(root, "c", true, &c, &err), 0);
	assert_int_equal(ctr_remove(c, &err), 0);
	ctr_free(c);
	assert_int_equal(ctr_open(root, "c", true, &c, &err), -ENOENT);
	assert_string_equal(err.message, "container does not exist");
	make_container("c", getpid());
}

static void a_create_at_work_is_left_alone_and_its_remains_are_not(void **state)
{
	struct rsm_error err = RSM_ERROR_INIT;
	struct ctr *c = NULL, *other = NULL;

	assert_int_equal(ctr_create(root, "c", &c, &err), 0);
	assert_int_equal(ctr_create(root, "c", &other, &err), -EBUSY);
	assert_int_equal(ctr_remove_remains(root, "c", true, &err), -EBUSY);
	assert_int_equal(ctr_open(root, "c", false, &other, &err), -ENOENT);
	assert_non_null(strstr(err.message, "being created"));
	ctr_free(c); /* as if its process was killed: the lock is gone, the directory is not */
	assert_int_equal(ctr_open(root, "c", false, &other, &err), -ENOENT);
	assert_non_null(strstr(err.message, "delete --force c"));
	assert_int_equal(ctr_create(root, "c", &c, &err), 0);
	ctr_free(c);
	assert_int_equal(ctr_remove_remains(root, "c", false, &err), 1);
	assert_int_equal(ctr_remove_remains(root, "c", false, &err), 0);
}

static void list_is_sorted_and_leaves_out_what_is_no_container(void **state)
{
	struct rsm_error err = RSM_ERROR_INIT;
	char **ids = NULL;

	assert_int_equal(ctr_list("/nonexistent/root", &ids, &err), 0);
	free(ids);
	make_container("b", getpid());
	make_container("a", getpid());
	assert_int_equal(mkdir("half-made", 0700), 0);
	assert_int_equal(close(creat("file", 0600)), 0);
	assert_int_equal(ctr_list(root, &ids, &err), 2);
	assert_string_equal(ids[0], "a");
	assert_string_equal(ids[1], "b");
	free(ids);
}

static void a_symlink_is_no_container(void **state)
{
	struct rsm_error err = RSM_ERROR_INIT;
	struct ctr *c = NULL;

	make_container("c", getpid());
	assert_int_equal(symlink("c", "l"), 0);
	assert_int_equal(ctr_open(root, "l", false, &c, &err), -ENOENT);
}

/* ---- settings */

static int load(const char *file_text, struct settings *s, struct rsm_error *err)
{
	int fd = creat("config.json", 0600);

	assert_true(fd >= 0 && write(fd, file_text, strlen(file_text)) >= 0);
	close(fd);
	return settings_load("config.json", s, err);
}

static void settings_come_from_environment_then_file_then_defaults(void **state)
{
	struct rsm_error err = RSM_ERROR_INIT;
	struct settings s;

	unsetenv("RUNSM_ACCEL");
	unsetenv("RUNSM_GUEST_DIR");
	unsetenv("RUNSM_BOOT_TIMEOUT");
	unsetenv("RUNSM_FUSE_TRACE");
	assert_int_equal(settings_load("nowhere.json", &s, &err), 0);
	assert_int_equal(s.accel, ACCEL_AUTO);
	assert_string_equal(s.guest_dir, "/var/lib/runsm/guest");
	assert_int_equal(
		load("{\"accel\":\"kvm\",\"boot_timeout\":7,\"guest_dir\":\"/g\"}", &s, &err), 0);
	assert_int_equal(s.accel, ACCEL_KVM);
	assert_int_equal(s.boot_timeout_ms, 7000);
	setenv("RUNSM_ACCEL", "tcg", 1);
	setenv("RUNSM_BOOT_TIMEOUT", "3", 1);
	assert_int_equal(settings_load("config.json", &s, &err), 0);
	assert_int_equal(s.accel, ACCEL_TCG);
	assert_int_equal(s.boot_timeout_ms, 3000);
	assert_string_equal(s.guest_dir, "/g");
	unsetenv("RUNSM_ACCEL");
	unsetenv("RUNSM_BOOT_TIMEOUT");
}

static void wrong_settings_are_named(void **state)
{
	static const struct {
		const char *text, *message;
	} cases[] = {
		{"[]", "config.json: not an object"},
		{"{", "config.json: line 1"},
		{"{\"accell\":\"kvm\"}", "config.json: unknown setting 'accell'"},
		{"{\"accel\":\"xen\"}", "config.json: accel: 'xen' is none of"},
		{"{\"accel\":true}", "config.json: accel: expected a string or a number"},
		{"{\"boot_timeout\":0}", "config.json: boot_timeout: '0' is not"},
		{"{\"boot_timeout\":\"1m\"}", "config.json: boot_timeout: '1m' is not"},
	};
	struct rsm_error err = RSM_ERROR_INIT;
	struct settings s;

	for (size_t i = 0; i < RSM_ARRAY_SIZE(cases); i++) {
		assert_true(load(cases[i].text, &s, &err) < 0);
		if (strncmp(err.message, cases[i].message, strlen(cases[i].message)) != 0)
			fail_msg("%s", err.message);
	}
	setenv("RUNSM_BOOT_TIMEOUT", "x", 1);
	assert_true(settings_load("nowhere.json", &s, &err) < 0);
	assert_true(strncmp(err.message, "RUNSM_BOOT_TIMEOUT: ", 20) == 0);
	unsetenv("RUNSM_BOOT_TIMEOUT");
}

#define WITH_ROOT(test) cmocka_unit_test_setup_teardown(test, make_root, remove_root)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_follow_runcs_rule),
		WITH_ROOT(a_saved_state_is_read_back),
		WITH_ROOT(a_pid_that_another_process_has_now_is_not_the_vmm),
		WITH_ROOT(a_zombie_is_stopped),
		WITH_ROOT(an_id_is_taken_until_its_container_is_removed),
		WITH_ROOT(a_create_at_work_is_left_alone_and_its_remains_are_not),
		WITH_ROOT(list_is_sorted_and_leaves_out_what_is_no_container),
		WITH_ROOT(a_symlink_is_no_container),
		WITH_ROOT(settings_come_from_environment_then_file_then_defaults),
		WITH_ROOT(wrong_settings_are_named),
	};

	return cmocka_run_group_tests_name("runtime/ctr", tests, NULL, NULL);
}
