// SPDX-License-Identifier: Apache-2.0
/*
 * Guest RAM: private anonymous memory, touched only on use, in one mapping that shows up as one or
 * two guest-physical ranges around the 32-bit hole. It stays out of core dumps: it is the guest's.
 *
 * Huge pages, and therefore a mapping that starts at a multiple of theirs: the faults that fill the
 * guest's page tables are what a boot waits for (see docs/adr).
 */
#include "vmm/kvm_internal.h"

#include "base/math.h"

#include <errno.h>
#include <sys/mman.h>

#define HUGE_PAGE (2UL << 20)

/* @size bytes at a multiple of HUGE_PAGE; NULL with errno */
static uint8_t *map_aligned(size_t size)
{
	size_t reserve, offset;
	uint8_t *at;

	if (!rsm_add(size, HUGE_PAGE, &reserve)) {
		errno = ENOMEM;
		return NULL;
	}
	at = mmap(NULL, reserve, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (at == MAP_FAILED)
		return NULL;
	offset = -(uintptr_t)at & (HUGE_PAGE - 1);
	if (offset)
		munmap(at, offset);
	if (offset < HUGE_PAGE)
		munmap(at + offset + size, HUGE_PAGE - offset);
	madvise(at + offset, size, MADV_HUGEPAGE);
	madvise(at + offset, size, MADV_DONTDUMP);
	return at + offset;
}

int kvm_mem_create(struct gmem *mem, uint64_t size, struct rsm_error *err)
{
	uint64_t low = rsm_min(size, KVM_LOW_RAM_END), end;
	struct gmem_region region = {.fd = -1};
	uint8_t *host;
	int r;

	if (size < KVM_RAM_MIN || size & 4095 || size != (size_t)size ||
	    !rsm_add(KVM_HIGH_RAM_BASE, size, &end))
		return rsm_fail(err, EINVAL,
				"guest memory of %llu bytes: whole pages that can be mapped are "
				"needed, 1 MiB at least",
				(unsigned long long)size);
	host = map_aligned((size_t)size);
	if (!host) {
		(void)rsm_fail_errno(err, errno, "guest memory of %llu MiB",
				     (unsigned long long)size >> 20);
		return rsm_error_advise(err, "lower linux.resources.memory.limit, or raise "
					     "ulimit -v");
	}
	/* gmem owns each part of the mapping from here on */
	region.len = low;
	region.host = region.map_base = host;
	region.map_len = (size_t)low;
	r = gmem_add(mem, &region);
	if (r < 0) {
		munmap(host, (size_t)size);
		return rsm_fail_errno(err, -r, "guest memory");
	}
	if (size == low)
		return 0;
	region.gpa.v = KVM_HIGH_RAM_BASE;
	region.len = size - low;
	region.host = region.map_base = host + low;
	region.map_len = (size_t)(size - low);
	r = gmem_add(mem, &region);
	if (r < 0) {
		munmap(host + low, (size_t)(size - low));
		return rsm_fail_errno(err, -r, "guest memory");
	}
	return 0;
}
