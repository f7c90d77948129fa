// SPDX-License-Identifier: Apache-2.0
/* vCPU creation and register state. Segment and control bits: Intel SDM vol. 3, 2.5 and 3.4.5. */
#include "vmm/kvm_internal.h"

#include "base/cleanup.h"
#include "base/math.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define CR0_PE   (1u << 0)
#define CR0_ET   (1u << 4)
#define CR0_PG   (1u << 31)
#define CR4_PAE  (1u << 5)
#define EFER_LME (1u << 8)
#define EFER_LMA (1u << 10)

#define MSR_MISC_ENABLE   0x1a0
#define MSR_MTRR_DEF_TYPE 0x2ff

#define LAPIC_LVT_LINT0 0x350
#define LAPIC_LVT_LINT1 0x360
#define LVT_MODE_NMI    0x400
#define LVT_MODE_EXTINT 0x700

/* What a BIOS leaves behind and a kernel relies on. */
static int set_firmware_state(struct vcpu *v, struct rsm_error *err)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entries[2];
	} msrs = {
		.head.nmsrs = 2,
		.entries =
			{
				{.index = MSR_MISC_ENABLE, .data = 1},       /* fast strings */
				{.index = MSR_MTRR_DEF_TYPE, .data = 0x806}, /* on, write-back */
			},
	};
	struct kvm_lapic_state lapic;
	uint32_t lint0 = LVT_MODE_EXTINT, lint1 = LVT_MODE_NMI;

	/* Return value: how many were set. The guest has none of those that were not. */
	if (ioctl(v->fd, KVM_SET_MSRS, &msrs) < 0)
		return rsm_fail_errno(err, errno, "KVM_SET_MSRS");
	if (ioctl(v->fd, KVM_GET_LAPIC, &lapic) < 0)
		return rsm_fail_errno(err, errno, "KVM_GET_LAPIC");
	memcpy(lapic.regs + LAPIC_LVT_LINT0, &lint0, sizeof(lint0));
	memcpy(lapic.regs + LAPIC_LVT_LINT1, &lint1, sizeof(lint1));
	if (ioctl(v->fd, KVM_SET_LAPIC, &lapic) < 0)
		return rsm_fail_errno(err, errno, "KVM_SET_LAPIC");
	return 0;
}

int vcpu_init(struct vcpu *v, struct kvm_vm *vm, unsigned index, size_t run_size,
	      const struct kvm_cpuid2 *cpuid, struct rsm_error *err)
{
	int r;

	v->vm = vm;
	v->index = index;
	v->fd = ioctl(vm->fd, KVM_CREATE_VCPU, (unsigned long)index);
	if (v->fd < 0)
		return rsm_fail_errno(err, errno, "KVM_CREATE_VCPU");
	v->run_size = run_size;
	v->run = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	if (v->run == MAP_FAILED) {
		r = rsm_fail_errno(err, errno, "map kvm_run");
		rsm_close(&v->fd);
		return r;
	}
	if (ioctl(v->fd, KVM_SET_CPUID2, cpuid) < 0)
		r = rsm_fail_errno(err, errno, "KVM_SET_CPUID2");
	else
		r = set_firmware_state(v, err);
	if (r < 0)
		vcpu_fini(v);
	return r;
}

void vcpu_fini(struct vcpu *v)
{
	munmap(v->run, v->run_size);
	rsm_close(&v->fd);
}

static int enter(struct vcpu *v, const struct kvm_sregs *sregs, const struct kvm_regs *regs)
{
	if (ioctl(v->fd, KVM_SET_SREGS, sregs) < 0 || ioctl(v->fd, KVM_SET_REGS, regs) < 0)
		return -errno;
	return 0;
}

static void set_segments(struct kvm_sregs *sregs, uint16_t code, uint16_t data, bool is64)
{
	sregs->cs = (struct kvm_segment){.limit = ~0u,
					 .selector = code,
					 .type = 11,
					 .present = 1,
					 .s = 1,
					 .l = is64,
					 .db = !is64,
					 .g = 1};
	sregs->ds = (struct kvm_segment){
		.limit = ~0u, .selector = data, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1};
	sregs->es = sregs->fs = sregs->gs = sregs->ss = sregs->ds;
	sregs->tr = (struct kvm_segment){.limit = 0x67, .type = 11, .present = 1};
}

int vcpu_enter_pvh(struct vcpu *v, gpa_t entry, gpa_t start_info)
{
	struct kvm_regs regs = {.rip = entry.v, .rbx = start_info.v, .rflags = 2};
	struct kvm_sregs sregs;

	if (ioctl(v->fd, KVM_GET_SREGS, &sregs) < 0)
		return -errno;
	set_segments(&sregs, 0x08, 0x10, false);
	sregs.cr0 = CR0_PE | CR0_ET;
	sregs.cr4 = 0;
	sregs.efer = 0;
	return enter(v, &sregs, &regs);
}

int vcpu_enter_64(struct vcpu *v, gpa_t entry, gpa_t boot_params, gpa_t cr3, gpa_t gdt)
{
	struct kvm_regs regs = {.rip = entry.v, .rsi = boot_params.v, .rflags = 2};
	struct kvm_sregs sregs;

	if (ioctl(v->fd, KVM_GET_SREGS, &sregs) < 0)
		return -errno;
	set_segments(&sregs, 0x10, 0x18, true);
	sregs.gdt = (struct kvm_dtable){.base = gdt.v, .limit = 0x1f};
	sregs.cr0 = CR0_PE | CR0_ET | CR0_PG;
	sregs.cr3 = cr3.v;
	sregs.cr4 = CR4_PAE;
	sregs.efer = EFER_LME | EFER_LMA;
	return enter(v, &sregs, &regs);
}

/* Code at @linear, as hex; nothing if it is not mapped to RAM. */
static size_t describe_code(struct vcpu *v, uint64_t linear, char *buf, size_t size)
{
	struct kvm_translation t = {.linear_address = linear};
	size_t used = 0;

	for (unsigned i = 0; i < 16 && used < size; i++, t.linear_address++) {
		const uint8_t *byte = NULL;

		if (ioctl(v->fd, KVM_TRANSLATE, &t) == 0 && t.valid)
			byte = gmem_ptr(&v->vm->mem, (gpa_t){t.physical_address}, 1);
		if (!byte)
			break;
		used += (size_t)snprintf(buf + used, size - used, "%s%02x", i ? " " : "code ",
					 *byte);
	}
	return used;
}

void vcpu_describe(struct vcpu *v, char *buf, size_t size)
{
	struct kvm_regs r;
	struct kvm_sregs s;
	int n;

	if (ioctl(v->fd, KVM_GET_REGS, &r) < 0 || ioctl(v->fd, KVM_GET_SREGS, &s) < 0) {
		snprintf(buf, size, "vCPU %u: no state: %s", v->index, strerror(errno));
		return;
	}
	n = snprintf(buf, size,
		     "vCPU %u: rip %llx rsp %llx rflags %llx cs %x\n"
		     "rax %llx rbx %llx rcx %llx rdx %llx rsi %llx rdi %llx rbp %llx\n"
		     "r8 %llx r9 %llx r10 %llx r11 %llx r12 %llx r13 %llx r14 %llx r15 %llx\n"
		     "cr0 %llx cr2 %llx cr3 %llx cr4 %llx efer %llx\n",
		     v->index, r.rip, r.rsp, r.rflags, s.cs.selector, r.rax, r.rbx, r.rcx, r.rdx,
		     r.rsi, r.rdi, r.rbp, r.r8, r.r9, r.r10, r.r11, r.r12, r.r13, r.r14, r.r15,
		     s.cr0, s.cr2, s.cr3, s.cr4, s.efer);
	if (n > 0 && (size_t)n < size)
		describe_code(v, (s.efer & EFER_LMA ? 0 : s.cs.base) + r.rip, buf + n,
			      size - (size_t)n);
}
