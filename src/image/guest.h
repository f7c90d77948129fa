/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest image: what a microVM boots. A directory with
 *
 *	kernel		an ELF kernel with a PVH note, or a bzImage
 *	initrd		the agent and the modules it loads (initramfs.h)
 *	manifest.json	what they are and their checksums (manifest.h)
 *
 * An image is replaced as a whole: built beside the old one and exchanged with it by one rename,
 * so that a virtual machine that starts meanwhile, or a build that fails, finds the old image or
 * the new, never parts of both. Nothing is installed on the host.
 */
#ifndef RSM_IMAGE_GUEST_H
#define RSM_IMAGE_GUEST_H

#include "base/error.h"
#include "base/json.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IMG_SHA256_SIZE 65 /* hexadecimal with NUL */

/* A file of the image; the agent is inside the initrd. */
struct img_file {
	char sha256[IMG_SHA256_SIZE];
	uint64_t bytes;
};

/**
 * struct img_guest - A guest image, as its manifest tells it
 * @pvh:	kernel is an ELF file with a PVH note; else a bzImage
 * @mmio_cmdline: the kernel takes virtio_mmio.device= and boots without ACPI
 * @no_acpi:	the kernel has no ACPI, so that it must be told so and what is there
 * @package:	Debian package the kernel came in, "" if none; with its version
 * @source:	name of the file the kernel came from
 * @modules:	names, in load order; owned
 */
struct img_guest {
	char kernel_version[128];
	bool pvh;
	bool mmio_cmdline, no_acpi;
	char package[128];
	char package_version[128];
	char source[256];
	char runsm_version[64];
	char build_time[32];
	struct img_file kernel;
	struct img_file initrd;
	struct img_file agent;
	char **modules;
	size_t n_modules;
};

void img_guest_free(struct img_guest *g);
#define _cleanup_guest_ _cleanup_(img_guest_free)

/**
 * img_guest_load() - Read an image's manifest and see that its files are there
 * @dir:	image directory
 * @ret:	freed with img_guest_free()
 *
 * Cheap: compares sizes, not checksums. The kernel is @dir/kernel, the initramfs @dir/initrd.
 *
 * Return: 0; -ENOENT if there is no image in @dir; -EINVAL if it is incomplete or damaged. The
 * error says how to build one.
 */
int img_guest_load(const char *dir, struct img_guest *ret, struct rsm_error *err);

/**
 * img_guest_verify() - Compare the files with the manifest's checksums
 * Return: 0, -EINVAL naming the file that differs
 */
int img_guest_verify(const char *dir, const struct img_guest *g, struct rsm_error *err);

/* The manifest's members, into the object that @gen is in. */
void img_guest_json(struct rsm_jsongen *gen, const struct img_guest *g);

/**
 * struct img_guest_build - What to build
 * @dir:	image directory; an old image there is replaced, anything else is refused
 * @agent:	path of the static agent executable
 * @kernel:	kernel file to use, or NULL
 * @modules:	directory searched for that kernel's modules, or NULL for none
 * @deb:	kernel package to use, or NULL. With neither @kernel nor @deb Debian's cloud kernel
 *		is downloaded
 * @initrd_only: keep the image's kernel and modules, put in the agent
 * @force:	build even if an intact image with this agent is there
 * @progress:	called with what is being done now, or NULL
 */
struct img_guest_build {
	const char *dir;
	const char *agent;
	const char *kernel;
	const char *modules;
	const char *deb;
	bool initrd_only;
	bool force;
	void (*progress)(void *cookie, const char *what);
	void *cookie;
};

/**
 * img_guest_build() - Build a guest image
 * @ret:	the image that is there now
 *
 * Without a source and without @force an intact image is kept; if only the agent changed, only the
 * initrd is built.
 *
 * Return: 1 if it was built, 0 if it was up to date; -errno, and then an old image is as it was
 */
int img_guest_build(const struct img_guest_build *how, struct img_guest *ret,
		    struct rsm_error *err);

#endif
