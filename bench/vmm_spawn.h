/* SPDX-License-Identifier: Apache-2.0 */
/* Starting runsm-vmm without runsm: for benchmarks and tests of the VMM alone. */
#ifndef BENCH_VMM_SPAWN_H
#define BENCH_VMM_SPAWN_H

#include <stddef.h>
#include <stdint.h>

/* stdio, configuration, report, state directory, log, console socket: src/vmm/main/vmm_sandbox.h */
#define VMM_SPAWN_FDS 8

/* What can be chosen of the VM; everything else is the least that runsm-vmm takes. */
struct vmm_spawn_config {
	const char *dir; /* exported as the root file system */
	const char *machine; /* NULL: kvm */
	const char *kernel, *initrd, *cmdline;
	const char *qemu; /* tcg only */
	uint64_t memory; /* bytes */
	uint32_t vcpus;
};

/* VmConfig in a memfd; -1 with errno. */
int vmm_spawn_config(const struct vmm_spawn_config *config);

/* In a child: @fds become 0 … @n - 1, nothing else stays open, and @argv runs. */
_Noreturn void vmm_spawn_become(char *const argv[], const int *fds, int n);

#endif
