/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FUSE requests as a Linux guest sends them, over a vhost-user client: what the benchmark times.
 *
 * An operation is a chain of one or more requests, each made from the reply to the one before; a
 * run keeps @depth chains going at once.
 */
#ifndef BENCH_FUSE_OPS_H
#define BENCH_FUSE_OPS_H

#include "vu_client.h"

#include <linux/fuse.h>

#define FC_DEPTH_MAX  16
#define FC_OUT_BYTES  8192U
#define FC_IN_BYTES   (128U << 10)
#define FC_SLOT_BYTES (FC_OUT_BYTES + FC_IN_BYTES)
#define FC_FILES      256 /* files f0 … in the test directory, and as many that come and go */

/**
 * struct fc - A FUSE client
 * @dir:	node of the directory the operations work in; @big of the directory to list
 * @node, @fh:	of the files f0 …; @fh also of those that "create" makes, @made their nodes
 * @tag:	tells this client's files from another's in the same directory
 * @renames:	so far; says which of the two names the renamed file has
 * @error:	first errno a reply carried that was not expected
 */
struct fc {
	struct vuc v;
	uint64_t unique;
	uint64_t dir, big;
	uint64_t node[FC_FILES];
	uint64_t fh[FC_FILES];
	uint64_t made[FC_FILES];
	char tag;
	uint64_t renames;
	int error;
};

/**
 * struct fc_slot - One chain in flight
 * @seq:	which chain of the run this is, from 0
 * @step:	which request of the chain
 */
struct fc_slot {
	struct fc *fc;
	uint16_t index;
	uint64_t seq;
	unsigned step;
	uint64_t fh, offset;
	bool last; /* the directory's end was seen */
	uint8_t *out, *in;
	uint32_t in_len; /* of the reply, fuse_out_header included */
};

/**
 * struct fc_op - One thing to time
 * @name:	as printed
 * @next:	put the chain's next request into the slot with fc_request(), or say that the chain
 *is done; called with step 0 first
 * @batch:	most chains in a run, 0 for no limit; @prepare and @cleanup go round each run,
 *untimed
 */
struct fc_op {
	const char *name;
	bool (*next)(struct fc_slot *s);
	unsigned batch;
	int (*prepare)(struct fc *fc);
	int (*cleanup)(struct fc *fc);
};

extern const struct fc_op fc_ops[];
extern const unsigned fc_nops;

/* Connect, INIT, look up what the benchmark's make_tree() made. */
int fc_open(const char *socket_path, char tag, struct fc *fc);
void fc_close(struct fc *fc);

/**
 * fc_run() - Run chains of @op, @depth at a time
 * @chains:	how many; or until @ns have passed if that is 0
 * @ret_ns:	time taken
 * Return: chains finished, or -errno
 */
int64_t fc_run(struct fc *fc, const struct fc_op *op, unsigned depth, uint64_t chains, uint64_t ns,
	       uint64_t *ret_ns);

#endif
