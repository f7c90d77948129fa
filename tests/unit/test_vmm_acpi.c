// SPDX-License-Identifier: Apache-2.0
#include "vmm/acpi.h"

#include "base/io.h"
#include "cmocka_all.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define AT  0xe0000
#define LEN 0x10000

static const struct acpi_mmio mmio[] = {{{0xd0000000}, 6}, {{0xd0001000}, 7}};
static const struct acpi_config config = {
	.vcpus = 2,
	.ioapic = 0xfec00000,
	.lapic = 0xfee00000,
	.mmio = mmio,
	.nmmio = 2,
	.serial_port = 0x3f8,
	.serial_gsi = 4,
	.event_gsi = 5,
	.reset_port = 0x64,
	.reset_value = 0xfe,
	.sleep_port = 0x600,
};
static const uint8_t genid[ACPI_GENID_BYTES] = "0123456789abcde";

static struct gmem mem;
static uint8_t ram[0x100000];

static int make_memory(void **state)
{
	struct gmem_region region = {.len = sizeof(ram), .host = ram, .fd = -1};

	memset(&mem, 0, sizeof(mem));
	memset(ram, 0, sizeof(ram));
	return gmem_add(&mem, &region);
}

static uint32_t le32(const uint8_t *p)
{
	return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint8_t sum(const uint8_t *p, size_t len)
{
	uint8_t s = 0;

	while (len--)
		s += *p++;
	return s;
}

/* The table at @at, its signature and checksum checked. */
static const uint8_t *table(uint64_t at, const char *signature)
{
	const uint8_t *t = ram + at;

	assert_true(at && at < sizeof(ram) - 36);
	assert_memory_equal(t, signature, 4);
	assert_int_equal(sum(t, le32(t + 4)), 0);
	return t;
}

static void tables_are_found_from_the_root_pointer(void **state)
{
	const uint8_t *rsdp = ram + AT, *xsdt, *fadt, *madt, *dsdt;
	gpa_t root, id;

	assert_int_equal(acpi_build(&mem, (gpa_t){AT}, LEN, &config, genid, &root, &id), 0);
	assert_int_equal(root.v, AT);
	assert_memory_equal(rsdp, "RSD PTR ", 8);
	assert_int_equal(sum(rsdp, 20), 0);
	assert_int_equal(sum(rsdp, 36), 0);
	xsdt = table(le32(rsdp + 24), "XSDT");
	fadt = table(le32(xsdt + 36), "FACP");
	madt = table(le32(xsdt + 44), "APIC");
	dsdt = table(le32(fadt + 140), "DSDT");
	assert_int_equal(le32(fadt + 40), le32(fadt + 140));
	assert_int_equal(le32(fadt + 112) >> 20 & 1, 1); /* hardware-reduced */
	assert_int_equal(fadt[128], 0xfe);
	assert_int_equal(le32(madt + 36), 0xfee00000);
	assert_int_equal(le32(madt + 4), 44 + 2 * 8 + 12 + 6);
	assert_non_null(memmem(dsdt, le32(dsdt + 4), "LNRO0005", 8));
	assert_memory_equal(ram + id.v, genid, sizeof(genid));
}

/* Decode a PkgLength at @p (20.2.4). Return: its value; *@ret_bytes of encoding */
static size_t pkg_length(const uint8_t *p, size_t *ret_bytes)
{
	size_t more = p[0] >> 6, len = more ? p[0] & 15 : p[0];

	for (size_t i = 0; i < more; i++)
		len |= (size_t)p[1 + i] << (4 + 8 * i);
	*ret_bytes = 1 + more;
	return len;
}

/* The scope \\_SB_ is there first and holds exactly @devices devices. */
static void check_scope(const uint8_t *p, size_t len, unsigned devices)
{
	size_t bytes, pkg;
	const uint8_t *end;

	assert_int_equal(p[0], 0x10);
	pkg = pkg_length(p + 1, &bytes);
	assert_true(1 + pkg < len);
	end = p + 1 + pkg;
	assert_int_equal(end[0], 0x08); /* Name (_S5_ */
	for (p += 1 + bytes + 5; p < end; devices--) {
		assert_int_equal(p[0], 0x5b);
		assert_int_equal(p[1], 0x82);
		p += 2 + pkg_length(p + 2, &bytes);
	}
	assert_ptr_equal(p, end);
	assert_int_equal(devices, 0);
}

static void packages_of_the_dsdt_nest(void **state)
{
	struct acpi_mmio many[ACPI_MMIO_MAX];

	for (unsigned n = 0; n <= ACPI_MMIO_MAX; n++) {
		struct acpi_config c = config;
		struct rsm_buf aml = {0};

		for (unsigned i = 0; i < n; i++)
			many[i] = (struct acpi_mmio){{0xd0000000 + i * 4096U}, 6 + i};
		c.mmio = many;
		c.nmmio = n;
		assert_int_equal(acpi_dsdt(&aml, &c, (gpa_t){0xef000}), 0);
		check_scope((uint8_t *)aml.data, aml.len, n + 3); /* serial, id, events */
		rsm_buf_free(&aml);
	}
}

/* The reference compiler must understand what we wrote, if it is installed. */
static void iasl_disassembles_the_dsdt(void **state)
{
	char dir[] = "/tmp/runsm-test-acpi.XXXXXX", command[256];
	_cleanup_free_ char *text = NULL;
	const uint8_t *fadt, *dsdt;
	gpa_t root, id;
	int fd;

	if (system("command -v iasl >/dev/null") != 0) {
		print_message("# iasl (acpica-tools) is not installed\n");
		skip();
	}
	assert_int_equal(acpi_build(&mem, (gpa_t){AT}, LEN, &config, genid, &root, &id), 0);
	fadt = table(le32(table(le32(ram + AT + 24), "XSDT") + 36), "FACP");
	dsdt = table(le32(fadt + 140), "DSDT");
	assert_non_null(mkdtemp(dir));
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(rsm_write_file_atomic_at(fd, "dsdt.aml", dsdt, le32(dsdt + 4), 0600), 0);
	snprintf(command, sizeof(command), "cd %s && iasl -d dsdt.aml >log 2>&1", dir);
	assert_int_equal(system(command), 0);
	assert_int_equal(rsm_read_file_at(fd, "dsdt.dsl", 1 << 20, &text, NULL), 0);
	assert_non_null(strstr(text, "Name (_HID, \"LNRO0005\")"));
	assert_non_null(strstr(text, "Notify (\\_SB.VGEN, 0x80)"));
	assert_non_null(strstr(text, "EisaId (\"PNP0501\")"));
	assert_null(strstr(text, "Error"));
	close(fd);
	assert_int_equal(rsm_remove_tree_at(AT_FDCWD, dir), 0);
}

static void tables_that_do_not_fit_are_refused(void **state)
{
	struct acpi_config c = config;
	gpa_t root, id;

	assert_int_equal(acpi_build(&mem, (gpa_t){AT}, 4096, &config, genid, &root, &id), -ENOSPC);
	assert_int_equal(acpi_build(&mem, (gpa_t){0xff000}, LEN, &config, genid, &root, &id),
			 -ENOSPC);
	c.vcpus = 254;
	assert_int_equal(acpi_build(&mem, (gpa_t){AT}, LEN, &c, genid, &root, &id), 0);
	assert_int_equal(acpi_build(&mem, (gpa_t){AT}, 2 * 4096, &c, genid, &root, &id), 0);
	c.nmmio = ACPI_MMIO_MAX + 1;
	assert_int_equal(acpi_build(&mem, (gpa_t){AT}, LEN, &c, genid, &root, &id), -ENOSPC);
	assert_int_equal(acpi_build_mptable(&mem, (gpa_t){0xf0000}, 1024, &c), -ENOSPC);
}

static void mp_tables_list_every_cpu(void **state)
{
	const uint8_t *mp = ram + 0xf0000, *head = mp + 16;
	struct acpi_config c = config;

	c.vcpus = 254;
	assert_int_equal(acpi_build_mptable(&mem, (gpa_t){0xf0000}, LEN, &c), 0);
	assert_memory_equal(mp, "_MP_", 4);
	assert_int_equal(sum(mp, 16), 0);
	assert_int_equal(le32(mp + 4), 0xf0010);
	assert_memory_equal(head, "PCMP", 4);
	assert_int_equal(sum(head, le32(head + 4) & 0xffff), 0);
	assert_int_equal(le32(head + 34) & 0xffff, 254 + 2 + 24 + 2);
	assert_int_equal(head[44 + 3], 3); /* enabled, boot CPU */
	assert_int_equal(head[44 + 253 * 20 + 1], 253);
	assert_int_equal(head[44 + 253 * 20 + 3], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(tables_are_found_from_the_root_pointer, make_memory),
		cmocka_unit_test_setup(packages_of_the_dsdt_nest, make_memory),
		cmocka_unit_test_setup(iasl_disassembles_the_dsdt, make_memory),
		cmocka_unit_test_setup(tables_that_do_not_fit_are_refused, make_memory),
		cmocka_unit_test_setup(mp_tables_list_every_cpu, make_memory),
	};

	return cmocka_run_group_tests_name("vmm/acpi", tests, NULL, NULL);
}
