// SPDX-License-Identifier: Apache-2.0
/*
 * Guest RAM: private anonymous memory, touched only on use, in one mapping that shows up as one or
 * two guest-physical ranges around the 32-bit hole. It stays out of core dumps: it is the guest's.
 */
#include "vmm/kvm_internal.h"

#include "base/math.h"

#include <errno.h>
#include <sys/mman.h>

int kvm_mem_create(struct gmem *mem, uint64_t size, struct rsm_error *err)
{
	uint64_t low = rsm_min(size, KVM_LOW_RAM_END), end;
	struct gmem_region region = {.fd = -1};
	uint8_t *host;
	int r;

	if (size < KVM_RAM_MIN || size & 4095 || size != (size_t)size ||
	    !rsm_add(KVM_HIGH_RAM_BASE, size, &end))
		return rsm_fail(err, EINVAL,
				"guest memory of %llu bytes: must be whole pages, 1 MiB at least",
				(unsigned long long)size);
	host = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (host == MAP_FAILED)
		return rsm_fail_errno(err, errno, "guest memory of %llu MiB",
				      (unsigned long long)size >> 20);
	madvise(host, (size_t)size, MADV_DONTDUMP);
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
