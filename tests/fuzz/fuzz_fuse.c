// SPDX-License-Identifier: Apache-2.0
/*
 * A hostile FUSE client: a sequence of requests to a session over the in-memory file system or, if
 * bit 0 of the first byte says so, over a passthrough of a temporary directory, beside which lies
 * something that nobody may touch.
 *
 * The input is flags, then requests {opcode, node, handle, cut, room u16, length u16, arguments}.
 * Node and handle pick one that an earlier reply gave, or a strange value; the handle replaces the
 * first eight bytes of the arguments if its top bit is set. Segments are heap blocks of their exact
 * size.
 */
#include "base/cleanup.h"
#include "base/io.h"
#include "base/math.h"
#include "fuse/fs.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define KNOWN_MAX    64
#define REQUESTS_MAX 256
#define ROOM_MAX     4096U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct client {
	struct fsrv_session *s;
	uint64_t nodes[KNOWN_MAX], handles[KNOWN_MAX];
	unsigned nnodes, nhandles;
	uint64_t unique;
};

struct wire {
	uint8_t opcode, node, handle, cut;
	uint16_t room, len;
};

/* Where the passthrough's tree and the forbidden neighbour are, made once. */
static struct place {
	int top, tree, outside;
	struct timespec mtime;
} place = {.top = -1};

static int make_place(void)
{
	static char name[] = "/tmp/fuzz_fuse.XXXXXX";
	/* what fills the disk is not what is looked for */
	const struct rlimit small = {1 << 20, 1 << 20};
	struct stat st;
	int fd;

	if (place.top >= 0)
		return 0;
	(void)setrlimit(RLIMIT_FSIZE, &small);
	(void)signal(SIGXFSZ, SIG_IGN);
	if (!mkdtemp(name))
		return -errno;
	/* FALLOC_FL_KEEP_SIZE is not bound by the limit, but by a small file system */
	if (unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0)
		(void)mount("tmpfs", name, "tmpfs", 0, "size=64m");
	place.top = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	mkdirat(place.top, "outside", 0755);
	place.outside = openat(place.top, "outside", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd = openat(place.outside, "canary", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	(void)!write(fd, "canary", 6);
	close(fd);
	if (fstat(place.outside, &st) < 0)
		return -errno;
	place.mtime = st.st_mtim;
	return 0;
}

static void remove_place(void)
{
	char path[64], name[64];
	ssize_t n;

	if (place.top < 0)
		return;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", place.top);
	n = readlink(path, name, sizeof(name) - 1);
	if (n > 0) {
		name[n] = '\0';
		(void)umount2(name, MNT_DETACH);
		(void)rsm_remove_tree_at(AT_FDCWD, name);
	}
}

static void check_outside(void)
{
	struct stat st;
	char text[16];
	int fd;

	if (fstat(place.outside, &st) < 0 || st.st_mtim.tv_sec != place.mtime.tv_sec ||
	    st.st_mtim.tv_nsec != place.mtime.tv_nsec)
		abort();
	fd = openat(place.outside, "canary", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_mode != (S_IFREG | 0600) || st.st_nlink != 1 ||
	    read(fd, text, sizeof(text)) != 6 || memcmp(text, "canary", 6) != 0)
		abort();
	close(fd);
}

static int new_passthrough(struct fsrv_fs **ret)
{
	struct fsrv_export e = {.nodev = false};
	struct rsm_error err = RSM_ERROR_INIT;
	int r = make_place();

	if (r < 0)
		return r;
	(void)rsm_remove_tree_at(place.top, "tree");
	if (mkdirat(place.top, "tree", 0755) < 0)
		return -errno;
	place.tree = openat(place.top, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	e.fd = place.tree;
	r = symlinkat("../outside", place.tree, "a") < 0 ||
			    symlinkat("../outside/canary", place.tree, "b") < 0 ||
			    mkdirat(place.tree, "d", 0755) < 0
		    ? -errno
		    : fsrv_passthrough_new(&e, 1, ret, &err);
	close(place.tree);
	return r;
}

static unsigned cut(const uint8_t *from, size_t len, size_t piece, struct iovec *iov, unsigned max)
{
	unsigned n = 0;

	if (piece == 0 || len / piece + 1 >= max)
		piece = len ? len : 1;
	for (size_t at = 0; at < len; at += piece, n++) {
		iov[n].iov_len = rsm_min(piece, len - at);
		iov[n].iov_base = malloc(iov[n].iov_len);
		if (from)
			memcpy(iov[n].iov_base, from + at, iov[n].iov_len);
	}
	return n;
}

static void remember(uint64_t *list, unsigned *n, uint64_t v)
{
	list[(*n)++ % KNOWN_MAX] = v;
}

/* Node ids and handles that a reply gave. */
static void learn(struct client *c, uint32_t opcode, const uint8_t *reply, size_t len)
{
	const size_t h = sizeof(struct fuse_out_header), e = sizeof(struct fuse_entry_out);
	uint64_t v;

	switch (opcode) {
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		if (len >= h + sizeof(v)) {
			memcpy(&v, reply + h, sizeof(v));
			remember(c->handles, &c->nhandles, v);
		}
		return;
	case FUSE_CREATE:
	case FUSE_TMPFILE:
		if (len >= h + e + sizeof(v)) {
			memcpy(&v, reply + h + e, sizeof(v));
			remember(c->handles, &c->nhandles, v);
		}
		break;
	case FUSE_LOOKUP:
	case FUSE_MKNOD:
	case FUSE_MKDIR:
	case FUSE_SYMLINK:
	case FUSE_LINK:
		break;
	default:
		return;
	}
	if (len >= h + sizeof(v)) {
		memcpy(&v, reply + h, sizeof(v));
		remember(c->nodes, &c->nnodes, v);
	}
}

static uint64_t pick(const uint64_t *list, unsigned n, uint8_t which)
{
	static const uint64_t strange[] = {0, 1ULL << 32 | 1, UINT32_MAX, UINT64_MAX};

	which &= 0x7f;
	if (which >= 0x7c)
		return strange[which - 0x7c];
	return which == 0 || n == 0 ? FUSE_ROOT_ID : list[which % rsm_min(n, (unsigned)KNOWN_MAX)];
}

static void one_request(struct client *c, const struct wire *w, const uint8_t *args)
{
	struct fuse_in_header h = {.len = (uint32_t)(sizeof(h) + w->len),
				   .opcode = w->opcode,
				   .unique = ++c->unique,
				   .uid = 1000,
				   .gid = 1000};
	uint64_t fh = pick(c->handles, c->nhandles, w->handle);
	size_t len = sizeof(h) + w->len, room = w->room % ROOM_MAX;
	uint8_t *request = malloc(len), *reply = malloc(ROOM_MAX);
	struct iovec out[128] = {0}, in[128] = {0};
	unsigned nout, nin;
	size_t at = 0;
	ssize_t n;

	h.nodeid = pick(c->nodes, c->nnodes, w->node);
	if (w->node & 0x80)
		h.len ^= w->cut; /* a length that does not agree */
	memcpy(request, &h, sizeof(h));
	memcpy(request + sizeof(h), args, w->len);
	if ((w->handle & 0x80) && w->len >= sizeof(fh))
		memcpy(request + sizeof(h), &fh, sizeof(fh));
	nout = cut(request, len, w->cut, out, 128);
	nin = cut(NULL, room, w->cut, in, 128);
	n = fsrv_handle(c->s, out, nout, in, nin, NULL);
	if (n > (ssize_t)room)
		abort();
	for (unsigned i = 0; i < nin && n > 0 && at < (size_t)n; i++) {
		size_t part = rsm_min(in[i].iov_len, (size_t)n - at);

		memcpy(reply + at, in[i].iov_base, part);
		at += part;
	}
	if (n > 0)
		learn(c, w->opcode, reply, (size_t)n);
	for (unsigned i = 0; i < nout; i++)
		free(out[i].iov_base);
	for (unsigned i = 0; i < nin; i++)
		free(in[i].iov_base);
	free(request);
	free(reply);
}

static void init(struct client *c)
{
	const struct fuse_init_in in = {.major = 7, .minor = 38, .flags = UINT32_MAX};
	const struct wire w = {.opcode = FUSE_INIT, .room = 512, .len = sizeof(in)};

	one_request(c, &w, (const uint8_t *)&in);
}

static void deferred(void *cookie, void *tag, const void *reply, size_t len)
{
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct fsrv_options options = {.cache = FSRV_CACHE_ALWAYS, .trace_fd = -1};
	struct client c = {0};
	struct fsrv_fs *fs;
	struct wire w;
	size_t at = 1;

	if (size < 1)
		return 0;
	if (data[0] & 1 ? new_passthrough(&fs) : fsrv_memfs_new(&fs))
		return 0;
	if (fsrv_session_new(fs, &options, &c.s) == 0) {
		fsrv_set_deferred(c.s, deferred, NULL);
		if (!(data[0] & 2))
			init(&c);
		for (int i = 0; i < REQUESTS_MAX && size - at >= sizeof(w); i++) {
			memcpy(&w, data + at, sizeof(w));
			at += sizeof(w);
			w.len = (uint16_t)rsm_min((size_t)w.len, size - at);
			if (w.opcode != FUSE_SYNCFS && w.opcode != FUSE_FSYNC &&
			    w.opcode != FUSE_FSYNCDIR) /* slow, and nothing to find */
				one_request(&c, &w, data + at);
			at += w.len;
		}
		fsrv_session_free(c.s);
	}
	fsrv_fs_free(fs);
	if (data[0] & 1)
		check_outside();
	return 0;
}

__attribute__((destructor)) static void leave(void)
{
	remove_place();
}
