/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a file system behind the FUSE server implements.
 *
 * The session has checked everything that needs no file system: sizes, that strings end, that a
 * name is one component (not empty, no '/', not "." or "..", at most 255 bytes), that there is room
 * for the reply. Node ids, handles, offsets, sizes, modes and flags are whatever the guest sent.
 *
 * A member that is NULL answers ENOSYS. Every member returns >= 0 or -errno and may be called from
 * any number of threads at once.
 */
#ifndef RSM_FUSE_FS_H
#define RSM_FUSE_FS_H

#include "fuse/fsrv.h"
#include "fuse/proto.h"

#include <string.h>

/**
 * struct fsrv_conn - What INIT negotiated
 * @minor:	protocol 7.@minor
 * @flags:	FUSE_* INIT flags, both words
 */
struct fsrv_conn {
	uint32_t minor;
	uint64_t flags;
};

struct fsrv_dirbuf;

/**
 * struct fsrv_ops - File system operations
 *
 * Life: @free ends it; @reset forgets every node but the root, every handle and lock (the client
 * is gone, requests may still be in flight); @started tells what INIT negotiated.
 *
 * Lookup counts: lookup, symlink, mknod, mkdir, link, create, tmpfile and each entry readdir adds
 * with a node id raise the node's count by one if they succeed; forget lowers it. A lookup that
 * succeeds with nodeid 0 is a negative entry and counts nothing.
 *
 * @who in creating operations carries the uid and gid of the new file's owner. Their umask is to be
 * applied unless the directory has a default ACL; it is 0 if the client has applied it already.
 * @readlink, @getxattr, @listxattr: bytes stored; size 0 asks for the length (xattrs only).
 * @read, @write: short counts are fine; the segments may be guest memory.
 * @readdir: adds entries to @buf until it is full or the directory ends; offset 0 rewinds.
 * @fallocate, @copy_file_range: with FUSE_HANDLE_KILLPRIV_V2 they clear set-id bits unless @who is
 * root (these two requests have no flag to say so).
 * @setlk: never waits; -EAGAIN when the lock is held by another.
 * @dax_fd: an fd to map the node with FUSE_SETUPMAPPING_FLAG_* @flags, which the caller closes. @fh
 * is UINT64_MAX from clients that do not say which of their handles it is for (Linux).
 */
struct fsrv_ops {
	void (*free)(struct fsrv_fs *fs);
	void (*reset)(struct fsrv_fs *fs);
	void (*started)(struct fsrv_fs *fs, const struct fsrv_conn *conn);

	int (*lookup)(struct fsrv_fs *fs, uint64_t parent, const char *name,
		      struct fuse_entry_out *out);
	void (*forget)(struct fsrv_fs *fs, uint64_t nodeid, uint64_t nlookup);
	int (*getattr)(struct fsrv_fs *fs, uint64_t nodeid, const struct fuse_getattr_in *in,
		       struct fuse_attr_out *out);
	int (*setattr)(struct fsrv_fs *fs, uint64_t nodeid, const struct fuse_setattr_in *in,
		       struct fuse_attr_out *out);
	int (*statx)(struct fsrv_fs *fs, uint64_t nodeid, const struct fuse_statx_in *in,
		     struct fuse_statx_out *out);
	int (*access)(struct fsrv_fs *fs, const struct fuse_in_header *who, uint32_t mask);
	ssize_t (*readlink)(struct fsrv_fs *fs, uint64_t nodeid, char *buf, size_t size);
	int (*statfs)(struct fsrv_fs *fs, uint64_t nodeid, struct fuse_kstatfs *out);
	int (*syncfs)(struct fsrv_fs *fs, uint64_t nodeid);

	int (*symlink)(struct fsrv_fs *fs, const struct fuse_in_header *who, const char *name,
		       const char *target, struct fuse_entry_out *out);
	int (*mknod)(struct fsrv_fs *fs, const struct fuse_in_header *who, const char *name,
		     const struct fuse_mknod_in *in, struct fuse_entry_out *out);
	int (*mkdir)(struct fsrv_fs *fs, const struct fuse_in_header *who, const char *name,
		     const struct fuse_mkdir_in *in, struct fuse_entry_out *out);
	int (*unlink)(struct fsrv_fs *fs, uint64_t parent, const char *name);
	int (*rmdir)(struct fsrv_fs *fs, uint64_t parent, const char *name);
	int (*rename)(struct fsrv_fs *fs, uint64_t olddir, const char *oldname, uint64_t newdir,
		      const char *newname, uint32_t flags);
	int (*link)(struct fsrv_fs *fs, uint64_t nodeid, uint64_t newdir, const char *newname,
		    struct fuse_entry_out *out);

	int (*open)(struct fsrv_fs *fs, uint64_t nodeid, const struct fuse_open_in *in,
		    struct fuse_open_out *out);
	int (*create)(struct fsrv_fs *fs, const struct fuse_in_header *who, const char *name,
		      const struct fuse_create_in *in, struct fuse_entry_out *entry,
		      struct fuse_open_out *out);
	int (*tmpfile)(struct fsrv_fs *fs, const struct fuse_in_header *who,
		       const struct fuse_create_in *in, struct fuse_entry_out *entry,
		       struct fuse_open_out *out);
	ssize_t (*read)(struct fsrv_fs *fs, uint64_t nodeid, const struct fuse_read_in *in,
			const struct iovec *iov, unsigned n);
	ssize_t (*write)(struct fsrv_fs *fs, uint64_t nodeid, const struct fuse_write_in *in,
			 const struct iovec *iov, unsigned n);
	int (*flush)(struct fsrv_fs *fs, uint64_t nodeid, const struct fuse_flush_in *in);
	int (*release)(struct fsrv_fs *fs, uint64_t nodeid, const struct fuse_release_in *in);
	int (*fsync)(struct fsrv_fs *fs, uint64_t nodeid, uint64_t fh, bool datasync);
	int (*lseek)(struct fsrv_fs *fs, uint64_t nodeid, const struct fuse_lseek_in *in,
		     uint64_t *ret);
	int (*fallocate)(struct fsrv_fs *fs, const struct fuse_in_header *who,
			 const struct fuse_fallocate_in *in);
	ssize_t (*copy_file_range)(struct fsrv_fs *fs, const struct fuse_in_header *who,
				   const struct fuse_copy_file_range_in *in);

	int (*opendir)(struct fsrv_fs *fs, uint64_t nodeid, struct fuse_open_out *out);
	int (*readdir)(struct fsrv_fs *fs, uint64_t nodeid, uint64_t fh, uint64_t offset,
		       struct fsrv_dirbuf *buf);
	int (*releasedir)(struct fsrv_fs *fs, uint64_t nodeid, uint64_t fh);
	int (*fsyncdir)(struct fsrv_fs *fs, uint64_t nodeid, uint64_t fh, bool datasync);

	int (*setxattr)(struct fsrv_fs *fs, uint64_t nodeid, const char *name, const void *value,
			size_t size, uint32_t flags, bool kill_sgid);
	ssize_t (*getxattr)(struct fsrv_fs *fs, uint64_t nodeid, const char *name, void *value,
			    size_t size);
	ssize_t (*listxattr)(struct fsrv_fs *fs, uint64_t nodeid, char *list, size_t size);
	int (*removexattr)(struct fsrv_fs *fs, uint64_t nodeid, const char *name);

	int (*getlk)(struct fsrv_fs *fs, uint64_t nodeid, const struct fuse_lk_in *in,
		     struct fuse_file_lock *out);
	int (*setlk)(struct fsrv_fs *fs, uint64_t nodeid, const struct fuse_lk_in *in);

	int (*dax_fd)(struct fsrv_fs *fs, uint64_t nodeid, uint64_t fh, uint64_t flags);
};

/* Embedded first in each file system's own struct. */
struct fsrv_fs {
	const struct fsrv_ops *ops;
};

/**
 * struct fsrv_dirbuf - Where readdir puts its entries: the reply's segments
 * @plus:	READDIRPLUS: each entry carries a fuse_entry_out
 * @pos:	bytes written so far, from the start of the reply body
 * @room:	bytes the guest asked for, no more than there is room for
 */
struct fsrv_dirbuf {
	bool plus;
	size_t pos, room;
	const struct iovec *iov;
	unsigned n;
	size_t seg_off;
};

/* Is there room for an entry with a name of @namelen bytes? Ask before raising lookup counts. */
static inline bool fsrv_dirbuf_fits(const struct fsrv_dirbuf *b, size_t namelen)
{
	size_t fixed = b->plus ? FUSE_NAME_OFFSET_DIRENTPLUS : FUSE_NAME_OFFSET;

	return FUSE_REC_ALIGN(fixed + namelen) <= b->room - b->pos;
}

/**
 * fsrv_dirbuf_add() - Append one entry; fsrv_dirbuf_fits() said yes
 * @off:	offset of the *next* entry: what the guest sends to go on behind this one
 * @type:	DT_*
 * @entry:	for READDIRPLUS; NULL: no lookup was done (nodeid 0)
 */
void fsrv_dirbuf_add(struct fsrv_dirbuf *b, const char *name, size_t namelen, uint64_t ino,
		     uint32_t type, uint64_t off, const struct fuse_entry_out *entry);

/* Entry and attribute timeouts of a cache mode. */
static inline void fsrv_set_timeouts(struct fuse_entry_out *e, enum fsrv_cache cache)
{
	e->entry_valid = cache == FSRV_CACHE_ALWAYS ? 86400 : cache != FSRV_CACHE_NEVER;
	e->attr_valid = e->entry_valid;
	e->entry_valid_nsec = 0;
	e->attr_valid_nsec = 0;
}

#endif
