// SPDX-License-Identifier: Apache-2.0
#include "fuse_ops.h"

#include "base/error.h"
#include "base/loop.h"
#include "base/math.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define HIPRIO_QUEUE  0
#define REQUEST_QUEUE 1
#define TIMEOUT_MS    (-1)

/* ---- building requests */

static struct fc_slot slot_of(struct fc *fc, unsigned i)
{
	uint8_t *at = fc->v.data + (size_t)i * FC_SLOT_BYTES;

	return (struct fc_slot){.fc = fc, .index = (uint16_t)i, .out = at, .in = at + FC_OUT_BYTES};
}

static void *reply_arg(const struct fc_slot *s)
{
	return s->in + sizeof(struct fuse_out_header);
}

/*
 * Put a request into the ring: header and arguments in a segment each, and the same for the reply,
 * as the Linux driver does.
 */
static bool request(struct fc_slot *s, uint32_t opcode, uint64_t node, const void *arg,
		    size_t arg_len, const char *name, const char *name2, uint32_t reply_len)
{
	struct fuse_in_header *h = (struct fuse_in_header *)s->out;
	uint8_t *at = s->out + sizeof(*h);
	struct vuc_seg out[2], in[2];

	memcpy(at, arg, arg_len);
	at += arg_len;
	for (const char *n = name; n; n = n == name ? name2 : NULL) {
		size_t len = strlen(n) + 1;

		memcpy(at, n, len);
		at += len;
	}
	*h = (struct fuse_in_header){
		.len = (uint32_t)(at - s->out),
		.opcode = opcode,
		.unique = ++s->fc->unique,
		.nodeid = node,
		.pid = 1,
	};
	out[0] = (struct vuc_seg){s->out, sizeof(*h)};
	out[1] = (struct vuc_seg){s->out + sizeof(*h), h->len - (uint32_t)sizeof(*h)};
	in[0] = (struct vuc_seg){s->in, sizeof(struct fuse_out_header)};
	in[1] = (struct vuc_seg){reply_arg(s), reply_len};
	vuc_submit(&s->fc->v, REQUEST_QUEUE, s->index, out, out[1].len ? 2 : 1, in,
		   reply_len ? 2 : 1);
	return true;
}

/* Was the reply @len bytes long and without error? Otherwise note the error; the chain ends. */
static bool replied(struct fc_slot *s, size_t len)
{
	struct fuse_out_header h;

	memcpy(&h, s->in, sizeof(h));
	if (!h.error && h.len == s->in_len && h.len >= sizeof(h) + len)
		return true;
	if (!s->fc->error)
		s->fc->error = h.error ? h.error : -EPROTO;
	return false;
}

/* ---- operations */

static void new_name(const struct fc_slot *s, char *buf, size_t size)
{
	snprintf(buf, size, "n%c%u", s->fc->tag, (unsigned)s->seq);
}

static bool lookup(struct fc_slot *s, uint64_t parent, const char *name)
{
	return request(s, FUSE_LOOKUP, parent, NULL, 0, name, NULL, sizeof(struct fuse_entry_out));
}

/* What a request costs that no file system is asked for: POLL, which neither server has. */
static bool op_empty(struct fc_slot *s)
{
	struct fuse_poll_in arg = {0};
	struct fuse_out_header h;

	if (!s->step)
		return request(s, FUSE_POLL, s->fc->node[0], &arg, sizeof(arg), NULL, NULL,
			       sizeof(struct fuse_poll_out));
	memcpy(&h, s->in, sizeof(h));
	if (h.error != -ENOSYS && !s->fc->error)
		s->fc->error = -EPROTO;
	return false;
}

static bool op_lookup(struct fc_slot *s)
{
	char name[16];

	if (s->step)
		return replied(s, sizeof(struct fuse_entry_out)) && false;
	snprintf(name, sizeof(name), "f%u", (unsigned)(s->seq % FC_FILES));
	return lookup(s, s->fc->dir, name);
}

static bool op_getattr(struct fc_slot *s)
{
	struct fuse_getattr_in arg = {0};

	if (s->step)
		return replied(s, sizeof(struct fuse_attr_out)) && false;
	return request(s, FUSE_GETATTR, s->fc->node[s->seq % FC_FILES], &arg, sizeof(arg), NULL,
		       NULL, sizeof(struct fuse_attr_out));
}

static bool send_open(struct fc_slot *s, uint64_t node, uint32_t opcode, uint32_t flags)
{
	struct fuse_open_in arg = {.flags = flags};

	return request(s, opcode, node, &arg, sizeof(arg), NULL, NULL,
		       sizeof(struct fuse_open_out));
}

static bool send_read(struct fc_slot *s, uint64_t node, uint64_t fh, uint32_t opcode,
		      uint64_t offset, uint32_t len)
{
	struct fuse_read_in arg = {.fh = fh, .offset = offset, .size = len};

	return request(s, opcode, node, &arg, sizeof(arg), NULL, NULL, len);
}

static bool send_release(struct fc_slot *s, uint64_t node, uint64_t fh, uint32_t opcode)
{
	struct fuse_release_in arg = {.fh = fh};

	return request(s, opcode, node, &arg, sizeof(arg), NULL, NULL, 0);
}

static uint64_t fh_of(const struct fc_slot *s)
{
	struct fuse_open_out o;

	memcpy(&o, reply_arg(s), sizeof(o));
	return o.fh;
}

static bool op_open_read_release(struct fc_slot *s)
{
	uint64_t node = s->fc->node[s->seq % FC_FILES];

	switch (s->step) {
	case 0:
		return send_open(s, node, FUSE_OPEN, O_RDONLY);
	case 1:
		if (!replied(s, sizeof(struct fuse_open_out)))
			return false;
		s->fh = fh_of(s);
		return send_read(s, node, s->fh, FUSE_READ, 0, 4096);
	case 2:
		(void)replied(s, 4096);
		return send_release(s, node, s->fh, FUSE_RELEASE);
	default:
		return replied(s, 0) && false;
	}
}

static bool op_read(struct fc_slot *s)
{
	if (s->step)
		return replied(s, 4096) && false;
	return send_read(s, s->fc->node[0], s->fc->fh[0], FUSE_READ, s->seq % 16 * 4096, 4096);
}

static int one(struct fc *fc, bool (*next)(struct fc_slot *), uint64_t n)
{
	const struct fc_op op = {.name = "set-up", .next = next};
	uint64_t ns;
	int64_t ret = fc_run(fc, &op, 1, n, 0, &ns);

	return ret < 0 ? (int)ret : 0;
}

static bool open_first(struct fc_slot *s)
{
	if (!s->step)
		return send_open(s, s->fc->node[0], FUSE_OPEN, O_RDONLY);
	if (replied(s, sizeof(struct fuse_open_out)))
		s->fc->fh[0] = fh_of(s);
	return false;
}

static bool release_first(struct fc_slot *s)
{
	if (!s->step)
		return send_release(s, s->fc->node[0], s->fc->fh[0], FUSE_RELEASE);
	return replied(s, 0) && false;
}

static int open_for_read(struct fc *fc)
{
	return one(fc, open_first, 1);
}

static int close_after_read(struct fc *fc)
{
	return one(fc, release_first, 1);
}

static uint64_t node_of(const struct fc_slot *s)
{
	struct fuse_entry_out e;

	memcpy(&e, reply_arg(s), sizeof(e));
	return e.nodeid;
}

/* create: the files stay open until the batch is over, so that only CREATE is timed */
static bool op_create(struct fc_slot *s)
{
	struct fuse_create_in arg = {.flags = O_RDWR | O_CREAT | O_EXCL, .mode = S_IFREG | 0644};
	struct fuse_open_out o;
	char name[16];

	if (s->step) {
		if (replied(s, sizeof(struct fuse_entry_out) + sizeof(o))) {
			s->fc->made[s->seq] = node_of(s);
			memcpy(&o, (char *)reply_arg(s) + sizeof(struct fuse_entry_out), sizeof(o));
			s->fc->fh[s->seq] = o.fh;
		}
		return false;
	}
	new_name(s, name, sizeof(name));
	return request(s, FUSE_CREATE, s->fc->dir, &arg, sizeof(arg), name, NULL,
		       sizeof(struct fuse_entry_out) + sizeof(struct fuse_open_out));
}

/* As the kernel does once a file is gone; otherwise both servers would keep them all. */
static int forget_created(struct fc *fc)
{
	struct fc_slot s = slot_of(fc, 0);
	struct fuse_in_header *h = (struct fuse_in_header *)s.out;
	struct fuse_batch_forget_in *arg = (struct fuse_batch_forget_in *)(h + 1);
	struct fuse_forget_one *list = (struct fuse_forget_one *)(arg + 1);
	struct vuc_seg out = {s.out, 0};
	uint32_t len;

	static_assert(sizeof(*h) + sizeof(*arg) + FC_FILES * sizeof(*list) <= FC_OUT_BYTES, "fits");
	arg->count = FC_FILES;
	for (unsigned i = 0; i < FC_FILES; i++)
		list[i] = (struct fuse_forget_one){.nodeid = fc->made[i], .nlookup = 1};
	out.len = (uint32_t)((uint8_t *)&list[FC_FILES] - s.out);
	*h = (struct fuse_in_header){.len = out.len, .opcode = FUSE_BATCH_FORGET, .unique = 1};
	vuc_submit(&fc->v, HIPRIO_QUEUE, 0, &out, 1, NULL, 0);
	vuc_kick(&fc->v, HIPRIO_QUEUE);
	if (vuc_wait(&fc->v, HIPRIO_QUEUE, TIMEOUT_MS) < 0)
		return -ETIMEDOUT;
	return vuc_reap(&fc->v, HIPRIO_QUEUE, &s.index, &len) == 1 ? 0 : -EPROTO;
}

static bool release_created(struct fc_slot *s)
{
	/* any node will do: a handle is known by itself */
	if (!s->step)
		return send_release(s, s->fc->node[0], s->fc->fh[s->seq], FUSE_RELEASE);
	return replied(s, 0) && false;
}

static bool op_unlink(struct fc_slot *s)
{
	char name[16];

	if (s->step)
		return replied(s, 0) && false;
	new_name(s, name, sizeof(name));
	return request(s, FUSE_UNLINK, s->fc->dir, NULL, 0, name, NULL, 0);
}

static int make_files(struct fc *fc)
{
	int ret = one(fc, op_create, FC_FILES);

	return ret < 0 ? ret : one(fc, release_created, FC_FILES);
}

static int release_and_unlink(struct fc *fc)
{
	int ret = one(fc, release_created, FC_FILES);

	if (ret == 0)
		ret = one(fc, op_unlink, FC_FILES);
	return ret < 0 ? ret : forget_created(fc);
}

static bool op_rename(struct fc_slot *s)
{
	struct fuse_rename_in arg = {.newdir = s->fc->dir};
	char from[16], to[16];

	if (s->step) {
		s->fc->renames++;
		return replied(s, 0) && false;
	}
	snprintf(from, sizeof(from), "r%c%u", s->fc->tag, (unsigned)(s->fc->renames % 2));
	snprintf(to, sizeof(to), "r%c%u", s->fc->tag, (unsigned)(s->fc->renames + 1) % 2);
	return request(s, FUSE_RENAME, s->fc->dir, &arg, sizeof(arg), from, to, 0);
}

/* Where the next READDIRPLUS goes on after the entries of this reply. */
static uint64_t last_offset(const struct fc_slot *s)
{
	const uint8_t *at = reply_arg(s);
	size_t left = s->in_len - sizeof(struct fuse_out_header), size;
	uint64_t offset = s->offset;

	for (; left >= sizeof(struct fuse_direntplus); left -= size, at += size) {
		const struct fuse_direntplus *e = (const void *)at;

		size = FUSE_DIRENTPLUS_SIZE(e);
		if (size > left)
			break;
		offset = e->dirent.off;
	}
	return offset;
}

/* readdirplus: a directory of a hundred files from open to end, the way ls -l reads it */
static bool op_readdirplus(struct fc_slot *s)
{
	uint64_t big = s->fc->big;

	if (s->step == 0) {
		s->offset = 0;
		s->last = false;
		return send_open(s, big, FUSE_OPENDIR, O_RDONLY | O_DIRECTORY);
	}
	if (s->last)
		return replied(s, 0) && false;
	if (s->step == 1) {
		if (!replied(s, sizeof(struct fuse_open_out)))
			return false;
		s->fh = fh_of(s);
	} else if (!replied(s, 0) || s->in_len == sizeof(struct fuse_out_header)) {
		s->last = true;
		return send_release(s, big, s->fh, FUSE_RELEASEDIR);
	} else {
		s->offset = last_offset(s);
	}
	return send_read(s, big, s->fh, FUSE_READDIRPLUS, s->offset, 32768);
}

const struct fc_op fc_ops[] = {
	{.name = "(empty)", .next = op_empty},
	{.name = "lookup", .next = op_lookup},
	{.name = "getattr", .next = op_getattr},
	{.name = "open+read+release", .next = op_open_read_release},
	{.name = "read 4K", .next = op_read, .prepare = open_for_read, .cleanup = close_after_read},
	{.name = "create", .next = op_create, .batch = FC_FILES, .cleanup = release_and_unlink},
	{.name = "unlink",
	 .next = op_unlink,
	 .batch = FC_FILES,
	 .prepare = make_files,
	 .cleanup = forget_created},
	{.name = "readdirplus", .next = op_readdirplus},
	{.name = "rename", .next = op_rename},
};
const unsigned fc_nops = RSM_ARRAY_SIZE(fc_ops);

/* ---- running */

int64_t fc_run(struct fc *fc, const struct fc_op *op, unsigned depth, uint64_t chains, uint64_t ns,
	       uint64_t *ret_ns)
{
	struct fc_slot slots[FC_DEPTH_MAX];
	uint64_t begun = 0, done = 0, begin = rsm_now_ns();
	unsigned flying = 0;

	rsm_assert(depth && depth <= FC_DEPTH_MAX);
	fc->error = 0;
	for (unsigned i = 0; i < depth && (!chains || begun < chains); i++) {
		slots[i] = slot_of(fc, i);
		slots[i].seq = begun++;
		flying += op->next(&slots[i]);
	}
	vuc_kick(&fc->v, REQUEST_QUEUE);
	while (flying) {
		uint16_t i;
		uint32_t len;

		if (vuc_wait(&fc->v, REQUEST_QUEUE, TIMEOUT_MS) < 0)
			return -ETIMEDOUT;
		while (vuc_reap(&fc->v, REQUEST_QUEUE, &i, &len)) {
			rsm_assert(i < depth);
			slots[i].in_len = len;
			slots[i].step++;
			if (op->next(&slots[i]))
				continue;
			done++;
			if (fc->error || (chains ? begun == chains : rsm_now_ns() - begin >= ns)) {
				flying--;
				continue;
			}
			slots[i].seq = begun++;
			slots[i].step = 0;
			(void)op->next(&slots[i]);
		}
		vuc_kick(&fc->v, REQUEST_QUEUE);
	}
	*ret_ns = rsm_now_ns() - begin;
	return fc->error ? fc->error : (int64_t)done;
}

/* ---- session */

static bool op_init(struct fc_slot *s)
{
	struct fuse_init_in arg = {
		.major = FUSE_KERNEL_VERSION,
		.minor = 36,
		.max_readahead = 128 << 10,
		/* what Linux 6.1 offers to virtio-fs, as far as a server's work depends on it */
		.flags = FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_DO_READDIRPLUS |
			 FUSE_READDIRPLUS_AUTO | FUSE_ASYNC_DIO | FUSE_PARALLEL_DIROPS |
			 FUSE_AUTO_INVAL_DATA | FUSE_ATOMIC_O_TRUNC | FUSE_MAX_PAGES |
			 FUSE_SUBMOUNTS | FUSE_EXPORT_SUPPORT,
	};

	if (s->step)
		return replied(s, FUSE_COMPAT_22_INIT_OUT_SIZE) && false;
	return request(s, FUSE_INIT, 0, &arg, sizeof(arg), NULL, NULL,
		       sizeof(struct fuse_init_out));
}

static bool find_dir(struct fc_slot *s)
{
	if (!s->step)
		return lookup(s, FUSE_ROOT_ID, "dir");
	if (replied(s, sizeof(struct fuse_entry_out)))
		s->fc->dir = node_of(s);
	return false;
}

static bool find_big(struct fc_slot *s)
{
	if (!s->step)
		return lookup(s, FUSE_ROOT_ID, "big");
	if (replied(s, sizeof(struct fuse_entry_out)))
		s->fc->big = node_of(s);
	return false;
}

static bool find_file(struct fc_slot *s)
{
	if (!s->step)
		return op_lookup(s);
	if (replied(s, sizeof(struct fuse_entry_out)))
		s->fc->node[s->seq % FC_FILES] = node_of(s);
	return false;
}

/* QEMU's virtiofsd renames only what was looked up; the kernel always has. */
static bool find_renamed(struct fc_slot *s)
{
	char name[16];

	if (s->step)
		return replied(s, sizeof(struct fuse_entry_out)) && false;
	snprintf(name, sizeof(name), "r%c0", s->fc->tag);
	return lookup(s, s->fc->dir, name);
}

int fc_open(const char *socket_path, char tag, struct fc *fc)
{
	int ret;

	memset(fc, 0, sizeof(*fc));
	fc->tag = tag;
	ret = vuc_connect(socket_path, 4U << 20, &fc->v);
	if (ret < 0)
		return ret;
	ret = vuc_start(&fc->v, 2,
			1ULL << VIRTIO_RING_F_EVENT_IDX | 1ULL << VIRTIO_RING_F_INDIRECT_DESC);
	if (ret == 0)
		ret = one(fc, op_init, 1);
	if (ret == 0)
		ret = one(fc, find_dir, 1);
	if (ret == 0)
		ret = one(fc, find_big, 1);
	if (ret == 0)
		ret = one(fc, find_file, FC_FILES);
	if (ret == 0)
		ret = one(fc, find_renamed, 1);
	if (ret < 0)
		vuc_close(&fc->v);
	return ret;
}

void fc_close(struct fc *fc)
{
	vuc_close(&fc->v);
}
