/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the in-memory file system; its theory of operation is in memfs.c. */
#ifndef RSM_FUSE_MEMFS_H
#define RSM_FUSE_MEMFS_H

#include "base/math.h"
#include "fuse/fs.h"
#include "fuse/slots.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#define MEM_FILE_MAX   (256U << 10) /* bytes of one file */
#define MEM_NODES_MAX  4096U
#define MEM_OPEN_MAX   4096U
#define MEM_XATTRS_MAX 32U
#define MEM_LOCKS_MAX  64U

struct mem_node;

struct mem_entry {
	struct mem_entry *next;
	struct mem_node *node;
	uint64_t offset;
	char name[];
};

struct mem_xattr {
	struct mem_xattr *next;
	size_t size;
	void *value; /* behind the name */
	char name[];
};

struct mem_lock {
	struct mem_lock *next;
	uint64_t owner;
	bool flock;
	struct fuse_file_lock lk;
};

/**
 * struct mem_node - A file of any kind
 * @attr:	as the client sees it, but for blocks
 * @data:	MEM_FILE_MAX bytes at most, @room allocated; a symlink's target with its NUL
 * @entries:	of a directory, by growing offset
 */
struct mem_node {
	uint64_t nodeid;
	struct fuse_attr attr;
	uint64_t nlookup;
	uint32_t handles;
	char *data;
	size_t room;
	struct mem_node *parent; /* of a directory */
	struct mem_entry *entries;
	uint64_t last_offset;
	struct mem_xattr *xattrs;
	struct mem_lock *locks;
};

struct mem_handle {
	struct mem_node *node;
	uint64_t fh;
	int accmode;
};

struct mem {
	struct fsrv_fs fs;
	struct fsrv_ops ops;
	pthread_mutex_t lock;
	struct fsrv_slots nodes, handles;
	struct mem_node *root;
	uint32_t nnodes, nhandles;
	uint64_t last_ino;
};

static inline struct mem *mem_enter(struct fsrv_fs *fs)
{
	struct mem *m = rsm_container_of(fs, struct mem, fs);

	pthread_mutex_lock(&m->lock);
	return m;
}

static inline int mem_leave(struct mem *m, int r)
{
	pthread_mutex_unlock(&m->lock);
	return r;
}

struct mem_node *mem_node(struct mem *m, uint64_t nodeid);
/* A directory that has not been removed. */
struct mem_node *mem_dir(struct mem *m, uint64_t nodeid, int *ret_error);
struct mem_entry *mem_find(const struct mem_node *dir, const char *name);
int mem_new_node(struct mem *m, uint32_t mode, const struct fuse_in_header *who,
		 struct mem_node **ret);
int mem_make(struct mem *m, const struct fuse_in_header *who, const char *name, uint32_t mode,
	     struct mem_node **ret);
void mem_maybe_free(struct mem *m, struct mem_node *n);
void mem_changed(struct mem_node *n);
void mem_fill_attr(const struct mem_node *n, struct fuse_attr *a);
/* Counts a lookup. */
void mem_fill_entry(struct mem_node *n, struct fuse_entry_out *out);

/* ---- memfs_node.c: attributes, data, extended attributes, locks */
void mem_node_ops(struct fsrv_ops *ops);
int mem_open_node(struct mem *m, struct mem_node *n, int accmode, uint64_t *ret_fh);
int mem_close(struct mem *m, uint64_t fh, bool dir);

#endif
