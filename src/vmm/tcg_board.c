// SPDX-License-Identifier: Apache-2.0
#include "vmm/tcg_board.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <x86intrin.h>

#define KERNEL_MAX (512L << 20)
#define SPAN_NS    2000000U
#define READINGS   5

int tcg_kernel_wants_acpi(const char *path)
{
	/* the device driver's name for devices given as virtio_mmio.device=…; built in only if the
	 * kernel has VIRTIO_MMIO_CMDLINE_DEVICES and needs no module for it */
	static const char mark[] = "virtio-mmio-cmdline";
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *data;
	int ret;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size == 0 || st.st_size > KERNEL_MAX)
		return -EINVAL;
	data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	if (data == MAP_FAILED)
		return -errno;
	ret = !memmem(data, (size_t)st.st_size, mark, sizeof(mark));
	munmap(data, (size_t)st.st_size);
	return ret;
}

/* Several readings, of which the one that was interrupted least is taken. */
void tcg_tsc_read(struct tcg_tsc *t)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < READINGS; i++) {
		struct timespec now;
		uint64_t before = __rdtsc(), after;

		clock_gettime(CLOCK_MONOTONIC_RAW, &now);
		after = __rdtsc();
		if (after - before >= best)
			continue;
		best = after - before;
		t->tsc = before + best / 2;
		t->ns = (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
	}
}

uint32_t tcg_tsc_khz(const struct tcg_tsc *start)
{
	struct tcg_tsc now;

	do
		tcg_tsc_read(&now);
	while (now.ns - start->ns < SPAN_NS);
	return (uint32_t)((now.tsc - start->tsc) * 1000000U / (now.ns - start->ns));
}
