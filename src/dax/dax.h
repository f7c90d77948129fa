/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DAX window: file ranges mapped into guest-physical address space.
 *
 * The window is a range of guest-physical memory backed by a reserved host mapping. SETUPMAPPING
 * maps part of a file over part of it, REMOVEMAPPING puts the reservation back. This module knows
 * offsets and fds, never names; what really happens to memory is the mapper's (mmap with MAP_FIXED
 * in the kvm machine, a recorder in tests).
 *
 * Spec: virtio 1.2, 5.11.6.4 (DAX window); linux/fuse.h (struct fuse_setupmapping_in, …)
 */
#ifndef RSM_DAX_DAX_H
#define RSM_DAX_DAX_H

#include <stddef.h>
#include <stdint.h>

struct dax_window;

#define DAX_READ  1U
#define DAX_WRITE 2U

/**
 * struct dax_mapper - Does the real mapping
 * @map:	map [@fd_offset, +@len) of @fd at window offset @offset with DAX_* @prot; replaces
 *		what is there. Return 0 or -errno.
 * @unmap:	put the reservation back at [@offset, +@len). Return 0 or -errno.
 */
struct dax_mapper {
	int (*map)(void *cookie, uint64_t offset, uint64_t len, int fd, uint64_t fd_offset,
		   unsigned prot);
	int (*unmap)(void *cookie, uint64_t offset, uint64_t len);
};

/**
 * dax_window_new() - Bookkeeping for a window
 * @len:	bytes, a multiple of @align
 * @align:	bytes, a power of two of at least 4096; announced as map_alignment in INIT
 */
int dax_window_new(uint64_t len, uint64_t align, const struct dax_mapper *mapper, void *cookie,
		   struct dax_window **ret);
void dax_window_free(struct dax_window *w);

uint64_t dax_window_len(const struct dax_window *w);
uint64_t dax_window_align(const struct dax_window *w);
/* Bytes mapped at the moment. */
uint64_t dax_window_used(struct dax_window *w);

/**
 * dax_map() - Map a file range
 * Thread safe. Return: 0, -EINVAL if unaligned, empty or outside the window, or the mapper's error
 */
int dax_map(struct dax_window *w, uint64_t offset, uint64_t len, int fd, uint64_t fd_offset,
	    unsigned prot);

/* Unmap a range; parts that are not mapped are fine. Thread safe. Return: 0 or -errno */
int dax_unmap(struct dax_window *w, uint64_t offset, uint64_t len);

/* Unmap everything. */
int dax_reset(struct dax_window *w);

#endif
