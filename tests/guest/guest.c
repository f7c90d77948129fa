// SPDX-License-Identifier: Apache-2.0
#include "guest.h"

#define START_INFO_CMDLINE  24    /* hvm_start_info.cmdline_paddr */
#define BOOT_PARAMS_CMDLINE 0x228 /* setup_header.cmd_line_ptr */

void guest_main(int entry, uintptr_t info);
void guest_ap_main(void);

void (*volatile guest_ap)(void);

void *memset(void *s, int c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		((volatile char *)s)[i] = (char)c;
	return s;
}

void *memcpy(void *d, const void *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		((volatile char *)d)[i] = ((const char *)s)[i];
	return d;
}

static bool equal(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

void power_off(void)
{
	outb(0x600, 5 << 2 | 0x20);
	for (;;)
		__asm__ volatile("hlt");
}

static void run(const struct guest_test *tests, const char *name)
{
	for (; tests->name; tests++)
		if (equal(tests->name, name)) {
			tests->run();
			power_off();
		}
}

/* @entry: 0 PVH, 1 64-bit */
void guest_main(int entry, uintptr_t info)
{
	const char *name = entry == 0 ? (const char *)*(uint64_t *)(info + START_INFO_CMDLINE)
				      : (const char *)(uintptr_t)read32(info + BOOT_PARAMS_CMDLINE);

	for (const char *c = name; *c; c++) /* the last word */
		if (*c == ' ')
			name = c + 1;
	run(cpu_tests, name);
	run(memory_tests, name);
	run(ring_tests, name);
	report(0xbadc0de);
	power_off();
}

void guest_ap_main(void)
{
	if (guest_ap)
		guest_ap();
	for (;;)
		__asm__ volatile("cli; hlt");
}
