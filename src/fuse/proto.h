/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The FUSE wire protocol: the kernel's own header, and what newer kernels send that the header of
 * the build machine may not know yet.
 *
 * Spec: linux/fuse.h; numbers of 7.39 and later from the same file of Linux 6.18
 */
#ifndef RSM_FUSE_PROTO_H
#define RSM_FUSE_PROTO_H

#include <assert.h>
#include <linux/fuse.h>
#include <stdint.h>

/* The oldest minor version served: the first with virtio-fs' own requests (Linux 5.4). */
#define FSRV_MINOR_MIN 31

#if FUSE_KERNEL_MINOR_VERSION < 39
#define FUSE_STATX 52

struct fuse_sx_time {
	int64_t tv_sec;
	uint32_t tv_nsec;
	int32_t __reserved;
};

struct fuse_statx {
	uint32_t mask;
	uint32_t blksize;
	uint64_t attributes;
	uint32_t nlink;
	uint32_t uid;
	uint32_t gid;
	uint16_t mode;
	uint16_t __spare0[1];
	uint64_t ino;
	uint64_t size;
	uint64_t blocks;
	uint64_t attributes_mask;
	struct fuse_sx_time atime;
	struct fuse_sx_time btime;
	struct fuse_sx_time ctime;
	struct fuse_sx_time mtime;
	uint32_t rdev_major;
	uint32_t rdev_minor;
	uint32_t dev_major;
	uint32_t dev_minor;
	uint64_t __spare2[14];
};

struct fuse_statx_in {
	uint32_t getattr_flags;
	uint32_t reserved;
	uint64_t fh;
	uint32_t sx_flags;
	uint32_t sx_mask;
};

struct fuse_statx_out {
	uint64_t attr_valid;
	uint32_t attr_valid_nsec;
	uint32_t flags;
	uint64_t spare[2];
	struct fuse_statx stat;
};
#endif

static_assert(sizeof(struct fuse_in_header) == 40, "linux/fuse.h");
static_assert(sizeof(struct fuse_out_header) == 16, "linux/fuse.h");
static_assert(sizeof(struct fuse_entry_out) == 128, "linux/fuse.h");
static_assert(sizeof(struct fuse_attr_out) == 104, "linux/fuse.h");
static_assert(sizeof(struct fuse_init_in) == 64, "linux/fuse.h");
static_assert(sizeof(struct fuse_init_out) == 64, "linux/fuse.h");
static_assert(sizeof(struct fuse_setattr_in) == 88, "linux/fuse.h");
static_assert(sizeof(struct fuse_write_in) == 40, "linux/fuse.h");
static_assert(sizeof(struct fuse_lk_in) == 48, "linux/fuse.h");
static_assert(sizeof(struct fuse_statx) == 256, "linux/fuse.h, 7.39");
static_assert(sizeof(struct fuse_statx_in) == 24, "linux/fuse.h, 7.39");
static_assert(sizeof(struct fuse_statx_out) == 288, "linux/fuse.h, 7.39");

/* What INIT sends when the kernel is older than FUSE_INIT_EXT (7.36): up to and with flags. */
#define FSRV_INIT_IN_OLD 16

/* struct fuse_setxattr_in without FUSE_SETXATTR_EXT */
#define FSRV_SETXATTR_IN_OLD FUSE_COMPAT_SETXATTR_IN_SIZE

#endif
