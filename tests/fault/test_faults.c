// SPDX-License-Identifier: Apache-2.0
/*
 * runsm-vmm on a host that runs out: every allocation, file descriptor, thread and KVM call of its
 * set-up fails once, and each time it says so in its report and ends.
 */
#include "vmm_spawn.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/math.h"
#include "cmocka_all.h"
#include "ttrpc/agent.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define GUESTS	   "tests/guest/guests"
#define VMM	   "tests/fault/faulty-vmm"
#define FAULTS_MAX 2000
#define LONG_MS	   30000
#define FD_LOG	   6

struct outcome {
	char failed[32]; /* the call that was made to fail, "" if there are not so many */
	int status;
	bool reported, ok;
	char message[600];
};

static char dir[] = "/tmp/runsm-test-fault-XXXXXX";

static int make_dir(void **state)
{
	if (access("/dev/kvm", R_OK | W_OK) < 0) {
		if (getenv("RUNSM_TEST_STRICT"))
			fail_msg("/dev/kvm: %s", strerror(errno));
		print_message("# /dev/kvm: %s\n", strerror(errno));
		skip();
	}
	(void)strcpy(dir + strlen(dir) - 6, "XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	return rsm_remove_tree_at(AT_FDCWD, dir);
}

_Noreturn static void child(unsigned at, int config, int report, int log)
{
	char *const argv[] = {(char *)VMM, (char *)"vm", NULL};
	int null = open("/dev/null", O_RDWR), state = open(dir, O_RDONLY | O_DIRECTORY);
	const int fds[VMM_SPAWN_FDS] = {null, null, null, config, report, state, log, null};
	char number[16];

	snprintf(number, sizeof(number), "%u", at);
	setenv("RUNSM_FAULT", number, 1);
	setenv("RUNSM_FAULT_FD", "6", 1);
	/* in its jail the search for leaks cannot look at itself, and fails */
	setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
	vmm_spawn_become(argv, fds, VMM_SPAWN_FDS);
}

static void read_report(int fd, struct outcome *o)
{
	uint8_t data[8192];
	ssize_t n = rsm_read_full(fd, data, sizeof(data));
	Runsm__VmReport *report;

	if (n <= 0)
		return;
	report = runsm__vm_report__unpack(NULL, (size_t)n, data);
	assert_non_null(report);
	o->reported = true;
	o->ok = report->ok;
	snprintf(o->message, sizeof(o->message), "%s", report->message);
	runsm__vm_report__free_unpacked(report, NULL);
}

static void run(const struct vmm_spawn_config *config, unsigned at, struct outcome *o)
{
	_cleanup_close_ int fd = vmm_spawn_config(config), log = memfd_create("log", MFD_CLOEXEC);
	char socket[sizeof(dir) + 16];
	int report[2];
	pid_t pid;

	*o = (struct outcome){0};
	assert_true(fd >= 0 && log >= 0);
	assert_int_equal(pipe2(report, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		child(at, fd, report[1], log);
	close(report[1]);
	if (poll(&(struct pollfd){.fd = report[0], .events = POLLIN}, 1, LONG_MS) == 0)
		kill(pid, SIGABRT);
	read_report(report[0], o);
	close(report[0]);
	snprintf(socket, sizeof(socket), "%s/control.sock", dir);
	while (waitpid(pid, &o->status, 0) < 0 && errno == EINTR)
		;
	unlink(socket); /* runsm removes it with the state directory */
	assert_true(pread(log, o->failed, sizeof(o->failed) - 1, 0) >= 0);
}

/* A call that ran out of memory must not be told as something else. */
static bool named(const struct outcome *o)
{
	static const char *const allocations[] = {"malloc", "calloc", "realloc", "strdup", "mmap"};

	for (size_t i = 0; i < RSM_ARRAY_SIZE(allocations); i++)
		if (strcmp(o->failed, allocations[i]) == 0 && !strstr(o->message, "memory"))
			return false;
	return true;
}

static void check(const struct outcome *o, unsigned at)
{
	if (!WIFEXITED(o->status) || WEXITSTATUS(o->status) != 255 || !o->reported || o->ok ||
	    !o->message[0] || !named(o))
		fail_msg("call %u, %s: status 0x%x, report \"%s\"", at, o->failed, o->status,
			 o->reported ? o->message : "(none)");
}

static void every_failing_call_of_the_set_up_is_reported(void **state)
{
	const struct vmm_spawn_config config = {
		.dir = dir, .kernel = GUESTS, .cmdline = "reset", .memory = 64 << 20, .vcpus = 2};
	struct outcome o;
	unsigned at, told = 0;

	for (at = 1; at < FAULTS_MAX; at++) {
		run(&config, at, &o);
		check(&o, at);
		if (!o.failed[0])
			break;
		if (!strstr(o.message, "stopped before")) /* else it could do without */
			told++;
		if (getenv("RUNSM_FAULT_VERBOSE"))
			print_message("# %u %s: %s\n", at, o.failed, o.message);
	}
	assert_true(at < FAULTS_MAX);
	print_message("# %u calls, %u of them needed\n", at - 1, told);
	assert_true(told > 100);
}


static void a_host_that_refuses_a_vm_says_what_to_do(void **state)
{
	static const struct {
		unsigned long request;
		int error;
		const char *part;
	} cases[] = {
		{KVM_CREATE_VM, EBUSY, "KVM_CREATE_VM: Device or resource busy; stop the other"},
		{KVM_CREATE_VM, EPERM, "give this user access to /dev/kvm"},
		{KVM_CREATE_VM, ENOMEM, "free memory on the host"},
		{KVM_SET_USER_MEMORY_REGION, ENOMEM, "of 64 MiB: Cannot allocate memory; lower"},
		{KVM_CREATE_VCPU, EEXIST, "vCPU 0: KVM_CREATE_VCPU"},
		{KVM_CREATE_IRQCHIP, ENOMEM, "KVM_CREATE_IRQCHIP"},
	};
	const struct vmm_spawn_config config = {
		.dir = dir, .kernel = GUESTS, .cmdline = "reset", .memory = 64 << 20, .vcpus = 1};
	char number[24];
	struct outcome o;

	for (size_t i = 0; i < RSM_ARRAY_SIZE(cases); i++) {
		snprintf(number, sizeof(number), "%lu", cases[i].request);
		setenv("RUNSM_FAULT_IOCTL", number, 1);
		snprintf(number, sizeof(number), "%d", cases[i].error);
		setenv("RUNSM_FAULT_ERRNO", number, 1);
		run(&config, 0, &o);
		check(&o, 0);
		if (!strstr(o.message, cases[i].part))
			fail_msg("case %zu: %s", i, o.message);
	}
	unsetenv("RUNSM_FAULT_IOCTL");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_failing_call_of_the_set_up_is_reported,
						make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(a_host_that_refuses_a_vm_says_what_to_do, make_dir,
						remove_dir),
	};

	return cmocka_run_group_tests_name("vmm/faults", tests, NULL, NULL);
}
