// SPDX-License-Identifier: Apache-2.0
/* Values of config.json that cannot be: malformed, contradictory, out of range. */
#include "runtime/oci.h"

#include "base/math.h"
#include "cmocka_all.h"
#include "oci_sample.h"

#include <linux/ioprio.h>
#include <linux/sched.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/stat.h>

struct bad {
	enum where where;
	const char *members, *message;
};

static void assert_refused(const struct bad *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct rsm_error err = RSM_ERROR_INIT;
		struct oci_spec *spec = NULL;

		if (parse_with(rows[i].where, rows[i].members, &spec, &err) >= 0)
			fail_msg("accepted: %s", rows[i].members);
		if (strncmp(err.message, rows[i].message, strlen(rows[i].message)) != 0)
			fail_msg("%s: got '%s', expected '%s…'", rows[i].members, err.message,
				 rows[i].message);
	}
}

static struct oci_spec *good(enum where where, const char *members)
{
	struct rsm_error err = RSM_ERROR_INIT;
	struct oci_spec *spec = NULL;

	if (parse_with(where, members, &spec, &err) < 0)
		fail_msg("%s: %s", members, err.message);
	return spec;
}

#define USER_NS                                                                                    \
	"\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"network\"},{\"type\":\"ipc\"},"            \
	"{\"type\":\"uts\"},{\"type\":\"mount\"},{\"type\":\"user\"},{\"type\":\"time\"}]"
#define MAP(name, c, h, s)                                                                         \
	"\"" name "Mappings\":[{\"containerID\":" c ",\"hostID\":" h ",\"size\":" s "}]"
#define GIDS MAP("gid", "0", "1", "10")

static void values_of_a_process_that_cannot_be(void **state)
{
	static const struct bad rows[] = {
		{PROCESS, "\"user\":{\"uid\":4294967295}", "process.user.uid: 4294967295 is not"},
		{PROCESS, "\"user\":{\"gid\":4294967295}", "process.user.gid: 4294967295 is not"},
		{PROCESS, "\"user\":{\"additionalGids\":[0,4294967295]}",
		 "process.user.additionalGids[1]: 4294967295"},
		{PROCESS, "\"user\":{\"umask\":-1}", "process.user.umask: -1"},
		{PROCESS, "\"env\":[\"A=1\",\"B\"]", "process.env[1]: 'B' is not of the form"},
		{PROCESS, "\"env\":[\"=1\"]", "process.env[0]: '=1' is not of the form"},
		{PROCESS, "\"env\":[\"\"]", "process.env[0]: '' is not of the form"},
		{PROCESS, "\"capabilities\":{\"effective\":[\"CAP_KILL\"]}",
		 "process.capabilities.effective: CAP_KILL is not in permitted"},
		{PROCESS,
		 "\"capabilities\":{\"inheritable\":[\"CAP_CHOWN\"],\"bounding\":[\"CAP_KILL\"]}",
		 "process.capabilities.inheritable: CAP_CHOWN is not in bounding"},
		{PROCESS, "\"rlimits\":[{\"type\":\"RLIMIT_CORE\",\"hard\":1}]",
		 "process.rlimits[0].soft: is missing"},
		{PROCESS, "\"rlimits\":[{\"type\":\"RLIMIT_CORE\",\"soft\":1,\"hard\":null}]",
		 "process.rlimits[0].hard: is missing"},
		{PROCESS, "\"rlimits\":[{\"type\":\"RLIMIT_CORE\",\"soft\":-1,\"hard\":1}]",
		 "process.rlimits[0].soft: -1 is not"},
		{PROCESS, "\"rlimits\":[{\"type\":\"RLIMIT_CORE\",\"soft\":1,\"hard\":1e3}]",
		 "process.rlimits[0].hard: 1e3 is not an integer"},
		{PROCESS,
		 "\"rlimits\":[{\"type\":\"RLIMIT_CORE\",\"soft\":1,"
		 "\"hard\":18446744073709551616}]",
		 "process.rlimits[0].hard: 18446744073709551616"},
		{PROCESS, "\"oomScoreAdj\":-1001", "process.oomScoreAdj: -1001"},
		{PROCESS, "\"oomScoreAdj\":0.5", "process.oomScoreAdj: 0.5"},
		{PROCESS, "\"noNewPrivileges\":1", "process.noNewPrivileges: expected a boolean"},
		{PROCESS, "\"args\":[\"a\\u0000b\"]", "line 1: process.args[0]: string contains"},
		{PROCESS, "\"scheduler\":{\"nice\":1}", "process.scheduler.policy: is missing"},
		{PROCESS, "\"scheduler\":{\"policy\":\"SCHED_X\"}",
		 "process.scheduler.policy: unknown policy 'SCHED_X'"},
		{PROCESS, "\"scheduler\":{\"policy\":\"SCHED_ISO\"}",
		 "process.scheduler.policy: SCHED_ISO is not in Linux"},
		{PROCESS, "\"scheduler\":{\"policy\":\"SCHED_OTHER\",\"nice\":20}",
		 "process.scheduler.nice: 20 is not between"},
		{PROCESS, "\"scheduler\":{\"policy\":\"SCHED_OTHER\",\"nice\":3000000000}",
		 "process.scheduler.nice: 3000000000"},
		{PROCESS, "\"scheduler\":{\"policy\":\"SCHED_OTHER\",\"priority\":1}",
		 "process.scheduler.priority: only"},
		{PROCESS, "\"scheduler\":{\"policy\":\"SCHED_FIFO\"}",
		 "process.scheduler.priority: SCHED_FIFO and SCHED_RR need"},
		{PROCESS, "\"scheduler\":{\"policy\":\"SCHED_RR\",\"priority\":100}",
		 "process.scheduler.priority: SCHED_FIFO and SCHED_RR need"},
		{PROCESS, "\"scheduler\":{\"policy\":\"SCHED_BATCH\",\"runtime\":5000}",
		 "process.scheduler.runtime: only SCHED_DEADLINE"},
		{PROCESS, "\"scheduler\":{\"policy\":\"SCHED_BATCH\",\"deadline\":5000}",
		 "process.scheduler.deadline: only SCHED_DEADLINE"},
		{PROCESS, "\"scheduler\":{\"policy\":\"SCHED_BATCH\",\"period\":5000}",
		 "process.scheduler.period: only SCHED_DEADLINE"},
		{PROCESS, "\"scheduler\":{\"policy\":\"SCHED_DEADLINE\",\"runtime\":1}",
		 "process.scheduler.runtime: must be at least 1024"},
		{PROCESS,
		 "\"scheduler\":{\"policy\":\"SCHED_DEADLINE\",\"runtime\":5000,\"deadline\":4000}",
		 "process.scheduler.deadline: must be at least the runtime"},
		{PROCESS,
		 "\"scheduler\":{\"policy\":\"SCHED_DEADLINE\",\"runtime\":5000,\"deadline\":6000,"
		 "\"period\":5500}",
		 "process.scheduler.period: must be at least the deadline"},
		{PROCESS, "\"scheduler\":{\"policy\":\"SCHED_OTHER\",\"flags\":[\"X\"]}",
		 "process.scheduler.flags[0]: unknown flag 'X'"},
		{PROCESS, "\"ioPriority\":{\"priority\":1}", "process.ioPriority.class: is missing"},
		{PROCESS, "\"ioPriority\":{\"class\":\"X\"}", "process.ioPriority.class: unknown"},
		{PROCESS, "\"ioPriority\":{\"class\":\"IOPRIO_CLASS_BE\",\"priority\":8}",
		 "process.ioPriority.priority: 8 is not between 0 and 7"},
		{PROCESS, "\"ioPriority\":{\"class\":\"IOPRIO_CLASS_BE\",\"priority\":-1}",
		 "process.ioPriority.priority: -1"},
		{PROCESS, "\"execCPUAffinity\":{\"initial\":\"a\"}",
		 "process.execCPUAffinity.initial: 'a' is not a list"},
		{PROCESS, "\"execCPUAffinity\":{\"final\":\"3-1\"}",
		 "process.execCPUAffinity.final: '3-1' is not a range"},
		{PROCESS, "\"execCPUAffinity\":{\"final\":\"0,1-\"}",
		 "process.execCPUAffinity.final: '1-' is not a list"},
		{PROCESS, "\"execCPUAffinity\":{\"final\":\"1024\"}",
		 "process.execCPUAffinity.final: '1024' is not a range"},
		{PROCESS, "\"execCPUAffinity\":{\"final\":\"99999999999999999999\"}",
		 "process.execCPUAffinity.final: '99999999999999999999' is not a range"},
	};

	assert_refused(rows, RSM_ARRAY_SIZE(rows));
}

static void values_of_linux_that_cannot_be(void **state)
{
	static const struct bad rows[] = {
		{LINUX, USER_NS, "linux.uidMappings: a user namespace needs a mapping for ID 0"},
		{LINUX, USER_NS "," MAP("uid", "0", "1", "10"),
		 "linux.gidMappings: a user namespace needs"},
		{LINUX, MAP("uid", "0", "1", "10"), "linux.uidMappings: needs a user namespace"},
		{LINUX, GIDS, "linux.gidMappings: needs a user namespace"},
		{LINUX, USER_NS "," GIDS "," MAP("uid", "1", "1", "10"), "linux.uidMappings: a user"},
		{LINUX, USER_NS "," GIDS "," MAP("uid", "0", "1", "0"),
		 "linux.uidMappings[0].size: must not be 0"},
		{LINUX, USER_NS "," GIDS "," MAP("uid", "0", "1", "4294967295"),
		 "linux.uidMappings[0].size: 4294967295 reaches beyond"},
		{LINUX, USER_NS "," GIDS "," MAP("uid", "0", "4294967295", "1"),
		 "linux.uidMappings[0].hostID: 4294967295 is not"},
		{LINUX, USER_NS "," GIDS "," MAP("uid", "0", "-1", "1"),
		 "linux.uidMappings[0].hostID: -1 is not"},
		{LINUX, USER_NS "," GIDS ",\"uidMappings\":[{\"containerID\":0,\"hostID\":1}]",
		 "linux.uidMappings[0].size: is missing"},
		{LINUX,
		 USER_NS "," GIDS ",\"uidMappings\":[{\"containerID\":0,\"hostID\":1,\"size\":10},"
			 "{\"containerID\":9,\"hostID\":100,\"size\":1}]",
		 "linux.uidMappings[1]: overlaps with element 0"},
		{LINUX,
		 USER_NS "," GIDS ",\"uidMappings\":[{\"containerID\":0,\"hostID\":50,\"size\":1},"
			 "{\"containerID\":9,\"hostID\":45,\"size\":6}]",
		 "linux.uidMappings[1]: overlaps with element 0"},
		{LINUX, "\"namespaces\":[{\"type\":\"ipc\",\"path\":\"/proc/1/ns/ipc\"}]",
		 "linux.namespaces[0].path: an existing ipc namespace ('/proc/1/ns/ipc') cannot be "
		 "joined: it belongs to the host's kernel"},
		{LINUX, "\"timeOffsets\":{\"boottime\":{\"secs\":1}}",
		 "linux.timeOffsets: needs a time namespace"},
		{LINUX, "\"timeOffsets\":{\"realtime\":{\"secs\":1}}",
		 "linux.timeOffsets.realtime: not a clock"},
		{LINUX, "\"timeOffsets\":{\"monotonic\":{\"nanosecs\":1000000000}}",
		 "linux.timeOffsets.monotonic.nanosecs: 1000000000 is a second"},
		{LINUX, "\"timeOffsets\":{\"monotonic\":{\"secs\":9223372036854775807}}",
		 "linux.timeOffsets.monotonic.secs: 9223372036854775807 is not between"},
		{LINUX, "\"personality\":{\"flags\":[]" /* asks for nothing */
			"},\"rootfsPropagation\":\"x\"",
		 "linux.rootfsPropagation: 'x'"},
		{LINUX, "\"personality\":{\"domain\":\"SVR4\"}",
		 "linux.personality.domain: 'SVR4' is neither"},
		{LINUX, "\"personality\":{\"domain\":\"LINUX\",\"flags\":[\"X\"]}",
		 "linux.personality.flags: the specification defines none"},
		{LINUX, "\"netDevices\":{\"eth0\":{}}", "linux.netDevices: a network device of"},
		{LINUX, "\"memoryPolicy\":{\"mode\":\"MPOL_BIND\"}", "linux.memoryPolicy: the guest"},
		{LINUX, "\"sysctl\":{\"kernel.hostname\":\"x\"}",
		 "linux.sysctl.kernel.hostname: hostname is the field"},
		{LINUX, "\"sysctl\":{\"\":\"x\"}", "linux.sysctl.: not the name"},
		{LINUX, "\"devices\":[{\"path\":\"x\",\"type\":\"p\"}]",
		 "linux.devices[0].path: 'x' is not an absolute path"},
		{LINUX, "\"devices\":[{\"type\":\"p\"}]", "linux.devices[0].path: is missing"},
		{LINUX, "\"devices\":[{\"path\":\"/x\"}]", "linux.devices[0].type: is missing"},
		{LINUX, "\"devices\":[{\"path\":\"/x\",\"type\":\"c\",\"major\":-1}]",
		 "linux.devices[0].major: -1"},
		{LINUX, "\"devices\":[{\"path\":\"/x\",\"type\":\"p\",\"uid\":4294967295}]",
		 "linux.devices[0].uid: 4294967295"},
		{LINUX, "\"devices\":[{\"path\":\"/x\",\"type\":\"b\",\"major\":1,\"minor\":3},"
			"{\"path\":\"/x\",\"type\":\"c\",\"major\":1,\"minor\":3}]",
		 "linux.devices[1]: /x is another device in element 0"},
		{LINUX, "\"devices\":[{\"path\":\"/x\",\"type\":\"b\",\"major\":1,\"minor\":3},"
			"{\"path\":\"/x\",\"type\":\"c\",\"major\":4,\"minor\":64}]",
		 "linux.devices[1]: /x (c 4:64): a device of the host"},
		{LINUX, "\"readonlyPaths\":[\"/a\",\"\"]", "linux.readonlyPaths[1]: '' is not"},
		{TOP, "\"annotations\":{\"\":\"x\"}", "annotations: a key is empty"},
		{TOP, "\"ociVersion\":\"1.0.2x\"", "ociVersion: '1.0.2x' is not a version"},
		{TOP, "\"ociVersion\":\"1.\"", "ociVersion: '1.' is not a version"},
		{TOP, "\"hostname\":\"a\\u0000\"", "line 1: hostname: string contains a NUL"},
	};

	assert_refused(rows, RSM_ARRAY_SIZE(rows));
}

static void values_of_mounts_and_seccomp_that_cannot_be(void **state)
{
#define BIND "\"destination\":\"/x\",\"type\":\"bind\",\"source\":\"/s\""
#define RULE(rest)                                                                                 \
	"\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\"],"                \
	"\"action\":\"SCMP_ACT_ERRNO\"," rest "}]"
	static const struct bad rows[] = {
		{MOUNT, BIND ",\"options\":[\"ridmap\"]",
		 "mounts[0].options[0]: mount option 'ridmap': ID-mapped mounts of virtio-fs are "
		 "not in the guest's kernel"},
		{MOUNT, BIND ",\"uidMappings\":[{\"size\":1}]", "mounts[0].uidMappings: ID-mapped"},
		{MOUNT, BIND ",\"gidMappings\":[{\"size\":1}]", "mounts[0].gidMappings: ID-mapped"},
		{MOUNT, BIND ",\"options\":[\"tmpcopyup\"]", "mounts[0].options: 'tmpcopyup' is for"},
		{MOUNT, BIND ",\"options\":\"ro\"", "mounts[0].options: expected an array"},
		{SECCOMP, "\"syscalls\":[{\"names\":[\"x\"],\"action\":\"SCMP_ACT_LOG\"}]",
		 "linux.seccomp.defaultAction: is missing"},
		{SECCOMP, "\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"SCMP_ARCH_X\"]",
		 "linux.seccomp.architectures[0]: unknown architecture 'SCMP_ARCH_X'"},
		{SECCOMP,
		 "\"defaultAction\":\"SCMP_ACT_ALLOW\","
		 "\"flags\":[\"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV\"]",
		 "linux.seccomp.flags[0]: SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV: there is no"},
		{SECCOMP, "\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":4096",
		 "linux.seccomp.defaultErrnoRet: 4096 is not an error"},
		{SECCOMP, "\"defaultAction\":\"SCMP_ACT_ALLOW\",\"listenerMetadata\":\"x\"",
		 "linux.seccomp.listenerMetadata: there is no"},
		{SECCOMP, RULE("\"errnoRet\":70000"), "linux.seccomp.syscalls[0].errnoRet: 70000"},
		{SECCOMP, RULE("\"args\":[{\"value\":1,\"op\":\"SCMP_CMP_EQ\"}]"),
		 "linux.seccomp.syscalls[0].args[0].index: is missing"},
		{SECCOMP, RULE("\"args\":[{\"index\":1,\"op\":\"SCMP_CMP_EQ\"}]"),
		 "linux.seccomp.syscalls[0].args[0].value: is missing"},
		{SECCOMP, RULE("\"args\":[{\"index\":1,\"value\":1}]"),
		 "linux.seccomp.syscalls[0].args[0].op: is missing"},
		{SECCOMP, RULE("\"args\":[{\"index\":6,\"value\":1,\"op\":\"SCMP_CMP_EQ\"}]"),
		 "linux.seccomp.syscalls[0].args[0].index: a system call has 6"},
		{SECCOMP,
		 "\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"\"],"
		 "\"action\":\"SCMP_ACT_LOG\"}]",
		 "linux.seccomp.syscalls[0].names[0]: must not be empty"},
		{SECCOMP,
		 "\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\"],"
		 "\"action\":\"SCMP_ACT_NOTIFY\"}]",
		 "linux.seccomp.syscalls[0].action: SCMP_ACT_NOTIFY: there is no seccomp agent"},
	};

	assert_refused(rows, RSM_ARRAY_SIZE(rows));
}

/* "KEY":"xxx…" with @n x behind @prefix */
static char *long_member(const char *before, size_t n, const char *after)
{
	char *text = calloc(1, strlen(before) + n + strlen(after) + 1);

	assert_non_null(text);
	(void)strcpy(text, before);
	memset(text + strlen(before), 'x', n);
	(void)strcpy(text + strlen(before) + n, after);
	return text;
}

static void strings_that_are_too_long_for_the_kernel_are_refused(void **state)
{
	static const struct {
		enum where where;
		const char *before;
		size_t n;
		const char *after, *message;
	} rows[] = {
		{PROCESS, "\"cwd\":\"/", 256, "\"", "process.cwd: a name in it is longer than 255"},
		{PROCESS, "\"args\":[\"", 131072, "\"]", "process.args[0]: longer than 131071"},
		{PROCESS, "\"env\":[\"A=", 131070, "\"]", "process.env[0]: longer than 131071"},
		{MOUNT, "\"type\":\"tmpfs\",\"destination\":\"/", 300, "\"",
		 "mounts[0].destination: a name in it"},
		{MOUNT, "\"destination\":\"/x\",\"type\":\"tmpfs\",\"options\":[\"", 4000, "\"]",
		 "mounts[0].options: longer than 3999 bytes together"},
		{LINUX, "\"maskedPaths\":[\"/", 300, "\"]", "linux.maskedPaths[0]: a name in it"},
		{LINUX, "\"sysctl\":{\"", 201, "\":\"1\"}", "linux.sysctl."},
		{TOP, "\"root\":{\"path\":\"", 5000, "\"}", "root.path: longer than a path can be"},
		{TOP, "\"hostname\":\"", 65, "\"", "hostname: longer than 64 bytes"},
		{TOP, "\"domainname\":\"", 65, "\"", "domainname: longer than 64 bytes"},
	};

	for (size_t i = 0; i < RSM_ARRAY_SIZE(rows); i++) {
		char *members = long_member(rows[i].before, rows[i].n, rows[i].after);
		const struct bad bad = {rows[i].where, members, rows[i].message};

		assert_refused(&bad, 1);
		free(members);
	}
}

static void ids_that_are_not_mapped_are_refused(void **state)
{
	static const struct {
		const char *user, *message;
	} rows[] = {
		{"\"uid\":10", "process.user.uid: not mapped"},
		{"\"uid\":9,\"gid\":10", "process.user.gid: not mapped"},
		{"\"additionalGids\":[9,10]", "process.user.additionalGids[1]: not mapped"},
		{"\"uid\":9,\"gid\":9,\"additionalGids\":[9]", NULL},
	};

	for (size_t i = 0; i < RSM_ARRAY_SIZE(rows); i++) {
		struct rsm_error err = RSM_ERROR_INIT;
		struct oci_spec *spec = NULL;
		char text[1024];

		(void)snprintf(text, sizeof(text),
			       "{\"ociVersion\":\"1.1.0\",\"root\":{\"path\":\"r\"},\"process\":"
			       "{\"args\":[\"x\"],\"cwd\":\"/\",\"user\":{%s}},\"linux\":{%s}}",
			       rows[i].user, USER_NS "," GIDS "," MAP("uid", "0", "1", "10"));
		if (rows[i].message) {
			assert_true(oci_spec_parse(text, strlen(text), &spec, &err) < 0);
			assert_int_equal(strncmp(err.message, rows[i].message,
						 strlen(rows[i].message)),
					 0);
		} else {
			assert_int_equal(oci_spec_parse(text, strlen(text), &spec, &err), 0);
			assert_int_equal(spec->linux_.uid_map[0].host, 1);
			assert_true(spec->linux_.namespaces & CLONE_NEWUSER);
			oci_spec_free(spec);
		}
	}
}

/* ---- and what they look like when they can be */

static void scheduling_becomes_what_the_system_calls_take(void **state)
{
	struct oci_spec *spec = good(
		PROCESS,
		"\"scheduler\":{\"policy\":\"SCHED_DEADLINE\",\"nice\":19,"
		"\"flags\":[\"SCHED_FLAG_RESET_ON_FORK\",\"SCHED_FLAG_RECLAIM\"],"
		"\"runtime\":42000,\"deadline\":1000000,\"period\":1000000},"
		"\"ioPriority\":{\"class\":\"IOPRIO_CLASS_IDLE\",\"priority\":7},"
		"\"execCPUAffinity\":{\"initial\":\"\",\"final\":\" 0-2, 9,1023\"}");
	const struct oci_process *p = &spec->process;

	assert_int_equal(p->scheduler.policy, SCHED_DEADLINE);
	assert_int_equal(p->scheduler.nice, 19);
	assert_int_equal(p->scheduler.flags, SCHED_FLAG_RESET_ON_FORK | SCHED_FLAG_RECLAIM);
	assert_int_equal(p->scheduler.runtime, 42000);
	assert_int_equal(p->io_priority, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 7));
	assert_false(p->exec_initial.given);
	assert_true(p->exec_final.given);
	assert_int_equal(p->exec_final.bits[0], 7);
	assert_int_equal(p->exec_final.bits[1], 2);
	assert_int_equal(p->exec_final.bits[127], 0x80);
	oci_spec_free(spec);
	spec = good(LINUX, "\"personality\":{\"domain\":\"LINUX32\"}");
	assert_true(spec->linux_.has_personality);
	assert_int_equal(spec->linux_.personality, PER_LINUX32);
	oci_spec_free(spec);
}

static void recursive_options_become_attributes_of_a_tree(void **state)
{
	static const struct {
		const char *options;
		uint64_t set, clear;
	} rows[] = {
		{"\"rro\"", MOUNT_ATTR_RDONLY, 0},
		{"\"rro\",\"rrw\"", 0, MOUNT_ATTR_RDONLY},
		{"\"rrw\",\"rro\"", MOUNT_ATTR_RDONLY, 0},
		{"\"rnosuid\",\"rnodev\",\"rexec\"", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
		 MOUNT_ATTR_NOEXEC},
		{"\"rnoatime\"", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME},
		{"\"rnoatime\",\"rrelatime\"", 0, MOUNT_ATTR__ATIME},
		{"\"rstrictatime\",\"rnodiratime\"",
		 MOUNT_ATTR_STRICTATIME | MOUNT_ATTR_NODIRATIME, MOUNT_ATTR__ATIME},
		{"\"z\",\"Z\",\"rnosymfollow\"", MOUNT_ATTR_NOSYMFOLLOW, 0},
	};

	for (size_t i = 0; i < RSM_ARRAY_SIZE(rows); i++) {
		struct oci_spec *spec;
		char text[256];

		(void)snprintf(text, sizeof(text), BIND ",\"options\":[%s]", rows[i].options);
		spec = good(MOUNT, text);
		assert_int_equal(spec->mounts[0].rec_set, rows[i].set);
		assert_int_equal(spec->mounts[0].rec_clr, rows[i].clear);
		assert_string_equal(spec->mounts[0].data, "");
		oci_spec_free(spec);
	}
}

static void options_without_effect_on_a_bind_mount_are_warned_about(void **state)
{
	struct oci_spec *spec = good(MOUNT, BIND ",\"options\":[\"bogus\"]");

	assert_non_null(strstr(spec->warnings.data, "without effect on a bind mount: bogus"));
	oci_spec_free(spec);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_of_a_process_that_cannot_be),
		cmocka_unit_test(values_of_linux_that_cannot_be),
		cmocka_unit_test(values_of_mounts_and_seccomp_that_cannot_be),
		cmocka_unit_test(strings_that_are_too_long_for_the_kernel_are_refused),
		cmocka_unit_test(ids_that_are_not_mapped_are_refused),
		cmocka_unit_test(scheduling_becomes_what_the_system_calls_take),
		cmocka_unit_test(recursive_options_become_attributes_of_a_tree),
		cmocka_unit_test(options_without_effect_on_a_bind_mount_are_warned_about),
	};

	return cmocka_run_group_tests_name("runtime/oci bad", tests, NULL, NULL);
}
