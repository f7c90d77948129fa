// SPDX-License-Identifier: Apache-2.0
/* A running VM: start, pause, calls posted by vCPUs, and the end. Theory of operation: kvm.h. */
#include "vmm/kvm_internal.h"

#include "base/math.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

const char *kvm_end_name(enum kvm_end_why why)
{
	static const char *const names[] = {
		[KVM_END_NONE] = "running",
		[KVM_END_RESET] = "reset",
		[KVM_END_POWEROFF] = "power-off",
		[KVM_END_TRIPLE_FAULT] = "triple fault",
		[KVM_END_EMULATION] = "emulation failure",
		[KVM_END_HOST] = "KVM failure",
		[KVM_END_STOPPED] = "stopped",
	};

	return (size_t)why < RSM_ARRAY_SIZE(names) ? names[why] : "unknown";
}

void kvm_vm_describe_exits(const struct kvm_vm *vm, char *buf, size_t size)
{
	size_t used = (size_t)snprintf(buf, size, "ports: ");

	mmio_bus_describe(&vm->pio, buf + used, size - used);
	used = strlen(buf);
	if (used + 16 >= size)
		return;
	used += (size_t)snprintf(buf + used, size - used, "; addresses: ");
	mmio_bus_describe(&vm->mmio, buf + used, size - used);
}

static void wake_owner(struct kvm_vm *vm)
{
	eventfd_write(vm->event_fd, 1); /* cannot fail before 2^64 - 1 unread wakeups */
	pthread_cond_broadcast(&vm->changed);
}

static void kick_all(struct kvm_vm *vm)
{
	for (unsigned i = 0; i < vm->nvcpus; i++)
		vcpu_kick(&vm->vcpus[i]);
}

/* With the lock held: run the oldest posted call, without the lock. Return: false if none is there
 */
static bool run_call(struct kvm_vm *vm)
{
	struct kvm_call *call = vm->calls;

	if (!call)
		return false;
	vm->calls = call->next;
	if (!vm->calls)
		vm->calls_tail = &vm->calls;
	pthread_mutex_unlock(&vm->lock);
	call->fn(call->cookie);
	pthread_mutex_lock(&vm->lock);
	call->done = true; /* its frame may be gone as soon as the lock is */
	pthread_cond_broadcast(&vm->changed);
	return true;
}

void kvm_vm_call(struct kvm_vm *vm, void (*fn)(void *cookie), void *cookie)
{
	struct kvm_call call = {.fn = fn, .cookie = cookie};

	if (pthread_equal(pthread_self(), vm->owner)) {
		fn(cookie);
		return;
	}
	pthread_mutex_lock(&vm->lock);
	*vm->calls_tail = &call;
	vm->calls_tail = &call.next;
	wake_owner(vm);
	while (!call.done)
		pthread_cond_wait(&vm->changed, &vm->lock);
	pthread_mutex_unlock(&vm->lock);
}

void kvm_vm_end(struct kvm_vm *vm, enum kvm_end_why why, unsigned vcpu, const char *detail)
{
	pthread_mutex_lock(&vm->lock);
	if (vm->end.why == KVM_END_NONE) {
		vm->end.why = why;
		vm->end.vcpu = vcpu;
		snprintf(vm->end.detail, sizeof(vm->end.detail), "%s", detail);
	}
	vm->quit = true;
	kick_all(vm);
	wake_owner(vm);
	pthread_mutex_unlock(&vm->lock);
}

bool kvm_vm_checkpoint(struct kvm_vm *vm, struct vcpu *v)
{
	bool go;

	pthread_mutex_lock(&vm->lock);
	while (vm->pause && !vm->quit) {
		vm->parked++;
		pthread_cond_broadcast(&vm->changed);
		pthread_cond_wait(&vm->changed, &vm->lock);
		vm->parked--;
	}
	/* Under the lock: a kick that comes later sets it again. */
	__atomic_store_n(&v->run->immediate_exit, 0, __ATOMIC_RELAXED);
	go = !vm->quit;
	pthread_mutex_unlock(&vm->lock);
	return go;
}

void kvm_vm_vcpu_done(struct kvm_vm *vm)
{
	pthread_mutex_lock(&vm->lock);
	vm->live--;
	wake_owner(vm);
	pthread_mutex_unlock(&vm->lock);
}

/* The kick: interrupts KVM_RUN and does nothing else. */
static void on_kick(int sig)
{
}

int kvm_vm_start(struct kvm_vm *vm, struct rsm_error *err)
{
	struct sigaction action = {.sa_handler = on_kick};
	int r = 0;

	if (sigaction(VCPU_KICK_SIGNAL, &action, NULL) < 0)
		return rsm_fail_errno(err, errno, "sigaction");
	pthread_mutex_lock(&vm->lock);
	for (unsigned i = 0; r == 0 && i < vm->nvcpus; i++) {
		r = vcpu_start_thread(&vm->vcpus[i]);
		if (r == 0)
			vm->live++;
	}
	pthread_mutex_unlock(&vm->lock);
	if (r < 0) {
		kvm_vm_stop(vm);
		return rsm_fail_errno(err, -r, "start vCPU thread");
	}
	return 0;
}

void kvm_vm_pause(struct kvm_vm *vm)
{
	pthread_mutex_lock(&vm->lock);
	if (!vm->pause && !vm->quit) {
		vm->pause = true;
		kick_all(vm);
	}
	while (vm->parked < vm->live)
		if (!run_call(vm))
			pthread_cond_wait(&vm->changed, &vm->lock);
	pthread_mutex_unlock(&vm->lock);
}

void kvm_vm_resume(struct kvm_vm *vm)
{
	pthread_mutex_lock(&vm->lock);
	vm->pause = false;
	pthread_cond_broadcast(&vm->changed);
	pthread_mutex_unlock(&vm->lock);
}

/* All vCPUs were told to quit: wait until they did. */
static void join_all(struct kvm_vm *vm)
{
	pthread_mutex_lock(&vm->lock);
	while (vm->live)
		if (!run_call(vm))
			pthread_cond_wait(&vm->changed, &vm->lock);
	pthread_mutex_unlock(&vm->lock);
	for (unsigned i = 0; i < vm->nvcpus; i++) {
		if (vm->vcpus[i].joinable)
			pthread_join(vm->vcpus[i].thread, NULL);
		vm->vcpus[i].joinable = false;
	}
}

void kvm_vm_stop(struct kvm_vm *vm)
{
	kvm_vm_end(vm, KVM_END_STOPPED, 0, "");
	join_all(vm);
}

int kvm_vm_event_fd(const struct kvm_vm *vm)
{
	return vm->event_fd;
}

const struct kvm_end *kvm_vm_service(struct kvm_vm *vm)
{
	eventfd_t count;
	bool ended;

	eventfd_read(vm->event_fd, &count); /* before looking: what comes later wakes us again */
	pthread_mutex_lock(&vm->lock);
	while (run_call(vm))
		;
	ended = vm->end.why != KVM_END_NONE;
	pthread_mutex_unlock(&vm->lock);
	if (!ended)
		return NULL;
	join_all(vm);
	return &vm->end;
}
