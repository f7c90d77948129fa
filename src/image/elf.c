/* SPDX-License-Identifier: Apache-2.0 */
#include "image/elf.h"

#include "base/cursor.h"
#include "base/math.h"

#include <errno.h>
#include <string.h>

bool img_elf_is(const void *data, size_t len)
{
	return len >= SELFMAG && memcmp(data, ELFMAG, SELFMAG) == 0;
}

const void *img_elf_bytes(const struct img_elf *e, uint64_t off, uint64_t len)
{
	uint64_t end;

	if (!rsm_add(off, len, &end) || end > e->len)
		return NULL;
	return e->data + off;
}

int img_elf_open(const void *data, size_t len, struct img_elf *ret, struct rsm_error *err)
{
	struct img_elf e = {.data = data, .len = len};

	if (!img_elf_is(data, len))
		return rsm_fail(err, ENOEXEC, "not an ELF file");
	if (len < sizeof(e.hdr))
		return rsm_fail(err, ENOEXEC, "ELF file is cut off in its header");
	memcpy(&e.hdr, data, sizeof(e.hdr));
	if (e.hdr.e_ident[EI_CLASS] != ELFCLASS64 || e.hdr.e_ident[EI_DATA] != ELFDATA2LSB ||
	    e.hdr.e_machine != EM_X86_64)
		return rsm_fail(err, ENOEXEC,
				"ELF file is for another architecture (machine %u), x86_64 needed",
				e.hdr.e_machine);
	if (e.hdr.e_phnum &&
	    (e.hdr.e_phentsize != sizeof(Elf64_Phdr) ||
	     !img_elf_bytes(&e, e.hdr.e_phoff, (uint64_t)e.hdr.e_phnum * sizeof(Elf64_Phdr))))
		return rsm_fail(err, ENOEXEC, "ELF program headers lie outside the file");
	if (e.hdr.e_shnum &&
	    (e.hdr.e_shentsize != sizeof(Elf64_Shdr) ||
	     !img_elf_bytes(&e, e.hdr.e_shoff, (uint64_t)e.hdr.e_shnum * sizeof(Elf64_Shdr))))
		return rsm_fail(err, ENOEXEC, "ELF section headers lie outside the file");
	*ret = e;
	return 0;
}

Elf64_Phdr img_elf_phdr(const struct img_elf *e, size_t i)
{
	Elf64_Phdr p;

	rsm_assert(i < e->hdr.e_phnum);
	memcpy(&p, e->data + e->hdr.e_phoff + i * sizeof(p), sizeof(p));
	return p;
}

Elf64_Shdr img_elf_shdr(const struct img_elf *e, size_t i)
{
	Elf64_Shdr s;

	rsm_assert(i < e->hdr.e_shnum);
	memcpy(&s, e->data + e->hdr.e_shoff + i * sizeof(s), sizeof(s));
	return s;
}

const void *img_elf_section(const struct img_elf *e, const char *name, size_t *ret_len)
{
	Elf64_Shdr names_hdr;
	const char *names;

	if (e->hdr.e_shstrndx >= e->hdr.e_shnum)
		return NULL;
	names_hdr = img_elf_shdr(e, e->hdr.e_shstrndx);
	names = img_elf_bytes(e, names_hdr.sh_offset, names_hdr.sh_size);
	if (!names)
		return NULL;
	for (size_t i = 0; i < e->hdr.e_shnum; i++) {
		Elf64_Shdr s = img_elf_shdr(e, i);
		size_t size = strlen(name) + 1;

		if (s.sh_name > names_hdr.sh_size || size > names_hdr.sh_size - s.sh_name ||
		    memcmp(names + s.sh_name, name, size) != 0 || s.sh_type == SHT_NOBITS)
			continue;
		*ret_len = s.sh_size;
		return img_elf_bytes(e, s.sh_offset, s.sh_size);
	}
	return NULL;
}

size_t img_elf_strip(const struct img_elf *e, void *data)
{
	uint64_t end = e->hdr.e_phoff + (uint64_t)e->hdr.e_phnum * sizeof(Elf64_Phdr);
	Elf64_Ehdr hdr = e->hdr;

	for (size_t i = 0; i < e->hdr.e_phnum; i++) {
		Elf64_Phdr p = img_elf_phdr(e, i);

		if (p.p_filesz && img_elf_bytes(e, p.p_offset, p.p_filesz))
			end = rsm_max(end, p.p_offset + p.p_filesz);
	}
	hdr.e_shoff = 0;
	hdr.e_shnum = 0;
	hdr.e_shstrndx = SHN_UNDEF;
	memcpy(data, &hdr, sizeof(hdr));
	return rsm_max(end, sizeof(hdr));
}

bool img_elf_has_segment(const struct img_elf *e, uint32_t type)
{
	for (size_t i = 0; i < e->hdr.e_phnum; i++)
		if (img_elf_phdr(e, i).p_type == type)
			return true;
	return false;
}

/* Notes: {namesz, descsz, type}, name and descriptor each padded to 4 bytes */
static bool find_note(struct rsm_cursor c, const char *name, uint32_t type)
{
	Elf64_Nhdr n;

	while (rsm_cursor_get(&c, &n)) {
		uint64_t name_padded, desc_padded;
		const char *owner;

		if (!rsm_align_up(n.n_namesz, 4, &name_padded) ||
		    !rsm_align_up(n.n_descsz, 4, &desc_padded))
			return false;
		owner = rsm_cursor_bytes(&c, name_padded);
		if (!owner || !rsm_cursor_bytes(&c, desc_padded))
			return false;
		if (n.n_type == type && n.n_namesz == strlen(name) + 1 &&
		    memcmp(owner, name, n.n_namesz) == 0)
			return true;
	}
	return false;
}

bool img_elf_has_note(const struct img_elf *e, const char *name, uint32_t type)
{
	for (size_t i = 0; i < e->hdr.e_phnum; i++) {
		Elf64_Phdr p = img_elf_phdr(e, i);
		const void *notes = img_elf_bytes(e, p.p_offset, p.p_filesz);

		if (p.p_type == PT_NOTE && notes &&
		    find_note(rsm_cursor(notes, p.p_filesz), name, type))
			return true;
	}
	return false;
}
