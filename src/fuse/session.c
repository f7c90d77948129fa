// SPDX-License-Identifier: Apache-2.0
/*
 * The FUSE session: one request in, at most one reply out.
 *
 *	transport ──segments──▶ fsrv_handle() ─▶ row of the dispatch table ─▶ op_*.c ─▶ struct
 *fsrv_ops ◀──segments── header + body ◀──────────────────────────────────────── file system
 *
 * States: new ──INIT──▶ ready ──DESTROY or fsrv_session_reset()──▶ new. While new, everything but
 * INIT and DESTROY is answered with EIO; a second INIT while ready as well. Going back to new drops
 * nodes, handles, locks, waiting lock requests and DAX mappings.
 *
 * The request may lie in memory its sender can still write. Its head (header, the op's struct,
 * names) is copied once into memory of our own, and only the copy is looked at; the payload of
 * WRITE and the body of READ move between the segments and the file without being looked at.
 * A request's length is the header's, which must not be more than what really came.
 *
 * Locking: none here. The session's fields change only in INIT, DESTROY and reset; the file system
 * has its own locks, so requests run on any number of threads. A request that is in flight while
 * the session is reset finishes on what it holds.
 */
#include "fuse/session.h"

#include "base/cleanup.h"
#include "dax/dax.h"

#include <errno.h>
#include <stdlib.h>

int fsrv_session_new(struct fsrv_fs *fs, const struct fsrv_options *options,
		     struct fsrv_session **ret)
{
	struct fsrv_session *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->fs = fs;
	s->opt = *options;
	r = fsrv_lockwait_init(&s->lockwait);
	if (r < 0) {
		free(s);
		return r;
	}
	*ret = s;
	return 0;
}

void fsrv_session_reset(struct fsrv_session *s)
{
	atomic_store(&s->ready, false);
	fsrv_lockwait_cancel_all(&s->lockwait);
	if (s->opt.window)
		dax_reset(s->opt.window);
	if (s->fs->ops->reset)
		s->fs->ops->reset(s->fs);
}

void fsrv_session_free(struct fsrv_session *s)
{
	if (!s)
		return;
	fsrv_session_reset(s);
	fsrv_lockwait_destroy(&s->lockwait);
	free(s);
}

void fsrv_set_deferred(struct fsrv_session *s, fsrv_deferred_fn fn, void *cookie)
{
	s->lockwait.fn = fn;
	s->lockwait.cookie = cookie;
}

/* What the table says about the request @r, of which nothing but the header was looked at yet. */
static int check(const struct fsrv_req *r, const struct fsrv_opcode *op)
{
	if (!op)
		return -ENOSYS;
	if (!(op->flags & FSRV_ANYTIME) &&
	    !atomic_load_explicit(&r->s->ready, memory_order_acquire))
		return -EIO;
	if (r->out_len - sizeof(r->h) < op->min_in)
		return -EINVAL;
	if (!(op->flags & FSRV_NOREPLY) && r->in_len - sizeof(struct fuse_out_header) < op->min_out)
		return -EINVAL;
	return 0;
}

/* Copy what the op looks at, then run it. */
static ssize_t run(struct fsrv_req *r, const struct fsrv_opcode *op)
{
	_cleanup_free_ void *big = NULL;
	uint8_t head[FSRV_STACK_HEAD];
	size_t len = r->out_len - sizeof(r->h);
	void *copy = head;

	if (op->flags & FSRV_PAYLOAD) {
		len = op->min_in;
	} else if (len > sizeof(head)) {
		if (!(op->flags & FSRV_BIG) || len > FSRV_MAX_HEAD)
			return -EINVAL;
		copy = big = malloc(len);
		if (!big)
			return -ENOMEM;
	}
	fsrv_iov_read(r->out, r->nout, sizeof(r->h), copy, len);
	r->args = rsm_cursor(copy, len);
	return op->fn(r);
}

/* Put header and body, as far as not there yet, into the reply segments. */
static ssize_t reply(struct fsrv_req *r, const struct fsrv_opcode *op, ssize_t result)
{
	size_t body = result > 0 ? (size_t)result : 0, copy = sizeof(r->reply.head);

	if (r->in_len < copy)
		return -EBADMSG;
	if (!op || !(op->flags & FSRV_DIRECT))
		copy += body;
	r->reply.head = (struct fuse_out_header){
		.len = (uint32_t)(sizeof(r->reply.head) + body),
		.error = result < 0 ? (int32_t)result : 0,
		.unique = r->h.unique,
	};
	if (r->in[0].iov_len >= copy)
		memcpy(r->in[0].iov_base, &r->reply, copy);
	else
		fsrv_iov_write(r->in, r->nin, 0, &r->reply, copy);
	return (ssize_t)(sizeof(r->reply.head) + body);
}

ssize_t fsrv_handle(struct fsrv_session *s, const struct iovec *out, unsigned nout,
		    const struct iovec *in, unsigned nin, void *tag)
{
	struct fsrv_req r;
	const struct fsrv_opcode *op;
	ssize_t result;

	r.s = s;
	r.fs = s->fs;
	r.out = out;
	r.nout = nout;
	r.in = in;
	r.nin = nin;
	r.in_len = fsrv_iov_len(in, nin);
	r.tag = tag;
	r.out_len = fsrv_iov_len(out, nout);
	if (r.out_len < sizeof(r.h))
		return -EBADMSG;
	fsrv_iov_read(out, nout, 0, &r.h, sizeof(r.h));
	op = fsrv_opcode(r.h.opcode);
	if (r.in_len < sizeof(struct fuse_out_header) && !(op && (op->flags & FSRV_NOREPLY)))
		return -EBADMSG;

	if (r.h.len < sizeof(r.h) || r.h.len > r.out_len) {
		result = -EINVAL;
	} else {
		r.out_len = r.h.len;
		result = check(&r, op);
		if (result == 0)
			result = run(&r, op);
	}
	if (__builtin_expect(s->opt.trace_fd >= 0, 0))
		fsrv_trace(&r, op, result);
	if (result == -EINPROGRESS)
		return result;
	if (op && (op->flags & FSRV_NOREPLY))
		return 0;
	return reply(&r, op, result);
}
