/* SPDX-License-Identifier: Apache-2.0 */
/* What is mounted on, in a tree whose files an image or a guest has chosen. */
#ifndef RSM_BASE_MOUNTPOINT_H
#define RSM_BASE_MOUNTPOINT_H

#include <stdbool.h>
#include <sys/types.h>

/**
 * rsm_mountpoint_open() - What @destination is in a tree
 * @rootfd:	directory that is "/" for the path and all symlinks in it
 *
 * Return: O_PATH fd, symlinks followed, or -errno
 */
int rsm_mountpoint_open(int rootfd, const char *destination);

/**
 * rsm_mountpoint_make() - Make what is missing of @destination in a tree
 * @rootfd:	as above; nothing is made outside
 * @file:	the last component is an empty file, else a directory
 * @uid, @gid:	who owns what is made
 *
 * Best effort: rsm_mountpoint_open() tells whether it is there then.
 */
void rsm_mountpoint_make(int rootfd, const char *destination, bool file, uid_t uid, gid_t gid);

#endif
