/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Debian's kernel packages, read in process: an ar archive with control.tar.* (who it is) and
 * data.tar.* (boot/vmlinuz-VERSION, lib/modules/VERSION/…). Nothing is unpacked to disk, so no
 * path in the package matters beyond its last component.
 */
#ifndef RSM_IMAGE_DEB_H
#define RSM_IMAGE_DEB_H

#include "base/error.h"
#include "image/ko.h"

#include <stddef.h>

/**
 * struct img_deb - What a kernel package holds
 * @kernel:	contents of boot/vmlinuz-*
 * @modules:	every *.ko of lib/modules (or usr/lib/modules), decompressed
 * @builtin:	modules.builtin: paths of what else the kernel has, one a line; NULL if absent
 */
struct img_deb {
	char package[128];
	char version[128];
	char architecture[32];
	void *kernel;
	size_t kernel_len;
	struct img_ko_set modules;
	char *builtin;
};

void img_deb_free(struct img_deb *d);
#define _cleanup_deb_ _cleanup_(img_deb_free)

/**
 * img_deb_read() - Read a kernel package
 * @fd:		at the file's start
 * Return: 0; -EBADMSG if it is no Debian package, damaged or cut off; -ENOEXEC if it is for
 * another architecture; -ENOENT if there is no kernel in it; -EFBIG, -ENOMEM
 */
int img_deb_read(int fd, struct img_deb *ret, struct rsm_error *err);

/**
 * img_control_field() - Value of a field of a Debian control paragraph
 * @ret:	untouched if there is no such field in the first paragraph, or it does not fit
 */
void img_control_field(const char *text, const char *field, char *ret, size_t size);

#endif
