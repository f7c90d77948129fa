// SPDX-License-Identifier: Apache-2.0
/* linux.seccomp: what compiled filters say to system calls, asked of the kernel in a child. */
#include "cmocka_all.h"

#include "base/math.h"

#include "oci_sample.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARCHES	    "\"architectures\":[\"SCMP_ARCH_X86_64\",\"SCMP_ARCH_X86\",\"SCMP_ARCH_X32\"],"
#define BEYOND	    1000		/* no call of any kernel yet */
#define X32_BEYOND  (0x40000000L | 1000)
/* What the child cannot do without. */
#define NEEDED	    "{\"names\":[\"exit_group\",\"exit\",\"write\"],\"action\":\"SCMP_ACT_ALLOW\"}"

/* Return: errno of system call @nr under the filter of @profile, 0 for success */
static int errno_of(const char *profile, long nr)
{
	_cleanup_spec_ struct oci_spec *spec = NULL;
	struct rsm_error err = RSM_ERROR_INIT;
	struct sock_fprog prog;
	int status;
	pid_t pid;

	if (parse_with(SECCOMP, profile, &spec, &err) < 0)
		fail_msg("%s", err.message);
	prog.filter = spec->linux_.seccomp.filter;
	prog.len = (unsigned short)(spec->linux_.seccomp.len / sizeof(struct sock_filter));
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		long ret = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);

		if (ret == 0)
			ret = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog);
		if (ret == 0)
			ret = syscall(nr, -1, -1, -1, -1, -1, -1);
		/* not _exit(): a sanitizer has calls of its own to make there */
		(void)syscall(SYS_exit_group, ret < 0 ? errno : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void calls_newer_than_a_profile_are_not_implemented(void **state)
{
	static const char profile[] = "\"defaultAction\":\"SCMP_ACT_ERRNO\"," ARCHES
				      "\"syscalls\":[" NEEDED ",{\"names\":[\"kcmp\"],"
				      "\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":28}]";

	assert_int_equal(errno_of(profile, BEYOND), ENOSYS);
	assert_int_equal(errno_of(profile, SYS_kcmp + 1), ENOSYS);
	assert_int_equal(errno_of(profile, SYS_kcmp), ENOSPC);
	/* older than the newest it names: denied as the profile says */
	assert_int_equal(errno_of(profile, SYS_chroot), EPERM);
	assert_int_equal(errno_of(profile, X32_BEYOND), ENOSYS);
}

static void a_default_error_number_is_for_calls_that_the_profile_can_know(void **state)
{
	static const char profile[] = "\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":6,"
				      ARCHES "\"syscalls\":[" NEEDED "]";

	assert_int_equal(errno_of(profile, SYS_read), ENXIO);
	assert_int_equal(errno_of(profile, BEYOND), ENOSYS);
}

/* Without architectures the machine's own is meant. */
static void architectures_may_be_left_out(void **state)
{
	static const char profile[] = "\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[" NEEDED "]";

	assert_int_equal(errno_of(profile, BEYOND), ENOSYS);
	assert_int_equal(errno_of(profile, SYS_read), EPERM);
}

static void profiles_that_allow_are_left_as_they_are(void **state)
{
	static const char profile[] =
		"\"defaultAction\":\"SCMP_ACT_ALLOW\"," ARCHES
		"\"syscalls\":[{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":28}]";

	assert_int_equal(errno_of(profile, SYS_read), ENOSPC);
	assert_int_equal(errno_of(profile, SYS_close), EBADF);
	assert_int_equal(errno_of(profile, BEYOND), ENOSYS); /* the kernel's own */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_newer_than_a_profile_are_not_implemented),
		cmocka_unit_test(a_default_error_number_is_for_calls_that_the_profile_can_know),
		cmocka_unit_test(architectures_may_be_left_out),
		cmocka_unit_test(profiles_that_allow_are_left_as_they_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
