/* SPDX-License-Identifier: Apache-2.0 */
/* Overflow-checked arithmetic and small integer helpers. Sizes from outside go through these. */
#ifndef RSM_BASE_MATH_H
#define RSM_BASE_MATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* true and *@ret = a op b if the result fits in *@ret; false and *@ret untouched otherwise */
#define rsm_add(a, b, ret) rsm_checked_(__builtin_add_overflow, a, b, ret)
#define rsm_sub(a, b, ret) rsm_checked_(__builtin_sub_overflow, a, b, ret)
#define rsm_mul(a, b, ret) rsm_checked_(__builtin_mul_overflow, a, b, ret)
#define rsm_checked_(op, a, b, ret)                                                                \
	({                                                                                         \
		__typeof__(*(ret)) result_;                                                        \
		bool ok_ = !op((a), (b), &result_);                                                \
		if (ok_)                                                                           \
			*(ret) = result_;                                                          \
		ok_;                                                                               \
	})

#define rsm_min(a, b)                                                                              \
	({                                                                                         \
		__typeof__(a) a_ = (a);                                                            \
		__typeof__(b) b_ = (b);                                                            \
		a_ < b_ ? a_ : b_;                                                                 \
	})
#define rsm_max(a, b)                                                                              \
	({                                                                                         \
		__typeof__(a) a_ = (a);                                                            \
		__typeof__(b) b_ = (b);                                                            \
		a_ > b_ ? a_ : b_;                                                                 \
	})

#define RSM_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define rsm_container_of(ptr, type, member)                                                        \
	((type *)((char *)(ptr) - offsetof(type, member)))

static inline bool rsm_is_pow2(uint64_t v)
{
	return v && !(v & (v - 1));
}

/* Round @v up to a multiple of @align (a power of two); false if that does not fit. */
static inline bool rsm_align_up(uint64_t v, uint64_t align, uint64_t *ret)
{
	uint64_t sum;

	if (!rsm_add(v, align - 1, &sum))
		return false;
	*ret = sum & ~(align - 1);
	return true;
}

#endif
