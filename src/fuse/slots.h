/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opaque 64-bit ids for objects a guest names: node ids and file handles.
 *
 * An id is {generation, slot}, 32 bits each. A slot that is freed and taken again has another
 * generation, so an id that was kept too long is not found, rather than finding someone else's
 * object. Ids are never pointers and never 0.
 *
 * Not thread safe: the owner's lock covers it.
 */
#ifndef RSM_FUSE_SLOTS_H
#define RSM_FUSE_SLOTS_H

#include <stddef.h>
#include <stdint.h>

struct fsrv_slot {
	void *object; /* NULL while free */
	uint32_t generation;
	uint32_t next_free; /* slot number, 0: end of list */
};

/* Zero-initialised is empty. Slot 0 is never used. */
struct fsrv_slots {
	struct fsrv_slot *slot;
	uint32_t n, size;
	uint32_t free;
};

/* Return: 0 and a new id, or -ENOMEM, -ENFILE when 2^32 slots are taken */
int fsrv_slots_add(struct fsrv_slots *t, void *object, uint64_t *ret_id);

/* Forget an id; it must exist. */
void fsrv_slots_remove(struct fsrv_slots *t, uint64_t id);

void fsrv_slots_free(struct fsrv_slots *t);

/* NULL unless @id is in use. */
static inline void *fsrv_slots_get(const struct fsrv_slots *t, uint64_t id)
{
	uint32_t slot = (uint32_t)id;

	if (slot >= t->n || t->slot[slot].generation != (uint32_t)(id >> 32))
		return NULL;
	return t->slot[slot].object;
}

#endif
