// SPDX-License-Identifier: Apache-2.0
#include "vmm/mmio_bus.h"

#include "base/math.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Index of the first range that ends behind @addr; @bus->n if there is none. */
static unsigned find(const struct mmio_bus *bus, uint64_t addr)
{
	unsigned low = 0, high = bus->n;

	while (low < high) {
		unsigned mid = (low + high) / 2;
		const struct mmio_range *r = &bus->ranges[mid];

		if (r->base + (r->len - 1) < addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

int mmio_bus_add(struct mmio_bus *bus, uint64_t base, uint64_t len, const struct mmio_ops *ops,
		 void *cookie)
{
	uint64_t last;
	unsigned at;

	if (!len || !rsm_add(base, len - 1, &last))
		return -EINVAL;
	if (bus->n == MMIO_BUS_RANGES_MAX)
		return -ENOSPC;
	at = find(bus, base);
	if (at < bus->n && bus->ranges[at].base <= last)
		return -EEXIST;
	memmove(&bus->ranges[at + 1], &bus->ranges[at], (bus->n - at) * sizeof(bus->ranges[0]));
	bus->ranges[at] = (struct mmio_range){base, len, ops, cookie, 0};
	bus->n++;
	return 0;
}

static const struct mmio_range *lookup(struct mmio_bus *bus, uint64_t addr, uint32_t len)
{
	unsigned at = find(bus, addr);
	struct mmio_range *r = at < bus->n ? &bus->ranges[at] : NULL;

	if (!r || addr < r->base || len > r->len || addr - r->base > r->len - len) {
		__atomic_fetch_add(&bus->unanswered, 1, __ATOMIC_RELAXED);
		return NULL;
	}
	__atomic_fetch_add(&r->accesses, 1, __ATOMIC_RELAXED);
	return r;
}

bool mmio_bus_read(struct mmio_bus *bus, uint64_t addr, void *data, uint32_t len)
{
	const struct mmio_range *r = lookup(bus, addr, len);

	memset(data, 0xff, len);
	if (!r)
		return false;
	r->ops->read(r->cookie, addr - r->base, data, len);
	return true;
}

bool mmio_bus_write(struct mmio_bus *bus, uint64_t addr, const void *data, uint32_t len)
{
	const struct mmio_range *r = lookup(bus, addr, len);

	if (!r)
		return false;
	r->ops->write(r->cookie, addr - r->base, data, len);
	return true;
}

void mmio_bus_describe(const struct mmio_bus *bus, char *buf, size_t size)
{
	size_t used = (size_t)snprintf(
		buf, size, "unanswered: %llu",
		(unsigned long long)__atomic_load_n(&bus->unanswered, __ATOMIC_RELAXED));

	for (unsigned i = 0; i < bus->n && used < size; i++) {
		uint64_t n = __atomic_load_n(&bus->ranges[i].accesses, __ATOMIC_RELAXED);

		if (n)
			used += (size_t)snprintf(buf + used, size - used, ", 0x%llx: %llu",
						 (unsigned long long)bus->ranges[i].base,
						 (unsigned long long)n);
	}
}
