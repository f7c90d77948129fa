// SPDX-License-Identifier: Apache-2.0
#include "runtime/oci.h"

#include "base/math.h"
#include "cmocka_all.h"
#include "oci_sample.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

static struct oci_spec *good(enum where where, const char *members)
{
	struct rsm_error err = RSM_ERROR_INIT;
	struct oci_spec *spec = NULL;

	if (parse_with(where, members, &spec, &err) < 0)
		fail_msg("%s: %s", members, err.message);
	return spec;
}

static void wrong_values_are_refused_and_the_path_is_named(void **state)
{
	static const struct {
		enum where where;
		const char *members, *message;
	} cases[] = {
		{TOP, "\"ociVersion\":\"2.0.0\"", "ociVersion: '2.0.0' is not"},
		{TOP, "\"ociVersion\":\"1\"", "ociVersion: "},
		{TOP, "\"ociVersion\":1.0", "ociVersion: expected a string, found a number"},
		{TOP, "\"root\":{\"path\":\"\"}", "root.path: must not be empty"},
		{TOP, "\"root\":{}", "root.path: must not be empty"},
		{TOP, "\"root\":null", "root: is missing"},
		{TOP, "\"root\":\"/\"", "root: expected an object, found a string"},
		{TOP, "\"hostname\":12", "hostname: expected a string, found a number"},
		{TOP, "\"annotations\":{\"a\":1}", "annotations.a: expected a string"},
		{TOP, "\"mounts\":{}", "mounts: expected an array, found an object"},
		{TOP, "\"mounts\":[1]", "mounts[0]: expected an object, found a number"},
		{TOP, "\"hooks\":{\"poststop\":[{\"path\":\"x\"}]}",
		 "hooks.poststop[0].path: 'x' is not an absolute path"},
		{TOP, "\"hooks\":{\"prestart\":[{\"path\":\"/x\"},{\"args\":[\"/x\"]}]}",
		 "hooks.prestart[1].path: is missing"},
		{TOP, "\"hooks\":{\"poststart\":[{\"path\":\"/x\",\"timeout\":0}]}",
		 "hooks.poststart[0].timeout: 0 is not between 1 and 1000000"},
		{TOP, "\"hooks\":{\"poststart\":[{\"path\":\"/x\",\"timeout\":1000001}]}",
		 "hooks.poststart[0].timeout: 1000001 is not between"},
		{TOP, "\"hooks\":{\"createRuntime\":[{\"path\":\"/x\",\"env\":[null]}]}",
		 "hooks.createRuntime[0].env[0]: expected a string"},
		{TOP, "\"vm\":{\"kernel\":{\"path\":\"/k\"}}", "vm: "},
		{TOP, "\"windows\":{\"layerFolders\":[\"x\"]}", "windows: "},
		{PROCESS, "\"user\":{\"uid\":\"0\"}",
		 "process.user.uid: expected a number, found a string"},
		{PROCESS, "\"user\":{\"uid\":-1}", "process.user.uid: -1 is not an integer"},
		{PROCESS, "\"user\":{\"uid\":1.5}", "process.user.uid: 1.5 is not an integer"},
		{PROCESS, "\"user\":{\"gid\":4294967296}", "process.user.gid: 4294967296"},
		{PROCESS, "\"user\":{\"umask\":512}", "process.user.umask: 512"},
		{PROCESS, "\"user\":{\"additionalGids\":[1,\"2\"]}",
		 "process.user.additionalGids[1]: expected a number"},
		{PROCESS, "\"args\":[]", "process.args: must not be empty"},
		{PROCESS, "\"args\":\"sh\"", "process.args: expected an array"},
		{PROCESS, "\"args\":[\"a\",null]",
		 "process.args[1]: expected a string, found null"},
		{PROCESS, "\"args\":null", "process.args: must not be empty"},
		{PROCESS, "\"cwd\":\"tmp\"", "process.cwd: 'tmp' is not an absolute path"},
		{PROCESS, "\"cwd\":\"\"", "process.cwd: "},
		{PROCESS, "\"cwd\":null", "process.cwd: must not be empty"},
		{PROCESS, "\"terminal\":\"yes\"", "process.terminal: expected a boolean"},
		{PROCESS, "\"consoleSize\":{\"height\":70000}", "process.consoleSize: larger"},
		{PROCESS, "\"capabilities\":[]", "process.capabilities: expected an object"},
		{PROCESS, "\"capabilities\":{\"bounding\":[1]}",
		 "process.capabilities.bounding[0]: expected a string"},
		{PROCESS, "\"rlimits\":[{\"type\":\"RLIMIT_X\"}]",
		 "process.rlimits[0].type: unknown resource limit 'RLIMIT_X'"},
		{PROCESS, "\"rlimits\":[{\"soft\":1,\"hard\":1}]", "process.rlimits[0].type: is"},
		{PROCESS, "\"rlimits\":[{\"type\":\"RLIMIT_CORE\",\"soft\":2,\"hard\":1}]",
		 "process.rlimits[0]: the soft limit"},
		{PROCESS, "\"rlimits\":[{\"type\":\"RLIMIT_CORE\",\"soft\":1,\"hard\":1},"
		 "{\"type\":\"RLIMIT_CORE\",\"soft\":1,\"hard\":1}]",
		 "process.rlimits[1]: the same resource"},
		{PROCESS, "\"oomScoreAdj\":1001", "process.oomScoreAdj: 1001"},
		{MOUNT, "\"type\":\"proc\"", "mounts[0].destination: must not be empty"},
		{MOUNT, "\"destination\":\"/x\",\"type\":\"ext4\"",
		 "mounts[0].type: file system type 'ext4'"},
		{MOUNT, "\"destination\":\"/x\",\"type\":\"bind\"",
		 "mounts[0].source: a bind mount needs one"},
		{MOUNT, "\"destination\":\"/x\",\"type\":\"tmpfs\",\"options\":[\"ro\",\"idmap\"]",
		 "mounts[0].options[1]: mount option 'idmap': ID-mapped"},
		{MOUNT, "\"destination\":\"/x\",\"type\":\"tmpfs\",\"options\":[\"size=1,mode=2\"]",
		 "mounts[0].options[0]: "},
		{MOUNT, "\"destination\":\"/x\",\"type\":\"tmpfs\",\"uidMappings\":[{}]",
		 "mounts[0].uidMappings: ID-mapped"},
		{LINUX, "\"namespaces\":[]", "linux.namespaces: 'pid' is missing"},
		{LINUX, "\"namespaces\":[{}]", "linux.namespaces[0].type: is missing"},
		{LINUX, "\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"pid\"}]",
		 "linux.namespaces[1]: namespace 'pid' twice"},
		{LINUX, "\"namespaces\":[{\"type\":\"user\"}]", "linux.namespaces: 'pid' is missing"},
		{LINUX, "\"namespaces\":[{\"type\":\"bogus\"}]",
		 "linux.namespaces[0].type: unknown namespace 'bogus'"},
		{LINUX, "\"namespaces\":[{\"type\":\"ipc\",\"path\":\"/proc/1/ns/ipc\"}]",
		 "linux.namespaces[0].path: an existing ipc"},
		{LINUX, "\"uidMappings\":[{\"containerID\":0}]",
		 "linux.uidMappings[0].hostID: is missing"},
		{LINUX, "\"sysctl\":{\"net.ipv4.ip_forward\":1}",
		 "linux.sysctl.net.ipv4.ip_forward: expected a string"},
		{LINUX, "\"sysctl\":{\"../x\":\"1\"}", "linux.sysctl.../x: "},
		{LINUX, "\"rootfsPropagation\":\"ro\"", "linux.rootfsPropagation: 'ro'"},
		{LINUX, "\"maskedPaths\":[\"proc\"]", "linux.maskedPaths[0]: 'proc'"},
		{LINUX,
		 "\"devices\":[{\"path\":\"/dev/x\",\"type\":\"c\",\"major\":8,\"minor\":0}]",
		 "linux.devices[0]: /dev/x (c 8:0): a device of the host"},
		{LINUX, "\"devices\":[{\"path\":\"/dev/x\",\"type\":\"b\",\"major\":8}]",
		 "linux.devices[0]: /dev/x (b 8:0): a device of the host"},
		{LINUX, "\"devices\":[{\"path\":\"/dev/x\",\"type\":\"q\"}]",
		 "linux.devices[0].type: 'q'"},
		{LINUX, "\"intelRdt\":{\"closID\":\"x\"}", "linux.intelRdt: "},
		{LINUX, "\"timeOffsets\":{\"boottime\":{\"secs\":1}}", "linux.timeOffsets: needs"},
		{RESOURCES, "\"cpu\":{\"shares\":-1}", "linux.resources.cpu.shares: -1 is not"},
		{RESOURCES, "\"cpu\":{\"burst\":-1}", "linux.resources.cpu.burst: -1 is not"},
		{RESOURCES, "\"cpu\":{\"idle\":2}", "linux.resources.cpu.idle: 2 is neither"},
		{RESOURCES, "\"cpu\":{\"cpus\":\"0-x\"}", "linux.resources.cpu.cpus: '0-x' is not a list"},
		{RESOURCES, "\"cpu\":{\"mems\":\"1-0\"}", "linux.resources.cpu.mems: '1-0' is not a range"},
		{RESOURCES, "\"cpu\":{\"realtimeRuntime\":1}",
		 "linux.resources.cpu.realtimeRuntime: the VM's threads"},
		{RESOURCES, "\"memory\":{\"disableOOMKiller\":true}",
		 "linux.resources.memory.disableOOMKiller: without it"},
		{RESOURCES, "\"memory\":{\"limit\":\"1g\"}",
		 "linux.resources.memory.limit: expected a number"},
		{RESOURCES, "\"memory\":{\"limit\":9223372036854775808}",
		 "linux.resources.memory.limit: 9223372036854775808 is not"},
		{RESOURCES, "\"unified\":{\"memory.max\":\"1\"}",
		 "linux.resources.unified.memory.max: use linux.resources.memory.limit"},
		{RESOURCES, "\"unified\":{\"cgroup.freeze\":\"1\"}",
		 "linux.resources.unified.cgroup.freeze: not a limit"},
		{RESOURCES, "\"unified\":{\"../memory.high\":\"1\"}",
		 "linux.resources.unified.../memory.high: not a file"},
		{RESOURCES, "\"unified\":{\"memory.high\":1}",
		 "linux.resources.unified.memory.high: expected a string"},
		{RESOURCES, "\"network\":{\"classID\":1}", "linux.resources.network: the VM's"},
		{RESOURCES, "\"blockIO\":{\"weight\":9}",
		 "linux.resources.blockIO.weight: 9 is not between 10 and 1000"},
		{RESOURCES, "\"blockIO\":{\"weightDevice\":[{\"major\":8,\"minor\":0}]}",
		 "linux.resources.blockIO.weightDevice[0]: has no weight"},
		{RESOURCES, "\"blockIO\":{\"leafWeight\":10}", "linux.resources.blockIO.leafWeight: leaf"},
		{RESOURCES, "\"blockIO\":{\"throttleReadBpsDevice\":[{\"major\":8,\"rate\":1}]}",
		 "linux.resources.blockIO.throttleReadBpsDevice[0].minor: is missing"},
		{SECCOMP, "\"syscalls\":[]", ""},
		{SECCOMP, "\"defaultAction\":\"SCMP_ACT_X\"",
		 "linux.seccomp.defaultAction: unknown action 'SCMP_ACT_X'"},
		{SECCOMP, "\"defaultAction\":\"SCMP_ACT_NOTIFY\"", "linux.seccomp.defaultAction: "},
		{SECCOMP, "\"defaultAction\":\"SCMP_ACT_ALLOW\",\"listenerPath\":\"/s\"",
		 "linux.seccomp.listenerPath: "},
		{SECCOMP, "\"defaultAction\":\"SCMP_ACT_ALLOW\",\"flags\":[\"X\"]",
		 "linux.seccomp.flags[0]: unknown flag 'X'"},
		{SECCOMP, "\"defaultAction\":\"SCMP_ACT_ALLOW\",\"defaultErrnoRet\":1",
		 "linux.seccomp.defaultAction: SCMP_ACT_ALLOW returns no error"},
		{SECCOMP, "\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"x\"]}]",
		 "linux.seccomp.syscalls[0].action: is missing"},
		{SECCOMP,
		 "\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[],"
		 "\"action\":\"SCMP_ACT_ERRNO\"}]",
		 "linux.seccomp.syscalls[0].names: must"},
		{SECCOMP,
		 "\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\"],"
		 "\"action\":\"SCMP_ACT_ERRNO\",\"args\":[{\"index\":6,\"op\":\"SCMP_CMP_EQ\"}]}]",
		 "linux.seccomp.syscalls[0].args[0].index: "},
		{SECCOMP,
		 "\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\"],"
		 "\"action\":\"SCMP_ACT_ERRNO\",\"args\":[{\"index\":1,\"op\":\"=\"}]}]",
		 "linux.seccomp.syscalls[0].args[0].op: unknown operator '='"},
	};

	for (size_t i = 0; i < RSM_ARRAY_SIZE(cases); i++) {
		struct rsm_error err = RSM_ERROR_INIT;
		struct oci_spec *spec = NULL;

		if (cases[i].message[0] == '\0') { /* nothing asked for: no error */
			oci_spec_free(good(cases[i].where, cases[i].members));
			continue;
		}
		if (parse_with(cases[i].where, cases[i].members, &spec, &err) >= 0)
			fail_msg("accepted: %s", cases[i].members);
		assert_null(spec);
		if (strncmp(err.message, cases[i].message, strlen(cases[i].message)) != 0)
			fail_msg("%s: got '%s', expected '%s…'", cases[i].members, err.message,
				 cases[i].message);
	}
}

static void refused_fields_that_ask_for_nothing_are_accepted(void **state)
{
	static const struct {
		enum where where;
		const char *members;
	} cases[] = {
		{TOP, "\"hooks\":{}"},
		{TOP, "\"hooks\":{\"prestart\":[],\"poststop\":null}"},
		{TOP, "\"unknownExtension\":{\"a\":[1]}"},
		{PROCESS, "\"scheduler\":null"},
		{PROCESS, "\"apparmorProfile\":\"docker-default\",\"selinuxLabel\":\"x\""},
		{LINUX, "\"uidMappings\":[],\"gidMappings\":null,\"timeOffsets\":{},\"netDevices\":{}"},
		{RESOURCES, "\"blockIO\":{\"weight\":0},\"cpu\":{\"shares\":1024,\"cpus\":\"\"}"},
		{RESOURCES, "\"devices\":[{\"allow\":false,\"access\":\"rwm\"}]"},
		{RESOURCES, "\"memory\":{\"swap\":-1,\"disableOOMKiller\":false}"},
	};

	for (size_t i = 0; i < RSM_ARRAY_SIZE(cases); i++)
		oci_spec_free(good(cases[i].where, cases[i].members));
}

static void every_part_of_a_process_is_taken_over(void **state)
{
	struct oci_spec *spec = good(
		PROCESS,
		"\"terminal\":true,\"consoleSize\":{\"height\":24,\"width\":80},"
		"\"user\":{\"uid\":1000,\"gid\":4294967294,\"umask\":18,\"additionalGids\":[5,6]},"
		"\"args\":[\"a\",\"b c\"],\"env\":[\"X=1\"],\"cwd\":\"/tmp\","
		"\"capabilities\":{\"bounding\":[\"CAP_CHOWN\",\"CAP_CHECKPOINT_RESTORE\"],"
		"\"ambient\":[\"CAP_KILL\",\"CAP_FUTURE\"]},"
		"\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"soft\":1,\"hard\":18446744073709551615}],"
		"\"noNewPrivileges\":true,\"oomScoreAdj\":-500");
	const struct oci_process *p = &spec->process;

	assert_true(p->terminal && p->no_new_privileges && p->has_caps && p->has_oom_score_adj);
	assert_int_equal(p->console_rows, 24);
	assert_int_equal(p->console_cols, 80);
	assert_int_equal(p->user.uid, 1000);
	assert_true(p->user.gid == UINT32_MAX - 1);
	assert_true(p->user.has_umask && p->user.umask == 022);
	assert_int_equal(p->user.n_additional_gids, 2);
	assert_int_equal(p->user.additional_gids[1], 6);
	assert_int_equal(p->args.n, 2);
	assert_string_equal(p->args.v[1], "b c");
	assert_string_equal(p->env.v[0], "X=1");
	assert_string_equal(p->cwd, "/tmp");
	assert_true(p->caps.bounding == (1ULL | 1ULL << 40));
	assert_true(p->caps.ambient == 1ULL << 5);
	assert_int_equal(p->rlimits[0].resource, RLIMIT_NOFILE);
	assert_true(p->rlimits[0].hard == UINT64_MAX);
	assert_int_equal(p->oom_score_adj, -500);
	assert_non_null(strstr(spec->warnings.data, "CAP_FUTURE"));
	oci_spec_free(spec);
}

static void mount_options_become_flags_data_and_propagation(void **state)
{
	static const struct {
		const char *type, *options, *in_guest;
		uint64_t flags, propagation;
		const char *data;
	} cases[] = {
		{"proc", "", "proc", 0, 0, ""},
		{"cgroup", "\"ro\",\"nosuid\"", "cgroup2", MS_RDONLY | MS_NOSUID, 0, ""},
		{"tmpfs", "\"nosuid\",\"strictatime\",\"mode=755\",\"size=64k\"", "tmpfs",
		 MS_NOSUID | MS_STRICTATIME, 0, "mode=755,size=64k"},
		{"tmpfs", "\"ro\",\"rw\",\"nodev\",\"dev\",\"noexec\"", "tmpfs", MS_NOEXEC, 0, ""},
		{"tmpfs", "\"defaults\",\"\",\"relatime\"", "tmpfs", MS_RELATIME, 0, ""},
		{"devpts", "\"newinstance\",\"gid=5\"", "devpts", 0, 0, "newinstance,gid=5"},
		{"bind", "\"ro\"", "bind", MS_BIND | MS_RDONLY, 0, ""},
		{"none", "\"rbind\",\"rprivate\"", "bind", MS_BIND | MS_REC, MS_PRIVATE | MS_REC,
		 ""},
		{"", "\"bind\",\"rslave\",\"shared\"", "bind", MS_BIND, MS_SHARED, ""},
	};

	for (size_t i = 0; i < RSM_ARRAY_SIZE(cases); i++) {
		char members[512];
		struct oci_spec *spec;

		(void)snprintf(
			members, sizeof(members),
			"\"destination\":\"/d\",\"source\":\"s\",\"type\":\"%s\",\"options\":[%s]",
			cases[i].type, cases[i].options);
		spec = good(MOUNT, members);
		assert_int_equal(spec->n_mounts, 1);
		assert_string_equal(spec->mounts[0].type, cases[i].in_guest);
		assert_true(spec->mounts[0].flags == cases[i].flags);
		assert_true(spec->mounts[0].propagation == cases[i].propagation);
		assert_string_equal(spec->mounts[0].data, cases[i].data);
		oci_spec_free(spec);
	}
}

static void a_relative_mount_destination_is_below_the_root_and_warned_about(void **state)
{
	struct oci_spec *spec = good(MOUNT, "\"destination\":\"d\",\"type\":\"tmpfs\"");

	assert_string_equal(spec->mounts[0].destination, "/d");
	assert_non_null(strstr(spec->warnings.data, "mounts[0]"));
	oci_spec_free(spec);
}

static void mount_option_names_are_sorted_so_that_features_lists_them_so(void **state)
{
	for (size_t i = 1; oci_mount_option_name(i); i++)
		assert_true(strcmp(oci_mount_option_name(i - 1), oci_mount_option_name(i)) < 0);
}

static void limits_become_the_shape_of_the_vm(void **state)
{
	struct oci_spec *spec = good(RESOURCES, "\"memory\":{\"limit\":536870912},"
						"\"cpu\":{\"quota\":150000,\"period\":100000},"
						"\"pids\":{\"limit\":100}");

	assert_true(spec->linux_.memory_limit == 536870912);
	assert_true(spec->linux_.cpu_quota == 150000 && spec->linux_.cpu_period == 100000);
	assert_true(spec->linux_.pids_limit == 100);
	oci_spec_free(spec);
	spec = good(RESOURCES, "\"memory\":{\"limit\":9223372036854771712}");
	assert_true(spec->linux_.memory_limit == 0); /* what cgroup version 1 shows for none */
	oci_spec_free(spec);
	spec = good(RESOURCES, "\"memory\":{\"limit\":9223372036854771711}");
	assert_true(spec->linux_.memory_limit == 9223372036854771711ULL);
	oci_spec_free(spec);
	spec = good(RESOURCES, "\"memory\":{\"limit\":-1},\"cpu\":{\"quota\":-1},"
			       "\"pids\":{\"limit\":-1}");
	assert_true(spec->linux_.memory_limit == 0 && spec->linux_.cpu_quota == 0 &&
		    spec->linux_.pids_limit == 0);
	oci_spec_free(spec);
}

static void namespaces_and_devices_become_what_the_agent_takes(void **state)
{
	struct oci_spec *spec =
		good(LINUX,
		     NAMESPACES ",\"devices\":[{\"path\":\"/dev/fuse\",\"type\":\"c\",\"major\":10,"
				"\"minor\":229,\"fileMode\":8630,\"uid\":1,\"gid\":2},"
				"{\"path\":\"/dev/p\",\"type\":\"p\"}],"
				"\"rootfsPropagation\":\"rslave\",\"cgroupsPath\":\"/a\","
				"\"sysctl\":{\"kernel.domainname\":\"x\"}");
	const struct oci_linux *l = &spec->linux_;

	assert_true(l->namespaces ==
		    (CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNS));
	assert_int_equal(l->n_devices, 2);
	assert_true(l->devices[0].type == S_IFCHR && l->devices[0].mode == 0666);
	assert_true(l->devices[0].major == 10 && l->devices[0].minor == 229);
	assert_true(l->devices[1].type == S_IFIFO);
	assert_true(l->rootfs_propagation == (MS_SLAVE | MS_REC));
	assert_string_equal(l->cgroups_path, "/a");
	assert_string_equal(l->sysctl[0].key, "kernel.domainname");
	oci_spec_free(spec);
}

/* Does the program return @value somewhere? */
static bool filter_returns(const struct oci_seccomp *s, uint32_t value)
{
	const struct sock_filter *f = s->filter;

	for (size_t i = 0; i < s->len / sizeof(*f); i++)
		if (f[i].code == (BPF_RET | BPF_K) && f[i].k == value)
			return true;
	return false;
}

static void a_seccomp_profile_is_compiled_to_bpf(void **state)
{
	struct oci_spec *spec = good(
		SECCOMP,
		"\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":38,"
		"\"architectures\":[\"SCMP_ARCH_X86_64\",\"SCMP_ARCH_X86\",\"SCMP_ARCH_AARCH64\"],"
		"\"flags\":[\"SECCOMP_FILTER_FLAG_LOG\"],"
		"\"syscalls\":[{\"names\":[\"read\",\"no_such_call\"],\"action\":\"SCMP_ACT_ALLOW\"},"
		"{\"names\":[\"write\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":13,\"args\":"
		"[{\"index\":0,\"value\":1,\"op\":\"SCMP_CMP_EQ\"},"
		"{\"index\":0,\"value\":2,\"op\":\"SCMP_CMP_EQ\"}]},"
		"{\"names\":[\"personality\"],\"action\":\"SCMP_ACT_KILL\",\"args\":"
		"[{\"index\":0,\"value\":255,\"valueTwo\":8,\"op\":\"SCMP_CMP_MASKED_EQ\"}]}]");
	const struct oci_seccomp *s = &spec->linux_.seccomp;

	assert_true(s->len > 0 && s->len % sizeof(struct sock_filter) == 0);
	assert_true(filter_returns(s, SECCOMP_RET_ERRNO | 38));
	assert_true(filter_returns(s, SECCOMP_RET_ERRNO | 13));
	assert_true(filter_returns(s, SECCOMP_RET_ALLOW));
	assert_int_equal(s->flags, 2); /* SECCOMP_FILTER_FLAG_LOG */
	oci_spec_free(spec);
}

static void the_default_spec_is_accepted_without_warnings(void **state)
{
	struct rsm_error err = RSM_ERROR_INIT;
	struct oci_spec *spec = NULL;
	const char *text = oci_default_spec();

	if (oci_spec_parse(text, strlen(text), &spec, &err) < 0)
		fail_msg("%s", err.message);
	assert_string_equal(spec->oci_version, "1.2.0");
	assert_string_equal(spec->process.args.v[0], "sh");
	assert_true(spec->process.terminal && spec->root_readonly);
	assert_int_equal(spec->n_mounts, 7);
	assert_int_equal(spec->linux_.masked_paths.n, 10);
	assert_int_equal(spec->warnings.len, 0);
	oci_spec_free(spec);
}

static void a_process_alone_is_parsed_as_exec_needs_it(void **state)
{
	static const char text[] = "{\"args\":[\"ls\"],\"cwd\":\"/\",\"user\":{\"uid\":7}}";
	static const char bad[] = "{\"args\":[\"ls\"],\"cwd\":\"/\",\"user\":{\"uid\":true}}";
	struct rsm_error err = RSM_ERROR_INIT;
	struct oci_spec *spec = NULL;

	assert_int_equal(oci_spec_parse_process(text, strlen(text), &spec, &err), 0);
	assert_int_equal(spec->process.user.uid, 7);
	oci_spec_free(spec);
	assert_true(oci_spec_parse_process(bad, strlen(bad), &spec, &err) < 0);
	assert_string_equal(err.message, "process.user.uid: expected a number, found a boolean");
}

static void hooks_keep_their_order_arguments_and_environment(void **state)
{
	static const char members[] =
		"\"hooks\":{\"poststop\":[{\"path\":\"/p0\"},"
		"{\"path\":\"/p1\",\"args\":[\"a\",\"\"],\"env\":[],\"timeout\":7}],"
		"\"startContainer\":[{\"path\":\"/s\",\"env\":[\"A=b\"]}]}";
	static const char text[] = "{\"hooks\":{\"poststop\":[{\"path\":\"/p0\"}]},\"process\":1}";
	struct oci_spec *spec = good(TOP, members);
	const struct oci_hook_list *l = &spec->hooks[OCI_POSTSTOP];
	struct rsm_error err = RSM_ERROR_INIT;

	assert_int_equal(l->n, 2);
	assert_string_equal(l->v[0].path, "/p0");
	assert_int_equal(l->v[0].args.n, 0);
	assert_false(l->v[0].has_env);
	assert_int_equal(l->v[0].timeout, 0);
	assert_string_equal(l->v[1].args.v[0], "a");
	assert_string_equal(l->v[1].args.v[1], "");
	assert_true(l->v[1].has_env);
	assert_int_equal(l->v[1].env.n, 0);
	assert_int_equal(l->v[1].timeout, 7);
	assert_int_equal(spec->hooks[OCI_START_CONTAINER].n, 1);
	assert_string_equal(spec->hooks[OCI_START_CONTAINER].v[0].env.v[0], "A=b");
	for (int i = 0; i <= OCI_CREATE_CONTAINER; i++)
		assert_int_equal(spec->hooks[i].n, 0);
	oci_spec_free(spec);
	/* of a copy that was accepted before, nothing else is looked at */
	assert_int_equal(oci_spec_parse_hooks(text, strlen(text), &spec, &err), 0);
	assert_int_equal(spec->hooks[OCI_POSTSTOP].n, 1);
	oci_spec_free(spec);
}

static void documents_that_are_no_objects_are_refused(void **state)
{
	static const char *const texts[] = {"", "[]", "1", "null", "{", "{}", "\"x\""};

	for (size_t i = 0; i < RSM_ARRAY_SIZE(texts); i++) {
		struct rsm_error err = RSM_ERROR_INIT;
		struct oci_spec *spec = NULL;

		assert_true(oci_spec_parse(texts[i], strlen(texts[i]), &spec, &err) < 0);
		assert_true(err.message[0] != '\0');
		assert_true(oci_spec_parse_process(texts[i], strlen(texts[i]), &spec, &err) < 0);
	}
}

static void a_path_longer_than_its_buffer_is_cut_off(void **state)
{
	char members[2000] = "\"annotations\":{\"";
	struct rsm_error err = RSM_ERROR_INIT;
	struct oci_spec *spec = NULL;

	memset(members + strlen(members), 'k', 1000);
	(void)strcpy(members + strlen(members), "\":1}");
	assert_true(parse_with(TOP, members, &spec, &err) < 0);
	assert_true(strncmp(err.message, "annotations.kkk", 15) == 0);
	assert_non_null(strstr(err.message, "expected a string"));
}

/* Docker's and Podman's --privileged list whatever the host has. */
static void devices_that_a_privileged_container_cannot_have_are_left_out(void **state)
{
	static const char text[] = /* ends resources, and goes on in linux */
		"\"devices\":[{\"allow\":false,\"access\":\"rwm\"},"
		"{\"allow\":true,\"access\":\"rwm\"}]},\"devices\":["
		"{\"path\":\"/dev/sda\",\"type\":\"b\",\"major\":8,\"minor\":0},"
		"{\"path\":\"/dev/fuse\",\"type\":\"c\",\"major\":10,\"minor\":229},"
		"{\"path\":\"/dev/kvm\",\"type\":\"c\",\"major\":10,\"minor\":232}],"
		"\"x\":{";
	_cleanup_spec_ struct oci_spec *spec = NULL;
	struct rsm_error err = RSM_ERROR_INIT;

	if (parse_with(RESOURCES, text, &spec, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(spec->linux_.n_devices, 1);
	assert_string_equal(spec->linux_.devices[0].path, "/dev/fuse");
	assert_true(spec->linux_.devices[0].optional);
	assert_non_null(strstr(spec->warnings.data, "linux.devices: 2 of them"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_values_are_refused_and_the_path_is_named),
		cmocka_unit_test(devices_that_a_privileged_container_cannot_have_are_left_out),
		cmocka_unit_test(refused_fields_that_ask_for_nothing_are_accepted),
		cmocka_unit_test(every_part_of_a_process_is_taken_over),
		cmocka_unit_test(mount_options_become_flags_data_and_propagation),
		cmocka_unit_test(a_relative_mount_destination_is_below_the_root_and_warned_about),
		cmocka_unit_test(mount_option_names_are_sorted_so_that_features_lists_them_so),
		cmocka_unit_test(limits_become_the_shape_of_the_vm),
		cmocka_unit_test(namespaces_and_devices_become_what_the_agent_takes),
		cmocka_unit_test(a_seccomp_profile_is_compiled_to_bpf),
		cmocka_unit_test(the_default_spec_is_accepted_without_warnings),
		cmocka_unit_test(a_process_alone_is_parsed_as_exec_needs_it),
		cmocka_unit_test(hooks_keep_their_order_arguments_and_environment),
		cmocka_unit_test(documents_that_are_no_objects_are_refused),
		cmocka_unit_test(a_path_longer_than_its_buffer_is_cut_off),
	};

	return cmocka_run_group_tests_name("runtime/oci", tests, NULL, NULL);
}
