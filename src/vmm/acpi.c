// SPDX-License-Identifier: Apache-2.0
#include "vmm/acpi.h"

#include "base/math.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define PAGE      4096
#define OEM_ID    "RUNSM "
#define OEM_TABLE "RUNSMVM "
#define PACKED    __attribute__((packed))
#define ACPI_IO   1 /* address space of a generic address */
#define ACPI_BYTE 1 /* access size */

struct header {
	char signature[4];
	uint32_t length;
	uint8_t revision, checksum;
	char oem_id[6], oem_table[8];
	uint32_t oem_revision;
	char creator[4];
	uint32_t creator_revision;
} PACKED;
static_assert(sizeof(struct header) == 36, "5.2.6");

struct gas {
	uint8_t space, width, offset, access;
	uint64_t address;
} PACKED;

struct rsdp {
	char signature[8];
	uint8_t checksum;
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t extended_checksum, reserved[3];
} PACKED;
static_assert(sizeof(struct rsdp) == 36, "5.2.5.3");

struct fadt {
	struct header header;
	uint32_t firmware_ctrl, dsdt;
	uint8_t reserved0, profile, unused1[63];
	uint16_t boot_arch;
	uint8_t reserved1;
	uint32_t flags;
	struct gas reset_reg;
	uint8_t reset_value;
	uint16_t arm_boot_arch;
	uint8_t minor;
	uint64_t x_firmware_ctrl, x_dsdt;
	struct gas unused2[8], sleep_control, sleep_status;
	char hypervisor[8];
} PACKED;
static_assert(offsetof(struct fadt, boot_arch) == 109, "5.2.9");
static_assert(offsetof(struct fadt, reset_reg) == 116, "5.2.9");
static_assert(offsetof(struct fadt, sleep_control) == 244, "5.2.9");
static_assert(sizeof(struct fadt) == 276, "5.2.9");

#define FADT_WBINVD       (1u << 0)
#define FADT_NO_POWER_BTN (1u << 4)
#define FADT_NO_SLEEP_BTN (1u << 5)
#define FADT_RESET_REG    (1u << 10)
#define FADT_HW_REDUCED   (1u << 20)
#define FADT_ARCH_NO_VGA  (1u << 2)
#define FADT_ARCH_NO_ASPM (1u << 4)
#define FADT_ARCH_NO_CMOS (1u << 5)

struct madt {
	struct header header;
	uint32_t lapic, flags;
} PACKED;

struct madt_lapic {
	uint8_t type, length, uid, apic_id;
	uint32_t flags;
} PACKED;

struct madt_ioapic {
	uint8_t type, length, id, reserved;
	uint32_t address, gsi_base;
} PACKED;

struct madt_nmi {
	uint8_t type, length, uid;
	uint16_t flags;
	uint8_t lint;
} PACKED;
static_assert(sizeof(struct madt_nmi) == 6, "5.2.12.7");

/* Room in guest memory, used from the front. */
struct area {
	uint8_t *host;
	uint64_t gpa, len, used;
	bool failed; /* out of memory */
};

static uint8_t checksum(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint8_t sum = 0;

	while (len--)
		sum += *p++;
	return (uint8_t)-sum;
}

/* Append a table: fill in its header, copy it. Return: its guest-physical address, 0 if full */
static uint64_t put(struct area *area, const char *signature, uint8_t revision, void *table,
		    size_t len)
{
	struct header *h = table;
	uint64_t at;

	if (!rsm_align_up(area->used, 16, &at) || at > area->len || len > area->len - at)
		return 0;
	memcpy(h->signature, signature, 4);
	h->length = (uint32_t)len;
	h->revision = revision;
	memcpy(h->oem_id, OEM_ID, sizeof(h->oem_id));
	memcpy(h->oem_table, OEM_TABLE, sizeof(h->oem_table));
	h->oem_revision = 1;
	memcpy(h->creator, "RUNS", 4);
	h->creator_revision = 1;
	h->checksum = 0;
	h->checksum = checksum(table, len);
	memcpy(area->host + at, table, len);
	area->used = at + len;
	return area->gpa + at;
}

static uint64_t put_dsdt(struct area *area, const struct acpi_config *config, gpa_t genid)
{
	struct rsm_buf buf = {0};
	struct header header = {0};
	uint64_t at = 0;

	rsm_buf_add(&buf, &header, sizeof(header));
	if (acpi_dsdt(&buf, config, genid) == 0)
		at = put(area, "DSDT", 2, buf.data, buf.len);
	else
		area->failed = true;
	rsm_buf_free(&buf);
	return at;
}

static uint64_t put_fadt(struct area *area, const struct acpi_config *config, uint64_t dsdt)
{
	struct fadt fadt = {
		.dsdt = (uint32_t)dsdt,
		.x_dsdt = dsdt,
		.boot_arch = FADT_ARCH_NO_VGA | FADT_ARCH_NO_ASPM | FADT_ARCH_NO_CMOS,
		.flags = FADT_WBINVD | FADT_NO_POWER_BTN | FADT_NO_SLEEP_BTN | FADT_RESET_REG |
			 FADT_HW_REDUCED,
		.reset_reg = {ACPI_IO, 8, 0, ACPI_BYTE, config->reset_port},
		.reset_value = config->reset_value,
		.minor = 4,
		.sleep_control = {ACPI_IO, 8, 0, ACPI_BYTE, config->sleep_port},
		.sleep_status = {ACPI_IO, 8, 0, ACPI_BYTE, config->sleep_port + 1U},
		.hypervisor = "RUNSM",
	};

	return put(area, "FACP", 6, &fadt, sizeof(fadt));
}

static uint64_t put_madt(struct area *area, const struct acpi_config *config)
{
	struct madt madt = {.lapic = config->lapic};
	struct madt_ioapic ioapic = {
		.type = 1, .length = sizeof(ioapic), .address = config->ioapic};
	struct madt_nmi nmi = {.type = 4, .length = sizeof(nmi), .uid = 0xff, .lint = 1};
	struct rsm_buf buf = {0};
	uint64_t at = 0;

	rsm_buf_add(&buf, &madt, sizeof(madt));
	for (unsigned i = 0; i < config->vcpus; i++) {
		struct madt_lapic lapic = {.length = sizeof(lapic),
					   .uid = (uint8_t)i,
					   .apic_id = (uint8_t)i,
					   .flags = 1};

		rsm_buf_add(&buf, &lapic, sizeof(lapic));
	}
	rsm_buf_add(&buf, &ioapic, sizeof(ioapic));
	rsm_buf_add(&buf, &nmi, sizeof(nmi));
	if (rsm_buf_ok(&buf) == 0)
		at = put(area, "APIC", 5, buf.data, buf.len);
	else
		area->failed = true;
	rsm_buf_free(&buf);
	return at;
}

static uint64_t put_xsdt(struct area *area, uint64_t fadt, uint64_t madt)
{
	struct {
		struct header header;
		uint64_t tables[2];
	} PACKED xsdt = {.tables = {fadt, madt}};

	return put(area, "XSDT", 1, &xsdt, sizeof(xsdt));
}

int acpi_build(const struct gmem *mem, gpa_t at, uint64_t len, const struct acpi_config *config,
	       const uint8_t genid[ACPI_GENID_BYTES], gpa_t *ret_rsdp, gpa_t *ret_genid)
{
	struct rsdp rsdp = {
		.signature = "RSD PTR ", .oem_id = OEM_ID, .revision = 2, .length = sizeof(rsdp)};
	struct area area = {.host = gmem_ptr(mem, at, len), .gpa = at.v, .used = sizeof(rsdp)};
	uint64_t dsdt, fadt, madt;

	if (!area.host || len < 2 * PAGE || config->nmmio > ACPI_MMIO_MAX)
		return -ENOSPC;
	area.len = len - PAGE;
	*ret_genid = (gpa_t){at.v + area.len};
	memcpy(area.host + area.len, genid, ACPI_GENID_BYTES);
	dsdt = put_dsdt(&area, config, *ret_genid);
	fadt = put_fadt(&area, config, dsdt);
	madt = put_madt(&area, config);
	rsdp.xsdt = put_xsdt(&area, fadt, madt);
	if (!dsdt || !fadt || !madt || !rsdp.xsdt)
		return area.failed ? -ENOMEM : -ENOSPC;
	rsdp.checksum = checksum(&rsdp, offsetof(struct rsdp, length));
	rsdp.extended_checksum = checksum(&rsdp, sizeof(rsdp));
	memcpy(area.host, &rsdp, sizeof(rsdp));
	*ret_rsdp = at;
	return 0;
}
