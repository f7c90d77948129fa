/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel modules of a directory tree, as `make modules_install` leaves it. */
#ifndef RSM_IMAGE_MODULES_DIR_H
#define RSM_IMAGE_MODULES_DIR_H

#include "image/ko.h"

/**
 * img_modules_dir_read() - Read every module below a directory, decompressed
 * @ret_builtin:	contents of modules.builtin, NULL if there is none
 *
 * Symlinks are not followed ("build" and "source" lead to a whole kernel tree).
 *
 * Return: 0, -ENOENT if there is no module, -errno
 */
int img_modules_dir_read(const char *dir, struct img_ko_set *ret, char **ret_builtin,
			 struct rsm_error *err);

#endif
