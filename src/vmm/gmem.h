/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest memory: the one checked door between guest-physical addresses and host memory.
 *
 * A guest address has a type of its own and becomes a host pointer only in gmem_ptr(), which checks
 * that the whole range lies inside one region. What is behind the pointer may change at any moment:
 * copy, check, use the copy.
 */
#ifndef RSM_VMM_GMEM_H
#define RSM_VMM_GMEM_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
	uint64_t v;
} gpa_t;

#define GMEM_REGIONS_MAX 32

/**
 * struct gmem_region - One contiguous range of guest-physical memory
 * @gpa:	first guest-physical address, bytes
 * @len:	bytes
 * @host:	mapping of the range in this process
 * @user:	where the range lies in the vhost-user master's address space; 0 otherwise
 * @map_base, @map_len: what munmap() is given; owned by gmem, NULL/0 if the mapping is not
 * @fd, @fd_offset: the file behind it, -1 if none
 */
struct gmem_region {
	gpa_t gpa;
	uint64_t len;
	uint8_t *host;
	uint64_t user;
	void *map_base;
	size_t map_len;
	int fd;
	uint64_t fd_offset;
};

/**
 * struct gmem - All of a guest's memory; changed only while no queue runs
 */
struct gmem {
	unsigned n;
	struct gmem_region regions[GMEM_REGIONS_MAX];
};

/* Add a region that is mapped already. Return: 0, -EINVAL on overlap or wrap-around, -ENOSPC */
int gmem_add(struct gmem *mem, const struct gmem_region *region);

/* Unmap what is owned, close fds, forget all regions. */
void gmem_clear(struct gmem *mem);

/**
 * gmem_ptr() - Host pointer to guest memory
 * Return: NULL unless [@gpa, @gpa+@len) lies inside one region; @len 0 is checked like 1 byte
 */
void *gmem_ptr(const struct gmem *mem, gpa_t gpa, uint64_t len);

/* The same by the vhost-user master's address (ring addresses of SET_VRING_ADDR). */
void *gmem_user_ptr(const struct gmem *mem, uint64_t user, uint64_t len);

#endif
