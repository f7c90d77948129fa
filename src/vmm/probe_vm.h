/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the probe: the run of its guest, and the memory of it. */
#ifndef RSM_VMM_PROBE_VM_H
#define RSM_VMM_PROBE_VM_H

#include "vmm/probe.h"

/**
 * struct probe_run - What is known of a run, in memory shared by the child and its parent
 * @step:	PROBE_STEP_* of the guest, 0 before the first
 * @what:	host call that failed, or NULL (a string constant: both processes are one program)
 * @error:	positive errno of @what
 * @exit_reason: KVM_EXIT_* that ended the guest
 * @best_ns:	shortest time of the timed loop
 * @clock_ns:	resolution of the clock
 * @done:	the run came to its end; atomic
 */
struct probe_run {
	uint32_t step;
	const char *what;
	int error;
	uint32_t exit_reason;
	uint64_t best_ns;
	uint64_t clock_ns;
	bool done;
};

/* Run the guest on @kvm, filling @run as it goes. Async-signal-safe: called in a forked
 * child. */
void probe_vm_run(int kvm, struct probe_run *run);

/* Turn what was seen into a verdict. @killed: the time was up. */
void probe_judge(const struct probe_run *run, bool killed, struct kvm_probe_result *ret);

/**
 * probe_cache_load() - What was found earlier in this boot
 * @dirfd, @name: the file; believed only if it is a regular file that no one but root or us may
 * write
 * @key:	boot and device it must be about
 * Return: 0 with @ret, or -ENOENT
 */
int probe_cache_load(int dirfd, const char *name, const char *key, struct kvm_probe_result *ret);

/* Remember; failing to is not an error. */
void probe_cache_store(int dirfd, const char *name, const char *key,
		       const struct kvm_probe_result *result);

#endif
