// SPDX-License-Identifier: Apache-2.0
/*
 * Many threads on one session, over the passthrough: the same few names are made, moved, removed,
 * opened and forgotten by all of them at once. What is tested is that nothing breaks (build with
 * --enable-tsan or --enable-sanitizers) and nothing is left.
 */
#include "fuse_client.h"

#include "base/io.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>

#define THREADS  4
#define REQUESTS 4000
#define KNOWN    16

static struct fsrv_session *session;

struct worker {
	pthread_t thread;
	unsigned seed;
	uint64_t nodes[KNOWN], handles[KNOWN];
	uint64_t unique;
	unsigned answered;
};

static unsigned rnd(struct worker *w, unsigned n)
{
	return (unsigned)rand_r(&w->seed) % n;
}

/* Send {header, @arg, names}; Return: error of the reply, whose body goes to @body */
static int call(struct worker *w, uint32_t op, uint64_t node, const void *arg, size_t len,
		const char *name, const char *name2, void *body, size_t room)
{
	struct fuse_in_header h = {.opcode = op, .unique = ++w->unique, .nodeid = node};
	struct fuse_out_header r = {0};
	struct iovec out[4] = {{&h, sizeof(h)}, {(void *)arg, len}};
	struct iovec in[2] = {{&r, sizeof(r)}, {body, room}};
	unsigned n = 2;
	ssize_t got;

	if (name)
		out[n++] = (struct iovec){(void *)name, strlen(name) + 1};
	if (name2)
		out[n++] = (struct iovec){(void *)name2, strlen(name2) + 1};
	for (unsigned i = 0; i < n; i++)
		h.len += (uint32_t)out[i].iov_len;
	got = fsrv_handle(session, out, n, in, 2, NULL);
	if (got > 0)
		w->answered++;
	return r.error;
}

static uint64_t a_node(struct worker *w)
{
	uint64_t n = w->nodes[rnd(w, KNOWN)];

	return n && rnd(w, 3) ? n : FUSE_ROOT_ID;
}

static void one(struct worker *w)
{
	static const char *const names[] = {"a", "b", "c", "d"};
	const char *name = names[rnd(w, 4)], *name2 = names[rnd(w, 4)];
	uint64_t node = a_node(w), *slot = &w->nodes[rnd(w, KNOWN)];
	uint64_t *fh = &w->handles[rnd(w, KNOWN)];
	const struct fuse_create_in create = {.flags = O_RDWR, .mode = 0644};
	const struct fuse_mkdir_in mkdir = {.mode = 0755};
	const struct fuse_rename2_in rename = {.newdir = a_node(w), .flags = rnd(w, 3)};
	const struct fuse_link_in link = {.oldnodeid = a_node(w)};
	const struct fuse_getattr_in getattr = {0};
	const struct fuse_open_in open = {.flags = O_RDWR};
	const struct fuse_read_in read = {.fh = *fh, .size = 4096};
	const struct fuse_release_in release = {.fh = *fh};
	const struct fuse_forget_in forget = {.nlookup = 1};
	const struct fuse_setattr_in set = {.valid = FATTR_MODE, .mode = 0755};
	const struct fuse_lk_in lk = {
		.fh = *fh, .owner = rnd(w, 3), .lk = {.end = INT64_MAX, .type = F_WRLCK}};
	struct {
		struct fuse_entry_out e;
		struct fuse_open_out o;
	} made;
	uint8_t big[4096];
	struct fuse_entry_out *e = &made.e;
	struct fuse_open_out *o = &made.o;

	switch (rnd(w, 16)) {
	case 0:
	case 1:
		if (call(w, FUSE_LOOKUP, node, NULL, 0, name, NULL, e, sizeof(*e)) == 0)
			*slot = e->nodeid;
		break;
	case 2:
		if (call(w, FUSE_CREATE, node, &create, sizeof(create), name, NULL, &made,
			 sizeof(made)) == 0) {
			*slot = e->nodeid;
			*fh = o->fh;
		}
		break;
	case 3:
		if (call(w, FUSE_MKDIR, node, &mkdir, sizeof(mkdir), name, NULL, e, sizeof(*e)) ==
		    0)
			*slot = e->nodeid;
		break;
	case 4:
		call(w, FUSE_UNLINK, node, NULL, 0, name, NULL, NULL, 0);
		break;
	case 5:
		call(w, FUSE_RMDIR, node, NULL, 0, name, NULL, NULL, 0);
		break;
	case 6:
	case 7:
		call(w, FUSE_RENAME2, node, &rename, sizeof(rename), name, name2, NULL, 0);
		break;
	case 8:
		if (call(w, FUSE_LINK, node, &link, sizeof(link), name, NULL, e, sizeof(*e)) == 0)
			*slot = e->nodeid;
		break;
	case 9:
		call(w, FUSE_GETATTR, node, &getattr, sizeof(getattr), NULL, NULL, big,
		     sizeof(big));
		break;
	case 10:
		if (call(w, FUSE_OPEN, node, &open, sizeof(open), NULL, NULL, o, sizeof(*o)) == 0)
			*fh = o->fh;
		break;
	case 11:
		call(w, FUSE_READ, node, &read, sizeof(read), NULL, NULL, big, sizeof(big));
		break;
	case 12:
		call(w, FUSE_RELEASE, node, &release, sizeof(release), NULL, NULL, NULL, 0);
		break;
	case 13:
		call(w, FUSE_FORGET, node, &forget, sizeof(forget), NULL, NULL, NULL, 0);
		break;
	case 14:
		call(w, FUSE_SETATTR, node, &set, sizeof(set), NULL, NULL, big, sizeof(big));
		break;
	default:
		call(w, FUSE_SETLK, node, &lk, sizeof(lk), NULL, NULL, NULL, 0);
		break;
	}
	if (rnd(w, 20) == 0 &&
	    call(w, FUSE_OPENDIR, node, &open, sizeof(open), NULL, NULL, o, sizeof(*o)) == 0) {
		const struct fuse_read_in list = {.fh = o->fh, .size = sizeof(big)};
		const struct fuse_release_in close = {.fh = o->fh};

		call(w, FUSE_READDIRPLUS, node, &list, sizeof(list), NULL, NULL, big, sizeof(big));
		call(w, FUSE_RELEASEDIR, node, &close, sizeof(close), NULL, NULL, NULL, 0);
	}
}

static void *work(void *arg)
{
	for (unsigned i = 0; i < REQUESTS; i++)
		one(arg);
	return NULL;
}

static unsigned open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void threads_on_the_same_names_break_and_leave_nothing(void **state)
{
	static struct worker workers[THREADS];
	char top[64];
	struct fsrv_export e = {.nodev = true};
	struct rsm_error err = RSM_ERROR_INIT;
	struct fuse_client c;
	struct fsrv_fs *fs;
	unsigned before;

	snprintf(top, sizeof(top), "test_fuse_threads.%d", getpid());
	assert_int_equal(mkdir(top, 0755), 0);
	e.fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(fsrv_passthrough_new(&e, 1, &fs, &err), 0);
	fc_start(&c, fs, NULL);
	session = c.s;
	before = open_fds();
	for (unsigned i = 0; i < THREADS; i++) {
		workers[i].seed = i + 1;
		assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		assert_true(workers[i].answered > REQUESTS / 2);
	}
	fsrv_session_reset(session);
	assert_int_equal(open_fds(), before);
	fc_stop(&c);
	close(e.fd);
	assert_int_equal(rsm_remove_tree_at(AT_FDCWD, top), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads_on_the_same_names_break_and_leave_nothing),
	};

	return cmocka_run_group_tests_name("fuse threads", tests, NULL, NULL);
}
