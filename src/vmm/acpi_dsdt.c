// SPDX-License-Identifier: Apache-2.0
/*
 * The DSDT as AML. Packages carry their own length in front, so each is built in a buffer of its
 * own and then put into the one around it.
 *
 * Spec: ACPI 6.4, 20.2 (AML grammar), 6.4 (resource descriptors)
 */
#include "vmm/acpi.h"

#include <errno.h>
#include <string.h>

enum {
	AML_NAME = 0x08,
	AML_BYTE = 0x0a,
	AML_DWORD = 0x0c,
	AML_STRING = 0x0d,
	AML_SCOPE = 0x10,
	AML_BUFFER = 0x11,
	AML_PACKAGE = 0x12,
	AML_METHOD = 0x14,
	AML_EXT = 0x5b,
	AML_EXT_DEVICE = 0x82,
	AML_NOTIFY = 0x86,
};

static void add_byte(struct rsm_buf *b, unsigned value)
{
	uint8_t byte = (uint8_t)value;

	rsm_buf_add(b, &byte, 1);
}

static void add_le(struct rsm_buf *b, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		add_byte(b, value >> (8 * i) & 0xff);
}

/* PkgLength counts itself (20.2.4). */
static void add_pkg_length(struct rsm_buf *b, size_t content)
{
	size_t len;

	if (content + 1 < 0x40) {
		add_byte(b, (unsigned)content + 1);
		return;
	}
	if (content + 2 < 0x1000) {
		len = content + 2;
		add_byte(b, 0x40 | (len & 0xf));
		add_byte(b, len >> 4 & 0xff);
		return;
	}
	len = content + 3;
	add_byte(b, 0x80 | (len & 0xf));
	add_byte(b, len >> 4 & 0xff);
	add_byte(b, len >> 12 & 0xff);
}

/* Append @inner as a package of kind @op; @inner is freed. */
static void add_package(struct rsm_buf *b, const uint8_t *op, size_t op_len, struct rsm_buf *inner)
{
	if (inner->failed)
		b->failed = 1;
	rsm_buf_add(b, op, op_len);
	add_pkg_length(b, inner->len);
	rsm_buf_add(b, inner->data, inner->len);
	rsm_buf_free(inner);
	memset(inner, 0, sizeof(*inner));
}

static void add_device(struct rsm_buf *b, struct rsm_buf *inner)
{
	static const uint8_t op[] = {AML_EXT, AML_EXT_DEVICE};

	add_package(b, op, sizeof(op), inner);
}

static void add_op(struct rsm_buf *b, uint8_t op, struct rsm_buf *inner)
{
	add_package(b, &op, 1, inner);
}

static void add_seg(struct rsm_buf *b, const char seg[4])
{
	rsm_buf_add(b, seg, 4);
}

static void add_name(struct rsm_buf *b, const char seg[4])
{
	add_byte(b, AML_NAME);
	add_seg(b, seg);
}

static void add_string(struct rsm_buf *b, const char *s)
{
	add_byte(b, AML_STRING);
	rsm_buf_add(b, s, strlen(s) + 1);
}

static void add_dword(struct rsm_buf *b, uint32_t value)
{
	add_byte(b, AML_DWORD);
	add_le(b, value, 4);
}

/* _CRS: descriptors, end tag, all in a buffer; @resources is freed. */
static void add_crs(struct rsm_buf *b, struct rsm_buf *resources)
{
	struct rsm_buf inner = {0};

	add_byte(resources, 0x79); /* end tag, checksum 0: not checked */
	add_byte(resources, 0);
	add_byte(&inner, AML_BYTE);
	add_byte(&inner, (unsigned)resources->len);
	rsm_buf_add(&inner, resources->data, resources->len);
	inner.failed |= resources->failed;
	rsm_buf_free(resources);
	memset(resources, 0, sizeof(*resources));
	add_name(b, "_CRS");
	add_op(b, AML_BUFFER, &inner);
}

/* Extended interrupt: consumer, edge, active high, exclusive (6.4.3.6) */
static void add_interrupt(struct rsm_buf *resources, uint32_t gsi)
{
	static const uint8_t head[] = {0x89, 6, 0, 0x03, 1};

	rsm_buf_add(resources, head, sizeof(head));
	add_le(resources, gsi, 4);
}

static void add_virtio(struct rsm_buf *b, unsigned i, const struct acpi_mmio *mmio)
{
	static const char hex[] = "0123456789ABCDEF";
	char seg[4] = {'V', 'R', hex[i >> 4 & 15], hex[i & 15]};
	struct rsm_buf device = {0}, resources = {0};

	add_seg(&device, seg);
	add_name(&device, "_HID");
	add_string(&device, "LNRO0005");
	add_name(&device, "_UID");
	add_dword(&device, i);
	add_name(&device, "_CCA"); /* DMA is coherent */
	add_byte(&device, 1);
	add_byte(&resources, 0x86); /* 32-bit fixed memory, writable (6.4.3.4) */
	add_le(&resources, 9, 2);
	add_byte(&resources, 1);
	add_le(&resources, mmio->base.v, 4);
	add_le(&resources, 0x1000, 4);
	add_interrupt(&resources, mmio->gsi);
	add_crs(&device, &resources);
	add_device(b, &device);
}

static void add_serial(struct rsm_buf *b, uint16_t port, uint32_t gsi)
{
	struct rsm_buf device = {0}, resources = {0};

	add_seg(&device, "COM1");
	add_name(&device, "_HID");
	add_dword(&device, 0x0105d041); /* EISAID("PNP0501") */
	add_name(&device, "_UID");
	add_byte(&device, 1);
	add_byte(&resources, 0x47); /* I/O ports, 16-bit decode (6.4.2.5) */
	add_byte(&resources, 1);
	add_le(&resources, port, 2);
	add_le(&resources, port, 2);
	add_byte(&resources, 1);
	add_byte(&resources, 8);
	add_interrupt(&resources, gsi);
	add_crs(&device, &resources);
	add_device(b, &device);
}

/* VM generation id: where the 16 bytes are, and the event that tells of a new value. */
static void add_genid(struct rsm_buf *b, gpa_t genid, uint32_t gsi)
{
	static const char path[] = "\\._SB_VGEN"; /* root, dual name: \ 0x2e _SB_ VGEN */
	struct rsm_buf device = {0}, package = {0}, resources = {0}, method = {0};

	add_seg(&device, "VGEN");
	add_name(&device, "_HID");
	add_string(&device, "RSMG0001");
	add_name(&device, "_CID");
	add_string(&device, "VM_Gen_Counter");
	add_name(&device, "_DDN");
	add_string(&device, "VM_Gen_Counter");
	add_name(&device, "ADDR");
	add_byte(&package, 2);
	add_dword(&package, (uint32_t)genid.v);
	add_dword(&package, (uint32_t)(genid.v >> 32));
	add_op(&device, AML_PACKAGE, &package);
	add_device(b, &device);

	add_seg(&device, "GED_");
	add_name(&device, "_HID");
	add_string(&device, "ACPI0013");
	add_name(&device, "_UID");
	add_byte(&device, 0);
	add_interrupt(&resources, gsi);
	add_crs(&device, &resources);
	add_seg(&method, "_EVT");
	add_byte(&method, 1); /* one argument, not serialized */
	add_byte(&method, AML_NOTIFY);
	rsm_buf_add(&method, path, sizeof(path) - 1);
	add_byte(&method, AML_BYTE);
	add_byte(&method, 0x80);
	add_op(&device, AML_METHOD, &method);
	add_device(b, &device);
}

int acpi_dsdt(struct rsm_buf *aml, const struct acpi_config *config, gpa_t genid)
{
	struct rsm_buf scope = {0}, package = {0};

	rsm_buf_addstr(&scope, "\\_SB_");
	for (unsigned i = 0; i < config->nmmio; i++)
		add_virtio(&scope, i, &config->mmio[i]);
	add_serial(&scope, config->serial_port, config->serial_gsi);
	add_genid(&scope, genid, config->event_gsi);
	add_op(aml, AML_SCOPE, &scope);

	add_name(aml, "_S5_"); /* power off: sleep type 5 */
	add_byte(&package, 2);
	add_byte(&package, AML_BYTE);
	add_byte(&package, 5);
	add_byte(&package, 0);
	add_op(aml, AML_PACKAGE, &package);
	return rsm_buf_ok(aml);
}
