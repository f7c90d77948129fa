// SPDX-License-Identifier: Apache-2.0
/* Containers of a real agent, natively: namespaces of users and time, scheduling, mount options. */
#include "agent_rig.h"

#include "base/cleanup.h"
#include "base/io.h"

#include "cmocka_all.h"

#include <fcntl.h>
#include <linux/ioprio.h>
#include <linux/sched.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define HOST_ID 100000U

static struct rig *rig(void **state)
{
	if (!*state) {
		print_message("%s\n", rig_missing());
		skip();
	}
	return *state;
}

static void assert_output(struct rig *r, struct rig_spec *s, const char *expected)
{
	const char *out;
	int status = rig_run(r, s, &out);

	if (status < 0)
		fail_msg("%s", r->err.message);
	rig_wait_end(r, 3);
	if (status != 0)
		fail_msg("status %d: %s%s", status, out, r->ports[3].got.data);
	assert_string_equal(out, expected);
}

/* ---------------------------------------------------------------- user namespaces */

struct userns {
	Runsm__IdMapping mapping, *mappings[1];
};

static void give(struct rig *r, const char *path)
{
	assert_int_equal(chown(rig_path(r, "%s", path), HOST_ID, HOST_ID), 0);
}

/* Ids 0 to 65535 are HOST_ID and up, and the root file system is root's in there. */
static void map_ids(struct rig *r, struct rig_spec *s, struct userns *u)
{
	runsm__id_mapping__init(&u->mapping);
	u->mapping.host = HOST_ID;
	u->mapping.size = 65536;
	u->mappings[0] = &u->mapping;
	s->request.uid_mappings = s->request.gid_mappings = u->mappings;
	s->request.n_uid_mappings = s->request.n_gid_mappings = 1;
	s->request.namespaces |= CLONE_NEWUSER | CLONE_NEWNET;
	give(r, "exports/root");
	give(r, "exports/root/tmp");
	give(r, "exports/root/etc");
}

static void a_user_namespace_maps_ids_and_owns_the_others(void **state)
{
	Runsm__Sysctl sysctl = RUNSM__SYSCTL__INIT, *sysctls[] = {&sysctl};
	struct rig *r = rig(state);
	struct rig_spec s;
	struct userns u;
	struct stat st;

	rig_spec(&s, "c",
		 "id -u; id -g; head -n1 /proc/self/uid_map; touch /tmp/mine; stat -c %u /tmp/mine;"
		 "hostname inside && hostname; echo >/dev/null; head -c0 /dev/zero;"
		 "cat /proc/sys/net/ipv4/ip_unprivileged_port_start;"
		 "stat -c '%n %A %t:%T %u' /dev/null /dev/zero; echo again >/dev/stdout");
	sysctl.key = (char *)"net.ipv4.ip_unprivileged_port_start";
	sysctl.value = (char *)"81";
	s.request.sysctls = sysctls;
	s.request.n_sysctls = 1;
	s.caps.bounding = s.caps.effective = s.caps.permitted = ~0ULL;
	map_ids(r, &s, &u);
	assert_output(r, &s,
		      "0\n0\n         0     100000      65536\n0\ninside\n81\n"
		      "/dev/null crw-rw-rw- 1:3 0\n/dev/zero crw-rw-rw- 1:5 0\nagain\n");
	assert_int_equal(stat(rig_path(r, "exports/root/tmp/mine"), &st), 0);
	assert_int_equal(st.st_uid, HOST_ID);
}

static void another_user_of_a_user_namespace_has_its_stdio_and_a_listed_device(void **state)
{
	Runsm__Device fuse = RUNSM__DEVICE__INIT, *devices[1] = {&fuse};
	struct rig *r = rig(state);
	struct rig_spec s;
	struct userns u;

	rig_spec(&s, "c",
		 "id -u; echo again >/dev/stdout; stat -c '%A %t:%T %u %g' /dev/new/fuse");
	s.user.uid = 1000;
	s.user.gid = 1000;
	fuse.path = (char *)"/dev/new/fuse";
	fuse.type = S_IFCHR;
	fuse.major = 10;
	fuse.minor = 229;
	fuse.mode = 0640;
	fuse.uid = 1000;
	fuse.gid = 7;
	s.request.devices = devices;
	s.request.n_devices = 1;
	map_ids(r, &s, &u);
	assert_output(r, &s, "1000\nagain\ncrw-r----- a:e5 1000 7\n");
}

static void exec_joins_the_user_namespace(void **state)
{
	char *args[] = {(char *)"sh", (char *)"-c",
			(char *)"id -u; head -n1 /proc/self/uid_map;"
				"test $(readlink /proc/self/ns/user) = "
				"$(readlink /proc/1/ns/user); echo $? >/dev/stdout"};
	struct rig *r = rig(state);
	Runsm__WaitResponse status;
	Runsm__Process process;
	Runsm__Stdio io;
	Runsm__User user;
	struct rig_spec s;
	struct userns u;

	rig_spec(&s, "c", "sleep 1000");
	map_ids(r, &s, &u);
	assert_int_equal(rig_create(r, &s), 0);
	assert_int_equal(rig_start(r, "c"), 0);
	process = s.process;
	io = s.io;
	user = s.user;
	io.stdin_port = 0;
	io.stdout_port = 5;
	io.stderr_port = 6;
	process.stdio = &io;
	process.user = &user;
	process.args = args;
	process.n_args = 3;
	rig_listen(r, 5);
	rig_listen(r, 6);
	if (rig_exec(r, "c", "e", &process) < 0)
		fail_msg("%s", r->err.message);
	assert_int_equal(rig_wait(r, "c", "e", &status), 0);
	rig_wait_end(r, 6);
	rig_wait_end(r, 5);
	assert_string_equal(r->ports[5].got.data, "0\n         0     100000      65536\n0\n");
}

static void a_terminal_works_in_a_user_namespace(void **state)
{
	struct rig *r = rig(state);
	struct rig_spec s;
	struct userns u;

	rig_spec(&s, "c", "tty; test -c /dev/console && echo console; stat -c %u $(tty)");
	s.process.terminal = true;
	runsm__stdio__init(&s.io);
	s.io.tty_port = 4;
	s.user.uid = 1000;
	map_ids(r, &s, &u);
	if (rig_create(r, &s) < 0)
		fail_msg("%s", r->err.message);
	assert_int_equal(rig_start(r, "c"), 0);
	rig_wait_text(r, 4, "/dev/pts/0\r\nconsole\r\n1000\r\n");
}

/* ---------------------------------------------------------------- time namespaces */

static void clocks_of_a_time_namespace_have_their_offsets(void **state)
{
	Runsm__TimeOffset monotonic = RUNSM__TIME_OFFSET__INIT, boottime = monotonic;
	struct rig *r = rig(state);
	struct rig_spec s;

	rig_spec(&s, "c", "cut -d. -f1 /proc/uptime; sed 's/  */ /g' /proc/self/timens_offsets");
	monotonic.secs = 1000;
	monotonic.nanosecs = 5;
	boottime.secs = 1000000000;
	s.request.monotonic = &monotonic;
	s.request.boottime = &boottime;
	s.request.namespaces = CLONE_NEWTIME;
	s.args[2] = (char *)"test $(cut -d. -f1 /proc/uptime) -gt 1000000000 && "
			    "grep -c -e 1000000000 -e 1000 /proc/self/timens_offsets";
	assert_output(r, &s, "2\n");
	monotonic.secs = -1000000000000;
	rig_spec(&s, "c", "true");
	s.request.monotonic = &monotonic;
	s.request.namespaces = CLONE_NEWTIME;
	assert_true(rig_create(r, &s) < 0);
	assert_non_null(strstr(r->err.message, "linux.timeOffsets: "));
}

/* ---------------------------------------------------------------- scheduling */

static void scheduler_and_io_priority_are_set(void **state)
{
	Runsm__Scheduler scheduler = RUNSM__SCHEDULER__INIT;
	struct rig *r = rig(state);
	struct rig_spec s;

	/* fields 19 and 41 of stat: nice and policy */
	rig_spec(&s, "c", "cut -d' ' -f19,41 /proc/self/stat");
	scheduler.policy = SCHED_BATCH;
	scheduler.nice = 7;
	s.process.scheduler = &scheduler;
	s.process.io_priority = IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 5);
	assert_output(r, &s, "7 3\n");
	/* and so for the user of a user namespace, who could not do it */
	rig_spec(&s, "c", "cut -d' ' -f19,41 /proc/self/stat");
	scheduler.policy = 0;
	scheduler.nice = -5;
	s.process.scheduler = &scheduler;
	s.user.uid = 1000;
	if (setpriority(PRIO_PROCESS, 0, -5) == 0) { /* this machine may forbid it */
		assert_int_equal(setpriority(PRIO_PROCESS, 0, 0), 0);
		assert_output(r, &s, "-5 0\n");
	}
	scheduler.policy = 4;
	assert_true(rig_create(r, &s) < 0);
	assert_non_null(strstr(r->err.message, "process.scheduler: "));
}

static void personality_is_set(void **state)
{
	struct rig *r = rig(state);
	struct rig_spec s;

	rig_spec(&s, "c", "cat /proc/self/personality");
	s.process.personality = PER_LINUX32;
	s.process.has_personality = true;
	assert_output(r, &s, "00000008\n");
}

static void cpus_are_for_exec_only_and_must_exist(void **state)
{
	uint8_t first[128] = {1}, none[128] = {0};
	char *args[] = {(char *)"grep", (char *)"Cpus_allowed_list", (char *)"/proc/self/status"};
	struct rig *r = rig(state);
	Runsm__WaitResponse status;
	Runsm__Process process;
	Runsm__Stdio io;
	struct rig_spec s;

	none[127] = 0x80;
	rig_spec(&s, "c", "sleep 1000");
	s.process.exec_cpus_final = (ProtobufCBinaryData){sizeof(none), none};
	if (rig_create(r, &s) < 0) /* not used by init */
		fail_msg("%s", r->err.message);
	assert_int_equal(rig_start(r, "c"), 0);
	process = s.process;
	io = s.io;
	io.stdin_port = io.stderr_port = 0;
	io.stdout_port = 5;
	process.stdio = &io;
	process.args = args;
	process.n_args = 3;
	process.exec_cpus_final = (ProtobufCBinaryData){sizeof(first), first};
	rig_listen(r, 5);
	assert_int_equal(rig_exec(r, "c", "e", &process), 0);
	assert_int_equal(rig_wait(r, "c", "e", &status), 0);
	rig_wait_text(r, 5, "Cpus_allowed_list:\t0\n");
	process.exec_cpus_initial = (ProtobufCBinaryData){sizeof(none), none};
	rig_listen(r, 5);
	assert_true(rig_exec(r, "c", "f", &process) < 0);
	assert_string_equal(r->err.message,
			    "process.execCPUAffinity.initial: the VM has none of these CPUs");
}

/* ---------------------------------------------------------------- devices */

static void a_device_without_a_driver_is_refused(void **state)
{
	static const struct {
		uint32_t type, major, minor;
		const char *message;
	} rows[] = {
		{S_IFCHR, 1, 11, NULL},
		{S_IFIFO, 0, 0, NULL},
		{S_IFCHR, 10, 250, "linux.devices[0]: /dev/x (c 10:250): the guest's kernel has"},
		{S_IFCHR, 4000, 1, "linux.devices[0]: /dev/x (c 4000:1): "},
		{S_IFBLK, 4000, 1, "linux.devices[0]: /dev/x (b 4000:1): "},
	};
	Runsm__Device device = RUNSM__DEVICE__INIT, *devices[1] = {&device};
	struct rig *r = rig(state);
	struct rig_spec s;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		rig_spec(&s, "c", "test -e /dev/x && echo there");
		device.path = (char *)"/dev/x";
		device.type = rows[i].type;
		device.major = rows[i].major;
		device.minor = rows[i].minor;
		s.request.devices = devices;
		s.request.n_devices = 1;
		if (!rows[i].message) {
			assert_output(r, &s, "there\n");
			continue;
		}
		assert_int_equal(rig_create(r, &s), -ENODEV);
		assert_non_null(strstr(r->err.message, rows[i].message));
	}
}

/* ---------------------------------------------------------------- mounts */

static void recursive_attributes_hold_for_the_whole_tree(void **state)
{
	struct rig *r = rig(state);
	struct rig_spec s;
	Runsm__Mount *m;

	assert_int_equal(mkdir(rig_path(r, "exports/m0"), 0755), 0);
	rig_spec(&s, "c",
		 "touch /m/x 2>&1; touch /t/below/x 2>&1; grep -c '/m .*ro,.*noexec' /proc/mounts");
	m = rig_add_mount(&s, "bind", "/m");
	m->export = (char *)"m0";
	m->flags = MS_BIND | MS_REC;
	m->rec_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC;
	rig_add_mount(&s, "tmpfs", "/t")->rec_set = MOUNT_ATTR_RDONLY;
	(void)rig_add_mount(&s, "tmpfs", "/t/below");
	assert_output(r, &s,
		      "touch: /m/x: Read-only file system\n"
		      "touch: /t/below/x: Read-only file system\n1\n");
}

static void a_tmpfs_begins_with_what_it_hides_if_asked(void **state)
{
	struct rig *r = rig(state);
	struct rig_spec s;

	assert_int_equal(mkdir(rig_path(r, "exports/root/etc/deep"), 0750), 0);
	rig_write_file(r, "exports/root/etc/deep/file", "content\n", 04755);
	assert_int_equal(chown(rig_path(r, "exports/root/etc/deep/file"), 1, 2), 0);
	assert_int_equal(chmod(rig_path(r, "exports/root/etc/deep/file"), 04755), 0);
	assert_int_equal(symlink("/nowhere", rig_path(r, "exports/root/etc/deep/link")), 0);
	assert_int_equal(mkfifo(rig_path(r, "exports/root/etc/deep/fifo"), 0600), 0);
	rig_spec(&s, "c",
		 "cat /etc/deep/file; stat -c '%a %u:%g %F' /etc/deep/file /etc/deep "
		 "/etc/deep/fifo; readlink /etc/deep/link; echo more >/etc/deep/file; ls /empty");
	rig_add_mount(&s, "tmpfs", "/etc")->copy_up = true;
	rig_add_mount(&s, "tmpfs", "/empty")->copy_up = true;
	assert_output(r, &s,
		      "content\n4755 1:2 regular file\n750 0:0 directory\n600 0:0 fifo\n"
		      "/nowhere\n");
	assert_int_equal(access(rig_path(r, "exports/root/etc/deep/file"), F_OK), 0);
	rig_spec(&s, "c", "cat /etc/deep/file"); /* the one below was not written to */
	assert_output(r, &s, "content\n");
}

static void what_is_copied_up_must_fit(void **state)
{
	struct rig *r = rig(state);
	struct rig_spec s;
	Runsm__Mount *m;

	rig_spec(&s, "c", "true");
	m = rig_add_mount(&s, "tmpfs", "/bin"); /* busybox has more */
	m->copy_up = true;
	m->data = (char *)"size=64k";
	assert_int_equal(rig_create(r, &s), -ENOSPC);
	assert_non_null(strstr(r->err.message, "mount '/bin': copy what is below it"));
}

static void a_mount_can_be_remounted(void **state)
{
	struct rig *r = rig(state);
	struct rig_spec s;
	Runsm__Mount *m;

	rig_spec(&s, "c",
		 "touch /t/x 2>&1; grep -c '/t tmpfs ro,' /proc/mounts; "
		 "grep -c '/u tmpfs .*noexec.* 0 0' /proc/mounts; touch /u/x");
	(void)rig_add_mount(&s, "tmpfs", "/t");
	m = rig_add_mount(&s, "remount", "/t");
	m->flags = MS_REMOUNT | MS_RDONLY;
	m->data = (char *)"size=1m";
	(void)rig_add_mount(&s, "tmpfs", "/u");
	rig_add_mount(&s, "remount", "/u")->flags = MS_REMOUNT | MS_BIND | MS_NOEXEC;
	assert_output(r, &s, "touch: /t/x: Read-only file system\n1\n1\n");
	rig_spec(&s, "c", "true");
	rig_add_mount(&s, "remount", "/tmp")->flags = MS_REMOUNT | MS_RDONLY;
	assert_true(rig_create(r, &s) < 0); /* no mount point */
	assert_non_null(strstr(r->err.message, "mount '/tmp': remount"));
}

#define ROW(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(a_user_namespace_maps_ids_and_owns_the_others),
		ROW(another_user_of_a_user_namespace_has_its_stdio_and_a_listed_device),
		ROW(exec_joins_the_user_namespace),
		ROW(a_terminal_works_in_a_user_namespace),
		ROW(clocks_of_a_time_namespace_have_their_offsets),
		ROW(scheduler_and_io_priority_are_set),
		ROW(personality_is_set),
		ROW(cpus_are_for_exec_only_and_must_exist),
		ROW(a_device_without_a_driver_is_refused),
		ROW(recursive_attributes_hold_for_the_whole_tree),
		ROW(a_tmpfs_begins_with_what_it_hides_if_asked),
		ROW(what_is_copied_up_must_fit),
		ROW(a_mount_can_be_remounted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
