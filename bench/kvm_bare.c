// SPDX-License-Identifier: Apache-2.0
/*
 * The least a VMM does: the KVM calls of runsm-vmm's kvm machine, in the same order, and nothing
 *else. The yardstick of vmm_start.
 *
 *	kvm_bare KERNEL MEMORY-MiB FD	a byte is written to FD when the guest leaves at port 0x64
 */
#include <elf.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define KERNEL_AT  0x100000
#define IRQFDS     4 /* serial, virtio-fs, vsock, rng */
#define IOEVENTFDS 6 /* 2 + 3 + 1 queues */

static int done_fd, vcpu;
static struct kvm_run *run;

static int call(int fd, unsigned long request, void *arg, const char *name)
{
	int r = ioctl(fd, request, arg);

	if (r < 0) {
		perror(name);
		exit(1);
	}
	return r;
}

#define CALL(fd, request, arg) call(fd, request, (void *)(uintptr_t)(arg), #request)

/* Load the kernel's one segment. Return: its PVH entry, which is its ELF entry too */
static uint32_t load(const char *path, uint8_t *ram)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	Elf64_Ehdr eh;
	Elf64_Phdr ph[8];

	if (fd < 0 || pread(fd, &eh, sizeof(eh), 0) != sizeof(eh) || eh.e_phnum > 8 ||
	    pread(fd, ph, sizeof(ph[0]) * eh.e_phnum, (off_t)eh.e_phoff) < 0) {
		perror(path);
		exit(1);
	}
	for (int i = 0; i < eh.e_phnum; i++)
		if (ph[i].p_type == PT_LOAD &&
		    pread(fd, ram + ph[i].p_paddr, ph[i].p_filesz, (off_t)ph[i].p_offset) < 0)
			exit(1);
	close(fd);
	return (uint32_t)eh.e_entry;
}

static void set_registers(uint32_t entry)
{
	static struct kvm_sregs s;
	struct kvm_regs r = {.rip = entry, .rflags = 2};
	struct kvm_segment code = {
		.limit = ~0u, .selector = 8, .type = 11, .present = 1, .s = 1, .db = 1, .g = 1};
	struct kvm_segment data = {
		.limit = ~0u, .selector = 16, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1};

	CALL(vcpu, KVM_GET_SREGS, &s);
	s.cs = code;
	s.ds = s.es = s.fs = s.gs = s.ss = data;
	s.cr0 = 0x11;
	CALL(vcpu, KVM_SET_SREGS, &s);
	CALL(vcpu, KVM_SET_REGS, &r);
}

static void *vcpu_thread(void *arg)
{
	CALL(vcpu, KVM_RUN, 0);
	if (run->exit_reason != KVM_EXIT_IO || run->io.port != 0x64 || write(done_fd, "", 1) != 1)
		_exit(1);
	return NULL;
}

int main(int argc, char **argv)
{
	static struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entries[256];
	} cpuid = {.head.nent = 256};
	struct kvm_userspace_memory_region slot = {0};
	struct kvm_lapic_state lapic;
	uint64_t identity = 0xfeffc000;
	pthread_t thread;
	int kvm, vm, size;
	uint8_t *ram;

	if (argc != 4)
		return 2;
	done_fd = atoi(argv[3]);
	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	vm = CALL(kvm, KVM_CREATE_VM, 0);
	slot.memory_size = strtoull(argv[2], NULL, 10) << 20;
	ram = mmap(NULL, slot.memory_size, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	slot.userspace_addr = (uintptr_t)ram;
	CALL(vm, KVM_SET_USER_MEMORY_REGION, &slot);
	CALL(vm, KVM_SET_IDENTITY_MAP_ADDR, &identity);
	CALL(vm, KVM_SET_TSS_ADDR, identity + 4096);
	CALL(vm, KVM_CREATE_IRQCHIP, 0);
	CALL(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid);
	vcpu = CALL(vm, KVM_CREATE_VCPU, 0);
	size = CALL(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	CALL(vcpu, KVM_SET_CPUID2, &cpuid);
	CALL(vcpu, KVM_GET_LAPIC, &lapic);
	CALL(vcpu, KVM_SET_LAPIC, &lapic);
	for (uint32_t i = 0; i < IRQFDS; i++) {
		struct kvm_irqfd irq = {.fd = (uint32_t)eventfd(0, EFD_CLOEXEC), .gsi = 4 + i};

		CALL(vm, KVM_IRQFD, &irq);
	}
	for (uint32_t i = 0; i < IOEVENTFDS; i++) {
		struct kvm_ioeventfd io = {.datamatch = i,
					   .addr = 0xd0000050,
					   .len = 4,
					   .fd = eventfd(0, EFD_CLOEXEC),
					   .flags = KVM_IOEVENTFD_FLAG_DATAMATCH};

		CALL(vm, KVM_IOEVENTFD, &io);
	}
	set_registers(load(argv[1], ram));
	pthread_create(&thread, NULL, vcpu_thread, NULL);
	pthread_join(thread, NULL);
	return 0;
}
