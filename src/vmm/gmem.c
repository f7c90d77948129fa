// SPDX-License-Identifier: Apache-2.0
#include "vmm/gmem.h"

#include "base/math.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static bool overlap(uint64_t a, uint64_t alen, uint64_t b, uint64_t blen)
{
	return a < b + blen && b < a + alen;
}

int gmem_add(struct gmem *mem, const struct gmem_region *region)
{
	uint64_t end;

	if (!region->len || !region->host || !rsm_add(region->gpa.v, region->len, &end) ||
	    !rsm_add(region->user, region->len, &end))
		return -EINVAL;
	for (unsigned i = 0; i < mem->n; i++) {
		const struct gmem_region *r = &mem->regions[i];

		if (overlap(r->gpa.v, r->len, region->gpa.v, region->len))
			return -EINVAL;
	}
	if (mem->n == GMEM_REGIONS_MAX)
		return -ENOSPC;
	mem->regions[mem->n++] = *region;
	return 0;
}

void gmem_clear(struct gmem *mem)
{
	for (unsigned i = 0; i < mem->n; i++) {
		struct gmem_region *r = &mem->regions[i];

		if (r->map_base)
			munmap(r->map_base, r->map_len);
		if (r->fd >= 0)
			close(r->fd);
	}
	memset(mem, 0, sizeof(*mem));
}

void *gmem_ptr(const struct gmem *mem, gpa_t gpa, uint64_t len)
{
	for (unsigned i = 0; i < mem->n; i++) {
		const struct gmem_region *r = &mem->regions[i];
		uint64_t offset = gpa.v - r->gpa.v; /* huge if gpa lies below the region */

		if (offset < r->len && len <= r->len - offset)
			return r->host + offset;
	}
	return NULL;
}

void *gmem_user_ptr(const struct gmem *mem, uint64_t user, uint64_t len)
{
	for (unsigned i = 0; i < mem->n; i++) {
		const struct gmem_region *r = &mem->regions[i];
		uint64_t offset = user - r->user;

		if (offset < r->len && len <= r->len - offset)
			return r->host + offset;
	}
	return NULL;
}
