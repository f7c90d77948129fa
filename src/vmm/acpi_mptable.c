// SPDX-License-Identifier: Apache-2.0
/* Intel MP tables. Spec: MultiProcessor Specification 1.4, chapter 4. */
#include "vmm/acpi.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define PACKED   __attribute__((packed))
#define GSIS     24
#define SPEC_1_4 4

struct floating {
	char signature[4];
	uint32_t table;
	uint8_t length, spec, checksum, features[5];
} PACKED;
static_assert(sizeof(struct floating) == 16, "4.1");

struct config {
	char signature[4];
	uint16_t length;
	uint8_t spec, checksum;
	char oem[8], product[12];
	uint32_t oem_table;
	uint16_t oem_size, entries;
	uint32_t lapic;
	uint16_t extended_length;
	uint8_t extended_checksum, reserved;
} PACKED;
static_assert(sizeof(struct config) == 44, "4.2");

struct cpu {
	uint8_t type, apic_id, apic_version, flags;
	uint32_t signature, features, reserved[2];
} PACKED;

struct bus {
	uint8_t type, id;
	char name[6];
} PACKED;

struct ioapic {
	uint8_t type, id, version, flags;
	uint32_t address;
} PACKED;

struct interrupt {
	uint8_t type, kind;
	uint16_t flags;
	uint8_t bus, irq, apic, pin;
} PACKED;

enum {
	ENTRY_CPU,
	ENTRY_BUS,
	ENTRY_IOAPIC,
	ENTRY_INTERRUPT,
	ENTRY_LOCAL_INTERRUPT,
};

enum {
	KIND_INT = 0,
	KIND_NMI = 1,
	KIND_EXTINT = 3,
};

static uint8_t checksum(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint8_t sum = 0;

	while (len--)
		sum += *p++;
	return (uint8_t)-sum;
}

static void add(struct rsm_buf *b, unsigned *entries, const void *entry, size_t len)
{
	rsm_buf_add(b, entry, len);
	++*entries;
}

int acpi_build_mptable(const struct gmem *mem, gpa_t at, uint64_t len,
		       const struct acpi_config *config)
{
	struct floating floating = {.signature = "_MP_",
				    .length = 1,
				    .spec = SPEC_1_4,
				    .table = (uint32_t)(at.v + sizeof(floating))};
	struct config head = {.signature = "PCMP",
			      .spec = SPEC_1_4,
			      .oem = "RUNSM   ",
			      .product = "RUNSMVM     ",
			      .lapic = config->lapic};
	/* its id must differ from the CPUs' */
	struct ioapic ioapic = {ENTRY_IOAPIC, (uint8_t)config->vcpus, 0x11, 1, config->ioapic};
	struct bus isa = {ENTRY_BUS, 0, "ISA   "};
	struct rsm_buf buf = {0};
	uint8_t *host = gmem_ptr(mem, at, len);
	unsigned entries = 0;
	int r;

	rsm_buf_add(&buf, &head, sizeof(head));
	for (unsigned i = 0; i < config->vcpus; i++) {
		struct cpu cpu = {ENTRY_CPU, (uint8_t)i, 0x14, i ? 1 : 3, 0x600, 0x201, {0}};

		add(&buf, &entries, &cpu, sizeof(cpu));
	}
	add(&buf, &entries, &isa, sizeof(isa));
	add(&buf, &entries, &ioapic, sizeof(ioapic));
	for (unsigned i = 0; i < GSIS; i++) { /* flags 0: as on the bus, edge and active high */
		struct interrupt irq = {ENTRY_INTERRUPT, KIND_INT,  0,         0,
					(uint8_t)i,      ioapic.id, (uint8_t)i};

		add(&buf, &entries, &irq, sizeof(irq));
	}
	add(&buf, &entries, &(struct interrupt){ENTRY_LOCAL_INTERRUPT, KIND_EXTINT, 0, 0, 0, 0, 0},
	    sizeof(struct interrupt));
	add(&buf, &entries, &(struct interrupt){ENTRY_LOCAL_INTERRUPT, KIND_NMI, 0, 0, 0, 0xff, 1},
	    sizeof(struct interrupt));
	r = rsm_buf_ok(&buf);
	if (r == 0 && (!host || buf.len > len - sizeof(floating) || len < sizeof(floating)))
		r = -ENOSPC;
	if (r == 0) {
		head.length = (uint16_t)buf.len;
		head.entries = (uint16_t)entries;
		memcpy(buf.data, &head, sizeof(head));
		head.checksum = checksum(buf.data, buf.len);
		memcpy(buf.data, &head, sizeof(head));
		floating.checksum = checksum(&floating, sizeof(floating));
		memcpy(host, &floating, sizeof(floating));
		memcpy(host + sizeof(floating), buf.data, buf.len);
	}
	rsm_buf_free(&buf);
	return r;
}
