// SPDX-License-Identifier: Apache-2.0
/*
 * Boot a kernel on one of the machines with no devices but the machine's own, show its console, and
 * say when things happened.
 *
 *	kvm_boot MACHINE KERNEL INITRD|- MEMORY-MiB VCPUS [CMDLINE]
 *	kvm_boot cmdline	print what the kvm machine always passes
 *
 * Ends when the guest does. Times go to stderr, in ms since the program's start.
 */
#include "base/cleanup.h"
#include "base/loop.h"
#include "vmm/machine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct boot {
	struct rsm_loop *loop;
	uint64_t start;
	int first;
};

static double since(const struct boot *b)
{
	return (double)(rsm_now_ns() - b->start) / 1e6;
}

static void ended(void *cookie, const struct rsm_error *why)
{
	struct boot *b = cookie;

	fprintf(stderr, "end %.1f%s%s\n", since(b), why->code ? ": " : "", why->message);
	rsm_loop_stop(b->loop, why->code ? 1 : 0);
}

static void on_console(void *cookie, int fd, uint32_t events)
{
	struct boot *b = cookie;
	char buf[4096];
	ssize_t n = read(fd, buf, sizeof(buf));

	if (n > 0 && !b->first) {
		fprintf(stderr, "first-output %.1f\n", since(b));
		b->first = 1;
	}
	if (n > 0)
		fwrite(buf, 1, (size_t)n, stdout);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct rsm_error err = RSM_ERROR_INIT;
	struct boot b = {.start = rsm_now_ns()};
	struct machine_config config = {.console_fd = -1};
	const struct machine_ops *ops;
	struct machine *m = NULL;
	int fds[2], r;

	if (argc == 2 && strcmp(argv[1], "cmdline") == 0)
		return puts(machine_kvm_cmdline) < 0;
	if (argc < 6) {
		fprintf(stderr,
			"usage: kvm_boot MACHINE KERNEL INITRD|- MEMORY-MiB VCPUS [CMDLINE]\n");
		return 2;
	}
	ops = machine_find(argv[1]);
	config.kernel = argv[2];
	config.initrd = strcmp(argv[3], "-") == 0 ? NULL : argv[3];
	config.memory = strtoull(argv[4], NULL, 10) << 20;
	config.vcpus = (uint32_t)strtoul(argv[5], NULL, 10);
	config.cmdline = argc > 6 ? argv[6] : NULL;
	if (!ops || rsm_loop_new(&b.loop) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0) {
		fprintf(stderr, "kvm_boot: no machine '%s', or no loop\n", argv[1]);
		return 2;
	}
	config.console_fd = fds[1];
	rsm_loop_add(b.loop, fds[0], EPOLLIN, on_console, &b, NULL);
	r = machine_create(ops, b.loop, &config, ended, &b, &m, &err);
	if (r == 0)
		r = machine_start(m, &err);
	if (r < 0) {
		fprintf(stderr, "kvm_boot: %s\n", err.message);
		machine_free(m);
		return 2;
	}
	close(fds[1]);
	fprintf(stderr, "started %.1f\n", since(&b));
	r = rsm_loop_run(b.loop);
	machine_free(m);
	on_console(&b, fds[0], 0);
	return r;
}
