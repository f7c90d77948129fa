/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the boot*.c files. */
#ifndef RSM_VMM_BOOT_INTERNAL_H
#define RSM_VMM_BOOT_INTERNAL_H

#include "vmm/boot.h"

/* Read @len bytes at @offset; a file that ends before is "truncated". */
int boot_pread(int fd, void *buf, size_t len, uint64_t offset, struct rsm_error *err);

int boot_parse_elf(int fd, uint64_t size, struct boot_image *ret, struct rsm_error *err);
int boot_parse_bzimage(int fd, uint64_t size, struct boot_image *ret, struct rsm_error *err);

#define BOOT_E820_MAX 8

/* Same numbers in boot_params and hvm_start_info. */
#define BOOT_E820_RAM      1
#define BOOT_E820_RESERVED 2
#define BOOT_E820_ACPI     3

struct boot_e820 {
	uint64_t addr, size;
	uint32_t type;
};

/* The memory map told to the guest. Return: entries filled */
unsigned boot_memory_map(const struct gmem *mem, struct boot_e820 map[BOOT_E820_MAX]);

/**
 * struct boot_placed - Where things went
 */
struct boot_placed {
	gpa_t cmdline;
	uint32_t cmdline_len; /* without the NUL */
	gpa_t initrd;
	uint64_t initrd_len; /* 0: none */
	gpa_t rsdp;
};

int boot_write_start_info(const struct gmem *mem, const struct boot_placed *placed);
int boot_write_params(const struct gmem *mem, const struct boot_image *image,
		      const struct boot_placed *placed);
/* GDT and page tables for the 64-bit entry: the first 4 GiB, identity-mapped. */
int boot_write_long_mode(const struct gmem *mem);

#endif
