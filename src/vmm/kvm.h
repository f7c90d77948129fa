/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VM of the kvm machine: memory, vCPUs, interrupt controller, buses. The page to read first.
 *
 * Theory of operation
 *
 * A VM is built by its owner thread in this order, and the order is what makes it quick: KVM takes
 * milliseconds to add a memory slot once the interrupt controller exists.
 *
 *	kvm_vm_new()	KVM_CREATE_VM, RAM, memory slots, then irqchip; vCPUs; no PIT, no PCI
 *	devices		kvm_vm_pio()/kvm_vm_mmio() ranges, GSIs, ioeventfds
 *	boot		kernel, tables and the first vCPU's registers
 *	kvm_vm_start()	one thread per vCPU
 *
 * Threads. vCPU threads call KVM_RUN and answer PIO and MMIO through the buses. What they may not
 * do themselves, because a device says it happens on the owner's thread, they post with
 * kvm_vm_call() and wait for; the owner runs it from kvm_vm_service(), which it calls when
 * kvm_vm_event_fd() is readable. While the owner waits for vCPUs (pause, stop) it serves such calls
 * too, so neither waits for the other for ever.
 *
 * Leaving the guest. A vCPU is made to leave by setting immediate_exit in its kvm_run and sending
 *it a signal: set before KVM_RUN, the flag makes it return at once; in the guest, the signal does;
 *no moment between is lost. A vCPU parks only after KVM_RUN returned EINTR, because only then the
 * instruction whose PIO or MMIO was answered last is complete.
 *
 * The end. Whichever thread sees it first (reset, power-off, triple fault, failed emulation, KVM
 * error) records the one struct kvm_end, tells all vCPUs to quit and wakes the owner. The VMM never
 * exits in a handler.
 *
 * Locks. One mutex per VM, taken inside no other of ours. It guards the request flags, the list of
 * posted calls, and the end. Buses and memory do not change while vCPUs run.
 *
 * Not here: reboot without a new VM (a reset ends the VM), CPU and memory hotplug, nested
 * virtualisation.
 */
#ifndef RSM_VMM_KVM_H
#define RSM_VMM_KVM_H

#include "base/error.h"
#include "base/log.h"
#include "vmm/gmem.h"
#include "vmm/mmio_bus.h"

#include <stdbool.h>
#include <stdint.h>

/* ---- guest-physical layout */
#define KVM_LOW_RAM_END   0xc0000000ULL /* RAM above goes to 4 GiB */
#define KVM_MMIO_BASE     0xd0000000ULL /* virtio-mmio, one page per device */
#define KVM_IOAPIC_BASE   0xfec00000ULL /* where KVM puts it */
#define KVM_LAPIC_BASE    0xfee00000ULL
#define KVM_IDENTITY_BASE 0xfeffc000ULL /* KVM's own page, and three for the TSS (Intel) */
#define KVM_HIGH_RAM_BASE 0x100000000ULL
#define KVM_RAM_MIN       (1ULL << 20)

/* ---- interrupts: GSI = I/O APIC pin; edge-triggered, so that an eventfd write is the interrupt */
#define KVM_GSI_SERIAL 4
#define KVM_GSI_EVENT  5 /* ACPI generic event device */
#define KVM_GSI_FIRST  6 /* virtio-mmio devices, one each */
#define KVM_GSI_LAST   23

/* ---- ports */
#define KVM_PORT_RESET  0x64  /* keyboard controller: 0xfe resets; also the ACPI reset register */
#define KVM_PORT_SLEEP  0x600 /* ACPI sleep control and status registers */
#define KVM_PORT_SERIAL 0x3f8

enum kvm_end_why {
	KVM_END_NONE,
	KVM_END_RESET,        /* the guest asked for a reset */
	KVM_END_POWEROFF,     /* the guest switched itself off */
	KVM_END_TRIPLE_FAULT, /* the guest's fault */
	KVM_END_EMULATION,    /* an instruction that KVM cannot emulate */
	KVM_END_HOST,         /* KVM_RUN failed, or an exit we do not know */
	KVM_END_STOPPED,      /* kvm_vm_stop() */
};

#define KVM_END_DETAIL_MAX 1024

/**
 * struct kvm_end - Why a VM ended
 * @vcpu:	which vCPU saw it
 * @detail:	for a person, lines with the vCPU's state; empty for an orderly end
 */
struct kvm_end {
	enum kvm_end_why why;
	unsigned vcpu;
	char detail[KVM_END_DETAIL_MAX];
};

struct kvm_vm;
struct vcpu;

/**
 * struct kvm_vm_config - What a VM is made of
 * @memory:	bytes, a multiple of 4096, at least KVM_RAM_MIN
 * @vcpus:	1 and up; the host's KVM sets the bound
 */
struct kvm_vm_config {
	uint64_t memory;
	unsigned vcpus;
};

/**
 * kvm_vm_new() - Create a VM with memory, interrupt controller and vCPUs, not running
 *
 * The calling thread becomes the owner: every function below is called on it, except where it says
 * "any thread".
 *
 * Return: 0, or -errno with a message that names what the host lacks
 */
int kvm_vm_new(const struct kvm_vm_config *config, struct kvm_vm **ret, struct rsm_error *err);

/* Stop if running, then free everything. NULL is fine. */
void kvm_vm_free(struct kvm_vm *vm);

struct gmem *kvm_vm_mem(struct kvm_vm *vm);
unsigned kvm_vm_nvcpus(const struct kvm_vm *vm);
struct vcpu *kvm_vm_vcpu(struct kvm_vm *vm, unsigned i);

/* First guest-physical address above all RAM, 4 GiB at least: where windows can go. */
gpa_t kvm_vm_top(const struct kvm_vm *vm);

/* Answer @len ports or bytes at @base; before kvm_vm_start(). Errors as mmio_bus_add(). */
int kvm_vm_pio(struct kvm_vm *vm, uint16_t base, uint16_t len, const struct mmio_ops *ops,
	       void *cookie);
int kvm_vm_mmio(struct kvm_vm *vm, gpa_t base, uint64_t len, const struct mmio_ops *ops,
		void *cookie);

/* A memory slot beyond RAM: @host stays the caller's. Slow once the VM exists (6 ms here). */
int kvm_vm_map(struct kvm_vm *vm, gpa_t base, uint64_t len, void *host, bool readonly);

/* A write to @eventfd interrupts the guest: an edge on @gsi. */
int kvm_vm_irqfd(struct kvm_vm *vm, int eventfd, uint32_t gsi);

/* A 4-byte write of @value to @addr writes @eventfd instead of leaving the guest. */
int kvm_vm_ioeventfd(struct kvm_vm *vm, int eventfd, gpa_t addr, uint32_t value);

/* Start the vCPU threads. */
int kvm_vm_start(struct kvm_vm *vm, struct rsm_error *err);

/**
 * kvm_vm_pause() - Wait until no vCPU is in the guest or in a handler
 *
 * Afterwards vCPU state may be read. Harmless when the VM has ended or is paused.
 */
void kvm_vm_pause(struct kvm_vm *vm);
void kvm_vm_resume(struct kvm_vm *vm);

/* End all vCPU threads. Synchronous; records KVM_END_STOPPED unless the VM had ended already. */
void kvm_vm_stop(struct kvm_vm *vm);

/* Readable when kvm_vm_service() should be called. */
int kvm_vm_event_fd(const struct kvm_vm *vm);

/* Run what vCPUs posted. Return: why the VM ended, NULL while it has not; threads are joined then.
 */
const struct kvm_end *kvm_vm_service(struct kvm_vm *vm);

/**
 * kvm_vm_call() - Run @fn on the owner's thread and wait for it
 * Context: any thread; on the owner's own it is a plain call
 */
void kvm_vm_call(struct kvm_vm *vm, void (*fn)(void *cookie), void *cookie);

/* Record the end, unless there is one already, and make all vCPUs quit. Context: any thread. */
void kvm_vm_end(struct kvm_vm *vm, enum kvm_end_why why, unsigned vcpu, const char *detail);

/* For a person who looks for slowness: which ports and addresses made vCPUs leave the guest. */
void kvm_vm_describe_exits(const struct kvm_vm *vm, char *buf, size_t size);

const char *kvm_end_name(enum kvm_end_why why);

#endif
