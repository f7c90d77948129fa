/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost-user on the wire: what the kernel's headers do not have. Used by the back end and by the
 * client for tests and benchmarks. Host byte order throughout (both ends are one machine).
 *
 *	message = header {request, flags, size} + @size bytes of payload; fds ride on the header
 *
 * Spec: QEMU, docs/interop/vhost-user.rst
 */
#ifndef RSM_VMM_VHOST_USER_PROTO_H
#define RSM_VMM_VHOST_USER_PROTO_H

#include <assert.h>
#include <stdint.h>

enum vhost_user_request {
	VHU_GET_FEATURES = 1,
	VHU_SET_FEATURES = 2,
	VHU_SET_OWNER = 3,
	VHU_RESET_OWNER = 4,
	VHU_SET_MEM_TABLE = 5,
	VHU_SET_LOG_BASE = 6,
	VHU_SET_LOG_FD = 7,
	VHU_SET_VRING_NUM = 8,
	VHU_SET_VRING_ADDR = 9,
	VHU_SET_VRING_BASE = 10,
	VHU_GET_VRING_BASE = 11,
	VHU_SET_VRING_KICK = 12,
	VHU_SET_VRING_CALL = 13,
	VHU_SET_VRING_ERR = 14,
	VHU_GET_PROTOCOL_FEATURES = 15,
	VHU_SET_PROTOCOL_FEATURES = 16,
	VHU_GET_QUEUE_NUM = 17,
	VHU_SET_VRING_ENABLE = 18,
	VHU_SET_BACKEND_REQ_FD = 21,
	VHU_GET_CONFIG = 24,
	VHU_SET_CONFIG = 25,
	VHU_RESET_DEVICE = 34,
	VHU_REQUEST_END = 64, /* no request reaches this number */
};

/* virtio feature bit that says "vhost-user protocol features can be negotiated" */
#define VHU_F_PROTOCOL_FEATURES (1ULL << 30)

#define VHU_PROTOCOL_F_MQ           (1ULL << 0)
#define VHU_PROTOCOL_F_REPLY_ACK    (1ULL << 3)
#define VHU_PROTOCOL_F_CONFIG       (1ULL << 9)
#define VHU_PROTOCOL_F_RESET_DEVICE (1ULL << 13)

#define VHU_VERSION           1U
#define VHU_FLAG_VERSION_MASK 3U
#define VHU_FLAG_REPLY        (1U << 2)
#define VHU_FLAG_NEED_REPLY   (1U << 3)

struct vhu_header {
	uint32_t request;
	uint32_t flags;
	uint32_t size;
};
static_assert(sizeof(struct vhu_header) == 12, "vhost-user header");

#define VHU_MEM_REGIONS_MAX 8

struct vhu_mem_region {
	uint64_t gpa;
	uint64_t len;
	uint64_t user;
	uint64_t mmap_offset;
};

struct vhu_mem_table {
	uint32_t n;
	uint32_t padding;
	struct vhu_mem_region regions[VHU_MEM_REGIONS_MAX];
};
static_assert(sizeof(struct vhu_mem_table) == 8 + 8 * 32, "vhost-user memory table");

struct vhu_vring_state {
	uint32_t index;
	uint32_t num;
};

#define VHU_VRING_F_LOG 1U

struct vhu_vring_addr {
	uint32_t index;
	uint32_t flags;
	uint64_t desc; /* three addresses in the master's address space */
	uint64_t used;
	uint64_t avail;
	uint64_t log;
};
static_assert(sizeof(struct vhu_vring_addr) == 40, "vhost-user vring address");

/* SET_VRING_KICK, _CALL, _ERR carry a u64: queue index, and a flag that says "no fd". */
#define VHU_VRING_INDEX_MASK 0xffULL
#define VHU_VRING_NOFD       (1ULL << 8)

#define VHU_CONFIG_MAX 256

struct vhu_config {
	uint32_t offset;
	uint32_t size;
	uint32_t flags;
	uint8_t region[VHU_CONFIG_MAX];
};
static_assert(sizeof(struct vhu_config) == 12 + VHU_CONFIG_MAX, "vhost-user config");

#define VHU_CONFIG_HEAD 12U

union vhu_payload {
	uint64_t u64;
	struct vhu_mem_table mem;
	struct vhu_vring_state state;
	struct vhu_vring_addr addr;
	struct vhu_config config;
};

#endif
