/* SPDX-License-Identifier: Apache-2.0 */
/* Private to src/fuse: the session and a request on its way through it. */
#ifndef RSM_FUSE_SESSION_H
#define RSM_FUSE_SESSION_H

#include "base/cursor.h"
#include "fuse/fs.h"

#include <pthread.h>
#include <stdatomic.h>

/* Head of a request that is copied to the stack; larger ones (SETXATTR) go to the heap. */
#define FSRV_STACK_HEAD 8192U

struct fsrv_waiter;

/**
 * struct fsrv_lockwait - SETLKW requests that wait; see lockwait.c
 * @lock:	covers everything here
 * @changed:	a lock was given back, a waiter came, or @stop was set
 * @waiters:	list, oldest first
 * @n:		how many; read without the lock to keep the common case cheap
 * @kicks:	counts reasons to look again, so that none is missed while the thread is trying
 */
struct fsrv_lockwait {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct fsrv_waiter *waiters;
	_Atomic unsigned n;
	uint64_t kicks;
	pthread_t thread;
	bool running, stop;
	fsrv_deferred_fn fn;
	void *cookie;
};

/**
 * struct fsrv_session - One client
 * @ready:	INIT was answered; written by INIT and DESTROY only
 * @conn:	what it negotiated; constant while @ready
 */
struct fsrv_session {
	struct fsrv_fs *fs;
	struct fsrv_options opt;
	_Atomic bool ready;
	struct fsrv_conn conn;
	struct fsrv_lockwait lockwait;
};

/**
 * struct fsrv_req - One request and its reply
 * @args:	what follows the header, in memory of our own
 * @out, @nout, @out_len: the whole request as it came; @out_len is what the header says, checked
 * @in, @nin, @in_len: room for the reply, header included
 * @head, @body: the reply as far as it is not read straight into @in; contiguous
 */
struct fsrv_req {
	struct fsrv_session *s;
	struct fsrv_fs *fs;
	struct fuse_in_header h;
	struct rsm_cursor args;
	const struct iovec *out;
	unsigned nout;
	size_t out_len;
	const struct iovec *in;
	unsigned nin;
	size_t in_len;
	void *tag;
	struct fsrv_reply {
		struct fuse_out_header head;
		union {
			struct fuse_entry_out entry;
			struct {
				struct fuse_entry_out entry;
				struct fuse_open_out open;
			} create;
			struct fuse_attr_out attr;
			struct fuse_statx_out statx;
			struct fuse_open_out open;
			struct fuse_write_out write;
			struct fuse_statfs_out statfs;
			struct fuse_getxattr_out getxattr;
			struct fuse_init_out init;
			struct fuse_lk_out lk;
			struct fuse_lseek_out lseek;
		} body;
	} reply;
};

#define FSRV_NOREPLY 1U  /* FORGET and its like */
#define FSRV_DIRECT  2U  /* the function put the body into @in itself */
#define FSRV_PAYLOAD 4U  /* copy the head only: header and the op's struct */
#define FSRV_BIG     8U  /* the head may be larger than the stack's copy */
#define FSRV_ANYTIME 16U /* also before INIT */
#define FSRV_SLOW    32U /* may block for long, or be answered later */

/**
 * struct fsrv_opcode - One row of the dispatch table
 * @min_in:	bytes that must follow the header
 * @min_out:	bytes of reply body there must be room for
 * @fn:	>= 0: length of the reply's body; -errno; -EINPROGRESS: will be answered later
 */
struct fsrv_opcode {
	ssize_t (*fn)(struct fsrv_req *r);
	const char *name;
	uint16_t min_in;
	uint16_t min_out;
	uint32_t flags;
};

/* In an op's function: take its struct from the request; leave if the file system has no such op.
 */
#define FSRV_GET(r, in)                                                                            \
	do {                                                                                       \
		if (!rsm_cursor_get(&(r)->args, (in)))                                             \
			return -EINVAL;                                                            \
	} while (0)
#define FSRV_NEED(r, op)                                                                           \
	do {                                                                                       \
		if (!(r)->fs->ops->op)                                                             \
			return -ENOSYS;                                                            \
	} while (0)

/* The umask a creating op has to apply: none if the client did. */
static inline uint32_t fsrv_umask(const struct fsrv_req *r, uint32_t umask)
{
	return r->s->conn.flags & FUSE_DONT_MASK ? umask & 0777 : 0;
}

/* NULL for opcodes that are not served. */
const struct fsrv_opcode *fsrv_opcode(uint32_t opcode);

/* ---- iov.c: bounded access to segments */
size_t fsrv_iov_len(const struct iovec *iov, unsigned n);
size_t fsrv_iov_read(const struct iovec *iov, unsigned n, size_t offset, void *dst, size_t len);
size_t fsrv_iov_write(const struct iovec *iov, unsigned n, size_t offset, const void *src,
		      size_t len);
#define FSRV_SEGS_MAX 1024
/* Segments of [@offset, @offset+@len) into @dst (FSRV_SEGS_MAX long); Return: how many */
unsigned fsrv_iov_slice(const struct iovec *iov, unsigned n, size_t offset, size_t len,
			struct iovec *dst);
/* Pointer to the reply body if @len bytes of it are contiguous, else NULL. */
void *fsrv_iov_contiguous(const struct iovec *iov, unsigned n, size_t offset, size_t len);

/* ---- the table's functions, by file */
ssize_t fsrv_op_init(struct fsrv_req *r); /* init.c */
ssize_t fsrv_op_destroy(struct fsrv_req *r);

ssize_t fsrv_op_lookup(struct fsrv_req *r); /* op_node.c */
ssize_t fsrv_op_forget(struct fsrv_req *r);
ssize_t fsrv_op_batch_forget(struct fsrv_req *r);
ssize_t fsrv_op_getattr(struct fsrv_req *r);
ssize_t fsrv_op_setattr(struct fsrv_req *r);
ssize_t fsrv_op_statx(struct fsrv_req *r);
ssize_t fsrv_op_access(struct fsrv_req *r);
ssize_t fsrv_op_readlink(struct fsrv_req *r);
ssize_t fsrv_op_statfs(struct fsrv_req *r);
ssize_t fsrv_op_syncfs(struct fsrv_req *r);
ssize_t fsrv_op_setxattr(struct fsrv_req *r);
ssize_t fsrv_op_getxattr(struct fsrv_req *r);
ssize_t fsrv_op_listxattr(struct fsrv_req *r);
ssize_t fsrv_op_removexattr(struct fsrv_req *r);

ssize_t fsrv_op_symlink(struct fsrv_req *r); /* op_name.c */
ssize_t fsrv_op_mknod(struct fsrv_req *r);
ssize_t fsrv_op_mkdir(struct fsrv_req *r);
ssize_t fsrv_op_unlink(struct fsrv_req *r);
ssize_t fsrv_op_rmdir(struct fsrv_req *r);
ssize_t fsrv_op_rename(struct fsrv_req *r);
ssize_t fsrv_op_rename2(struct fsrv_req *r);
ssize_t fsrv_op_link(struct fsrv_req *r);
int fsrv_check_name(const char *name);

ssize_t fsrv_op_open(struct fsrv_req *r); /* op_file.c */
ssize_t fsrv_op_create(struct fsrv_req *r);
ssize_t fsrv_op_tmpfile(struct fsrv_req *r);
ssize_t fsrv_op_read(struct fsrv_req *r);
ssize_t fsrv_op_write(struct fsrv_req *r);
ssize_t fsrv_op_flush(struct fsrv_req *r);
ssize_t fsrv_op_release(struct fsrv_req *r);
ssize_t fsrv_op_fsync(struct fsrv_req *r);
ssize_t fsrv_op_lseek(struct fsrv_req *r);
ssize_t fsrv_op_fallocate(struct fsrv_req *r);
ssize_t fsrv_op_copy_file_range(struct fsrv_req *r);
ssize_t fsrv_op_opendir(struct fsrv_req *r);
ssize_t fsrv_op_readdir(struct fsrv_req *r);
ssize_t fsrv_op_readdirplus(struct fsrv_req *r);
ssize_t fsrv_op_releasedir(struct fsrv_req *r);
ssize_t fsrv_op_fsyncdir(struct fsrv_req *r);

ssize_t fsrv_op_getlk(struct fsrv_req *r); /* lockwait.c */
ssize_t fsrv_op_setlk(struct fsrv_req *r);
ssize_t fsrv_op_setlkw(struct fsrv_req *r);
ssize_t fsrv_op_interrupt(struct fsrv_req *r);
int fsrv_lockwait_init(struct fsrv_lockwait *w);
void fsrv_lockwait_destroy(struct fsrv_lockwait *w);
/* Answer every waiter with EINTR; none is left, and no deferred call under way, on return. */
void fsrv_lockwait_cancel_all(struct fsrv_lockwait *w);
/* A lock may have been given back: look again. */
void fsrv_lockwait_kick(struct fsrv_lockwait *w);

ssize_t fsrv_op_setupmapping(struct fsrv_req *r); /* op_dax.c */
ssize_t fsrv_op_removemapping(struct fsrv_req *r);

/* ---- trace.c */
void fsrv_trace(const struct fsrv_req *r, const struct fsrv_opcode *op, ssize_t result);

#endif
