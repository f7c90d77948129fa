// SPDX-License-Identifier: Apache-2.0
#include "fuse_client.h"

#include "base/math.h"

#define SEGS_MAX 8192

/* Cut @len bytes into heap blocks of their own. */
static unsigned cut(const uint8_t *from, size_t len, size_t piece, struct iovec *iov)
{
	unsigned n = 0;

	if (!piece || piece > len)
		piece = len;
	for (size_t at = 0; at < len || n == 0; at += piece) {
		size_t part = rsm_min(piece, len - at);

		assert_true(n < SEGS_MAX);
		iov[n].iov_base = malloc(part ? part : 1);
		iov[n].iov_len = part;
		if (from && part)
			memcpy(iov[n].iov_base, from + at, part);
		n++;
		if (!piece)
			break;
	}
	return n;
}

ssize_t fc_raw(struct fuse_client *c, const void *request, size_t len, size_t room)
{
	static struct iovec out[SEGS_MAX], in[SEGS_MAX];
	unsigned nout = cut(request, len, c->cut, out), nin = cut(NULL, room, c->cut, in);
	struct fuse_out_header h;
	size_t at = 0;
	uint8_t *all;

	c->raw = fsrv_handle(c->s, out, nout, in, nin, c->tag);
	c->len = 0;
	if (c->raw > 0) {
		assert_true((size_t)c->raw <= room);
		all = malloc((size_t)c->raw);
		for (unsigned i = 0; i < nin && at < (size_t)c->raw; i++) {
			size_t part = rsm_min(in[i].iov_len, (size_t)c->raw - at);

			memcpy(all + at, in[i].iov_base, part);
			at += part;
		}
		memcpy(&h, all, sizeof(h));
		assert_int_equal(h.len, c->raw);
		c->error = h.error;
		c->len = (size_t)c->raw - sizeof(h);
		memcpy(c->body, all + sizeof(h), c->len);
		free(all);
	}
	for (unsigned i = 0; i < nout; i++)
		free(out[i].iov_base);
	for (unsigned i = 0; i < nin; i++)
		free(in[i].iov_base);
	return c->raw;
}

int fc_parts(struct fuse_client *c, uint32_t op, uint64_t node, const struct fc_part *parts,
	     unsigned n)
{
	struct fuse_in_header h = {.opcode = op,
				   .unique = ++c->unique,
				   .nodeid = node,
				   .uid = c->uid,
				   .gid = c->gid,
				   .pid = 1};
	size_t len = sizeof(h);
	uint8_t *all;
	ssize_t r;

	for (unsigned i = 0; i < n; i++)
		len += parts[i].len;
	h.len = (uint32_t)len;
	all = malloc(len);
	memcpy(all, &h, sizeof(h));
	len = sizeof(h);
	for (unsigned i = 0; i < n; i++) {
		if (parts[i].len)
			memcpy(all + len, parts[i].p, parts[i].len);
		len += parts[i].len;
	}
	r = fc_raw(c, all, len, sizeof(struct fuse_out_header) + c->room);
	free(all);
	return r <= 0 ? (int)r : c->error;
}

void fc_start(struct fuse_client *c, struct fsrv_fs *fs, const struct fsrv_options *options)
{
	const struct fsrv_options plain = {.cache = FSRV_CACHE_AUTO, .trace_fd = -1};

	*c = (struct fuse_client){.fs = fs,
				  .room = 65536,
				  .body = malloc(FC_BODY_MAX),
				  .uid = getuid(),
				  .gid = getgid()};
	assert_int_equal(fsrv_session_new(fs, options ? options : &plain, &c->s), 0);
	assert_int_equal(fc_init(c, 7, 38, UINT64_MAX), 0);
}

void fc_stop(struct fuse_client *c)
{
	fsrv_session_free(c->s);
	fsrv_fs_free(c->fs);
	free(c->body);
}

int fc_init(struct fuse_client *c, uint32_t major, uint32_t minor, uint64_t flags)
{
	const struct fuse_init_in in = {.major = major,
					.minor = minor,
					.max_readahead = 1 << 17,
					.flags = (uint32_t)flags,
					.flags2 = (uint32_t)(flags >> 32)};

	return fc_call(c, FUSE_INIT, 0, FC_V(in));
}

static int entry(struct fuse_client *c, int r, uint64_t *ret)
{
	*ret = r == 0 ? ((const struct fuse_entry_out *)c->body)->nodeid : 0;
	return r;
}

int fc_lookup(struct fuse_client *c, uint64_t parent, const char *name, uint64_t *ret)
{
	return entry(c, fc_call(c, FUSE_LOOKUP, parent, FC_S(name)), ret);
}

int fc_mkdir(struct fuse_client *c, uint64_t parent, const char *name, uint64_t *ret)
{
	const struct fuse_mkdir_in in = {.mode = 0755};

	return entry(c, fc_call(c, FUSE_MKDIR, parent, FC_V(in), FC_S(name)), ret);
}

int fc_create(struct fuse_client *c, uint64_t parent, const char *name, uint32_t flags,
	      uint32_t mode, uint64_t *ret, uint64_t *ret_fh)
{
	const struct fuse_create_in in = {.flags = flags, .mode = mode};
	int r = entry(c, fc_call(c, FUSE_CREATE, parent, FC_V(in), FC_S(name)), ret);
	const struct fuse_entry_out *e = (const void *)c->body;

	*ret_fh = r == 0 ? ((const struct fuse_open_out *)(e + 1))->fh : 0;
	return r;
}

static int open_op(struct fuse_client *c, uint32_t op, uint64_t node, uint32_t flags, uint64_t *ret)
{
	const struct fuse_open_in in = {.flags = flags};
	int r = fc_call(c, op, node, FC_V(in));

	*ret = r == 0 ? ((const struct fuse_open_out *)c->body)->fh : 0;
	return r;
}

int fc_open(struct fuse_client *c, uint64_t node, uint32_t flags, uint64_t *ret_fh)
{
	return open_op(c, FUSE_OPEN, node, flags, ret_fh);
}

int fc_opendir(struct fuse_client *c, uint64_t node, uint64_t *ret_fh)
{
	return open_op(c, FUSE_OPENDIR, node, 0, ret_fh);
}

int fc_read(struct fuse_client *c, uint64_t node, uint64_t fh, uint64_t offset, uint32_t size)
{
	const struct fuse_read_in in = {.fh = fh, .offset = offset, .size = size};

	return fc_call(c, FUSE_READ, node, FC_V(in));
}

int fc_write(struct fuse_client *c, uint64_t node, uint64_t fh, uint64_t offset, const char *text)
{
	const struct fuse_write_in in = {
		.fh = fh, .offset = offset, .size = (uint32_t)strlen(text)};

	return fc_call(c, FUSE_WRITE, node, FC_V(in), {text, strlen(text)});
}

int fc_getattr(struct fuse_client *c, uint64_t node, struct fuse_attr *ret)
{
	const struct fuse_getattr_in in = {0};
	int r = fc_call(c, FUSE_GETATTR, node, FC_V(in));

	if (r == 0)
		*ret = fc_body(c, struct fuse_attr_out)->attr;
	return r;
}

int fc_setlk(struct fuse_client *c, uint32_t op, uint64_t node, uint64_t fh, uint64_t owner,
	     uint32_t type, uint32_t flags)
{
	const struct fuse_lk_in in = {.fh = fh,
				      .owner = owner,
				      .lk_flags = flags,
				      .lk = {.end = INT64_MAX, .type = type, .pid = 1000 + (uint32_t)owner}};

	return fc_call(c, op, node, FC_V(in));
}

int fc_release(struct fuse_client *c, uint64_t node, uint64_t fh, bool dir)
{
	const struct fuse_release_in in = {.fh = fh};

	return fc_call(c, dir ? FUSE_RELEASEDIR : FUSE_RELEASE, node, FC_V(in));
}

void fc_forget(struct fuse_client *c, uint64_t node, uint64_t n)
{
	const struct fuse_forget_in in = {.nlookup = n};

	assert_int_equal(fc_call(c, FUSE_FORGET, node, FC_V(in)), 0);
	assert_int_equal(c->raw, 0);
}

int fc_readdir(struct fuse_client *c, uint64_t node, uint64_t fh, uint64_t offset, uint32_t size,
	       char *names, uint64_t *ret_last)
{
	const struct fuse_read_in in = {.fh = fh, .offset = offset, .size = size};
	int r = fc_call(c, FUSE_READDIR, node, FC_V(in)), n = 0;
	const struct fuse_dirent *d;

	*names = '\0';
	if (r < 0)
		return r;
	for (size_t at = 0; at < c->len; at += FUSE_DIRENT_SIZE(d), n++) {
		d = (const void *)(c->body + at);
		assert_true(at + FUSE_DIRENT_SIZE(d) <= c->len);
		if (ret_last)
			*ret_last = d->off;
		if (d->name[0] == '.' && d->namelen <= 2)
			continue;
		if (*names)
			strcat(names, " ");
		strncat(names, d->name, d->namelen);
	}
	return n;
}
