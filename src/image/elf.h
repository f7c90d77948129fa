/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading x86_64 ELF files: kernels, kernel modules, the agent. The files come from outside, so
 * every offset is checked against the file's length before it is followed; nothing is written.
 */
#ifndef RSM_IMAGE_ELF_H
#define RSM_IMAGE_ELF_H

#include "base/error.h"

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct img_elf - A checked ELF header and the bytes behind it
 *
 * Program and section headers lie inside [@data, @data + @len); what they point to may not.
 */
struct img_elf {
	const uint8_t *data;
	size_t len;
	Elf64_Ehdr hdr;
};

bool img_elf_is(const void *data, size_t len);

/**
 * img_elf_open() - Check the header
 * @data:	must stay while @ret is used
 * Return: 0, -ENOEXEC with @err saying why: not ELF, not x86_64, or headers outside the file
 */
int img_elf_open(const void *data, size_t len, struct img_elf *ret, struct rsm_error *err);

/* Program header @i (below hdr.e_phnum); section header @i (below hdr.e_shnum) */
Elf64_Phdr img_elf_phdr(const struct img_elf *e, size_t i);
Elf64_Shdr img_elf_shdr(const struct img_elf *e, size_t i);

/* File contents [@off, @off + @len), NULL if not all inside the file */
const void *img_elf_bytes(const struct img_elf *e, uint64_t off, uint64_t len);

/**
 * img_elf_section() - Contents of the first section of that name
 * Return: NULL if there is none, or it lies outside the file
 */
const void *img_elf_section(const struct img_elf *e, const char *name, size_t *ret_len);

/**
 * img_elf_strip() - Leave only what is needed to run an executable
 * @data:	the file @e was opened on; its header loses the section table
 *
 * Return: the file's new length
 */
size_t img_elf_strip(const struct img_elf *e, void *data);

bool img_elf_has_segment(const struct img_elf *e, uint32_t type);

/* Is there a note @type of owner @name in a PT_NOTE segment? */
bool img_elf_has_note(const struct img_elf *e, const char *name, uint32_t type);

#endif
