// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot_internal.h"

#include "base/math.h"
#include "vmm/vcpu.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Highest address of the initramfs that every kernel takes (initrd_addr_max of an old header). */
#define INITRD_LIMIT 0x38000000ULL
#define MIB(bytes)   ((unsigned long long)(bytes) >> 20)
#define MORE_MEMORY  "; raise linux.resources.memory.limit"
/* Linux's arm64 image: boot.rst of that architecture, "magic" */
#define ARM64_AT     0x38
#define ARM64_MAGIC  "ARM\x64"

int boot_pread(int fd, void *buf, size_t len, uint64_t offset, struct rsm_error *err)
{
	size_t done = 0;

	if (offset > INT64_MAX - len)
		return rsm_fail(err, ENOEXEC, "the kernel file is truncated");
	while (done < len) {
		ssize_t n = pread(fd, (char *)buf + done, len - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return rsm_fail_errno(err, errno, "read kernel");
		if (n == 0)
			return rsm_fail(err, ENOEXEC, "the kernel file is truncated");
		done += (size_t)n;
	}
	return 0;
}

static int file_size(int fd, uint64_t *ret, struct rsm_error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return rsm_fail_errno(err, errno, "stat");
	if (!S_ISREG(st.st_mode))
		return rsm_fail(err, EINVAL, "not a regular file");
	*ret = (uint64_t)st.st_size;
	return 0;
}

int boot_parse(int fd, struct boot_image *ret, struct rsm_error *err)
{
	struct boot_image image = {0};
	uint8_t magic[0x206];
	uint64_t size;
	int r = file_size(fd, &size, err);

	if (r == 0)
		r = boot_pread(fd, magic, rsm_min((uint64_t)sizeof(magic), size), 0, err);
	if (r < 0)
		return r;
	if (size >= SELFMAG && memcmp(magic, ELFMAG, SELFMAG) == 0)
		r = boot_parse_elf(fd, size, &image, err);
	else if (size >= sizeof(magic) && memcmp(magic + 0x202, "HdrS", 4) == 0)
		r = boot_parse_bzimage(fd, size, &image, err);
	else if (size >= sizeof(magic) && memcmp(magic + ARM64_AT, ARM64_MAGIC, 4) == 0)
		r = rsm_fail(err, ENOEXEC, "the kernel is for another architecture (arm64)");
	else
		r = rsm_fail(err, ENOEXEC, "the kernel file is neither ELF nor bzImage");
	if (r == 0)
		*ret = image;
	return r;
}

static int load_segments(const struct gmem *mem, int fd, const struct boot_image *image,
			 struct rsm_error *err)
{
	for (unsigned i = 0; i < image->nsegments; i++) {
		const struct boot_segment *s = &image->segments[i];
		uint8_t *to = gmem_ptr(mem, s->gpa, s->memsz);
		int r;

		if (!to)
			return rsm_fail(err, ENOMEM,
					"the guest's memory is too small for the kernel: "
					"it needs more than %llu MiB" MORE_MEMORY,
					MIB(s->gpa.v + s->memsz));
		/* memory is fresh: what the file does not fill is zero already */
		r = boot_pread(fd, to, (size_t)s->filesz, s->offset, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int load_initrd(const struct gmem *mem, int fd, gpa_t floor, struct boot_placed *placed,
		       struct rsm_error *err)
{
	uint64_t limit = rsm_min(mem->regions[0].len, INITRD_LIMIT), size;
	int r = file_size(fd, &size, err);

	if (r < 0)
		return rsm_error_prefix(err, "initramfs");
	if (!size)
		return 0;
	if (size > INITRD_LIMIT - rsm_min(floor.v, INITRD_LIMIT))
		return rsm_fail(err, EFBIG,
				"an initramfs of %llu MiB is too big: it must lie below %llu MiB, "
				"and the kernel ends at %llu MiB; make it smaller",
				MIB(size + 0xfffff), MIB(INITRD_LIMIT), MIB(floor.v + 0xfffff));
	if (size > limit || ((limit - size) & ~4095ULL) < floor.v)
		return rsm_fail(
			err, ENOMEM,
			"the guest's memory is too small for an initramfs of %llu MiB beside "
			"a kernel that ends at %llu MiB" MORE_MEMORY,
			MIB(size + 0xfffff), MIB(floor.v + 0xfffff));
	placed->initrd.v = (limit - size) & ~4095ULL;
	placed->initrd_len = size;
	r = boot_pread(fd, gmem_ptr(mem, placed->initrd, size), (size_t)size, 0, err);
	return r < 0 ? rsm_error_prefix(err, "initramfs") : 0;
}

static int load_cmdline(const struct gmem *mem, const char *cmdline, struct boot_placed *placed,
			struct rsm_error *err)
{
	size_t len = strlen(cmdline);

	if (len >= BOOT_CMDLINE_MAX)
		return rsm_fail(err, E2BIG, "the kernel command line has %zu bytes, Linux takes %d",
				len, BOOT_CMDLINE_MAX - 1);
	placed->cmdline.v = BOOT_CMDLINE;
	placed->cmdline_len = (uint32_t)len;
	memcpy(gmem_ptr(mem, placed->cmdline, len + 1), cmdline, len + 1);
	return 0;
}

int boot_load(struct kvm_vm *vm, const struct boot_config *config, struct rsm_error *err)
{
	const struct gmem *mem = kvm_vm_mem(vm);
	struct boot_placed placed = {.rsdp = config->rsdp};
	struct vcpu *first = kvm_vm_vcpu(vm, 0);
	struct boot_image image;
	int r = boot_parse(config->kernel, &image, err);

	if (r == 0)
		r = load_segments(mem, config->kernel, &image, err);
	if (r == 0 && !gmem_ptr(mem, (gpa_t){0}, image.end.v))
		r = rsm_fail(err, ENOMEM,
			     "the guest's memory is too small for the kernel: it needs "
			     "more than %llu MiB" MORE_MEMORY,
			     MIB(image.end.v));
	if (r == 0)
		r = load_cmdline(mem, config->cmdline, &placed, err);
	if (r == 0 && config->initrd >= 0)
		r = load_initrd(mem, config->initrd, image.end, &placed, err);
	if (r < 0)
		return r;
	if (image.entry_kind == BOOT_ENTRY_PVH) {
		r = boot_write_start_info(mem, &placed);
		if (r == 0)
			r = vcpu_enter_pvh(first, image.entry, (gpa_t){BOOT_START_INFO});
	} else {
		r = boot_write_params(mem, &image, &placed);
		if (r == 0)
			r = boot_write_long_mode(mem);
		if (r == 0)
			r = vcpu_enter_64(first, image.entry, (gpa_t){BOOT_PARAMS},
					  (gpa_t){BOOT_PAGE_TABLES}, (gpa_t){BOOT_GDT});
	}
	return r < 0 ? rsm_fail_errno(err, -r, "set the first vCPU's registers") : 0;
}
