/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the passthrough file system; its theory of operation is in pt_inode.c. */
#ifndef RSM_FUSE_PT_H
#define RSM_FUSE_PT_H

#include "base/cleanup.h"
#include "base/math.h"
#include "fuse/fs.h"
#include "fuse/slots.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#define PT_NAME_INLINE 40
#define PT_STATX_MASK  (STATX_BASIC_STATS | STATX_MNT_ID)

/**
 * struct pt_mount - One mount under one export
 * @mnt_id:	as statx reports it
 * @dev:	of the first inode seen on it; inodes with another st_dev get their number mixed
 * @readonly:	of the export, which may mean its topmost mount only
 * @nodev:	the mount is MS_NODEV: a name can be opened without reaching a device
 */
struct pt_mount {
	struct pt_mount *next;
	struct pt_export *export;
	uint64_t mnt_id;
	uint64_t dev;
	bool readonly;
	bool nodev;
	enum fsrv_cache cache;
};

struct pt_handle;
struct pt_plock;

/**
 * struct pt_inode - One host inode the guest knows, or that something we keep needs
 * @mnt, @dev, @ino: identity; @mnt is NULL for the synthetic root only
 * @type:	S_IFMT part of the mode; part of the identity
 * @parent, @name: where it was last seen; @parent is NULL when it has no name any more, or never
 * had
 * @fd:		O_PATH, -1 while not needed; an inode without a name always has one
 * @nlookup:	references the guest holds
 * @refs:	children whose @parent this is, and handles
 * @busy:	requests that are using it at this moment
 * @by_name:	requests served by name so far; from the second on an fd is opened
 * @root:	top of an export: never forgotten, its fd never given up
 * @used:	since the clock hand last came by
 * @changed:	host's ctime, ns, when the guest last opened, wrote or changed it; 0: never
 */
struct pt_inode {
	struct pt_mount *mnt;
	uint64_t dev, ino;
	uint64_t nodeid;
	uint64_t nlookup;
	struct pt_inode *id_next, *name_next;
	struct pt_inode *parent;
	char *name;
	char name_inline[PT_NAME_INLINE];
	uint32_t name_hash;
	uint32_t refs, busy;
	uint32_t type;
	_Atomic int fd;
	_Atomic uint8_t by_name;
	bool root, used;
	_Atomic uint64_t changed;
	struct pt_handle *handles;
	struct pt_plock *plocks;
};

/**
 * struct pt_dirstream - Entries of an open directory that were read ahead
 * @lock:	held over one READDIR: the fd has one position
 * @offset:	of the next entry in @buf, or to be read
 * @pos, @len:	what is left of @buf
 */
struct pt_dirstream {
	pthread_mutex_t lock;
	uint64_t offset;
	size_t pos, len;
	uint8_t buf[32768 - 96] __attribute__((aligned(8)));
};

/**
 * struct pt_handle - An open file or directory
 * @inode:	holds one of its refs
 * @next:	on the inode's list (files), or on the free list
 * @refs:	1 for the guest's handle, 1 for each request using it; the last one closes
 * @wrote:	written through, so FLUSH has something to say
 * @dir:	directories only
 */
struct pt_handle {
	struct pt_inode *inode;
	struct pt_handle *next;
	uint64_t fh;
	int fd;
	uint32_t refs;
	bool is_dir;
	_Atomic bool wrote;
	struct pt_dirstream *dir;
};

/* An export: an entry of the synthetic root, or the root itself (@name NULL). */
struct pt_export {
	char *name;
	int fd;
	bool readonly, top_only, nodev;
	enum fsrv_cache cache;
	struct pt_mount *mounts;
	struct pt_inode *inode;
};

/**
 * struct pt - A passthrough file system
 * @lock:	covers all tables, every field of inodes but @fd, refs and lists of handles. Held
 *for memory operations only, never over a system call but close().
 */
struct pt {
	struct fsrv_fs fs;
	struct pt_export *exports;
	size_t nexports, nallocated;
	bool synthetic;
	bool writeback, submounts;
	int proc_fd; /* /proc/self/fd */
	uid_t uid;   /* what we create files as */
	gid_t gid;

	pthread_mutex_t lock;
	struct fsrv_slots nodes, handles;
	struct pt_inode *root;
	struct pt_inode **by_id, **by_name; /* hash buckets */
	uint32_t buckets, ninodes;
	struct pt_inode *free_inodes;
	struct pt_handle *free_handles;
	struct pt_chunk *chunks;
	uint32_t nfds, max_fds; /* O_PATH fds that can be given up */
	uint32_t hand;          /* clock hand, a slot of @nodes */
};

static inline struct pt *to_pt(struct fsrv_fs *fs)
{
	return rsm_container_of(fs, struct pt, fs);
}

static inline void pt_lock(struct pt *pt)
{
	pthread_mutex_lock(&pt->lock);
}

static inline void pt_unlock(struct pt *pt)
{
	pthread_mutex_unlock(&pt->lock);
}

/* ---- pt_inode.c */
int pt_table_init(struct pt *pt);
void pt_table_free(struct pt *pt);
void pt_table_reset(struct pt *pt);

/* A node by id, busy until pt_put(); NULL if the guest has no such node. */
struct pt_inode *pt_get(struct pt *pt, uint64_t nodeid);
void pt_put(struct pt *pt, struct pt_inode *inode);
/* Drop one of @refs; the lock is held. */
void pt_unref_locked(struct pt *pt, struct pt_inode *inode);
void pt_forget(struct fsrv_fs *fs, uint64_t nodeid, uint64_t nlookup);

/* ---- pt_reach.c */
/* Take @fd over as the inode's O_PATH fd, unless it has one by now; the lock is held. */
void pt_give_fd(struct pt *pt, struct pt_inode *inode, int fd);
void pt_close_fd(struct pt *pt, struct pt_inode *inode);
/* Give up O_PATH fds not used for a while; the lock is held. */
void pt_evict(struct pt *pt);

/**
 * pt_fd() - O_PATH fd of an inode the caller holds busy, opened if need be
 * Return: fd, valid while busy; -ESTALE if the inode is no longer where it was seen; -errno
 */
int pt_fd_open(struct pt *pt, struct pt_inode *inode);
static inline int pt_fd(struct pt *pt, struct pt_inode *inode)
{
	int fd = atomic_load_explicit(&inode->fd, memory_order_acquire);

	return fd >= 0 ? fd : pt_fd_open(pt, inode);
}

/**
 * struct pt_at - A way to reach an inode for one call: (@fd, @name), or @fd alone when @name is ""
 * @handle:	@fd is this handle's
 */
struct pt_at {
	int fd;
	struct pt_inode *parent;
	struct pt_handle *handle;
	char name[NAME_MAX + 1];
};

#define PT_AT_NAME 1U /* by name will do; nothing is verified then */
#define PT_AT_OPEN 2U /* by handle or not at all (-EBADF): for calls that take no O_PATH fd */

/* Fill @at the cheapest way; release with pt_at_done(). @inode is busy. */
int pt_at(struct pt *pt, struct pt_inode *inode, unsigned flags, struct pt_at *at);
/* By name and nothing else; -ESTALE if the inode has none. */
int pt_at_place(struct pt *pt, struct pt_inode *inode, struct pt_at *at);
void pt_at_done(struct pt *pt, struct pt_at *at);

/* statx of an inode, identity verified. */
int pt_stat(struct pt *pt, struct pt_inode *inode, unsigned mask, struct statx *st);
/* Is this still the inode? */
bool pt_same(const struct pt_inode *inode, const struct statx *st);

/* ---- pt_inode.c again */
/**
 * pt_enter() - The guest learns of (@parent, @name): find or make its inode, count the lookup
 * @name:	NULL: it has none; @fd is then required
 * @st:		statx of it, PT_STATX_MASK
 * @fd:		O_PATH fd of it, taken over in any case; or -1
 * @ret:	may be NULL; busy otherwise
 */
int pt_enter(struct pt *pt, struct pt_inode *parent, const char *name, const struct statx *st,
	     int fd, struct fuse_entry_out *out, struct pt_inode **ret);

/* Give the inode that relies on this name, if any, an fd: the name is about to go. Busy, or NULL.
 */
struct pt_inode *pt_pin_name(struct pt *pt, struct pt_inode *parent, const char *name);
/* Put what pt_pin_name() returned; @gone: the name really went, so nobody relies on it any more. */
void pt_unpin_name(struct pt *pt, struct pt_inode *pinned, struct pt_inode *parent,
		   const char *name, bool gone);
/* The name moved: whoever relies on the old one now relies on the new one. */
void pt_name_moved(struct pt *pt, struct pt_inode *olddir, const char *oldname,
		   struct pt_inode *newdir, const char *newname, bool exchange);

/* @mnt is NULL for the synthetic root */
void pt_fill_attr(const struct pt_mount *mnt, const struct statx *st, struct fuse_attr *a);
void pt_fill_entry(const struct pt *pt, const struct pt_inode *parent, const struct pt_inode *i,
		   const struct statx *st, struct fuse_entry_out *out);
/* Make the inode of an export's top (@fd taken over) or the synthetic root (@mnt NULL). */
int pt_add_root(struct pt *pt, struct pt_mount *mnt, const struct statx *st, int fd,
		struct pt_inode **ret);

/* ---- pt_handle.c */
/* @fd is taken over on success. @inode is busy. */
int pt_handle_new(struct pt *pt, struct pt_inode *inode, int fd, bool is_dir, uint64_t *ret_fh);
/* NULL: no such handle of that kind */
struct pt_handle *pt_handle_get(struct pt *pt, uint64_t fh, bool is_dir);
void pt_handle_put(struct pt *pt, struct pt_handle *h);
int pt_handle_close(struct pt *pt, uint64_t fh, bool is_dir);
void pt_handle_close_all(struct pt *pt);

/* ---- pt.c */
/* The mount of something found in @parent whose mnt_id is another. */
int pt_mount_of(struct pt *pt, const struct pt_inode *parent, const char *name,
		const struct statx *st, struct pt_mount **ret);
/* Directory @nodeid, busy, with its O_PATH fd; -EROFS if @change and it may not be changed. The
 * synthetic root is -EROFS or, without @change, has fd -1. */
int pt_get_dir(struct pt *pt, uint64_t nodeid, bool change, struct pt_inode **ret, int *ret_fd);
/* Any node but the synthetic root. */
int pt_get_node(struct pt *pt, uint64_t nodeid, bool change, struct pt_inode **ret);
/* open(2) and chmod(2) the inode behind an O_PATH fd, which must not be a symlink. */
int pt_reopen(struct pt *pt, int fd, int flags);
int pt_chmod(struct pt *pt, int fd, mode_t mode);

/* ---- the operations, by file; see struct fsrv_ops */
int pt_lookup(struct fsrv_fs *fs, uint64_t parent, const char *name, struct fuse_entry_out *out);
ssize_t pt_readlink(struct fsrv_fs *fs, uint64_t nodeid, char *buf, size_t size);

int pt_getattr(struct fsrv_fs *fs, uint64_t nodeid, const struct fuse_getattr_in *in,
	       struct fuse_attr_out *out); /* pt_attr.c */
int pt_setattr(struct fsrv_fs *fs, uint64_t nodeid, const struct fuse_setattr_in *in,
	       struct fuse_attr_out *out);
int pt_statx(struct fsrv_fs *fs, uint64_t nodeid, const struct fuse_statx_in *in,
	     struct fuse_statx_out *out);
int pt_access(struct fsrv_fs *fs, const struct fuse_in_header *who, uint32_t mask);
int pt_statfs(struct fsrv_fs *fs, uint64_t nodeid, struct fuse_kstatfs *out);
int pt_syncfs(struct fsrv_fs *fs, uint64_t nodeid);

int pt_symlink(struct fsrv_fs *fs, const struct fuse_in_header *who, const char *name,
	       const char *target, struct fuse_entry_out *out); /* pt_name.c */
int pt_mknod(struct fsrv_fs *fs, const struct fuse_in_header *who, const char *name,
	     const struct fuse_mknod_in *in, struct fuse_entry_out *out);
int pt_mkdir(struct fsrv_fs *fs, const struct fuse_in_header *who, const char *name,
	     const struct fuse_mkdir_in *in, struct fuse_entry_out *out);
int pt_unlink(struct fsrv_fs *fs, uint64_t parent, const char *name);
int pt_rmdir(struct fsrv_fs *fs, uint64_t parent, const char *name);
int pt_rename(struct fsrv_fs *fs, uint64_t olddir, const char *oldname, uint64_t newdir,
	      const char *newname, uint32_t flags);
int pt_link(struct fsrv_fs *fs, uint64_t nodeid, uint64_t newdir, const char *newname,
	    struct fuse_entry_out *out);
/* Give what was just made to the request's owner; see pt_name.c */
int pt_give_owner(struct pt *pt, int dirfd, int fd, const char *name,
		  const struct fuse_in_header *who, struct statx *st);
/* Prepare for making something: the mode to make it with. See pt_name.c. */
mode_t pt_mode(uint32_t mode, uint32_t mask);

int pt_open_flags(const struct pt *pt, uint32_t flags); /* pt_open.c */
int pt_open_inode(struct pt *pt, struct pt_inode *inode, int flags);
int pt_kill_suidgid(int fd);
/* Has nobody but the guest touched the inode, whose fd is @fd, since it last knew its contents? */
bool pt_contents_are_known(const struct pt_inode *inode, int fd);
/* The guest knows what is in it: whatever changed was its own doing. */
void pt_contents_known(struct pt_inode *inode, int fd);
int pt_open(struct fsrv_fs *fs, uint64_t nodeid, const struct fuse_open_in *in,
	    struct fuse_open_out *out);
int pt_create(struct fsrv_fs *fs, const struct fuse_in_header *who, const char *name,
	      const struct fuse_create_in *in, struct fuse_entry_out *entry,
	      struct fuse_open_out *out);
int pt_tmpfile(struct fsrv_fs *fs, const struct fuse_in_header *who,
	       const struct fuse_create_in *in, struct fuse_entry_out *entry,
	       struct fuse_open_out *out);
int pt_dax_fd(struct fsrv_fs *fs, uint64_t nodeid, uint64_t fh, uint64_t flags);

ssize_t pt_read(struct fsrv_fs *fs, uint64_t nodeid, const struct fuse_read_in *in,
		const struct iovec *iov, unsigned n); /* pt_file.c */
ssize_t pt_write(struct fsrv_fs *fs, uint64_t nodeid, const struct fuse_write_in *in,
		 const struct iovec *iov, unsigned n);
int pt_flush(struct fsrv_fs *fs, uint64_t nodeid, const struct fuse_flush_in *in);
int pt_release(struct fsrv_fs *fs, uint64_t nodeid, const struct fuse_release_in *in);
int pt_fsync(struct fsrv_fs *fs, uint64_t nodeid, uint64_t fh, bool datasync);
int pt_lseek(struct fsrv_fs *fs, uint64_t nodeid, const struct fuse_lseek_in *in, uint64_t *ret);
int pt_fallocate(struct fsrv_fs *fs, const struct fuse_in_header *who,
		 const struct fuse_fallocate_in *in);
ssize_t pt_copy_file_range(struct fsrv_fs *fs, const struct fuse_in_header *who,
			   const struct fuse_copy_file_range_in *in);

int pt_opendir(struct fsrv_fs *fs, uint64_t nodeid, struct fuse_open_out *out); /* pt_dir.c */
int pt_readdir(struct fsrv_fs *fs, uint64_t nodeid, uint64_t fh, uint64_t offset,
	       struct fsrv_dirbuf *buf);
int pt_releasedir(struct fsrv_fs *fs, uint64_t nodeid, uint64_t fh);
int pt_fsyncdir(struct fsrv_fs *fs, uint64_t nodeid, uint64_t fh, bool datasync);

int pt_setxattr(struct fsrv_fs *fs, uint64_t nodeid, const char *name, const void *value,
		size_t size, uint32_t flags, bool kill_sgid); /* pt_xattr.c */
ssize_t pt_getxattr(struct fsrv_fs *fs, uint64_t nodeid, const char *name, void *value,
		    size_t size);
ssize_t pt_listxattr(struct fsrv_fs *fs, uint64_t nodeid, char *list, size_t size);
int pt_removexattr(struct fsrv_fs *fs, uint64_t nodeid, const char *name);

int pt_getlk(struct fsrv_fs *fs, uint64_t nodeid, const struct fuse_lk_in *in,
	     struct fuse_file_lock *out); /* pt_lock.c */
int pt_setlk(struct fsrv_fs *fs, uint64_t nodeid, const struct fuse_lk_in *in);
/* Drop all record locks of an owner on an inode: it closed one of its fds. */
void pt_plocks_drop(struct pt *pt, struct pt_inode *inode, uint64_t owner);
void pt_plocks_free(struct pt_inode *inode);

#endif
