// SPDX-License-Identifier: Apache-2.0
/*
 * DAX window bookkeeping.
 *
 * Goal: know at any moment which parts of the window are mapped, so that everything can be taken
 * down at reset and a request can never touch memory outside the window.
 *
 * The window is divided into units of the negotiated alignment; one bit says whether a unit is
 * mapped. Offsets, lengths and file offsets must be whole units (the kernel asks for 2 MiB pieces).
 * A new mapping replaces what was there, as mmap with MAP_FIXED does.
 *
 *	unmapped ──dax_map()──▶ mapped ──dax_map()──▶ mapped (replaced)
 *	mapped ──dax_unmap(), dax_reset()──▶ unmapped
 *
 * When the mapper fails to map, the units count as mapped: it may have replaced part of them, and
 * unmapping what is not mapped is harmless. When it fails to unmap they stay mapped and are tried
 * again by the next dax_unmap() or dax_reset().
 *
 * Locking: one mutex, held over the mapper's calls, so that bits and memory change together. The
 * mapper must not call back.
 */
#include "dax/dax.h"

#include "base/math.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#define ALIGN_MIN 4096

struct dax_window {
	uint64_t len, align;
	uint64_t units;  /* len / align */
	uint64_t mapped; /* bits set */
	const struct dax_mapper *mapper;
	void *cookie;
	pthread_mutex_t lock;
	uint8_t bits[]; /* one per unit */
};

int dax_window_new(uint64_t len, uint64_t align, const struct dax_mapper *mapper, void *cookie,
		   struct dax_window **ret)
{
	struct dax_window *w;

	if (!rsm_is_pow2(align) || align < ALIGN_MIN || len == 0 || len % align)
		return -EINVAL;
	w = calloc(1, sizeof(*w) + (len / align + 7) / 8);
	if (!w)
		return -ENOMEM;
	w->len = len;
	w->align = align;
	w->units = len / align;
	w->mapper = mapper;
	w->cookie = cookie;
	pthread_mutex_init(&w->lock, NULL);
	*ret = w;
	return 0;
}

void dax_window_free(struct dax_window *w)
{
	if (!w)
		return;
	pthread_mutex_destroy(&w->lock);
	free(w);
}

uint64_t dax_window_len(const struct dax_window *w)
{
	return w->len;
}

uint64_t dax_window_align(const struct dax_window *w)
{
	return w->align;
}

uint64_t dax_window_used(struct dax_window *w)
{
	uint64_t used;

	pthread_mutex_lock(&w->lock);
	used = w->mapped * w->align;
	pthread_mutex_unlock(&w->lock);
	return used;
}

static bool get_bit(const struct dax_window *w, uint64_t unit)
{
	return w->bits[unit / 8] & (1U << (unit % 8));
}

static void set_bits(struct dax_window *w, uint64_t unit, uint64_t n, bool on)
{
	for (uint64_t i = unit; i < unit + n; i++) {
		if (get_bit(w, i) == on)
			continue;
		w->bits[i / 8] ^= (uint8_t)(1U << (i % 8));
		w->mapped += on ? 1 : (uint64_t)-1;
	}
}

/* Is [@offset, @offset+@len) a non-empty run of whole units inside the window? */
static bool valid(const struct dax_window *w, uint64_t offset, uint64_t len)
{
	uint64_t end;

	return len && offset % w->align == 0 && len % w->align == 0 && rsm_add(offset, len, &end) &&
	       end <= w->len;
}

int dax_map(struct dax_window *w, uint64_t offset, uint64_t len, int fd, uint64_t fd_offset,
	    unsigned prot)
{
	uint64_t fd_end;
	int r;

	if (!valid(w, offset, len) || fd_offset % w->align || !rsm_add(fd_offset, len, &fd_end) ||
	    fd_end > INT64_MAX)
		return -EINVAL;
	pthread_mutex_lock(&w->lock);
	r = w->mapper->map(w->cookie, offset, len, fd, fd_offset, prot);
	set_bits(w, offset / w->align, len / w->align, true);
	pthread_mutex_unlock(&w->lock);
	return r;
}

/* Unmap each run of mapped units; every run is tried, the first error is returned. */
static int unmap_locked(struct dax_window *w, uint64_t first, uint64_t n)
{
	uint64_t i = first, end = first + n;
	int result = 0;

	while (i < end) {
		uint64_t run = i;
		int r;

		if (!get_bit(w, i)) {
			i++;
			continue;
		}
		while (i < end && get_bit(w, i))
			i++;
		r = w->mapper->unmap(w->cookie, run * w->align, (i - run) * w->align);
		if (r == 0)
			set_bits(w, run, i - run, false);
		else if (result == 0)
			result = r;
	}
	return result;
}

int dax_unmap(struct dax_window *w, uint64_t offset, uint64_t len)
{
	int r;

	if (!valid(w, offset, len))
		return -EINVAL;
	pthread_mutex_lock(&w->lock);
	r = unmap_locked(w, offset / w->align, len / w->align);
	pthread_mutex_unlock(&w->lock);
	return r;
}

int dax_reset(struct dax_window *w)
{
	int r;

	pthread_mutex_lock(&w->lock);
	r = w->mapped ? unmap_locked(w, 0, w->units) : 0;
	pthread_mutex_unlock(&w->lock);
	return r;
}
