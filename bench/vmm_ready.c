// SPDX-License-Identifier: Apache-2.0
/*
 * From exec of runsm-vmm to a guest whose agent answers.
 *
 *	vmm_ready MACHINE KERNEL INITRD MEMORY-MiB VCPUS [QEMU]
 *
 * The agent is asked for a container that cannot be, and the clock stops when its complaint arrives.
 * Prints milliseconds. With the machine "tcg" and a QEMU that is a wrapper for `-accel kvm`, it is
 * QEMU that is timed, with the same devices, kernel and agent.
 */
#include "vmm_spawn.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/loop.h"
#include "ttrpc/agent.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int fail(const char *what)
{
	perror(what);
	exit(1);
}

/* Of a report: the agent's complaint; anything else is a failure. */
static void check(const uint8_t *data, ssize_t len)
{
	Runsm__VmReport *report =
		len > 0 ? runsm__vm_report__unpack(NULL, (size_t)len, data) : NULL;

	if (!report || report->ok || !strstr(report->message, "needs args")) {
		fprintf(stderr, "vmm_ready: %s\n%s\n", report ? report->message : "no report",
			report ? report->console : "");
		exit(1);
	}
	if (getenv("VMM_READY_VERBOSE"))
		fprintf(stderr, "vmm_ready: %s\n", report->message);
	runsm__vm_report__free_unpacked(report, NULL);
}

static double run(const struct vmm_spawn_config *config, char *vmm)
{
	char *const argv[] = {vmm, (char *)"vm", getenv("VMM_READY_VERBOSE") ? (char *)"--debug" : NULL,
			      NULL};
	int report[2], null = open("/dev/null", O_RDWR), fd = vmm_spawn_config(config), status;
	int dir = open(config->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint64_t from, to;
	uint8_t data[8192];
	ssize_t n;
	pid_t pid;

	if (null < 0 || fd < 0 || dir < 0 || pipe2(report, O_CLOEXEC) < 0)
		fail("prepare");
	from = rsm_now_ns();
	pid = fork();
	if (pid == 0) {
		const int fds[VMM_SPAWN_FDS] = {null, null, null, fd, report[1], dir, STDERR_FILENO,
						null};

		vmm_spawn_become(argv, fds, VMM_SPAWN_FDS);
	}
	close(report[1]);
	n = read(report[0], data, sizeof(data));
	to = rsm_now_ns();
	check(data, n);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	unlinkat(dir, "control.sock", 0);
	return (double)(to - from) / 1e6;
}

int main(int argc, char **argv)
{
	char dir[] = "/tmp/vmm_ready.XXXXXX", self[PATH_MAX], vmm[PATH_MAX + 16];
	struct vmm_spawn_config config = {.dir = dir};
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (argc < 6) {
		fprintf(stderr,
			"usage: vmm_ready MACHINE KERNEL INITRD MEMORY-MiB VCPUS [QEMU]\n");
		return 2;
	}
	if (n < 0 || !mkdtemp(dir))
		fail(dir);
	self[n] = '\0';
	*strrchr(self, '/') = '\0';
	snprintf(vmm, sizeof(vmm), "%s/../runsm-vmm", self);
	config.machine = argv[1];
	config.kernel = argv[2];
	config.initrd = argv[3];
	config.memory = strtoull(argv[4], NULL, 10) << 20;
	config.vcpus = (uint32_t)strtoul(argv[5], NULL, 10);
	config.qemu = argc > 6 ? argv[6] : NULL;
	printf("%.1f\n", run(&config, vmm));
	rmdir(dir);
	return 0;
}
