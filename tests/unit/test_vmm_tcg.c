// SPDX-License-Identifier: Apache-2.0
/* The tcg machine with shell scripts in the place of QEMU. */
#include "vmm/machine.h"

#include "base/io.h"
#include "cmocka_all.h"
#include "vmm/tcg_board.h"
#include "vmm/vsock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static struct rsm_loop *loop;
static struct machine *machine;
static struct vsock *vsock;
static struct vdev *devices[1];
static struct rsm_error why, outcome;
static int exits, dones;
static char dir[] = "/tmp/test_vmm_tcg.XXXXXX", qemu[64], kernel[64], out[64];
static int console[2];

static void write_file(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static int group_setup(void **state)
{
	if (!mkdtemp(dir))
		return -1;
	(void)rsm_format(qemu, sizeof(qemu), "%s/qemu", dir);
	(void)rsm_format(kernel, sizeof(kernel), "%s/kernel", dir);
	(void)rsm_format(out, sizeof(out), "%s/out", dir);
	(void)signal(SIGPIPE, SIG_IGN);
	return 0;
}

static int group_teardown(void **state)
{
	return rsm_remove_tree_at(AT_FDCWD, dir);
}

static int setup(void **state)
{
	exits = dones = 0;
	memset(&why, 0, sizeof(why));
	machine = NULL;
	write_file(kernel, "kernel", 0600);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, console) < 0 ||
	    rsm_loop_new(&loop) < 0 || vsock_new(loop, &vsock) < 0)
		return -1;
	devices[0] = vsock_vdev(vsock);
	return 0;
}

static int teardown(void **state)
{
	machine_free(machine);
	vsock_free(vsock);
	rsm_loop_free(loop);
	close(console[0]), close(console[1]);
	return 0;
}

static void exited(void *cookie, const struct rsm_error *err)
{
	exits++;
	why = *err;
}

static void done(void *cookie, const struct rsm_error *err)
{
	dones++;
	outcome = *err;
}

static int create(struct rsm_error *err)
{
	struct machine_config config = {
		.kernel = kernel,
		.cmdline = "extra=1",
		.memory = 256U << 20,
		.vcpus = 1,
		.qemu = qemu,
		.console_fd = console[1],
		.devices = devices,
		.ndevices = 1,
	};

	return machine_create(machine_find("tcg"), loop, &config, exited, NULL, &machine, err);
}

static void start(const char *script)
{
	struct rsm_error err = RSM_ERROR_INIT;

	write_file(qemu, script, 0700);
	assert_int_equal(create(&err), 0);
	assert_int_equal(machine_start(machine, &err), 0);
}

static void wait_for(const int *counter)
{
	for (int i = 0; i < 100 && !*counter; i++)
		assert_int_equal(rsm_loop_once(loop, 100), 0);
	assert_int_equal(*counter, 1);
}

static void unknown_machines_are_not_found(void **state)
{
	assert_null(machine_find("abacus"));
	assert_string_equal(machine_find("tcg")->name, "tcg");
}

static void missing_qemu_says_what_to_install(void **state)
{
	struct rsm_error err = RSM_ERROR_INIT;

	(void)unlink(qemu);
	assert_int_equal(create(&err), 0);
	assert_int_equal(machine_start(machine, &err), -ENOENT);
	assert_non_null(strstr(err.message, "install qemu-system-x86"));
	assert_non_null(strstr(err.message, qemu));
}

static void a_kernel_that_cannot_be_read_is_named(void **state)
{
	struct rsm_error err = RSM_ERROR_INIT;

	(void)unlink(kernel);
	assert_int_equal(create(&err), -ENOENT);
	assert_non_null(strstr(err.message, kernel));
}

static void qemus_last_words_are_the_reason(void **state)
{
	start("#!/bin/sh\necho noise >&2\necho 'qemu-system-x86_64: -foo: bad option' >&2\nexit 3\n");
	wait_for(&exits);
	assert_int_equal(why.code, EIO);
	assert_string_equal(why.message, "QEMU exited with status 3: -foo: bad option");
}

static void an_orderly_end_is_the_guests_own(void **state)
{
	start("#!/bin/sh\nexit 0\n");
	wait_for(&exits);
	assert_int_equal(why.code, 0);
}

static void a_killed_qemu_is_told_with_its_signal(void **state)
{
	start("#!/bin/sh\nkill -9 $$\n");
	wait_for(&exits);
	assert_non_null(strstr(why.message, "signal 9"));
}

static void qemu_gets_its_options_and_fds_and_nothing_else(void **state)
{
	char script[256], *text;

	(void)rsm_format(script, sizeof(script),
			 "#!/bin/sh\nexec >%s\necho \"$@\"\nfor i in 0 1 2 3 4 5 6 7 8 9; do\n"
			 "[ -e /proc/$$/fd/$i ] && fds=\"$fds $i\"; done\necho fds$fds.\n",
			 out);
	start(script);
	wait_for(&exits);
	assert_int_equal(rsm_read_file_at(AT_FDCWD, out, 1 << 20, &text, NULL), 0);
	assert_non_null(strstr(text, "vhost-user-vsock-device"));
	assert_non_null(strstr(text, "-m 256 "));
	assert_non_null(strstr(text, "share=on"));
	assert_non_null(strstr(text, "tsc_early_khz="));
	assert_non_null(strstr(text, " extra=1 "));
	assert_non_null(strstr(text, "fds 0 1 2 3 4 5.\n")); /* stdio, console, QMP, device */
	free(text);
}

static void the_console_is_the_one_given(void **state)
{
	char text[16];

	start("#!/bin/sh\necho hello >&3\n");
	wait_for(&exits);
	assert_int_equal(read(console[0], text, sizeof(text)), 6);
	assert_memory_equal(text, "hello\n", 6);
}

static void pause_is_done_when_qemu_says_so(void **state)
{
	/* greets, answers the capabilities and the command, with an event between */
	start("#!/bin/sh\n"
	      "exec <&4 >&4\n"
	      "echo '{\"QMP\": {}}'\nread a\nread b\necho '{\"return\": {}}'\n"
	      "echo '{\"event\": \"STOP\"}'\n"
	      "case $b in *stop*) echo '{\"return\": {}, \"id\": 1}';; esac\nsleep 60\n");
	assert_int_equal(machine_pause(machine, done, NULL), 0);
	assert_int_equal(machine_resume(machine, done, NULL), -EBUSY);
	wait_for(&dones);
	assert_int_equal(outcome.code, 0);
	assert_int_equal(exits, 0);
}

static void pause_fails_when_qemu_goes(void **state)
{
	start("#!/bin/sh\nread a <&4\nexit 0\n");
	assert_int_equal(machine_pause(machine, done, NULL), 0);
	wait_for(&dones);
	assert_int_equal(outcome.code, EIO);
}

static void a_kernel_that_takes_devices_on_its_command_line_needs_no_acpi(void **state)
{
	assert_int_equal(tcg_kernel_wants_acpi(kernel), 1);
	int fd = open(kernel, O_WRONLY | O_TRUNC | O_CLOEXEC);
	assert_int_equal(write(fd, "x\0virtio-mmio-cmdline\0y", 23), 23);
	close(fd);
	assert_int_equal(tcg_kernel_wants_acpi(kernel), 0);
	assert_int_equal(tcg_kernel_wants_acpi("/nonexistent"), -ENOENT);
	assert_int_equal(tcg_kernel_wants_acpi("/proc"), -EINVAL);
}

static void the_tsc_frequency_is_the_same_each_time(void **state)
{
	struct tcg_tsc t;
	uint32_t a, b;

	tcg_tsc_read(&t);
	a = tcg_tsc_khz(&t);
	tcg_tsc_read(&t);
	b = tcg_tsc_khz(&t);
	assert_true(a > 100000);
	assert_in_range(b, a - a / 200, a + a / 200);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(unknown_machines_are_not_found),
		T(missing_qemu_says_what_to_install),
		T(a_kernel_that_cannot_be_read_is_named),
		T(qemus_last_words_are_the_reason),
		T(an_orderly_end_is_the_guests_own),
		T(a_killed_qemu_is_told_with_its_signal),
		T(qemu_gets_its_options_and_fds_and_nothing_else),
		T(the_console_is_the_one_given),
		T(pause_is_done_when_qemu_says_so),
		T(pause_fails_when_qemu_goes),
		T(a_kernel_that_takes_devices_on_its_command_line_needs_no_acpi),
		T(the_tsc_frequency_is_the_same_each_time),
	};

	return cmocka_run_group_tests_name("vmm/tcg", tests, group_setup, group_teardown);
}
