/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A FUSE client for tests: each request goes to fsrv_handle() from heap blocks of exactly its size,
 * cut into segments as asked, and the reply into such blocks, so that a sanitizer sees any byte too
 * far.
 */
#ifndef TESTS_UNIT_FUSE_CLIENT_H
#define TESTS_UNIT_FUSE_CLIENT_H

#include "fuse/fs.h"

#include "cmocka_all.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FC_BODY_MAX (2U << 20)

/**
 * struct fuse_client - One client and its session
 * @room:	bytes of reply body the next requests offer
 * @cut:	segment size for requests and replies; 0: one segment each
 * @raw:	what fsrv_handle() returned
 * @error, @body, @len: of the last reply
 * @tag:	passed on
 */
struct fuse_client {
	struct fsrv_fs *fs;
	struct fsrv_session *s;
	uint64_t unique;
	uint32_t uid, gid;
	size_t room;
	size_t cut;
	ssize_t raw;
	int error;
	uint8_t *body;
	size_t len;
	void *tag;
};

/* A session on @fs (freed by fc_stop()), with INIT done. */
void fc_start(struct fuse_client *c, struct fsrv_fs *fs, const struct fsrv_options *options);
void fc_stop(struct fuse_client *c);

/* INIT with these flags; Return: error of the reply */
int fc_init(struct fuse_client *c, uint32_t major, uint32_t minor, uint64_t flags);

/* Send bytes as they are. Return: what fsrv_handle() returned */
ssize_t fc_raw(struct fuse_client *c, const void *request, size_t len, size_t room_with_header);

/* A request of a header and @n parts. Return: the reply's error (0 or -errno); 0 without reply */
struct fc_part {
	const void *p;
	size_t len;
};
int fc_parts(struct fuse_client *c, uint32_t op, uint64_t node, const struct fc_part *parts,
	     unsigned n);
#define FC_S(s) ((struct fc_part){(s), strlen(s) + 1})
#define FC_V(v) ((struct fc_part){&(v), sizeof(v)})
#define fc_call(c, op, node, ...)                                                                  \
	fc_parts(c, op, node, (const struct fc_part[]){__VA_ARGS__},                               \
		 sizeof((const struct fc_part[]){__VA_ARGS__}) / sizeof(struct fc_part))

/* The reply's body as a struct; it must have that very size. */
#define fc_body(c, type)                                                                           \
	({                                                                                         \
		assert_int_equal((c)->len, sizeof(type));                                          \
		(const type *)(c)->body;                                                           \
	})

/* ---- the usual requests; Return: the reply's error */
int fc_lookup(struct fuse_client *c, uint64_t parent, const char *name, uint64_t *ret);
int fc_mkdir(struct fuse_client *c, uint64_t parent, const char *name, uint64_t *ret);
int fc_create(struct fuse_client *c, uint64_t parent, const char *name, uint32_t flags,
	      uint32_t mode, uint64_t *ret, uint64_t *ret_fh);
int fc_open(struct fuse_client *c, uint64_t node, uint32_t flags, uint64_t *ret_fh);
int fc_opendir(struct fuse_client *c, uint64_t node, uint64_t *ret_fh);
int fc_read(struct fuse_client *c, uint64_t node, uint64_t fh, uint64_t offset, uint32_t size);
int fc_write(struct fuse_client *c, uint64_t node, uint64_t fh, uint64_t offset, const char *text);
int fc_getattr(struct fuse_client *c, uint64_t node, struct fuse_attr *ret);
int fc_setlk(struct fuse_client *c, uint32_t op, uint64_t node, uint64_t fh, uint64_t owner,
	     uint32_t type, uint32_t flags);
int fc_release(struct fuse_client *c, uint64_t node, uint64_t fh, bool dir);
void fc_forget(struct fuse_client *c, uint64_t node, uint64_t n);

/**
 * fc_readdir() - One READDIR
 * @names:	the entries but "." and "..", separated by blanks
 * @ret_last:	offset behind the last of them; may be NULL
 * Return: entries seen, or -errno
 */
int fc_readdir(struct fuse_client *c, uint64_t node, uint64_t fh, uint64_t offset, uint32_t size,
	       char *names, uint64_t *ret_last);

#endif
