// SPDX-License-Identifier: Apache-2.0
#include "vmm/mmio_bus.h"

#include "base/math.h"

#include <errno.h>
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
	bus->ranges[at] = (struct mmio_range){base, len, ops, cookie};
	bus->n++;
	return 0;
}

static const struct mmio_range *lookup(const struct mmio_bus *bus, uint64_t addr, uint32_t len)
{
	unsigned at = find(bus, addr);
	const struct mmio_range *r;

	if (at == bus->n)
		return NULL;
	r = &bus->ranges[at];
	if (addr < r->base || len > r->len || addr - r->base > r->len - len)
		return NULL;
	return r;
}

bool mmio_bus_read(const struct mmio_bus *bus, uint64_t addr, void *data, uint32_t len)
{
	const struct mmio_range *r = lookup(bus, addr, len);

	memset(data, 0xff, len);
	if (!r)
		return false;
	r->ops->read(r->cookie, addr - r->base, data, len);
	return true;
}

bool mmio_bus_write(const struct mmio_bus *bus, uint64_t addr, const void *data, uint32_t len)
{
	const struct mmio_range *r = lookup(bus, addr, len);

	if (!r)
		return false;
	r->ops->write(r->cookie, addr - r->base, data, len);
	return true;
}
