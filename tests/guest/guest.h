/* SPDX-License-Identifier: Apache-2.0 */
/* The tiny guests' runtime: ports, memory, and the table of tests. */
#ifndef TESTS_GUEST_GUEST_H
#define TESTS_GUEST_GUEST_H

#include "protocol.h"

#define TRAMPOLINE 0x8000

#ifndef __ASSEMBLER__
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline void outb(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline uint8_t inb(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline void outl(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline uint32_t inl(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline uint32_t read32(uintptr_t addr)
{
	return *(volatile uint32_t *)addr;
}

static inline void write32(uintptr_t addr, uint32_t value)
{
	*(volatile uint32_t *)addr = value;
}

void *memset(void *s, int c, size_t n);
void *memcpy(void *d, const void *s, size_t n);

static inline void report(uint32_t value)
{
	outl(GUEST_PORT_REPORT, value);
}

_Noreturn void power_off(void);

/* Each test is a function of this table; the command line names it. It powers off by returning. */
struct guest_test {
	const char *name;
	void (*run)(void);
};

extern const struct guest_test cpu_tests[], memory_tests[], ring_tests[];

/* Set before other vCPUs are started. */
extern void (*volatile guest_ap)(void);
/* Start all other vCPUs; each runs guest_ap() once. */
void guest_start_others(void);

#endif
#endif
