/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's initramfs: an uncompressed cpio archive ("newc") with
 *
 *	/init		the agent
 *	/dev/console	so that the kernel can give it file descriptors 0 to 2
 *	/modules/NAME.ko
 *	/modules/order	what to load, in this order: "NAME.ko" or "NAME.ko WHEN" a line. WHEN is
 *			virtio:ID	at boot, if there is a virtio device of that type (decimal)
 *			late:ID		the same, but some time after boot
 *
 * Uncompressed, because an emulated CPU unpacks slower than the host reads. The same input gives
 * the same bytes: no time stamps, no host user ids.
 */
#ifndef RSM_IMAGE_INITRAMFS_H
#define RSM_IMAGE_INITRAMFS_H

#include "base/error.h"
#include "image/ko.h"

#include <stddef.h>

#define IMG_INITRAMFS_MAX ((size_t)512 * 1024 * 1024)

/**
 * img_initramfs_write() - Write an initramfs
 * @fd:		an empty file
 * @agent:	contents of the agent's executable
 * @order:	indices into @set->ko: the modules to put in, in the order to load them
 *
 * Return: 0 or -errno
 */
int img_initramfs_write(int fd, const void *agent, size_t agent_len, const struct img_ko_set *set,
			const size_t *order, size_t n_order, struct rsm_error *err);

/**
 * img_initramfs_read_modules() - The modules of an initramfs that was written by the above
 * @ret_order:	malloc'ed, as it was given to img_initramfs_write()
 * Return: 0, -EBADMSG if it is damaged, -ENOMEM
 */
int img_initramfs_read_modules(int fd, struct img_ko_set *ret_set, size_t **ret_order,
			       size_t *ret_n_order, struct rsm_error *err);

#endif
