// SPDX-License-Identifier: Apache-2.0
/* The thread of one vCPU: in and out of the guest, PIO and MMIO to the buses, ends to the VM. */
#include "vmm/jail.h"
#include "vmm/kvm_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#define DETAIL_MAX KVM_END_DETAIL_MAX

static void end_with_state(struct vcpu *v, enum kvm_end_why why, const char *what)
{
	char detail[DETAIL_MAX];
	int n = snprintf(detail, sizeof(detail), "%s\n", what);

	vcpu_describe(v, detail + n, sizeof(detail) - (size_t)n);
	kvm_vm_end(v->vm, why, v->index, detail);
}

static void on_unanswered(struct vcpu *v, const char *bus, uint64_t addr, bool write)
{
	if (rsm_log_level() >= RSM_LOG_DEBUG)
		rsm_log_limited(&v->vm->guest_faults, RSM_LOG_DEBUG,
				"vCPU %u: nothing answers a %s of %s 0x%llx", v->index,
				write ? "write" : "read", bus, (unsigned long long)addr);
}

/* @count accesses of one size: string instructions come as one exit. */
static void handle_pio(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	uint16_t port = run->io.port;
	bool answered = true;

	for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size) {
		if (run->io.direction == KVM_EXIT_IO_OUT)
			answered &= mmio_bus_write(&v->vm->pio, port, data, run->io.size);
		else
			answered &= mmio_bus_read(&v->vm->pio, port, data, run->io.size);
	}
	if (!answered)
		on_unanswered(v, "port", port, run->io.direction == KVM_EXIT_IO_OUT);
}

static void handle_mmio(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	uint64_t addr = run->mmio.phys_addr;
	bool answered;

	if (run->mmio.len > sizeof(run->mmio.data))
		return;
	if (run->mmio.is_write)
		answered = mmio_bus_write(&v->vm->mmio, addr, run->mmio.data, run->mmio.len);
	else
		answered = mmio_bus_read(&v->vm->mmio, addr, run->mmio.data, run->mmio.len);
	if (!answered)
		on_unanswered(v, "address", addr, run->mmio.is_write);
}

static void handle_internal_error(struct vcpu *v)
{
	char what[80];

	if (v->run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION) {
		end_with_state(v, KVM_END_EMULATION,
			       "KVM cannot emulate an instruction of the guest");
		return;
	}
	snprintf(what, sizeof(what), "KVM internal error %u", v->run->internal.suberror);
	end_with_state(v, KVM_END_HOST, what);
}

static void handle_system_event(struct vcpu *v)
{
	switch (v->run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		kvm_vm_end(v->vm, KVM_END_POWEROFF, v->index, "");
		break;
	case KVM_SYSTEM_EVENT_RESET:
		kvm_vm_end(v->vm, KVM_END_RESET, v->index, "");
		break;
	default:
		end_with_state(v, KVM_END_TRIPLE_FAULT, "the guest reports a crash");
	}
}

static void handle_exit(struct vcpu *v)
{
	char what[80];

	switch (v->run->exit_reason) {
	case KVM_EXIT_IO:
		handle_pio(v);
		break;
	case KVM_EXIT_MMIO:
		handle_mmio(v);
		break;
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		break;
	case KVM_EXIT_SHUTDOWN:
		end_with_state(v, KVM_END_TRIPLE_FAULT, "triple fault");
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		handle_internal_error(v);
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		handle_system_event(v);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		snprintf(what, sizeof(what), "the CPU refuses the guest's state (reason 0x%llx)",
			 (unsigned long long)v->run->fail_entry.hardware_entry_failure_reason);
		end_with_state(v, KVM_END_HOST, what);
		break;
	default:
		snprintf(what, sizeof(what), "unknown exit %u of KVM_RUN", v->run->exit_reason);
		end_with_state(v, KVM_END_HOST, what);
	}
}

static bool go_to_jail(struct vcpu *v)
{
	char what[80];
	int r = jail_thread(JAIL_VCPU);

	if (r == 0)
		return true;
	snprintf(what, sizeof(what), "seccomp filter of a vCPU: %s", strerror(-r));
	kvm_vm_end(v->vm, KVM_END_HOST, v->index, what);
	return false;
}

static void *vcpu_thread(void *cookie)
{
	struct vcpu *v = cookie;
	bool go = go_to_jail(v) && kvm_vm_checkpoint(v->vm, v);
	char what[80];

	while (go) {
		if (ioctl(v->fd, KVM_RUN, 0) == 0) {
			handle_exit(v);
		} else if (errno == EINTR) {
			go = kvm_vm_checkpoint(v->vm, v);
		} else if (errno != EAGAIN) { /* EAGAIN: a waiting vCPU was started */
			snprintf(what, sizeof(what), "KVM_RUN: %s", strerror(errno));
			end_with_state(v, KVM_END_HOST, what);
			go = false;
		}
	}
	kvm_vm_vcpu_done(v->vm);
	return NULL;
}

int vcpu_start_thread(struct vcpu *v)
{
	char name[16];
	sigset_t all, old;
	int r;

	/* The process's signals belong to its main thread. */
	sigfillset(&all);
	sigdelset(&all, VCPU_KICK_SIGNAL);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&v->thread, NULL, vcpu_thread, v);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r != 0)
		return -r;
	v->joinable = true;
	snprintf(name, sizeof(name), "vcpu%u", v->index);
	pthread_setname_np(v->thread, name);
	return 0;
}

void vcpu_kick(struct vcpu *v)
{
	if (!v->joinable)
		return;
	__atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	if (!pthread_equal(pthread_self(), v->thread))
		pthread_kill(v->thread, VCPU_KICK_SIGNAL);
}
