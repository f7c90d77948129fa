// SPDX-License-Identifier: Apache-2.0
/* bzImage. Spec: Linux Documentation/x86/boot.rst, "The Real-Mode Kernel Header", "64-bit Boot
 * Protocol". */
#include "vmm/boot_internal.h"

#include "base/math.h"

#include <asm/bootparam.h>
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#define HEADER_AT       0x1f1
#define SECTOR          512
#define ENTRY_64_OFFSET 0x200
#define VERSION_64      0x020c /* the first with xloadflags */

int boot_parse_bzimage(int fd, uint64_t size, struct boot_image *ret, struct rsm_error *err)
{
	uint8_t first[HEADER_AT + sizeof(struct setup_header)];
	uint64_t setup, end, header_len;
	struct setup_header h;
	int r = boot_pread(fd, first, sizeof(first), 0, err);

	if (r < 0)
		return r;
	memcpy(&h, first + HEADER_AT, sizeof(h));
	if (h.version < VERSION_64 || !(h.xloadflags & XLF_KERNEL_64) ||
	    !(h.loadflags & LOADED_HIGH))
		return rsm_fail(err, ENOEXEC,
				"the bzImage has no 64-bit entry (boot protocol %u.%02u)",
				h.version >> 8, h.version & 0xff);
	setup = (uint64_t)((h.setup_sects ? h.setup_sects : 4) + 1) * SECTOR;
	if (setup + ENTRY_64_OFFSET >= size || h.syssize > (size - setup + 15) / 16)
		return rsm_fail(err, ENOEXEC, "the kernel file is truncated");
	if (!rsm_add(rsm_max(h.pref_address, (uint64_t)BOOT_KERNEL_MIN), (uint64_t)h.init_size,
		     &end))
		return rsm_fail(err, ENOEXEC, "the bzImage wants address 0x%llx",
				(unsigned long long)h.pref_address);
	ret->entry_kind = BOOT_ENTRY_64;
	ret->entry.v = BOOT_KERNEL_MIN + ENTRY_64_OFFSET;
	ret->nsegments = 1;
	ret->segments[0] =
		(struct boot_segment){setup, size - setup, {BOOT_KERNEL_MIN}, size - setup};
	/* where it unpacks itself, and where it is loaded */
	ret->end.v = rsm_max(end, BOOT_KERNEL_MIN + (size - setup));
	/* the header ends where the jump at its second byte pair says */
	header_len = (uint64_t)(h.jump >> 8) + 0x202 - HEADER_AT;
	static_assert(sizeof(h) <= sizeof(ret->setup_header), "all of the known header");
	ret->setup_header_len = (uint32_t)rsm_min(header_len, (uint64_t)sizeof(h));
	memcpy(ret->setup_header, &h, ret->setup_header_len);
	return 0;
}
