/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PIO and MMIO buses: tables of ranges, filled while the VM is built and only read afterwards,
 * so that vCPU threads look things up without a lock. Accesses are counted: each is an exit of the
 * guest, which is what a slow boot is made of.
 */
#ifndef RSM_VMM_MMIO_BUS_H
#define RSM_VMM_MMIO_BUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MMIO_BUS_RANGES_MAX 48

/**
 * struct mmio_ops - What answers at a range
 * @read:	fill @len (1 to 8) bytes; @offset + @len lies inside the range
 * @write:	the same the other way
 *
 * Context: any vCPU thread, several at once.
 */
struct mmio_ops {
	void (*read)(void *cookie, uint64_t offset, void *data, uint32_t len);
	void (*write)(void *cookie, uint64_t offset, const void *data, uint32_t len);
};

struct mmio_range {
	uint64_t base;
	uint64_t len;
	const struct mmio_ops *ops;
	void *cookie;
	uint64_t accesses; /* atomic */
};

struct mmio_bus {
	unsigned n;
	uint64_t unanswered; /* atomic; accesses of none of the ranges */
	struct mmio_range ranges[MMIO_BUS_RANGES_MAX]; /* sorted by base, disjoint */
};

/* Return: 0, -EEXIST on overlap, -EINVAL if empty or wrapping around, -ENOSPC */
int mmio_bus_add(struct mmio_bus *bus, uint64_t base, uint64_t len, const struct mmio_ops *ops,
		 void *cookie);

/**
 * mmio_bus_read(), mmio_bus_write() - One access of a vCPU
 *
 * Where nothing answers, and for an access that does not lie in one range as a whole, reads are all
 * ones and writes are lost, as on a PC.
 *
 * Return: false if nothing answered
 */
bool mmio_bus_read(struct mmio_bus *bus, uint64_t addr, void *data, uint32_t len);
bool mmio_bus_write(struct mmio_bus *bus, uint64_t addr, const void *data, uint32_t len);

/* "0x3f8: 12, …", the accesses of each range that had any; what does not fit is left out. */
void mmio_bus_describe(const struct mmio_bus *bus, char *buf, size_t size);

#endif
