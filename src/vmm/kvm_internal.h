/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the kvm_*.c and vcpu*.c files. */
#ifndef RSM_VMM_KVM_INTERNAL_H
#define RSM_VMM_KVM_INTERNAL_H

#include "vmm/kvm.h"
#include "vmm/vcpu.h"

#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>

/* Interrupts KVM_RUN; the process's other threads never get it. */
#define VCPU_KICK_SIGNAL SIGRTMIN

/* A call posted by a vCPU; lives on its stack until @done. */
struct kvm_call {
	void (*fn)(void *cookie);
	void *cookie;
	bool done;
	struct kvm_call *next;
};

/**
 * struct kvm_vm - See kvm.h
 * @kvm, @fd:	/dev/kvm and the VM
 * @slots:	memory slots in use
 * @owner:	thread that made it
 * @event_fd:	wakes the owner
 * @lock:	guards everything below it
 * @changed:	signalled on every change of what is below
 * @pause, @quit: requests to the vCPUs
 * @live:	vCPU threads that have not finished
 * @parked:	vCPU threads that wait for the end of a pause
 * @calls, @calls_tail: posted calls, oldest first
 */
struct kvm_vm {
	int kvm, fd;
	struct gmem mem;
	uint32_t slots;
	struct mmio_bus pio, mmio;
	struct rsm_ratelimit guest_faults;
	unsigned nvcpus;
	struct vcpu *vcpus;
	pthread_t owner;
	int event_fd;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool pause, quit;
	unsigned live, parked;
	struct kvm_call *calls, **calls_tail;
	struct kvm_end end;
};

/**
 * struct vcpu - One virtual CPU, run by one thread
 * @fd:		KVM's; used by its own thread while that is in the guest, by the owner while parked
 * @run:	shared with KVM, @run_size bytes
 */
struct vcpu {
	struct kvm_vm *vm;
	unsigned index;
	int fd;
	struct kvm_run *run;
	size_t run_size;
	pthread_t thread;
	bool joinable;
};

/* Create vCPU @index with registers, CPUID and MSRs as after a reset. */
int vcpu_init(struct vcpu *v, struct kvm_vm *vm, unsigned index, size_t run_size,
	      const struct kvm_cpuid2 *cpuid, struct rsm_error *err);
void vcpu_fini(struct vcpu *v);
int vcpu_start_thread(struct vcpu *v);
/* Make it leave the guest soon. Context: any thread; vm->lock held. */
void vcpu_kick(struct vcpu *v);

/* Called by a vCPU thread out of the guest: waits out a pause. Return: false if it shall end. */
bool kvm_vm_checkpoint(struct kvm_vm *vm, struct vcpu *v);
void kvm_vm_vcpu_done(struct kvm_vm *vm);

/* Reset and power-off registers. */
int kvm_board_init(struct kvm_vm *vm);

/* RAM of @size bytes as anonymous memory, low part and high part. */
int kvm_mem_create(struct gmem *mem, uint64_t size, struct rsm_error *err);

#endif
