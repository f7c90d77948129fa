// SPDX-License-Identifier: Apache-2.0
/* Guests about what a vCPU does: ends, loops, other vCPUs. */
#include "guest.h"

#define LAPIC          0xfee00000
#define LAPIC_SPURIOUS 0xf0
#define LAPIC_ICR_LOW  0x300
#define LAPIC_ICR_HIGH 0x310
#define LAPIC_IRR      0x200
#define IOAPIC         0xfec00000
#define IOAPIC_DATA    (IOAPIC + 0x10)
#define IOAPIC_ENTRIES 0x10

extern const char trampoline[], trampoline_end[];

static void hello(void)
{
	report(42);
}

static void triple_fault(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) none = {0, 0};

	__asm__ volatile("lidt %0; ud2" : : "m"(none));
}

static void reset(void)
{
	report(1);
	while (inb(0x64) & 2)
		;
	outb(0x64, 0xfe);
	for (;;)
		__asm__ volatile("hlt");
}

/* Never leaves by itself. */
static void spin(void)
{
	report(1);
	for (;;)
		__asm__ volatile("pause");
}

/* Leaves all the time and never ends. */
static void exits(void)
{
	for (;;)
		outl(GUEST_PORT_SYNC, 0);
}

/* Waits for an interrupt that never comes. */
static void halt(void)
{
	report(1);
	for (;;)
		__asm__ volatile("cli; hlt");
}

static void unemulated(void)
{
	static __attribute__((aligned(16))) uint64_t pair[2];

	report(1);
	__asm__ volatile("lock cmpxchg16b %0" : "+m"(pair) : "a"(0), "d"(0), "b"(1), "c"(2) : "cc");
	report(2);
}

static volatile uint32_t others;

static void other_cpu(void)
{
	__atomic_fetch_add(&others, 1, __ATOMIC_SEQ_CST);
}

/* INIT and SIPI to all others, as a kernel does. */
void guest_start_others(void)
{
	for (const char *c = trampoline; c < trampoline_end; c++)
		((volatile char *)TRAMPOLINE)[c - trampoline] = *c;
	write32(LAPIC + LAPIC_SPURIOUS, 0x1ff);
	write32(LAPIC + LAPIC_ICR_HIGH, 0);
	write32(LAPIC + LAPIC_ICR_LOW, 0xc4500);
	write32(LAPIC + LAPIC_ICR_LOW, 0xc4600 | TRAMPOLINE >> 12);
}

static void smp(void)
{
	guest_ap = other_cpu;
	guest_start_others();
	while (!others)
		__asm__ volatile("pause");
	report(others);
}

/* One vCPU powers off while the other one loops. */
static void smp_spin(void)
{
	guest_ap = spin;
	guest_start_others();
	for (uint32_t i = 0; i < 100; i++)
		(void)inl(GUEST_PORT_SYNC);
}

static void print(const volatile char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		while (!(inb(0x3fd) & 0x20))
			;
		outb(0x3f8, (uint8_t)s[i]);
	}
}

static void serial(void)
{
	print("first line\nsecond", 17);
}

/* Says "up", waits for the event's interrupt, and prints what the generation id is then. */
static void generation(void)
{
	const unsigned vector = 0x55, entry = IOAPIC_ENTRIES + 2 * GUEST_GENID_GSI;

	write32(LAPIC + LAPIC_SPURIOUS, 0x1ff);
	write32(IOAPIC, entry + 1);
	write32(IOAPIC_DATA, 0);
	write32(IOAPIC, entry);
	write32(IOAPIC_DATA, vector); /* edge, to CPU 0 */
	print("up\n", 3);
	while (!(read32(LAPIC + LAPIC_IRR + vector / 32 * 16) >> vector % 32 & 1))
		;
	print((const volatile char *)GUEST_GENID, 16);
}

const struct guest_test cpu_tests[] = {
	{"hello", hello},   {"triple_fault", triple_fault},
	{"reset", reset},   {"spin", spin},
	{"exits", exits},   {"halt", halt},
	{"smp", smp},       {"smp_spin", smp_spin},
	{"serial", serial}, {"unemulated", unemulated},
	{"generation", generation},
	{NULL, NULL},
};
