/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the jail's parts: the tree that the mount namespace shows, and what it is made of. */
#ifndef RSM_VMM_JAIL_VIEW_H
#define RSM_VMM_JAIL_VIEW_H

#include "vmm/jail.h"

/* A tmpfs for a few directories, not attached anywhere yet: fd or -errno. */
int jail_tmpfs(void);

/* The mount of @fd becomes read-only. */
int jail_close_for_writing(int fd);

/* Mount @view->mounts below @view->root, which is attached. What fails is logged and left out. */
void jail_view_fill(const struct jail_view *view);

#endif
