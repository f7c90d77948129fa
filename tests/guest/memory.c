// SPDX-License-Identifier: Apache-2.0
/* Guests about addresses: holes, the end of RAM, read-only memory, ports nobody has. */
#include "guest.h"

static void hole(void)
{
	write32(GUEST_HOLE_BASE, 1);
	report(read32(GUEST_HOLE_BASE));
	report(read32(GUEST_RAM)); /* right behind RAM */
	report(*(volatile uint8_t *)(GUEST_HOLE_BASE + 3));
	report(inl(0x1234));
	outl(0x1234, 1);
	report((uint32_t)(*(volatile uint64_t *)0xfebffffc)); /* reaches into the I/O APIC */
	report(inl(0x3fe)); /* straddles the end of the serial port */
}

static void readonly(void)
{
	report(read32(GUEST_READONLY_BASE));
	write32(GUEST_READONLY_BASE, 1);
	write32(GUEST_READONLY_BASE + 0xffc, 1);
	report(read32(GUEST_READONLY_BASE));
}

/* A string instruction that reads a port 4096 times into RAM. */
static void string_io(void)
{
	static uint8_t buf[4096];
	void *to = buf;
	uint64_t n = sizeof(buf);

	buf[4095] = 1;
	__asm__ volatile("rep insb" : "+D"(to), "+c"(n) : "d"((uint16_t)0x1234) : "memory");
	report(buf[0]);
	report(buf[4095]);
}

const struct guest_test memory_tests[] = {
	{"hole", hole},
	{"readonly", readonly},
	{"string_io", string_io},
	{NULL, NULL},
};
