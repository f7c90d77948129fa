// SPDX-License-Identifier: Apache-2.0
/* Building a VM and taking it apart; what happens while it runs is in kvm_run.c. */
#include "vmm/kvm_internal.h"

#include "base/cleanup.h"
#include "base/math.h"
#include "vmm/cpuid.h"
#include "vmm/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

/* APIC ids stay below 255, the 8-bit broadcast address. */
#define VCPUS_MAX 254

/* errno after @what, with what to do about it */
static int no_kvm(struct rsm_error *err, const char *what)
{
	int error = errno;

	(void)rsm_fail_errno(err, error, "%s", what);
	switch (error) {
	case ENOMEM:
		return rsm_error_advise(err, "free memory on the host");
	case EMFILE:
	case ENFILE:
		return rsm_error_advise(err, "raise the limit of open files");
	default:
		return rsm_error_advise(err, kvm_probe_advice(kvm_probe_state_of(error)));
	}
}

static int open_kvm(struct kvm_vm *vm, unsigned vcpus, struct rsm_error *err)
{
	int max;

	vm->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->kvm < 0)
		return no_kvm(err, "open '/dev/kvm'");
	max = ioctl(vm->kvm, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
	max = max > 0 ? rsm_min(max, VCPUS_MAX) : VCPUS_MAX;
	if (vcpus < 1 || vcpus > (unsigned)max)
		return rsm_fail(err, EINVAL,
				"%u vCPUs: this host's KVM allows 1 to %d; "
				"lower linux.resources.cpu.quota",
				vcpus, max);
	do
		vm->fd = ioctl(vm->kvm, KVM_CREATE_VM, 0);
	while (vm->fd < 0 && errno == EINTR);
	return vm->fd < 0 ? no_kvm(err, "KVM_CREATE_VM") : 0;
}

/* What KVM supports, made ours. More memory than the CPU can address is found here: the guest's
 * kernel would only crash. */
static int get_cpuid(struct kvm_vm *vm, const struct kvm_vm_config *config,
		     struct cpuid_table *table, struct rsm_error *err)
{
	struct cpuid_policy policy = {.vcpus = config->vcpus};
	const struct kvm_cpuid_entry2 *sizes;
	unsigned bits;

	table->head.nent = CPUID_ENTRIES_MAX;
	if (ioctl(vm->kvm, KVM_GET_SUPPORTED_CPUID, table) < 0)
		return rsm_fail_errno(err, errno, "KVM_GET_SUPPORTED_CPUID");
	sizes = cpuid_find(table, 0x80000008, 0);
	bits = sizes ? sizes->eax & 0xff : 36;
	if (bits < 64 && config->memory > (1ULL << bits) - KVM_HIGH_RAM_BASE)
		return rsm_fail(err, EINVAL,
				"guest memory of %llu MiB: this CPU addresses %llu MiB at most; "
				"lower linux.resources.memory.limit",
				(unsigned long long)config->memory >> 20,
				((1ULL << bits) - KVM_HIGH_RAM_BASE) >> 20);
	policy.tsc_deadline = ioctl(vm->kvm, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0;
	cpuid_filter(table, &policy);
	return 0;
}

static int add_slot(struct kvm_vm *vm, gpa_t base, uint64_t len, void *host, uint32_t flags)
{
	struct kvm_userspace_memory_region slot = {
		.slot = vm->slots,
		.flags = flags,
		.guest_phys_addr = base.v,
		.memory_size = len,
		.userspace_addr = (uintptr_t)host,
	};

	if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &slot) < 0)
		return -errno;
	vm->slots++;
	return 0;
}

/* Slots before the irqchip: adding one afterwards costs KVM a grace period of its bus locks. */
static int create_board(struct kvm_vm *vm, uint64_t memory, struct rsm_error *err)
{
	uint64_t identity = KVM_IDENTITY_BASE;
	int r = kvm_mem_create(&vm->mem, memory, err);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < vm->mem.n; i++) {
		const struct gmem_region *m = &vm->mem.regions[i];

		r = add_slot(vm, m->gpa, m->len, m->host, 0);
		if (r < 0) {
			(void)rsm_fail_errno(err, -r, "KVM_SET_USER_MEMORY_REGION of %llu MiB",
					     (unsigned long long)m->len >> 20);
			return rsm_error_advise(err, "lower linux.resources.memory.limit, or free "
						     "memory on the host");
		}
	}
	/* Intel without unrestricted guest runs real mode through these pages; elsewhere no cost.
	 */
	if (ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity) < 0 ||
	    ioctl(vm->fd, KVM_SET_TSS_ADDR, (unsigned long)identity + 4096) < 0)
		return rsm_fail_errno(err, errno, "KVM_SET_TSS_ADDR");
	if (ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0) < 0)
		return rsm_fail_errno(err, errno, "KVM_CREATE_IRQCHIP");
	return 0;
}

static int create_vcpus(struct kvm_vm *vm, unsigned n, struct cpuid_table *cpuid,
			struct rsm_error *err)
{
	int size = ioctl(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0), r;

	vm->vcpus = calloc(n, sizeof(*vm->vcpus));
	if (!vm->vcpus)
		return rsm_fail_errno(err, ENOMEM, "vCPUs");
	if (size < (int)sizeof(struct kvm_run))
		return rsm_fail(err, EIO, "KVM_GET_VCPU_MMAP_SIZE: %d", size);
	for (unsigned i = 0; i < n; i++) {
		cpuid_set_vcpu(cpuid, i);
		r = vcpu_init(&vm->vcpus[i], vm, i, (size_t)size, &cpuid->head, err);
		if (r < 0)
			return rsm_error_prefix(err, "vCPU %u", i);
		vm->nvcpus++;
	}
	return 0;
}

int kvm_vm_new(const struct kvm_vm_config *config, struct kvm_vm **ret, struct rsm_error *err)
{
	_cleanup_free_ struct cpuid_table *cpuid = calloc(1, sizeof(*cpuid));
	struct kvm_vm *vm = calloc(1, sizeof(*vm));
	int r;

	if (!vm || !cpuid) {
		free(vm);
		return rsm_fail_errno(err, ENOMEM, "VM");
	}
	vm->kvm = vm->fd = -1;
	vm->owner = pthread_self();
	vm->calls_tail = &vm->calls;
	pthread_mutex_init(&vm->lock, NULL);
	pthread_cond_init(&vm->changed, NULL);
	vm->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (vm->event_fd < 0)
		r = rsm_fail_errno(err, errno, "eventfd");
	else
		r = open_kvm(vm, config->vcpus, err);
	if (r == 0)
		r = get_cpuid(vm, config, cpuid, err);
	if (r == 0)
		r = create_board(vm, config->memory, err);
	if (r == 0)
		r = create_vcpus(vm, config->vcpus, cpuid, err);
	if (r == 0 && kvm_board_init(vm) < 0)
		r = rsm_fail(err, EINVAL, "board");
	if (r < 0) {
		kvm_vm_free(vm);
		return r;
	}
	*ret = vm;
	return 0;
}

void kvm_vm_free(struct kvm_vm *vm)
{
	if (!vm)
		return;
	kvm_vm_stop(vm);
	for (unsigned i = 0; i < vm->nvcpus; i++)
		vcpu_fini(&vm->vcpus[i]);
	free(vm->vcpus);
	rsm_close(&vm->fd);
	rsm_close(&vm->kvm);
	gmem_clear(&vm->mem);
	rsm_close(&vm->event_fd);
	pthread_cond_destroy(&vm->changed);
	pthread_mutex_destroy(&vm->lock);
	free(vm);
}

struct gmem *kvm_vm_mem(struct kvm_vm *vm)
{
	return &vm->mem;
}

unsigned kvm_vm_nvcpus(const struct kvm_vm *vm)
{
	return vm->nvcpus;
}

struct vcpu *kvm_vm_vcpu(struct kvm_vm *vm, unsigned i)
{
	return i < vm->nvcpus ? &vm->vcpus[i] : NULL;
}

gpa_t kvm_vm_top(const struct kvm_vm *vm)
{
	gpa_t top = {KVM_HIGH_RAM_BASE};

	for (unsigned i = 0; i < vm->mem.n; i++)
		top.v = rsm_max(top.v, vm->mem.regions[i].gpa.v + vm->mem.regions[i].len);
	return top;
}

int kvm_vm_pio(struct kvm_vm *vm, uint16_t base, uint16_t len, const struct mmio_ops *ops,
	       void *cookie)
{
	return mmio_bus_add(&vm->pio, base, len, ops, cookie);
}

int kvm_vm_mmio(struct kvm_vm *vm, gpa_t base, uint64_t len, const struct mmio_ops *ops,
		void *cookie)
{
	return mmio_bus_add(&vm->mmio, base.v, len, ops, cookie);
}

int kvm_vm_map(struct kvm_vm *vm, gpa_t base, uint64_t len, void *host, bool readonly)
{
	return add_slot(vm, base, len, host, readonly ? KVM_MEM_READONLY : 0);
}

int kvm_vm_irqfd(struct kvm_vm *vm, int eventfd, uint32_t gsi)
{
	struct kvm_irqfd irqfd = {.fd = (uint32_t)eventfd, .gsi = gsi};

	return ioctl(vm->fd, KVM_IRQFD, &irqfd) < 0 ? -errno : 0;
}

int kvm_vm_ioeventfd(struct kvm_vm *vm, int eventfd, gpa_t addr, uint32_t value)
{
	struct kvm_ioeventfd io = {
		.datamatch = value,
		.addr = addr.v,
		.len = 4,
		.fd = eventfd,
		.flags = KVM_IOEVENTFD_FLAG_DATAMATCH,
	};

	return ioctl(vm->fd, KVM_IOEVENTFD, &io) < 0 ? -errno : 0;
}
