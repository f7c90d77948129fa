// SPDX-License-Identifier: Apache-2.0
/*
 * A driver that writes whatever it likes to its rings. Input: one byte of options, then guest
 * memory from address 0, where the rings are. Every segment that is popped is touched at both ends.
 */
#include "vmm/virtq.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RAM 4096U

static volatile uint8_t sink;

static void touch(const struct iovec *iov, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const uint8_t *p = iov[i].iov_base;

		sink = p[0];
		sink = p[iov[i].iov_len - 1];
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct iovec iov[VIRTQ_SEGS_MAX];
	_Alignas(4096) static uint8_t ram[RAM], high_ram[RAM];
	struct virtq vq = {.kick_fd = -1, .call_fd = -1};
	struct virtq_req req = {.iov = iov};
	struct gmem mem = {0};
	struct gmem_region low = {.len = RAM, .host = ram, .fd = -1};
	struct gmem_region high = {.gpa = {1ULL << 32}, .len = RAM, .host = high_ram, .fd = -1};
	uint8_t buf[64];

	if (!size)
		return 0;
	memset(ram, 0, sizeof(ram));
	memcpy(ram, data + 1, size - 1 < RAM ? size - 1 : RAM);
	vq.indirect = data[0] & 1;
	vq.event_idx = data[0] & 2;
	(void)gmem_add(&mem, &low);
	(void)gmem_add(&mem, &high);
	if (virtq_map(&vq, &mem, (uint16_t)(1U << (data[0] >> 2 & 3)), ram, ram + 256, ram + 512) <
	    0)
		return 0;
	vq.last_avail = data[0] & 16 ? UINT16_MAX : 0;
	for (unsigned i = 0; i < 64 && virtq_pop(&vq, &req) > 0; i++) {
		touch(iov, req.nout + req.nin);
		(void)virtq_iov_read(virtq_out(&req), req.nout, i, buf, sizeof(buf));
		(void)virtq_iov_len(virtq_in(&req), req.nin);
		virtq_push(&vq, req.head, i);
		(void)virtq_notify(&vq);
		(void)virtq_enable_kicks(&vq);
	}
	return 0;
}
