/* SPDX-License-Identifier: Apache-2.0 */
/* Fetching Debian's cloud kernel with the host's own apt: its sources, its keys, its proxy. Only
 * downloads; installs nothing and needs no root. */
#ifndef RSM_IMAGE_APT_H
#define RSM_IMAGE_APT_H

#include "base/error.h"

#include <stddef.h>

#define IMG_APT_METAPACKAGE "linux-image-cloud-amd64"

/**
 * img_apt_fetch_kernel() - Download the package that the metapackage stands for
 * @dirfd:	empty directory the package is put in
 * @progress:	may be NULL
 * @ret_name:	file name in @dirfd
 *
 * Return: 0; -ENOENT if there is no apt, or it does not know the package; -EIO if the download
 * failed; the error says what to do instead
 */
int img_apt_fetch_kernel(int dirfd, void (*progress)(void *cookie, const char *what), void *cookie,
			 char *ret_name, size_t size, struct rsm_error *err);

#endif
