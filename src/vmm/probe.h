/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is KVM usable here? Probed, not assumed.
 *
 * Some machines expose a /dev/kvm that opens and creates VMs, and then interprets every instruction
 * of the guest's kernel, or stops at the first one its emulator lacks: hosts that virtualise by
 * page tables because the CPU's extensions are not theirs to use. An ordinary kernel never comes up
 * there. So the probe runs a guest of a few instructions against a clock: a timed loop, then what a
 * Linux kernel executes early and such emulators do not have.
 */
#ifndef RSM_VMM_PROBE_H
#define RSM_VMM_PROBE_H

#include <stdbool.h>
#include <stdint.h>

enum kvm_probe_state {
	KVM_PROBE_ABSENT,        /* no /dev/kvm, or no driver behind it */
	KVM_PROBE_NO_PERMISSION, /* it is there, and not for us */
	KVM_PROBE_BUSY,          /* another hypervisor holds the CPU's extensions */
	KVM_PROBE_UNUSABLE, /* it is there and cannot run a kernel; the reason says what fails */
	KVM_PROBE_USABLE,
};

#define KVM_PROBE_REASON_MAX 200

/**
 * struct kvm_probe_result - What the probe found
 * @reason:	one line for a person, without a full stop; empty if usable
 * @ps_per_insn: picoseconds per guest instruction in the timed loop; 0 if it did not run
 * @cached:	the guest did not run now, but earlier in this boot
 */
struct kvm_probe_result {
	enum kvm_probe_state state;
	char reason[KVM_PROBE_REASON_MAX];
	uint64_t ps_per_insn;
	bool cached;
};

/**
 * kvm_probe() - Ask whether KVM can run a guest kernel
 *
 * /dev/kvm is opened every time; what the guest showed is remembered until the next boot, in a file
 * of /run (of $XDG_RUNTIME_DIR for others than root). The first takes 1 to 25 ms; longer on a
 * machine that is itself emulated.
 *
 * Context: forks a child for the guest, which is reaped by init and may outlive the call by some
 * ms; the caller may have threads. Return: 0 with @ret filled; -errno if the host could not even
 * try (out of processes or memory)
 */
int kvm_probe(struct kvm_probe_result *ret);

/* The same without looking at what was remembered, which it replaces. */
int kvm_probe_again(struct kvm_probe_result *ret);

/* Which state an errno of open("/dev/kvm") or KVM_CREATE_VM means; ABSENT for most. */
enum kvm_probe_state kvm_probe_state_of(int error);

/* What to do about it, for a person; "" if usable. */
const char *kvm_probe_advice(enum kvm_probe_state state);

/* "absent", "no permission", "busy", "unusable", "usable" */
const char *kvm_probe_state_name(enum kvm_probe_state state);

#endif
