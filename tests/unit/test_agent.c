// SPDX-License-Identifier: Apache-2.0
/* Containers of a real agent, natively. */
#include "agent_rig.h"

#include "base/cleanup.h"

#include "cmocka_all.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

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
		fail_msg("status %d: %s", status, r->ports[3].got.data);
	assert_string_equal(out, expected);
}

/* ---------------------------------------------------------------- running and ending */

static void process_runs_and_its_output_arrives_whole(void **state)
{
	struct rig *r = rig(state);
	Runsm__WaitResponse status;
	struct rig_spec s;

	rig_spec(&s, "c", "echo out; echo err >&2; dd if=/dev/zero bs=1000 count=3000 2>&-");
	assert_int_equal(rig_run(r, &s, NULL), 0);
	rig_wait_end(r, 3);
	assert_int_equal(r->ports[2].got.len, 3000004);
	assert_string_equal(r->ports[3].got.data, "err\n");
	assert_int_equal(rig_wait(r, "c", "", &status), 0); /* again, after the end */
	assert_int_equal(status.stdout_bytes, 3000004);
	assert_int_equal(status.stderr_bytes, 4);
}

static void exit_status_is_the_code_or_128_plus_the_signal(void **state)
{
	struct rig *r = rig(state);
	struct rig_spec s;

	rig_spec(&s, "c", "exit 42");
	assert_int_equal(rig_run(r, &s, NULL), 42);
	rig_spec(&s, "c", "sh -c 'kill -9 $$'; exit $?");
	assert_int_equal(rig_run(r, &s, NULL), 137);
}

static void init_is_pid_1_in_namespaces_of_its_own(void **state)
{
	struct rig *r = rig(state);
	struct rig_spec s;

	rig_spec(&s, "c", "echo $$; hostname; grep 0:: /proc/self/cgroup; ls /sys/class/net");
	s.request.hostname = (char *)"box";
	s.request.namespaces = CLONE_NEWNET;
	assert_output(r, &s, "1\nbox\n0::/\nlo\n");
}

static void only_stdio_is_open(void **state)
{
	struct rig *r = rig(state);
	struct rig_spec s;

	/* 3 is the directory ls reads */
	rig_spec(&s, "c", "exec ls /proc/self/fd");
	assert_output(r, &s, "0\n1\n2\n3\n");
}

static void missing_and_forbidden_programs_fail_at_creation_as_under_runc(void **state)
{
	static const struct {
		const char *program, *message;
		int status;
	} rows[] = {
		{"foo", "exec: \"foo\": executable file not found in $PATH", 127},
		{"/foo", "exec: \"/foo\": stat /foo: no such file or directory", 127},
		{"/etc/passwd", "exec: \"/etc/passwd\": permission denied", 126},
		{"/etc", "exec: \"/etc\": permission denied", 126},
		{"/etc/passwd/x", "exec: \"/etc/passwd/x\": stat /etc/passwd/x: not a directory",
		 127},
	};
	struct rig *r = rig(state);
	struct rig_spec s;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		rig_spec(&s, "c", NULL);
		s.process.n_args = 1;
		s.args[0] = (char *)rows[i].program;
		assert_true(rig_create(r, &s) < 0);
		assert_string_equal(r->err.message, rows[i].message);
		assert_int_equal(r->err.exit_status, rows[i].status);
	}
	/* The id is free again. */
	rig_spec(&s, "c", "true");
	assert_int_equal(rig_run(r, &s, NULL), 0);
}

static void program_that_cannot_be_executed_says_so_on_stderr(void **state)
{
	struct rig *r = rig(state);
	struct rig_spec s;

	rig_write_file(r, "exports/root/tmp/junk",
		       "\x7f"
		       "ELFjunk",
		       0755);
	rig_spec(&s, "c", NULL);
	s.process.n_args = 1;
	s.args[0] = (char *)"/tmp/junk";
	assert_int_equal(rig_run(r, &s, NULL), 255);
	rig_wait_end(r, 3);
	assert_string_equal(r->ports[3].got.data, "exec /tmp/junk: exec format error\n");
}

static void create_waits_for_start(void **state)
{
	struct rig *r = rig(state);
	struct rig_spec s;

	rig_spec(&s, "c", "echo ran");
	assert_int_equal(rig_create(r, &s), 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(rsm_loop_once(r->loop, 20), 0);
	assert_int_equal(r->ports[2].got.len, 0);
	runsm__stdio__init(&s.io);
	assert_int_equal(rig_create(r, &s), -EEXIST);
	assert_int_equal(rig_start(r, "c"), 0);
	rig_wait_text(r, 2, "ran");
	assert_int_equal(rig_start(r, "c"), -EINVAL);
	assert_int_equal(rig_start(r, "d"), -ENOENT);
}

/* ---------------------------------------------------------------- who it is */

static void user_groups_umask_home_and_cwd_are_set(void **state)
{
	uint32_t groups[] = {7, 8};
	struct rig *r = rig(state);
	struct rig_spec s;

	rig_spec(&s, "c", "id -u; id -g; id -G; umask; echo $HOME; pwd; touch x 2>&1");
	s.user.uid = 1000;
	s.user.gid = 1001;
	s.user.additional_gids = groups;
	s.user.n_additional_gids = 2;
	s.user.umask = 027;
	s.user.has_umask = true;
	s.process.cwd = (char *)"/made/for/it";
	assert_int_equal(rig_run(r, &s, NULL), 1);
	assert_string_equal(r->ports[2].got.data,
			    "1000\n1001\n1001 7 8\n0027\n/home/user\n/made/for/it\n"
			    "touch: x: Permission denied\n");
}

static void other_users_can_reopen_stdout(void **state)
{
	struct rig *r = rig(state);
	struct rig_spec s;

	rig_spec(&s, "c", "echo again > /dev/stdout");
	s.user.uid = 1000;
	assert_output(r, &s, "again\n");
}

static void capability_sets_are_as_asked(void **state)
{
	struct rig *r = rig(state);
	struct rig_spec s;

	rig_spec(&s, "c", "grep Cap /proc/self/status | cut -f2");
	s.user.uid = 1000;
	s.caps.bounding = 0x421;
	s.caps.permitted = s.caps.inheritable = 0x401;
	s.caps.effective = 0x400;
	s.caps.ambient = 0x420; /* one of them not inheritable: left out */
	/* cut and grep are executed by an unprivileged user: only the ambient one is left */
	assert_output(r, &s,
		      "0000000000000401\n0000000000000400\n0000000000000400\n"
		      "0000000000000421\n0000000000000400\n");
	rig_spec(&s, "c", "grep Cap /proc/self/status | cut -f2");
	s.process.has_capabilities = false;
	assert_output(r, &s,
		      "0000000000000000\n0000000000000000\n0000000000000000\n"
		      "0000000000000000\n0000000000000000\n");
}

static void rlimits_oom_score_and_no_new_privs_are_set(void **state)
{
	Runsm__Rlimit limit = RUNSM__RLIMIT__INIT, *limits[1] = {&limit};
	struct rig *r = rig(state);
	struct rig_spec s;

	rig_spec(&s, "c",
		 "ulimit -n; cat /proc/self/oom_score_adj; grep NoNew /proc/self/status | cut -f2");
	limit.resource = RLIMIT_NOFILE;
	limit.soft = 100;
	limit.hard = 200;
	s.process.rlimits = limits;
	s.process.n_rlimits = 1;
	s.process.has_oom_score_adj = true;
	s.process.oom_score_adj = 321;
	s.process.no_new_privileges = true;
	assert_output(r, &s, "100\n321\n1\n");
}

static void seccomp_filter_is_in_force(void **state)
{
	static const struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mkdir, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOTTY),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct rig *r = rig(state);
	struct rig_spec s;

	for (int nnp = 0; nnp < 2; nnp++) {
		rig_spec(&s, "c", "mkdir /tmp/x 2>&1");
		s.process.no_new_privileges = nnp;
		s.process.seccomp_filter.data = (uint8_t *)filter;
		s.process.seccomp_filter.len = sizeof(filter);
		s.user.uid = 1000;
		assert_int_equal(rig_run(r, &s, NULL), 1);
		assert_non_null(strstr(r->ports[2].got.data, "Inappropriate ioctl"));
	}
}

/* ---------------------------------------------------------------- what it sees */

static void dev_has_the_default_devices_and_links(void **state)
{
	Runsm__Device fuse = RUNSM__DEVICE__INIT, *devices[1] = {&fuse};
	struct rig *r = rig(state);
	struct rig_spec s;

	rig_spec(&s, "c",
		 "cd /dev; stat -c '%n %A %t:%T' null zero full random urandom tty fuse; "
		 "for l in ptmx fd stdin stdout stderr; do readlink $l; done; echo x > /dev/null");
	fuse.path = (char *)"/dev/fuse";
	fuse.type = S_IFCHR;
	fuse.major = 10;
	fuse.minor = 229;
	fuse.mode = 0640;
	s.request.devices = devices;
	s.request.n_devices = 1;
	assert_output(r, &s,
		      "null crw-rw-rw- 1:3\nzero crw-rw-rw- 1:5\nfull crw-rw-rw- 1:7\n"
		      "random crw-rw-rw- 1:8\nurandom crw-rw-rw- 1:9\ntty crw-rw-rw- 5:0\n"
		      "fuse crw-r----- a:e5\npts/ptmx\n/proc/self/fd\n/proc/self/fd/0\n"
		      "/proc/self/fd/1\n/proc/self/fd/2\n");
}

static void binds_of_directories_and_files_are_mounted_with_their_flags(void **state)
{
	struct rig *r = rig(state);
	Runsm__Mount *m;
	struct rig_spec s;

	assert_int_equal(mkdir(rig_path(r, "exports/m0"), 0755), 0);
	rig_write_file(r, "exports/m0/f", "inside\n", 0644);
	rig_write_file(r, "exports/m1", "file\n", 0644);
	rig_spec(&s, "c",
		 "cat /new/dir/f /new/file; touch /new/dir/x 2>&1; echo more >> /new/file; "
		 "grep -c '/new/dir.*ro,.*noexec' /proc/mounts");
	m = rig_add_mount(&s, "bind", "/new/dir");
	m->export = (char *)"m0";
	m->flags = MS_BIND | MS_REC | MS_RDONLY | MS_NOEXEC;
	m = rig_add_mount(&s, "bind", "/new/file");
	m->export = (char *)"m1";
	m->is_file = true;
	assert_output(r, &s, "inside\nfile\ntouch: /new/dir/x: Read-only file system\n1\n");
}

static void destination_symlinks_stay_inside_the_root(void **state)
{
	struct rig *r = rig(state);
	struct rig_spec s;

	/* To the rig's own directory, if followed outside; dangling inside. */
	assert_int_equal(symlink(r->dir, rig_path(r, "exports/root/out")), 0);
	assert_int_equal(symlink("../../../../rel", rig_path(r, "exports/root/up")), 0);
	rig_spec(&s, "c", "grep -c -e ' /tmp/runsm.*/sub tmpfs' -e ' /rel/sub tmpfs' /proc/mounts");
	(void)rig_add_mount(&s, "tmpfs", "/out/sub");
	(void)rig_add_mount(&s, "tmpfs", "/up/sub");
	assert_output(r, &s, "2\n");
	assert_int_equal(access(rig_path(r, "sub"), F_OK), -1);
}

static void magic_links_as_destination_are_refused(void **state)
{
	struct rig *r = rig(state);
	struct rig_spec s;

	rig_spec(&s, "c", "true");
	(void)rig_add_mount(&s, "tmpfs", "/proc/self/fd/0");
	assert_int_equal(rig_create(r, &s), -ELOOP);
}

static void readonly_root_masked_and_readonly_paths_hold(void **state)
{
	char *masked[] = {(char *)"/etc/passwd", (char *)"/tmp", (char *)"/not/there"};
	char *readonly[] = {(char *)"/proc/sys", (char *)"/nor/this"};
	struct rig *r = rig(state);
	struct rig_spec s;

	rig_spec(&s, "c",
		 "touch /x 2>&1; cat /etc/passwd; ls /tmp; touch /tmp/x 2>&1; "
		 "echo box > /proc/sys/kernel/hostname; touch /dev/y; touch /run/z 2>&1; :");
	s.request.root_readonly = true;
	s.request.masked_paths = masked;
	s.request.n_masked_paths = 3;
	s.request.readonly_paths = readonly;
	s.request.n_readonly_paths = 2;
	rig_add_mount(&s, "tmpfs", "/run")->flags = MS_RDONLY;
	rig_add_mount(&s, "tmpfs", "/run/below");
	assert_int_equal(rig_run(r, &s, NULL), 0);
	rig_wait_end(r, 3);
	assert_string_equal(r->ports[2].got.data, "touch: /x: Read-only file system\n"
						  "touch: /tmp/x: Read-only file system\n"
						  "touch: /run/z: Read-only file system\n");
	assert_non_null(strstr(r->ports[3].got.data, "/proc/sys/kernel/hostname"));
}

static void tmpfs_over_a_directory_keeps_its_mode(void **state)
{
	struct rig *r = rig(state);
	struct rig_spec s;

	rig_spec(&s, "c", "stat -c %a /tmp /etc");
	(void)rig_add_mount(&s, "tmpfs", "/tmp");
	rig_add_mount(&s, "tmpfs", "/etc")->data = (char *)"mode=700,size=1m";
	assert_output(r, &s, "1777\n700\n");
}

static void sysctls_are_set_in_the_containers_namespaces(void **state)
{
	Runsm__Sysctl a = RUNSM__SYSCTL__INIT, b = RUNSM__SYSCTL__INIT, *both[] = {&a, &b};
	struct rig *r = rig(state);
	struct rig_spec s;

	rig_spec(&s, "c",
		 "cat /proc/sys/net/ipv4/ip_unprivileged_port_start "
		 "/proc/sys/kernel/shm_rmid_forced");
	a.key = (char *)"net.ipv4.ip_unprivileged_port_start";
	a.value = (char *)"80";
	b.key = (char *)"kernel.shm_rmid_forced";
	b.value = (char *)"1";
	s.request.sysctls = both;
	s.request.n_sysctls = 2;
	s.request.namespaces = CLONE_NEWNET;
	assert_output(r, &s, "80\n1\n");
}

static void root_of_the_host_is_gone(void **state)
{
	struct rig *r = rig(state);
	struct rig_spec s;

	rig_spec(&s, "c",
		 "ls -a /../.. | sort | head -n 1000; grep -c ' / ' /proc/mounts; "
		 "cd /proc/1/root; ls -d etc/passwd");
	assert_int_equal(rig_run(r, &s, NULL), 0);
	assert_non_null(strstr(r->ports[2].got.data, "\n1\netc/passwd\n"));
	assert_null(strstr(r->ports[2].got.data, "staging"));
}

#define ROW(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(process_runs_and_its_output_arrives_whole),
		ROW(exit_status_is_the_code_or_128_plus_the_signal),
		ROW(init_is_pid_1_in_namespaces_of_its_own),
		ROW(only_stdio_is_open),
		ROW(missing_and_forbidden_programs_fail_at_creation_as_under_runc),
		ROW(program_that_cannot_be_executed_says_so_on_stderr),
		ROW(create_waits_for_start),
		ROW(user_groups_umask_home_and_cwd_are_set),
		ROW(other_users_can_reopen_stdout),
		ROW(capability_sets_are_as_asked),
		ROW(rlimits_oom_score_and_no_new_privs_are_set),
		ROW(seccomp_filter_is_in_force),
		ROW(dev_has_the_default_devices_and_links),
		ROW(binds_of_directories_and_files_are_mounted_with_their_flags),
		ROW(destination_symlinks_stay_inside_the_root),
		ROW(magic_links_as_destination_are_refused),
		ROW(readonly_root_masked_and_readonly_paths_hold),
		ROW(tmpfs_over_a_directory_keeps_its_mode),
		ROW(sysctls_are_set_in_the_containers_namespaces),
		ROW(root_of_the_host_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
