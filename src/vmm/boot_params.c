// SPDX-License-Identifier: Apache-2.0
/* What the kernel is told: memory map, boot_params, hvm_start_info, first page tables. */
#include "vmm/boot_internal.h"

#include "base/math.h"

#include <asm/bootparam.h>
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

/* Xen public/arch-x86/hvm/start_info.h, version 1. */
#define START_MAGIC 0x336ec578

struct start_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modlist, cmdline, rsdp, memmap;
	uint32_t memmap_entries, reserved;
};
static_assert(sizeof(struct start_info) == 56, "hvm_start_info");

struct start_module {
	uint64_t addr, size, cmdline, reserved;
};

struct start_memmap {
	uint64_t addr, size;
	uint32_t type, reserved;
};
static_assert(sizeof(struct start_memmap) == 24, "hvm_memmap_table_entry");

struct start_page {
	struct start_info info;
	struct start_module module;
	struct start_memmap map[BOOT_E820_MAX];
};
static_assert(sizeof(struct start_page) <= 4096, "one page");

unsigned boot_memory_map(const struct gmem *mem, struct boot_e820 map[BOOT_E820_MAX])
{
	unsigned n = 0;

	map[n++] = (struct boot_e820){0, BOOT_BASE_END, BOOT_E820_RAM};
	map[n++] = (struct boot_e820){BOOT_ACPI, BOOT_MPTABLE_END - BOOT_ACPI, BOOT_E820_RESERVED};
	for (unsigned i = 0; i < mem->n && n < BOOT_E820_MAX; i++) {
		const struct gmem_region *r = &mem->regions[i];
		uint64_t skip = r->gpa.v ? 0 : BOOT_KERNEL_MIN;

		if (r->len > skip)
			map[n++] =
				(struct boot_e820){r->gpa.v + skip, r->len - skip, BOOT_E820_RAM};
	}
	return n;
}

int boot_write_start_info(const struct gmem *mem, const struct boot_placed *placed)
{
	struct start_page *page = gmem_ptr(mem, (gpa_t){BOOT_START_INFO}, sizeof(*page));
	struct boot_e820 map[BOOT_E820_MAX];
	unsigned n = boot_memory_map(mem, map);

	if (!page)
		return -ENOMEM;
	memset(page, 0, sizeof(*page));
	page->info = (struct start_info){
		.magic = START_MAGIC,
		.version = 1,
		.nr_modules = placed->initrd_len ? 1 : 0,
		.modlist = BOOT_START_INFO + offsetof(struct start_page, module),
		.cmdline = placed->cmdline.v,
		.rsdp = placed->rsdp.v,
		.memmap = BOOT_START_INFO + offsetof(struct start_page, map),
		.memmap_entries = n,
	};
	page->module = (struct start_module){.addr = placed->initrd.v, .size = placed->initrd_len};
	for (unsigned i = 0; i < n; i++)
		page->map[i] = (struct start_memmap){map[i].addr, map[i].size, map[i].type, 0};
	return 0;
}

int boot_write_params(const struct gmem *mem, const struct boot_image *image,
		      const struct boot_placed *placed)
{
	struct boot_params *p = gmem_ptr(mem, (gpa_t){BOOT_PARAMS}, sizeof(*p));
	struct boot_e820 map[BOOT_E820_MAX];
	unsigned n = boot_memory_map(mem, map);

	static_assert(sizeof(*p) == 4096, "the zero page");
	if (!p)
		return -ENOMEM;
	memset(p, 0, sizeof(*p));
	p->hdr.boot_flag = 0xaa55;
	p->hdr.header = 0x53726448; /* "HdrS" */
	p->hdr.kernel_alignment = 0x1000000;
	memcpy(&p->hdr, image->setup_header, image->setup_header_len);
	p->hdr.type_of_loader = 0xff;
	p->hdr.cmd_line_ptr = (uint32_t)placed->cmdline.v;
	p->hdr.cmdline_size = placed->cmdline_len;
	p->hdr.ramdisk_image = (uint32_t)placed->initrd.v;
	p->hdr.ramdisk_size = (uint32_t)placed->initrd_len;
	p->acpi_rsdp_addr = placed->rsdp.v;
	for (unsigned i = 0; i < n; i++)
		p->e820_table[i] = (struct boot_e820_entry){map[i].addr, map[i].size, map[i].type};
	p->e820_entries = (uint8_t)n;
	return 0;
}

int boot_write_long_mode(const struct gmem *mem)
{
	/* PML4, PDPT, four page directories of 2 MiB pages */
	uint64_t *tables = gmem_ptr(mem, (gpa_t){BOOT_PAGE_TABLES}, 6 * 4096);
	uint64_t *gdt = gmem_ptr(mem, (gpa_t){BOOT_GDT}, 4 * 8);

	if (!tables || !gdt)
		return -ENOMEM;
	memset(tables, 0, 2 * 4096);
	tables[0] = (BOOT_PAGE_TABLES + 4096) | 3; /* present, writable */
	for (unsigned i = 0; i < 4; i++)
		tables[512 + i] = (BOOT_PAGE_TABLES + (2 + (uint64_t)i) * 4096) | 3;
	for (unsigned i = 0; i < 4 * 512; i++)
		tables[2 * 512 + i] = ((uint64_t)i << 21) | 0x83; /* 2 MiB page */
	gdt[0] = gdt[1] = 0;
	gdt[2] = 0x00af9b000000ffff; /* __BOOT_CS: 64-bit code */
	gdt[3] = 0x00cf93000000ffff; /* __BOOT_DS */
	return 0;
}
