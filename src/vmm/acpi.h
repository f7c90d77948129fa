/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACPI tables of a board with nothing but CPUs, an I/O APIC, virtio-mmio devices and a serial port:
 * RSDP, XSDT, FADT (hardware-reduced), MADT, DSDT. And the older Intel MP tables, which say the
 * same of CPUs and interrupts to kernels without ACPI.
 *
 * Spec: ACPI 6.4; MultiProcessor Specification 1.4; Microsoft "Virtual Machine Generation ID"
 */
#ifndef RSM_VMM_ACPI_H
#define RSM_VMM_ACPI_H

#include "base/buf.h"
#include "vmm/gmem.h"

#include <stddef.h>
#include <stdint.h>

#define ACPI_MMIO_MAX    18
#define ACPI_GENID_BYTES 16

/**
 * struct acpi_mmio - A virtio-mmio device: one page at @base
 */
struct acpi_mmio {
	gpa_t base;
	uint32_t gsi;
};

/**
 * struct acpi_config - What the tables describe
 * @vcpus:	APIC ids 0 … @vcpus - 1
 * @ioapic, @lapic: addresses
 * @mmio, @nmmio: at most ACPI_MMIO_MAX
 * @serial_port, @serial_gsi: the 8250
 * @event_gsi:	raised when the generation id changed
 * @reset_port:	takes @reset_value
 * @sleep_port:	control register, status register behind it
 */
struct acpi_config {
	unsigned vcpus;
	uint32_t ioapic, lapic;
	const struct acpi_mmio *mmio;
	unsigned nmmio;
	uint16_t serial_port;
	uint32_t serial_gsi, event_gsi;
	uint16_t reset_port;
	uint8_t reset_value;
	uint16_t sleep_port;
};

/**
 * acpi_build() - Write the tables to guest memory at @at
 * @len:	room there; the last page is the generation id's, its first 16 bytes set to @genid
 * @ret_rsdp:	root pointer, for the boot protocol
 * @ret_genid:	where the generation id is
 *
 * Return: 0, -ENOSPC if they do not fit, -ENOMEM
 */
int acpi_build(const struct gmem *mem, gpa_t at, uint64_t len, const struct acpi_config *config,
	       const uint8_t genid[ACPI_GENID_BYTES], gpa_t *ret_rsdp, gpa_t *ret_genid);

/* Write MP tables to [@at, @at + @len), which a kernel searches (0xf0000-0xfffff). */
int acpi_build_mptable(const struct gmem *mem, gpa_t at, uint64_t len,
		       const struct acpi_config *config);

/* The DSDT's AML, without its table header. */
int acpi_dsdt(struct rsm_buf *aml, const struct acpi_config *config, gpa_t genid);

#endif
