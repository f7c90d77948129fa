// SPDX-License-Identifier: Apache-2.0
#include "image_samples.h"

#include "cmocka_all.h"

#include <archive.h>
#include <archive_entry.h>
#include <elf.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SAMPLE_MAX (1U << 20)

static struct sample sample_new(size_t len)
{
	struct sample s = {calloc(1, len), len};

	assert_non_null(s.data);
	return s;
}

void sample_free(struct sample *s)
{
	free(s->data);
	*s = (struct sample){0};
}

struct sample sample_text(const char *text)
{
	struct sample s = sample_new(strlen(text));

	memcpy(s.data, text, s.len);
	return s;
}

void sample_write(struct sample s, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, s.data, s.len), s.len);
	close(fd);
}

static Elf64_Ehdr elf_header(uint16_t type, uint16_t machine)
{
	Elf64_Ehdr h = {.e_type = type,
			.e_machine = machine,
			.e_version = EV_CURRENT,
			.e_ehsize = sizeof(h),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_shentsize = sizeof(Elf64_Shdr)};

	memcpy(h.e_ident, ELFMAG, SELFMAG);
	h.e_ident[EI_CLASS] = ELFCLASS64;
	h.e_ident[EI_DATA] = ELFDATA2LSB;
	h.e_ident[EI_VERSION] = EV_CURRENT;
	return h;
}

struct sample sample_elf(unsigned int flags)
{
	static const char banner[] = "Linux version " SAMPLE_VERSION " (someone@somewhere)";
	struct {
		Elf64_Ehdr hdr;
		Elf64_Phdr load, note, interp;
		Elf64_Nhdr other;
		char other_name[4];
		Elf64_Nhdr nhdr;
		char owner[4];
		uint64_t entry;
		char text[256];
		char parameter[32];
	} e = {.hdr = elf_header(ET_EXEC, flags & SAMPLE_AARCH64 ? EM_AARCH64 : EM_X86_64)};
	struct sample s = sample_new(sizeof(e));

	e.hdr.e_phoff = sizeof(e.hdr);
	e.hdr.e_phnum = flags & SAMPLE_INTERP ? 3 : 2;
	e.load = (Elf64_Phdr){.p_type = PT_LOAD, .p_filesz = sizeof(e), .p_memsz = sizeof(e)};
	e.note = (Elf64_Phdr){.p_type = PT_NOTE,
			      .p_offset = (size_t)((char *)&e.other - (char *)&e),
			      .p_filesz = (size_t)(e.text - (char *)&e.other)};
	e.interp.p_type = PT_INTERP;
	e.other = (Elf64_Nhdr){.n_namesz = 3, .n_type = 18}; /* PVH's type, another owner */
	memcpy(e.other_name, "GO", 3);
	e.nhdr = (Elf64_Nhdr){
		.n_namesz = 4, .n_descsz = 8, .n_type = flags & SAMPLE_NO_PVH ? 17 : 18};
	memcpy(e.owner, "Xen", 4);
	memcpy(e.text, banner, sizeof(banner));
	if (flags & SAMPLE_MMIO)
		strcpy(e.parameter, "virtio_mmio.device");
	memcpy(s.data, &e, sizeof(e));
	return s;
}

static struct sample pack(struct sample in, int filter)
{
	struct archive *a = archive_write_new();
	struct archive_entry *entry = archive_entry_new();
	struct sample out = sample_new(SAMPLE_MAX);

	archive_write_set_format_raw(a);
	assert_int_equal(archive_write_add_filter(a, filter), ARCHIVE_OK);
	archive_write_set_bytes_in_last_block(a, 1);
	assert_int_equal(archive_write_open_memory(a, out.data, SAMPLE_MAX, &out.len), ARCHIVE_OK);
	archive_entry_set_filetype(entry, AE_IFREG);
	assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
	assert_int_equal(archive_write_data(a, in.data, in.len), in.len);
	archive_entry_free(entry);
	assert_int_equal(archive_write_close(a), ARCHIVE_OK);
	archive_write_free(a);
	return out;
}

static void put32(uint8_t *at, uint32_t v)
{
	memcpy(at, &v, sizeof(v)); /* this program runs on x86_64 only */
}

struct sample sample_bzimage(struct sample payload, int filter)
{
	static const char version[] = SAMPLE_VERSION " (someone@somewhere) #1";
	struct sample packed = pack(payload, filter);
	size_t setup = 2 * 512, trailer = filter == ARCHIVE_FILTER_GZIP ? 0 : 4;
	struct sample s = sample_new(setup + 16 + packed.len + trailer);

	s.data[0x1f1] = 1;
	memcpy(s.data + 0x202, "HdrS", 4);
	put32(s.data + 0x206, 0x020f);
	put32(s.data + 0x20e, 0x100);
	s.data[0x236] = 1;
	memcpy(s.data + 0x300, version, sizeof(version));
	put32(s.data + 0x248, 16);
	put32(s.data + 0x24c, (uint32_t)(packed.len + trailer));
	memcpy(s.data + setup + 16, packed.data, packed.len);
	if (trailer)
		put32(s.data + setup + 16 + packed.len, (uint32_t)payload.len);
	sample_free(&packed);
	return s;
}

struct sample sample_ko(const char *depends, const char *vermagic)
{
	static const char names[] = "\0.shstrtab\0.modinfo";
	Elf64_Ehdr hdr = elf_header(ET_REL, EM_X86_64);
	Elf64_Shdr sections[3] = {0};
	char info[1024];
	size_t info_len, at = sizeof(hdr);
	struct sample s;

	info_len = (size_t)snprintf(info, sizeof(info),
				    "license=GPL%cdepends=%s%cvermagic=%s SMP preempt", 0, depends,
				    0, vermagic) +
		   1;
	sections[1] = (Elf64_Shdr){
		.sh_name = 1, .sh_type = SHT_STRTAB, .sh_offset = at, .sh_size = sizeof(names)};
	at += sizeof(names);
	sections[2] = (Elf64_Shdr){
		.sh_name = 11, .sh_type = SHT_PROGBITS, .sh_offset = at, .sh_size = info_len};
	at += info_len;
	hdr.e_shoff = at;
	hdr.e_shnum = 3;
	hdr.e_shstrndx = 1;
	s = sample_new(at + sizeof(sections));
	memcpy(s.data, &hdr, sizeof(hdr));
	memcpy(s.data + sections[1].sh_offset, names, sizeof(names));
	memcpy(s.data + sections[2].sh_offset, info, info_len);
	memcpy(s.data + at, sections, sizeof(sections));
	return s;
}

static void put_file(struct archive *a, const char *path, struct sample contents)
{
	struct archive_entry *entry = archive_entry_new();

	archive_entry_set_pathname(entry, path);
	archive_entry_set_mode(entry, S_IFREG | 0644);
	archive_entry_set_size(entry, (la_int64_t)contents.len);
	assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
	assert_int_equal(archive_write_data(a, contents.data, contents.len), contents.len);
	archive_entry_free(entry);
}

struct sample sample_tar(const struct sample_file *files, size_t n)
{
	struct archive *a = archive_write_new();
	struct sample out = sample_new(SAMPLE_MAX);

	archive_write_set_format_gnutar(a);
	archive_write_add_filter_xz(a);
	archive_write_set_bytes_in_last_block(a, 1);
	assert_int_equal(archive_write_open_memory(a, out.data, SAMPLE_MAX, &out.len), ARCHIVE_OK);
	for (size_t i = 0; i < n; i++)
		put_file(a, files[i].path, files[i].contents);
	assert_int_equal(archive_write_close(a), ARCHIVE_OK);
	archive_write_free(a);
	return out;
}

struct sample sample_deb(const char *control, const struct sample_file *files, size_t n)
{
	struct sample text = sample_text(control), version = sample_text("2.0\n");
	struct sample_file control_file = {"./control", text};
	struct sample control_tar = sample_tar(&control_file, 1);
	struct sample data_tar = sample_tar(files, n);
	struct sample out = sample_new(SAMPLE_MAX);
	struct archive *a = archive_write_new();

	archive_write_set_format_ar_svr4(a);
	archive_write_set_bytes_in_last_block(a, 1);
	assert_int_equal(archive_write_open_memory(a, out.data, SAMPLE_MAX, &out.len), ARCHIVE_OK);
	put_file(a, "debian-binary", version);
	put_file(a, "control.tar.xz", control_tar);
	put_file(a, "data.tar.xz", data_tar);
	assert_int_equal(archive_write_close(a), ARCHIVE_OK);
	archive_write_free(a);
	sample_free(&text);
	sample_free(&version);
	sample_free(&control_tar);
	sample_free(&data_tar);
	return out;
}
