// SPDX-License-Identifier: Apache-2.0
/* SETUPMAPPING and REMOVEMAPPING: from handles to fds, then src/dax. ENOSYS without a window. */
#include "fuse/session.h"

#include "base/cleanup.h"
#include "dax/dax.h"

#include <errno.h>

ssize_t fsrv_op_setupmapping(struct fsrv_req *r)
{
	struct fuse_setupmapping_in in;
	unsigned prot = 0;
	_cleanup_close_ int fd = -1;

	FSRV_GET(r, &in);
	if (!r->s->opt.window)
		return -ENOSYS;
	FSRV_NEED(r, dax_fd);
	if (in.flags & FUSE_SETUPMAPPING_FLAG_READ)
		prot |= DAX_READ;
	if (in.flags & FUSE_SETUPMAPPING_FLAG_WRITE)
		prot |= DAX_WRITE;
	if (!prot || in.foffset > INT64_MAX)
		return -EINVAL;
	fd = r->fs->ops->dax_fd(r->fs, r->h.nodeid, in.fh, in.flags);
	if (fd < 0)
		return fd;
	return dax_map(r->s->opt.window, in.moffset, in.len, fd, in.foffset, prot);
}

/* Every entry is tried; the first error is the answer. */
ssize_t fsrv_op_removemapping(struct fsrv_req *r)
{
	size_t at = sizeof(r->h) + sizeof(struct fuse_removemapping_in);
	struct fuse_removemapping_in in;
	struct fuse_removemapping_one one;
	int first = 0, e;

	FSRV_GET(r, &in);
	if (!r->s->opt.window)
		return -ENOSYS;
	if (in.count > (r->out_len - at) / sizeof(one))
		return -EINVAL;
	for (uint32_t i = 0; i < in.count; i++, at += sizeof(one)) {
		fsrv_iov_read(r->out, r->nout, at, &one, sizeof(one));
		e = dax_unmap(r->s->opt.window, one.moffset, one.len);
		if (e < 0 && first == 0)
			first = e;
	}
	return first;
}
