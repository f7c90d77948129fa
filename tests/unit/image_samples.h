/* SPDX-License-Identifier: Apache-2.0 */
/* Small ELF kernels, kernel modules, agents and archives for the tests of src/image. */
#ifndef TESTS_UNIT_IMAGE_SAMPLES_H
#define TESTS_UNIT_IMAGE_SAMPLES_H

#include <stddef.h>
#include <stdint.h>

#define SAMPLE_VERSION "6.1.0-test"

struct sample {
	uint8_t *data;
	size_t len;
};

/* Flags of sample_elf() */
#define SAMPLE_NO_PVH  1
#define SAMPLE_INTERP  2
#define SAMPLE_MMIO    4
#define SAMPLE_AARCH64 8

/* ELF executable with the banner "Linux version SAMPLE_VERSION", a PT_LOAD and a PT_NOTE. */
struct sample sample_elf(unsigned int flags);

/* bzImage around @payload, which is packed by @filter (ARCHIVE_FILTER_*; NONE leaves it). */
struct sample sample_bzimage(struct sample payload, int filter);

/* Relocatable ELF with a .modinfo section. */
struct sample sample_ko(const char *depends, const char *vermagic);

struct sample_file {
	const char *path;
	struct sample contents;
};

/* tar.xz of files, and a Debian package of a control text and files. */
struct sample sample_tar(const struct sample_file *files, size_t n);
struct sample sample_deb(const char *control, const struct sample_file *files, size_t n);

struct sample sample_text(const char *text);
void sample_free(struct sample *s);
void sample_write(struct sample s, const char *path);

#endif
