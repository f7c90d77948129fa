/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest kernels: what runsm can boot, and how to get there.
 *
 * Best is an uncompressed ELF kernel with a PVH note: no firmware work, no decompression in the
 * guest. A distribution ships a bzImage: a real-mode set-up part, a decompressor, and as payload
 * the very ELF wanted, compressed. So the payload is taken out here, once. A bzImage whose payload
 * has no PVH note, or is packed with LZO, is kept as it is.
 */
#ifndef RSM_IMAGE_KERNEL_IMAGE_H
#define RSM_IMAGE_KERNEL_IMAGE_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

#define IMG_KERNEL_MAX         ((size_t)512 * 1024 * 1024)
#define IMG_KERNEL_VERSION_MAX 128

/**
 * struct img_kernel - A kernel ready to be written to the image
 * @data:	owned
 * @pvh:	an ELF with a PVH note; else a bzImage
 * @mmio_cmdline: takes virtio_mmio.device= on its command line, so that it needs no ACPI to find
 *		its devices
 * @no_acpi:	built without ACPI
 * @version:	as uname -r would say
 */
struct img_kernel {
	void *data;
	size_t len;
	bool pvh;
	bool mmio_cmdline, no_acpi;
	char version[IMG_KERNEL_VERSION_MAX];
};

void img_kernel_free(struct img_kernel *k);
#define _cleanup_kernel_ _cleanup_(img_kernel_free)

/**
 * img_kernel_read() - Find out what @data is and unpack it
 * Return: 0 and @ret; -ENOEXEC if it is no x86_64 kernel that runsm can boot, -EBADMSG if it is
 * damaged, -EFBIG, -ENOMEM
 */
int img_kernel_read(const void *data, size_t len, struct img_kernel *ret, struct rsm_error *err);

#endif
