/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that is given back all at once: parsed documents, messages under construction. */
#ifndef RSM_RUNTIME_ARENA_H
#define RSM_RUNTIME_ARENA_H

#include <stdbool.h>
#include <stddef.h>

struct arena_block;

/**
 * struct arena - Zero-initialised is empty
 * @failed:	an allocation failed at some time: builders check once, at the end
 */
struct arena {
	struct arena_block *blocks;
	bool failed;
};

/* @n zeroed elements of @size bytes; NULL if out of memory. */
void *arena_alloc(struct arena *a, size_t n, size_t size);
char *arena_strdup(struct arena *a, const char *s);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void arena_free(struct arena *a);

#endif
