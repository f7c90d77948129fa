// SPDX-License-Identifier: Apache-2.0
#include "vmm/probe_vm.h"

#include "base/loop.h"
#include "base/math.h"
#include "vmm/probe_guest.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>

/* Slower than this per instruction is not execution but interpretation: hardware needs some 300 ps,
 * KVM on an emulated CPU some 10 ns, KVM's instruction emulator 500 ns and more. */
#define PROBE_SLOW_PS 200000

#define CPUID_MAX 256

/* CPUID.1:ECX */
#define CPUID_1_ECX_XSAVE (1u << 26)

static int failed(struct probe_run *run, const char *what)
{
	run->error = errno;
	run->what = what;
	return -1;
}

/* Identity-mapped 64-bit mode with one interrupt gate. */
static void fill_memory(uint8_t *mem)
{
	uint64_t *gdt = (uint64_t *)(mem + PROBE_GDT), *idt = (uint64_t *)(mem + PROBE_IDT);
	uint64_t handler = PROBE_CODE + (uint64_t)(probe_guest_int3 - probe_guest_start);

	*(uint64_t *)(mem + PROBE_PML4) = PROBE_PDPT | 3; /* present, writable */
	*(uint64_t *)(mem + PROBE_PDPT) = PROBE_PD | 3;
	*(uint64_t *)(mem + PROBE_PD) = 0 | 0x83; /* 2 MiB page */
	gdt[PROBE_CS / 8] = 0x00af9b000000ffff;   /* 64-bit code */
	gdt[PROBE_DS / 8] = 0x00cf93000000ffff;   /* flat data */
	/* interrupt gate, present, ring 0 (SDM vol. 3, 6.14.1) */
	idt[3 * 2] = (handler & 0xffff) | (uint64_t)PROBE_CS << 16 | 0x8e00ULL << 32 |
		     (handler >> 16) << 48;
	memcpy(mem + PROBE_CODE, probe_guest_start, (size_t)(probe_guest_end - probe_guest_start));
}

static int set_cpuid(int kvm, int vcpu, bool *ret_xsave, struct probe_run *run)
{
	static struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entries[CPUID_MAX];
	} cpuid; /* static: the child has it to itself */

	cpuid.head.nent = CPUID_MAX;
	if (ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid) < 0)
		return failed(run, "KVM_GET_SUPPORTED_CPUID");
	for (uint32_t i = 0; i < cpuid.head.nent; i++)
		if (cpuid.entries[i].function == 1)
			*ret_xsave = cpuid.entries[i].ecx & CPUID_1_ECX_XSAVE;
	if (ioctl(vcpu, KVM_SET_CPUID2, &cpuid) < 0)
		return failed(run, "KVM_SET_CPUID2");
	return 0;
}

static int set_registers(int vcpu, bool xsave, struct probe_run *run)
{
	struct kvm_regs regs = {.rip = PROBE_CODE, .rsp = PROBE_STACK, .rflags = 2, .rdi = xsave};
	struct kvm_segment code = {.limit = ~0u,
				   .selector = PROBE_CS,
				   .type = 11,
				   .present = 1,
				   .s = 1,
				   .l = 1,
				   .g = 1};
	struct kvm_segment data = {.limit = ~0u,
				   .selector = PROBE_DS,
				   .type = 3,
				   .present = 1,
				   .s = 1,
				   .db = 1,
				   .g = 1};
	struct kvm_sregs sregs;

	if (ioctl(vcpu, KVM_GET_SREGS, &sregs) < 0)
		return failed(run, "KVM_GET_SREGS");
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.gdt = (struct kvm_dtable){.base = PROBE_GDT, .limit = 0x17};
	sregs.idt = (struct kvm_dtable){.base = PROBE_IDT, .limit = 4 * 16 - 1};
	sregs.cr3 = PROBE_PML4;
	sregs.cr4 = 0x620 | (xsave ? 0x40000 : 0); /* PAE, OSFXSR, OSXMMEXCPT, OSXSAVE */
	sregs.cr0 = 0x80050033;                    /* PG, AM, WP, NE, ET, MP, PE */
	sregs.efer = 0xd00;                        /* NXE, LMA, LME */
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs) < 0)
		return failed(run, "KVM_SET_SREGS");
	if (ioctl(vcpu, KVM_SET_REGS, &regs) < 0)
		return failed(run, "KVM_SET_REGS");
	return 0;
}

static void run_guest(int vcpu, struct kvm_run *kr, struct probe_run *run,
		      const volatile uint8_t *step)
{
	uint64_t started = 0, ns;
	struct timespec res;

	clock_getres(CLOCK_MONOTONIC, &res);
	run->clock_ns = (uint64_t)res.tv_sec * 1000000000U + (uint64_t)res.tv_nsec;
	for (;;) {
		int r = ioctl(vcpu, KVM_RUN, 0);

		run->step = *step;
		if (r < 0) {
			failed(run, "KVM_RUN");
			return;
		}
		run->exit_reason = kr->exit_reason;
		if (kr->exit_reason != KVM_EXIT_IO || kr->io.port != PROBE_PORT ||
		    run->step == PROBE_STEP_DONE)
			return;
		if (run->step == PROBE_STEP_LOOP) {
			started = rsm_now_ns();
		} else if (run->step == PROBE_STEP_LOOP_END) {
			ns = rsm_now_ns() - started;
			run->best_ns = run->best_ns ? rsm_min(run->best_ns, ns) : ns;
		}
	}
}

void probe_vm_run(int kvm, struct probe_run *run)
{
	struct kvm_userspace_memory_region slot = {.memory_size = PROBE_MEM_SIZE};
	struct kvm_enable_cap apic = {.cap = KVM_CAP_SPLIT_IRQCHIP, .args = {24}};
	struct kvm_run *kr;
	bool xsave = false;
	int vm, vcpu, size;
	void *mem;

	mem = mmap(NULL, PROBE_MEM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		   0);
	if (mem == MAP_FAILED) {
		failed(run, "mmap");
		return;
	}
	fill_memory(mem);
	slot.userspace_addr = (uintptr_t)mem;
	/* Nothing is closed on the way out: the child ends right after. */
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm < 0) {
		failed(run, "KVM_CREATE_VM");
		return;
	}
	if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot) < 0) {
		failed(run, "KVM_SET_USER_MEMORY_REGION");
		return;
	}
	/* A vCPU without a local APIC makes KVM patch its code, on all CPUs. It works without, too. */
	ioctl(vm, KVM_ENABLE_CAP, &apic);
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (vcpu < 0 || size < (int)sizeof(*kr)) {
		failed(run, "KVM_CREATE_VCPU");
		return;
	}
	kr = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (kr == MAP_FAILED) {
		failed(run, "mmap of the vCPU");
		return;
	}
	if (set_cpuid(kvm, vcpu, &xsave, run) < 0 || set_registers(vcpu, xsave, run) < 0)
		return;
	run_guest(vcpu, kr, run, (const uint8_t *)mem + PROBE_STEP);
}

static const char *step_name(uint32_t step)
{
	static const char *const names[] = {
		[0] = "its first instruction",          [PROBE_STEP_LOOP] = "a plain loop",
		[PROBE_STEP_LOOP_END] = "a plain loop", [PROBE_STEP_CMPXCHG16B] = "cmpxchg16b",
		[PROBE_STEP_XSAVE] = "xsave/xrstor",    [PROBE_STEP_INT3] = "int3",
	};

	return step < RSM_ARRAY_SIZE(names) ? names[step] : "an unknown step";
}

static const char *exit_name(uint32_t reason)
{
	switch (reason) {
	case KVM_EXIT_INTERNAL_ERROR:
		return "KVM cannot emulate it";
	case KVM_EXIT_SHUTDOWN:
		return "triple fault";
	case KVM_EXIT_IO: /* PROBE_PORT_FAIL */
		return "wrong result";
	case KVM_EXIT_FAIL_ENTRY:
		return "the CPU refuses the guest's state";
	default:
		return "unexpected exit";
	}
}

void probe_judge(const struct probe_run *run, bool killed, struct kvm_probe_result *ret)
{
	const char *kernel = "a guest kernel cannot run";
	bool slow;
	char speed[64] = "";

	ret->state = KVM_PROBE_UNUSABLE;
	ret->ps_per_insn = run->best_ns * 1000 / (2 * PROBE_LOOP_COUNT);
	/* a clock that ticks every few ms, as on emulated machines, says nothing of less */
	slow = ret->ps_per_insn > PROBE_SLOW_PS && run->best_ns > 4 * run->clock_ns;
	if (slow)
		snprintf(speed, sizeof(speed),
			 " and interprets guest code at %llu ns an instruction",
			 (unsigned long long)ret->ps_per_insn / 1000);
	if (run->what && (run->error == EBUSY || run->error == EPERM || run->error == EACCES)) {
		ret->state = run->error == EBUSY ? KVM_PROBE_BUSY : KVM_PROBE_NO_PERMISSION;
		snprintf(ret->reason, sizeof(ret->reason), "%s: %s", run->what,
			 strerror(run->error));
	} else if (run->what) {
		snprintf(ret->reason, sizeof(ret->reason), "%s: %s", run->what,
			 strerror(run->error));
	} else if (killed) {
		snprintf(ret->reason, sizeof(ret->reason), "%s: time is up at %s", kernel,
			 step_name(run->step));
	} else if (run->step != PROBE_STEP_DONE) {
		snprintf(ret->reason, sizeof(ret->reason), "%s: KVM fails at %s (%s)%s", kernel,
			 step_name(run->step), exit_name(run->exit_reason), speed);
	} else if (slow) {
		snprintf(ret->reason, sizeof(ret->reason), "%s: KVM works%s", kernel, speed);
	} else {
		ret->state = KVM_PROBE_USABLE;
		ret->reason[0] = '\0';
	}
}
