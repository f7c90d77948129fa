// SPDX-License-Identifier: Apache-2.0
/* ELF kernels. Spec: System V ABI, chapters 4 and 5; the PVH note is Xen's
 * XEN_ELFNOTE_PHYS32_ENTRY. */
#include "vmm/boot_internal.h"

#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/math.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NOTE_XEN          "Xen"
#define NOTE_PHYS32_ENTRY 18
#define NOTES_MAX         (64 * 1024)
#define PHDRS_MAX         64

static int check_header(const Elf64_Ehdr *eh, struct rsm_error *err)
{
	if (eh->e_machine != EM_X86_64 || eh->e_ident[EI_CLASS] != ELFCLASS64 ||
	    eh->e_ident[EI_DATA] != ELFDATA2LSB)
		return rsm_fail(err, ENOEXEC,
				"the kernel is for another architecture (ELF machine %u)",
				eh->e_machine);
	if (eh->e_type != ET_EXEC && eh->e_type != ET_DYN)
		return rsm_fail(err, ENOEXEC, "the kernel is no ELF executable (type %u)",
				eh->e_type);
	if (eh->e_phentsize != sizeof(Elf64_Phdr) || !eh->e_phnum || eh->e_phnum > PHDRS_MAX)
		return rsm_fail(err, ENOEXEC, "the kernel has a bad ELF program header table");
	return 0;
}

static int add_segment(const Elf64_Phdr *ph, uint64_t size, struct boot_image *image,
		       struct rsm_error *err)
{
	struct boot_segment *s = &image->segments[image->nsegments];
	uint64_t end;

	if (!ph->p_memsz)
		return 0;
	if (ph->p_filesz > ph->p_memsz || ph->p_filesz > size || ph->p_offset > size - ph->p_filesz)
		return rsm_fail(err, ENOEXEC,
				"the kernel file is truncated or has a bad ELF segment");
	if (ph->p_paddr < BOOT_KERNEL_MIN || !rsm_add(ph->p_paddr, ph->p_memsz, &end))
		return rsm_fail(err, ENOEXEC, "an ELF segment of the kernel goes to address 0x%llx",
				(unsigned long long)ph->p_paddr);
	if (image->nsegments == BOOT_SEGMENTS_MAX)
		return rsm_fail(err, ENOEXEC, "the kernel has more than %d ELF segments",
				BOOT_SEGMENTS_MAX);
	*s = (struct boot_segment){ph->p_offset, ph->p_filesz, {ph->p_paddr}, ph->p_memsz};
	image->nsegments++;
	image->end.v = rsm_max(image->end.v, end);
	return 0;
}

/* Look for the PVH entry among the notes. Return: 1 if found, 0 if not, -errno */
static int find_pvh(int fd, const Elf64_Phdr *ph, uint64_t size, gpa_t *ret, struct rsm_error *err)
{
	_cleanup_free_ uint8_t *notes = NULL;
	struct rsm_cursor c;
	Elf64_Nhdr nh;
	int r;

	if (ph->p_filesz > NOTES_MAX || ph->p_filesz > size || ph->p_offset > size - ph->p_filesz)
		return rsm_fail(err, ENOEXEC, "the kernel file is truncated or has bad ELF notes");
	notes = malloc((size_t)ph->p_filesz + 1);
	if (!notes)
		return rsm_fail_errno(err, ENOMEM, "ELF notes");
	r = boot_pread(fd, notes, (size_t)ph->p_filesz, ph->p_offset, err);
	if (r < 0)
		return r;
	c = rsm_cursor(notes, (size_t)ph->p_filesz);
	while (rsm_cursor_get(&c, &nh)) {
		/* both are padded to 4 bytes; 32-bit sizes cannot wrap in a size_t */
		const char *name = rsm_cursor_bytes(&c, ((size_t)nh.n_namesz + 3) & ~(size_t)3);
		const uint8_t *desc = rsm_cursor_bytes(&c, ((size_t)nh.n_descsz + 3) & ~(size_t)3);
		uint32_t entry;

		if (!name || !desc)
			break;
		if (nh.n_type != NOTE_PHYS32_ENTRY || nh.n_namesz != sizeof(NOTE_XEN) ||
		    memcmp(name, NOTE_XEN, sizeof(NOTE_XEN)) != 0 || nh.n_descsz < sizeof(entry))
			continue;
		memcpy(&entry, desc, sizeof(entry));
		ret->v = entry;
		return 1;
	}
	return 0;
}

/* Linux gives the entry as a physical address; others may give it as a virtual one. */
static gpa_t physical_entry(const Elf64_Ehdr *eh, const Elf64_Phdr *ph)
{
	for (unsigned i = 0; i < eh->e_phnum; i++)
		if (ph[i].p_type == PT_LOAD && eh->e_entry >= ph[i].p_vaddr &&
		    eh->e_entry - ph[i].p_vaddr < ph[i].p_memsz && ph[i].p_vaddr != ph[i].p_paddr)
			return (gpa_t){eh->e_entry - ph[i].p_vaddr + ph[i].p_paddr};
	return (gpa_t){eh->e_entry};
}

static bool entry_is_loaded(const struct boot_image *image)
{
	for (unsigned i = 0; i < image->nsegments; i++) {
		const struct boot_segment *s = &image->segments[i];

		if (image->entry.v >= s->gpa.v && image->entry.v - s->gpa.v < s->filesz)
			return true;
	}
	return false;
}

int boot_parse_elf(int fd, uint64_t size, struct boot_image *ret, struct rsm_error *err)
{
	Elf64_Phdr ph[PHDRS_MAX];
	Elf64_Ehdr eh;
	int r = boot_pread(fd, &eh, sizeof(eh), 0, err), pvh = 0;

	if (r == 0)
		r = check_header(&eh, err);
	if (r == 0)
		r = boot_pread(fd, ph, eh.e_phnum * sizeof(ph[0]), eh.e_phoff, err);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < eh.e_phnum; i++) {
		if (ph[i].p_type == PT_LOAD)
			r = add_segment(&ph[i], size, ret, err);
		else if (ph[i].p_type == PT_NOTE && !pvh)
			r = pvh = find_pvh(fd, &ph[i], size, &ret->entry, err);
		if (r < 0)
			return r;
	}
	ret->entry_kind = pvh ? BOOT_ENTRY_PVH : BOOT_ENTRY_64;
	if (!pvh)
		ret->entry = physical_entry(&eh, ph);
	if (!entry_is_loaded(ret))
		return rsm_fail(err, ENOEXEC,
				"the kernel's entry 0x%llx lies in none of its segments",
				(unsigned long long)ret->entry.v);
	return 0;
}
