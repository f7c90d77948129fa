// SPDX-License-Identifier: Apache-2.0
/*
 * From exec of runsm-vmm to the guest's first instruction, against a bare program that makes the
 *same KVM calls (kvm_bare), in turns.
 *
 *	vmm_start [ROUNDS [MEMORY-MiB]]
 *
 * The guest (first_insn) asks for a reset at once. For runsm-vmm the clock stops when its report
 * arrives ("the guest stopped before the container was created"), for kvm_bare when its byte does;
 *so runsm-vmm's time has its configuration, virtio-fs, vsock, control socket, ACPI tables and the
 *report on top. Prints median and quartiles in ms and of the ratio of each pair; on
 * a busy machine look at CPU time instead.
 */
#include "vmm_spawn.h"

#include "base/io.h"
#include "base/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>

#define ROUNDS_MAX 1000

static char dir[PATH_MAX], kernel[PATH_MAX], vmm[PATH_MAX], bare[PATH_MAX], mib[16];
static int state_dir, log_fd;

static int fail(const char *what)
{
	perror(what);
	exit(1);
}

static double cpu_ms(const struct timeval *t)
{
	return (double)t->tv_sec * 1e3 + (double)t->tv_usec / 1e3;
}

/* Milliseconds from before the fork until the child says it got there; its message in @said, and in
 * @ret_cpu what it used of a CPU in all, its end included. */
static double start(char *const argv[], int config_fd, char *said, size_t size, double *ret_cpu)
{
	struct rusage usage;
	int report[2], null = open("/dev/null", O_RDWR | O_CLOEXEC), status;
	uint64_t from, to;
	ssize_t n;
	pid_t pid;

	if (null < 0 || pipe2(report, O_CLOEXEC) < 0)
		fail("pipe");
	from = rsm_now_ns();
	pid = fork();
	if (pid == 0) {
		const int fds[VMM_SPAWN_FDS] = {null,      null,      null,   config_fd,
						report[1], state_dir, log_fd, null};

		vmm_spawn_become(argv, fds, VMM_SPAWN_FDS);
	}
	close(report[1]);
	n = read(report[0], said, size - 1);
	to = rsm_now_ns();
	said[n > 0 ? n : 0] = '\0';
	close(report[0]);
	close(null);
	while (wait4(pid, &status, 0, &usage) < 0 && errno == EINTR)
		;
	*ret_cpu = cpu_ms(&usage.ru_utime) + cpu_ms(&usage.ru_stime);
	unlinkat(state_dir, "control.sock", 0);
	if (n <= 0) {
		fprintf(stderr, "vmm_start: %s ended (status 0x%x) without a word\n", argv[0],
			status);
		exit(1);
	}
	return (double)(to - from) / 1e6;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print(const char *what, double *v, size_t n, const char *unit)
{
	qsort(v, n, sizeof(*v), compare);
	printf("%-12s %7.2f%s  (%.2f … %.2f)\n", what, v[n / 2], unit, v[n / 4], v[n * 3 / 4]);
}

static void find(void)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n < 0)
		fail("/proc/self/exe");
	self[n] = '\0';
	*strrchr(self, '/') = '\0';
	if (rsm_format(kernel, sizeof(kernel), "%s/first_insn", self) < 0 ||
	    rsm_format(bare, sizeof(bare), "%s/kvm_bare", self) < 0 ||
	    rsm_format(vmm, sizeof(vmm), "%s/../runsm-vmm", self) < 0)
		fail(self);
}

int main(int argc, char **argv)
{
	size_t rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 30;
	uint64_t memory = argc > 2 ? strtoull(argv[2], NULL, 10) : 128;
	static double ours[ROUNDS_MAX], theirs[ROUNDS_MAX], ratio[ROUNDS_MAX];
	static double cpu[3][ROUNDS_MAX];
	char *const vmm_argv[] = {vmm, (char *)"vm", NULL};
	char *const bare_argv[] = {bare, kernel, mib, (char *)"4", NULL};
	char said[4096];
	int config_fd;

	if (rounds < 4 || rounds > ROUNDS_MAX)
		return 2;
	find();
	snprintf(mib, sizeof(mib), "%llu", (unsigned long long)memory);
	strcpy(dir, "/tmp/vmm_start.XXXXXX");
	if (!mkdtemp(dir))
		fail(dir);
	state_dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	log_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	config_fd = vmm_spawn_config(&(struct vmm_spawn_config){
		.dir = dir, .kernel = kernel, .memory = memory << 20, .vcpus = 1});
	if (config_fd < 0)
		fail("configuration");
	for (size_t i = 0; i < rounds; i++) {
		ours[i] = start(vmm_argv, config_fd, said, sizeof(said), &cpu[0][i]);
		if (!memmem(said, sizeof(said), "stopped before", 14)) {
			fprintf(stderr, "vmm_start: runsm-vmm did not run the guest\n");
			return 1;
		}
		theirs[i] = start(bare_argv, config_fd, said, sizeof(said), &cpu[1][i]);
		ratio[i] = ours[i] / theirs[i];
		cpu[2][i] = cpu[0][i] / cpu[1][i];
	}
	rmdir(dir);
	print("runsm-vmm", ours, rounds, " ms");
	print("bare", theirs, rounds, " ms");
	print("ratio", ratio, rounds, "   ");
	print("CPU time", cpu[0], rounds, " ms");
	print("bare", cpu[1], rounds, " ms");
	print("ratio", cpu[2], rounds, "   ");
	return 0;
}
