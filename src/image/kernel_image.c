/* SPDX-License-Identifier: Apache-2.0 */
#include "image/kernel_image.h"

#include "base/io.h"
#include "base/math.h"
#include "image/elf.h"
#include "image/unpack.h"

#include <endian.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The set-up header: Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header" */
#define BOOT_SETUP_SECTS    0x1f1
#define BOOT_MAGIC          0x202 /* "HdrS" */
#define BOOT_PROTOCOL       0x206
#define BOOT_KERNEL_VERSION 0x20e /* offset of a string, less 0x200 */
#define BOOT_XLOADFLAGS     0x236
#define BOOT_PAYLOAD_OFFSET 0x248 /* from the end of the set-up part */
#define BOOT_PAYLOAD_LENGTH 0x24c
#define BOOT_HEADER_END     0x250
#define BOOT_SECTOR         512
#define BOOT_PROTOCOL_2_12  0x020c /* has xloadflags; Linux 3.8 */
#define XLF_KERNEL_64       0x0001

/* xen/include/public/elfnote.h: XEN_ELFNOTE_PHYS32_ENTRY, which PVH loaders look for */
#define PVH_NOTE_OWNER "Xen"
#define PVH_NOTE_TYPE  18

#define BANNER "Linux version "

void img_kernel_free(struct img_kernel *k)
{
	free(k->data);
	*k = (struct img_kernel){0};
}

static uint32_t get_le(const uint8_t *p, int bytes)
{
	uint32_t v = 0;

	for (int i = 0; i < bytes; i++)
		v |= (uint32_t)p[i] << (8 * i);
	return v;
}

/* First word at @s, which has @len bytes and maybe no NUL; only what a version is made of. */
static void copy_version(char ret[IMG_KERNEL_VERSION_MAX], const char *s, size_t len)
{
	size_t n = 0;

	while (n < len && n < IMG_KERNEL_VERSION_MAX - 1 && s[n] > ' ' && s[n] < 0x7f &&
	       s[n] != '"' && s[n] != '\\')
		n++;
	memcpy(ret, s, n);
	ret[n] = '\0';
}

static void find_version(struct img_kernel *k)
{
	const char *at = memmem(k->data, k->len, BANNER, strlen(BANNER));
	size_t off = at ? (size_t)(at - (const char *)k->data) + strlen(BANNER) : 0;

	if (at)
		copy_version(k->version, (const char *)k->data + off, k->len - off);
}

/* Takes over @data on success. */
static int from_elf(void *data, size_t len, struct img_kernel *ret, struct rsm_error *err)
{
	static const char parameter[] = "virtio_mmio.device";
	static const char acpi[] = "ACPI: Interpreter enabled"; /* what it says at boot */
	struct img_kernel k = {.data = data, .len = len, .pvh = true};
	struct img_elf elf;
	int r;

	r = img_elf_open(data, len, &elf, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < elf.hdr.e_phnum; i++) {
		Elf64_Phdr p = img_elf_phdr(&elf, i);

		if (p.p_type == PT_LOAD && !img_elf_bytes(&elf, p.p_offset, p.p_filesz))
			return rsm_fail(err, EBADMSG,
					"kernel is cut off: segment %zu ends behind "
					"the end of the file",
					i);
	}
	if (!img_elf_has_note(&elf, PVH_NOTE_OWNER, PVH_NOTE_TYPE))
		return rsm_fail(err, ENOEXEC,
				"ELF file has no PVH entry point: not a Linux kernel, or one built "
				"without CONFIG_PVH");
	/* names of built-in parameters are in the kernel as text */
	k.mmio_cmdline = memmem(data, len, parameter, sizeof(parameter)) != NULL;
	k.no_acpi = memmem(data, len, acpi, sizeof(acpi) - 1) == NULL;
	find_version(&k);
	*ret = k;
	return 0;
}

static bool starts_with(const uint8_t *data, size_t len, const uint8_t *with, size_t with_len)
{
	return len >= with_len && memcmp(data, with, with_len) == 0;
}

/*
 * The payload's last four bytes are its unpacked length: gzip's own trailer, or appended by the
 * kernel's build to what the packer wrote, which then is not part of the packed stream.
 */
static int unpack_payload(const uint8_t *payload, size_t len, void **ret, size_t *ret_len,
			  struct rsm_error *err)
{
	_cleanup_free_ void *data = NULL;
	static const uint8_t gzip_magic[] = {0x1f, 0x8b};
	bool gzip = starts_with(payload, len, gzip_magic, sizeof(gzip_magic));
	size_t unpacked, expected;
	int r;

	if (len < 8)
		return rsm_fail(err, EBADMSG, "kernel payload of %zu bytes", len);
	expected = get_le(payload + len - 4, 4);
	if (expected > IMG_KERNEL_MAX)
		return rsm_fail(err, EFBIG, "kernel unpacks to more than %zu bytes",
				IMG_KERNEL_MAX);
	r = img_decompress(payload, gzip ? len : len - 4, "kernel payload", expected, &data,
			   &unpacked, err);
	if (r < 0)
		return r;
	if (unpacked != expected)
		return rsm_fail(err, EBADMSG,
				"kernel payload unpacks to %zu bytes instead of %zu: damaged, or "
				"packed in a way not known here",
				unpacked, expected);
	*ret = rsm_steal_ptr(data);
	*ret_len = unpacked;
	return 0;
}

static int from_bzimage(const uint8_t *data, size_t len, struct img_kernel *ret,
			struct rsm_error *err)
{
	static const uint8_t lzo_magic[] = {0x89, 'L', 'Z', 'O'};
	struct rsm_error why = RSM_ERROR_INIT;
	struct img_kernel k = {0};
	_cleanup_free_ void *elf = NULL;
	uint64_t setup, payload, payload_len, version, end;
	size_t elf_len = 0;
	int r;

	if (get_le(data + BOOT_PROTOCOL, 2) < BOOT_PROTOCOL_2_12 ||
	    !(get_le(data + BOOT_XLOADFLAGS, 2) & XLF_KERNEL_64))
		return rsm_fail(err, ENOEXEC, "kernel is not for x86_64, or older than Linux 3.8");
	setup = ((data[BOOT_SETUP_SECTS] ? data[BOOT_SETUP_SECTS] : 4) + 1ULL) * BOOT_SECTOR;
	payload = setup + get_le(data + BOOT_PAYLOAD_OFFSET, 4);
	payload_len = get_le(data + BOOT_PAYLOAD_LENGTH, 4);
	if (!rsm_add(payload, payload_len, &end) || end > len)
		return rsm_fail(err, EBADMSG,
				"kernel is cut off: %zu bytes, its payload ends at %llu", len,
				(unsigned long long)end);

	r = starts_with(data + payload, payload_len, lzo_magic, sizeof(lzo_magic))
		    ? -ENOEXEC
		    : unpack_payload(data + payload, payload_len, &elf, &elf_len, &why);
	if (!r)
		r = from_elf(elf, elf_len, &k, &why);
	if (!r) {
		elf = NULL;
	} else if (r != -ENOEXEC) {
		return rsm_fail(err, -r, "%s", why.message);
	} else {
		k.data = malloc(len);
		if (!k.data)
			return rsm_fail_errno(err, ENOMEM, "kernel of %zu bytes", len);
		memcpy(k.data, data, len);
		k.len = len;
	}
	version = get_le(data + BOOT_KERNEL_VERSION, 2) + 0x200ULL;
	if (version > 0x200 && version < rsm_min((uint64_t)len, setup))
		copy_version(k.version, (const char *)data + version, len - version);
	*ret = k;
	return 0;
}

int img_kernel_read(const void *data, size_t len, struct img_kernel *ret, struct rsm_error *err)
{
	_cleanup_free_ void *copy = NULL;
	const uint8_t *p = data;
	int r;

	if (len > IMG_KERNEL_MAX)
		return rsm_fail(err, EFBIG, "larger than %zu bytes", IMG_KERNEL_MAX);
	if (len >= BOOT_HEADER_END && memcmp(p + BOOT_MAGIC, "HdrS", 4) == 0)
		return from_bzimage(p, len, ret, err);
	if (!img_elf_is(data, len))
		return rsm_fail(err, ENOEXEC,
				"not a kernel: neither a bzImage nor an ELF file for x86_64");
	copy = malloc(len);
	if (!copy)
		return rsm_fail_errno(err, ENOMEM, "kernel of %zu bytes", len);
	memcpy(copy, data, len);
	r = from_elf(copy, len, ret, err);
	if (!r)
		copy = NULL;
	return r;
}
