// SPDX-License-Identifier: Apache-2.0
/* One line per request: what came, what the answer was. Only reached when a trace was asked for. */
#include "fuse/session.h"

#include "base/io.h"

#include <inttypes.h>
#include <stdio.h>

/* The first string of a request's arguments, or "" where there is none to show. */
static void name_of(const struct fsrv_req *r, const struct fsrv_opcode *op, char *buf, size_t size)
{
	size_t at = sizeof(r->h), n;

	buf[0] = '\0';
	switch (r->h.opcode) {
	case FUSE_LOOKUP:
	case FUSE_UNLINK:
	case FUSE_RMDIR:
	case FUSE_SYMLINK:
	case FUSE_REMOVEXATTR:
		break;
	case FUSE_MKNOD:
	case FUSE_MKDIR:
	case FUSE_LINK:
	case FUSE_CREATE:
	case FUSE_GETXATTR:
		at += op->min_in - 1U;
		break;
	case FUSE_RENAME:
	case FUSE_RENAME2:
		at += op->min_in - 2U;
		break;
	default:
		return;
	}
	if (at >= r->out_len)
		return;
	n = fsrv_iov_read(r->out, r->nout, at, buf, size - 1);
	buf[n] = '\0';
	for (char *p = buf; *p; p++)
		if (*p < ' ' || *p > '~')
			*p = '?'; /* the guest's bytes, perhaps on somebody's terminal */
}

void fsrv_trace(const struct fsrv_req *r, const struct fsrv_opcode *op, ssize_t result)
{
	char name[128], line[320];
	int n;

	name_of(r, op, name, sizeof(name));
	n = snprintf(line, sizeof(line),
		     "fuse %" PRIu64 " %s(%" PRIu32 ") node=%" PRIx64 " uid=%" PRIu32
		     " pid=%" PRIu32 " len=%zu%s%s%s = %zd\n",
		     (uint64_t)r->h.unique, op ? op->name : "?", r->h.opcode, (uint64_t)r->h.nodeid,
		     r->h.uid, r->h.pid, r->out_len, name[0] ? " \"" : "", name,
		     name[0] ? "\"" : "", result);
	if (n > 0)
		(void)rsm_write_full(r->s->opt.trace_fd, line,
				     (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
}
