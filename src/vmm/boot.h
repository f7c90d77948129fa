/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Direct boot: a kernel, an initramfs and a command line become guest memory and the first vCPU's
 * registers, without firmware.
 *
 * Kernels: ELF (x86-64), entered by its PVH note if it has one and by Linux's 64-bit entry
 * otherwise; bzImage, entered by its 64-bit hand-over (the kernel then unpacks itself, in the
 *guest: unpack it when the guest image is built instead). Everything in the file is checked against
 *the file's length and the guest's memory before it is used: the file may be anything.
 *
 * Low memory while booting; the kernel sees all of it as RAM but what e820 says is reserved:
 *
 *	0x00500  GDT		0x06000  hvm_start_info (PVH)	0x07000  boot_params (64-bit)
 *	0x09000  page tables	0x20000  command line		0x9fc00  reserved
 *	0xe0000  ACPI tables	0xf0000  MP tables		0x100000 kernel and above
 *
 * The initramfs lies as high as 32 bits and low RAM allow.
 */
#ifndef RSM_VMM_BOOT_H
#define RSM_VMM_BOOT_H

#include "base/error.h"
#include "vmm/gmem.h"
#include "vmm/kvm.h"

#include <stdint.h>

#define BOOT_GDT         0x500
#define BOOT_START_INFO  0x6000
#define BOOT_PARAMS      0x7000
#define BOOT_PAGE_TABLES 0x9000
#define BOOT_CMDLINE     0x20000
#define BOOT_BASE_END    0x9fc00
#define BOOT_ACPI        0xe0000
#define BOOT_MPTABLE     0xf0000
#define BOOT_MPTABLE_END 0x100000
#define BOOT_KERNEL_MIN  0x100000

/* Linux's COMMAND_LINE_SIZE, the terminating NUL included. */
#define BOOT_CMDLINE_MAX  2048
#define BOOT_SEGMENTS_MAX 16

/**
 * struct boot_segment - Part of the kernel file and where it goes
 * @offset, @filesz: in the file, checked to lie inside it
 * @gpa, @memsz: in the guest; what @filesz does not fill is zero
 */
struct boot_segment {
	uint64_t offset, filesz;
	gpa_t gpa;
	uint64_t memsz;
};

enum boot_entry {
	BOOT_ENTRY_PVH, /* 32-bit, hvm_start_info */
	BOOT_ENTRY_64,  /* 64-bit, boot_params */
};

/**
 * struct boot_image - What a kernel file says of itself
 * @end:	first byte behind everything the kernel needs before it has read its memory map
 * @setup_header: bzImage's, @setup_header_len bytes at 0x1f1 of boot_params; 0 bytes for ELF
 */
struct boot_image {
	enum boot_entry entry_kind;
	gpa_t entry;
	gpa_t end;
	unsigned nsegments;
	struct boot_segment segments[BOOT_SEGMENTS_MAX];
	uint8_t setup_header[0x7f];
	uint32_t setup_header_len;
};

/**
 * struct boot_config - What to boot
 * @kernel:	fd of the kernel's file
 * @initrd:	fd, or -1
 * @cmdline:	complete
 * @rsdp:	ACPI's root pointer in guest memory, 0 without ACPI
 */
struct boot_config {
	int kernel;
	int initrd;
	const char *cmdline;
	gpa_t rsdp;
};

/* Read and check the headers of a kernel file. Return: 0, -ENOEXEC or -errno with the reason. */
int boot_parse(int fd, struct boot_image *ret, struct rsm_error *err);

/* Put everything into @vm's memory and set its first vCPU's registers. */
int boot_load(struct kvm_vm *vm, const struct boot_config *config, struct rsm_error *err);

#endif
