/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bounded cursor over a byte range: the one way to take wire structures apart.
 *
 * The bytes must not change while the cursor is used: copy what a guest can still write first.
 */
#ifndef RSM_BASE_CURSOR_H
#define RSM_BASE_CURSOR_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct rsm_cursor {
	const uint8_t *p;
	size_t left;
};

static inline struct rsm_cursor rsm_cursor(const void *data, size_t len)
{
	return (struct rsm_cursor){ .p = data, .left = len };
}

/* Next @len bytes, or NULL (and nothing consumed) if fewer are left. Unaligned. */
static inline const void *rsm_cursor_bytes(struct rsm_cursor *c, size_t len)
{
	const void *at = c->p;

	if (len > c->left)
		return NULL;
	c->p += len;
	c->left -= len;
	return at;
}

/* Copy the next sizeof(*@dst) bytes to @dst; false if fewer are left. */
#define rsm_cursor_get(c, dst)                                                                     \
	({                                                                                         \
		const void *at_ = rsm_cursor_bytes((c), sizeof(*(dst)));                           \
		if (at_)                                                                           \
			memcpy((dst), at_, sizeof(*(dst)));                                        \
		at_ != NULL;                                                                       \
	})

/* Next NUL-terminated string including its NUL, or NULL if there is no NUL in what is left. */
static inline const char *rsm_cursor_string(struct rsm_cursor *c)
{
	const void *nul = c->left ? memchr(c->p, '\0', c->left) : NULL;

	if (!nul)
		return NULL;
	return rsm_cursor_bytes(c, (size_t)((const uint8_t *)nul - c->p) + 1);
}

#endif
