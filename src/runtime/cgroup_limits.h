/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linux.resources, written to the container's cgroup on the host.
 *
 * What the cgroup holds is the VM: guest RAM, and the processes that make it. So two limits are not
 * what config.json says, but that and what the VM takes beside it: memory and pids. The container's
 * own are the size of guest RAM and a cgroup in the guest. All others are written as they are.
 *
 * In two steps: what slows down is left until the VM has booted, which the container does not do.
 */
#ifndef RSM_RUNTIME_CGROUP_LIMITS_H
#define RSM_RUNTIME_CGROUP_LIMITS_H

#include "runtime/cgroup.h"
#include "runtime/oci.h"

#include <stdint.h>

/**
 * struct cgroup_vm - What a VM takes
 * @memory:	guest RAM in bytes
 * @files:	how many files the VMM may have open
 * @emulated:	the CPU is, and its translations take memory
 */
struct cgroup_vm {
	uint64_t memory, files;
	uint32_t vcpus;
	bool emulated;
};

/* Bytes of the host that a VM can come to take at most: guest RAM and what is beside it. */
uint64_t cgroup_vm_memory(const struct cgroup_vm *vm);

/* Tasks of the host that it may have when the container may have @limit: so many, but no fewer than it
 * can come to need; UINT64_MAX: any */
uint64_t cgroup_vm_pids(uint64_t limit, const struct cgroup_vm *vm);

/* Weights of version 1 as version 2 counts, both as runc and systemd do: cpu.shares 2…262144 as
 * cpu.weight 1…10000, and blkio.weight 10…1000 as io.weight 1…10000. */
uint64_t cgroup_weight_of_shares(uint64_t shares);
uint64_t cgroup_weight_of_io(uint64_t weight);

/**
 * cgroup_limit() - Write what holds from the first instruction on, before the VMM is placed
 *
 * Memory and pids do without a cgroup, because the VM and the guest hold them; the rest does not.
 * Return: 0, or a negative errno naming the field and the file
 */
int cgroup_limit(const struct cgroup *cg, const struct oci_linux *l, const struct cgroup_vm *vm,
		 struct rsm_error *err);

/* Write what holds for the container, but not for the boot: CPU time and I/O rates. */
int cgroup_limit_rates(const struct cgroup *cg, const struct oci_linux *l, struct rsm_error *err);

#endif
