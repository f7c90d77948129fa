// SPDX-License-Identifier: Apache-2.0
#include "fuse/slots.h"

#include "base/error.h"

#include <errno.h>
#include <stdlib.h>

#define SLOTS_FIRST 64U

static int grow(struct fsrv_slots *t)
{
	uint32_t size = t->size ? t->size * 2 : SLOTS_FIRST;
	struct fsrv_slot *slot;

	if (size <= t->size)
		return -ENFILE;
	slot = reallocarray(t->slot, size, sizeof(*slot));
	if (!slot)
		return -ENOMEM;
	t->slot = slot;
	t->size = size;
	if (t->n == 0)
		t->slot[t->n++] = (struct fsrv_slot){.object = NULL};
	return 0;
}

int fsrv_slots_add(struct fsrv_slots *t, void *object, uint64_t *ret_id)
{
	uint32_t i = t->free;
	int r;

	if (i) {
		t->free = t->slot[i].next_free;
	} else {
		if (t->n == t->size) {
			r = grow(t);
			if (r < 0)
				return r;
		}
		i = t->n++;
		t->slot[i].generation = 0;
	}
	t->slot[i].object = object;
	*ret_id = (uint64_t)t->slot[i].generation << 32 | i;
	return 0;
}

void fsrv_slots_remove(struct fsrv_slots *t, uint64_t id)
{
	struct fsrv_slot *s = &t->slot[(uint32_t)id];

	rsm_assert(fsrv_slots_get(t, id));
	s->object = NULL;
	s->generation++;
	s->next_free = t->free;
	t->free = (uint32_t)id;
}

void fsrv_slots_free(struct fsrv_slots *t)
{
	free(t->slot);
	*t = (struct fsrv_slots){.slot = NULL};
}
