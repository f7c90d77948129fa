/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scope-bound cleanup.
 *
 * A variable marked _cleanup_xxx_ is released when it leaves its scope, on every path. The release
 * keeps errno, disarms the variable, and never retries close(): on Linux the descriptor is gone
 * even when close() reports EINTR. Hand a value over with rsm_steal_fd()/rsm_steal_ptr().
 */
#ifndef RSM_BASE_CLEANUP_H
#define RSM_BASE_CLEANUP_H

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(fn) __attribute__((cleanup(fn)))

#define RSM_DEFINE_CLEANUP(type, fn, none)                                                         \
	static inline void fn##p(type *p)                                                          \
	{                                                                                          \
		if (*p != (none)) {                                                                \
			int saved_errno = errno;                                                   \
			fn(*p);                                                                    \
			*p = (none);                                                               \
			errno = saved_errno;                                                       \
		}                                                                                  \
	}                                                                                          \
	struct rsm_cleanup_semicolon_##fn

RSM_DEFINE_CLEANUP(int, close, -1);
RSM_DEFINE_CLEANUP(FILE *, fclose, NULL);
RSM_DEFINE_CLEANUP(DIR *, closedir, NULL);

static inline void rsm_freep(void *p)
{
	int saved_errno = errno;

	free(*(void **)p);
	*(void **)p = NULL;
	errno = saved_errno;
}

#define _cleanup_close_	   _cleanup_(closep)
#define _cleanup_fclose_   _cleanup_(fclosep)
#define _cleanup_closedir_ _cleanup_(closedirp)
#define _cleanup_free_	   _cleanup_(rsm_freep)

#define rsm_steal_fd(fd)                                                                           \
	({                                                                                         \
		int stolen_ = (fd);                                                                \
		(fd) = -1;                                                                         \
		stolen_;                                                                           \
	})

#define rsm_steal_ptr(ptr)                                                                         \
	({                                                                                         \
		__auto_type stolen_ = (ptr);                                                       \
		(ptr) = NULL;                                                                      \
		stolen_;                                                                           \
	})

/* Close @fd if it is open and mark it closed. */
static inline void rsm_close(int *fd)
{
	closep(fd);
}

#endif
