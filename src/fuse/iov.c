// SPDX-License-Identifier: Apache-2.0
/* Bounded access to the segments of a request and its reply, and the directory entry writer. */
#include "fuse/session.h"

#include "base/math.h"

size_t fsrv_iov_len(const struct iovec *iov, unsigned n)
{
	size_t len = 0;

	/* saturates: a length that wraps around would be believed */
	for (unsigned i = 0; i < n; i++)
		if (!rsm_add(len, iov[i].iov_len, &len))
			return SIZE_MAX;
	return len;
}

/* First segment that has a byte at @offset; *@offset becomes relative to it. */
static unsigned seek(const struct iovec *iov, unsigned n, size_t *offset)
{
	unsigned i = 0;

	while (i < n && *offset >= iov[i].iov_len)
		*offset -= iov[i++].iov_len;
	return i;
}

size_t fsrv_iov_read(const struct iovec *iov, unsigned n, size_t offset, void *dst, size_t len)
{
	size_t done = 0;

	for (unsigned i = seek(iov, n, &offset); i < n && done < len; i++, offset = 0) {
		size_t part = rsm_min(iov[i].iov_len - offset, len - done);

		memcpy((uint8_t *)dst + done, (const uint8_t *)iov[i].iov_base + offset, part);
		done += part;
	}
	return done;
}

size_t fsrv_iov_write(const struct iovec *iov, unsigned n, size_t offset, const void *src,
		      size_t len)
{
	size_t done = 0;

	for (unsigned i = seek(iov, n, &offset); i < n && done < len; i++, offset = 0) {
		size_t part = rsm_min(iov[i].iov_len - offset, len - done);

		memcpy((uint8_t *)iov[i].iov_base + offset, (const uint8_t *)src + done, part);
		done += part;
	}
	return done;
}

unsigned fsrv_iov_slice(const struct iovec *iov, unsigned n, size_t offset, size_t len,
			struct iovec *dst)
{
	unsigned k = 0;

	for (unsigned i = seek(iov, n, &offset); i < n && len && k < FSRV_SEGS_MAX;
	     i++, offset = 0) {
		size_t part = rsm_min(iov[i].iov_len - offset, len);

		if (!part)
			continue;
		dst[k].iov_base = (uint8_t *)iov[i].iov_base + offset;
		dst[k++].iov_len = part;
		len -= part;
	}
	return k;
}

void *fsrv_iov_contiguous(const struct iovec *iov, unsigned n, size_t offset, size_t len)
{
	unsigned i = seek(iov, n, &offset);

	if (i == n || iov[i].iov_len - offset < len)
		return NULL;
	return (uint8_t *)iov[i].iov_base + offset;
}

/* Append to the segments, going on where the last call stopped. */
static void put(struct fsrv_dirbuf *b, const void *src, size_t len)
{
	const uint8_t *p = src;

	while (len && b->n) {
		size_t part = rsm_min(b->iov->iov_len - b->seg_off, len);

		memcpy((uint8_t *)b->iov->iov_base + b->seg_off, p, part);
		p += part;
		len -= part;
		b->pos += part;
		b->seg_off += part;
		if (b->seg_off == b->iov->iov_len) {
			b->iov++;
			b->n--;
			b->seg_off = 0;
		}
	}
}

void fsrv_dirbuf_add(struct fsrv_dirbuf *b, const char *name, size_t namelen, uint64_t ino,
		     uint32_t type, uint64_t off, const struct fuse_entry_out *entry)
{
	static const struct fuse_entry_out none;
	static const uint8_t zeros[8];
	struct fuse_dirent d = {.ino = ino, .off = off, .namelen = (uint32_t)namelen, .type = type};

	if (b->plus)
		put(b, entry ? entry : &none, sizeof(*entry));
	put(b, &d, FUSE_NAME_OFFSET);
	put(b, name, namelen);
	put(b, zeros, FUSE_REC_ALIGN(namelen) - namelen);
}
