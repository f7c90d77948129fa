/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manifest.json of a guest image. Format 1:
 *
 *	{ "format": 2,
 *	  "kernelVersion": "6.1.0-56-cloud-amd64",
 *	  "boot": "pvh" | "bzimage",
 *	  "mmioCmdline": false,		the kernel takes virtio_mmio.device=, so needs no ACPI
 *	  "acpi": true,			the kernel has ACPI; also where the member is missing
 *	  "package": {"name": …, "version": …},		if the kernel came in one
 *	  "source": "file name the kernel came from",
 *	  "modules": ["virtio_ring", …],		in load order
 *	  "kernel": {"sha256": …, "bytes": …}, "initrd": {…}, "agent": {…},
 *	  "runsmVersion": …, "buildTime": "2024-05-06T07:08:09Z" }
 */
#ifndef RSM_IMAGE_MANIFEST_H
#define RSM_IMAGE_MANIFEST_H

#include "image/guest.h"

#define IMG_MANIFEST_FORMAT 2
#define IMG_MANIFEST_FILE   "manifest.json"
#define IMG_KERNEL_FILE     "kernel"
#define IMG_INITRD_FILE     "initrd"

/* Write manifest.json into @dirfd. Return: 0 or -errno */
int img_manifest_write(int dirfd, const struct img_guest *g, struct rsm_error *err);

/* Read it. Return: 0 and @ret (freed with img_guest_free()); -ENOENT if there is none, -EINVAL if
 * it is not one of ours */
int img_manifest_read(int dirfd, struct img_guest *ret, struct rsm_error *err);

#endif
