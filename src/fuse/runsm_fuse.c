// SPDX-License-Identifier: Apache-2.0
/*
 * runsm-fuse: the FUSE server on /dev/fuse, as a file system of this very machine.
 *
 *	runsm-fuse MOUNTPOINT --source DIR [--readonly] [--cache never|auto|mostly|always] …
 *
 * It is how the server is tested and timed without a guest. The main thread waits for SIGTERM and
 * unmounts; the workers each read a request, handle it, write the reply, until the mount is gone.
 */
#include "base/cleanup.h"
#include "base/error.h"
#include "base/io.h"
#include "base/log.h"
#include "fuse/fsrv.h"

#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/uio.h>

#define THREADS_MAX 64

struct options {
	const char *mountpoint, *source, *trace;
	enum fsrv_cache cache;
	bool foreground, readonly;
	unsigned threads;
};

struct server {
	int dev;
	struct fsrv_session *session;
	pthread_t main;
	_Atomic bool gone;
};

static void usage(FILE *to)
{
	fputs("usage: runsm-fuse MOUNTPOINT --source DIR [options]\n"
	      "\n"
	      "Mount DIR at MOUNTPOINT through the FUSE server of runsm.\n"
	      "\n"
	      "  --source DIR       what to show\n"
	      "  --readonly         refuse every change\n"
	      "  --cache MODE       never, auto (1 s, default), mostly (1 s, contents longer) or\n"
	      "                     always (DIR changes only through here)\n"
	      "  --threads N        workers (default 1)\n"
	      "  --trace FILE       a line for each request; \"stderr\" is standard error\n"
	      "  --foreground       do not go to the background\n"
	      "  --help\n",
	      to);
}

static int parse_cache(const char *s, enum fsrv_cache *ret)
{
	static const char *const names[] = {
		[FSRV_CACHE_NEVER] = "never",
		[FSRV_CACHE_AUTO] = "auto",
		[FSRV_CACHE_MOSTLY] = "mostly",
		[FSRV_CACHE_ALWAYS] = "always",
	};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(s, names[i])) {
			*ret = (enum fsrv_cache)i;
			return 0;
		}
	}
	return -EINVAL;
}

/* Return: 0 to go on, 1 after --help, -EINVAL */
static int parse(int argc, char **argv, struct options *o, struct rsm_error *err)
{
	static const struct option longs[] = {
		{"source", required_argument, NULL, 's'}, {"readonly", no_argument, NULL, 'r'},
		{"cache", required_argument, NULL, 'c'},  {"threads", required_argument, NULL, 'j'},
		{"trace", required_argument, NULL, 't'},  {"foreground", no_argument, NULL, 'f'},
		{"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
	};
	char *end;
	int c;

	*o = (struct options){
		.cache = FSRV_CACHE_AUTO, .threads = 1, .trace = getenv("RUNSM_FUSE_TRACE")};
	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 's':
			o->source = optarg;
			break;
		case 'r':
			o->readonly = true;
			break;
		case 'c':
			if (parse_cache(optarg, &o->cache) < 0)
				return rsm_fail(err, EINVAL,
						"--cache %s: not never, auto, mostly or always", optarg);
			break;
		case 'j':
			o->threads = (unsigned)strtoul(optarg, &end, 10);
			if (*end || !o->threads || o->threads > THREADS_MAX)
				return rsm_fail(err, EINVAL, "--threads %s: not 1 to %d", optarg,
						THREADS_MAX);
			break;
		case 't':
			o->trace = optarg;
			break;
		case 'f':
			o->foreground = true;
			break;
		case 'h':
			usage(stdout);
			return 1;
		default:
			return rsm_fail(err, EINVAL, "see runsm-fuse --help");
		}
	}
	if (argc - optind != 1 || !o->source)
		return rsm_fail(err, EINVAL, "needs MOUNTPOINT and --source DIR; see --help");
	o->mountpoint = argv[optind];
	return 0;
}

static void deferred(void *cookie, void *tag, const void *reply, size_t len)
{
	struct server *s = cookie;

	/* fails with ENOENT when the caller was killed meanwhile */
	(void)!write(s->dev, reply, len);
}

static int serve_one(struct server *s, uint8_t *request, uint8_t *room, size_t size)
{
	struct iovec out = {request, 0}, in = {room, size};
	ssize_t n = read(s->dev, request, size);

	if (n < 0) /* ENOENT: the request was aborted before we saw it */
		return errno == EINTR || errno == EAGAIN || errno == ENOENT ? 0 : -errno;
	out.iov_len = (size_t)n;
	n = fsrv_handle(s->session, &out, 1, &in, 1, NULL);
	if (n <= 0)
		return 0;
	if (write(s->dev, room, (size_t)n) < 0 && errno == ENODEV)
		return -ENODEV;
	return 0;
}

static void *worker(void *arg)
{
	const size_t size = FSRV_MAX_IO + FSRV_MAX_HEAD;
	_cleanup_free_ uint8_t *request = malloc(size), *room = malloc(size);
	struct server *s = arg;
	int r = request && room ? 0 : -ENOMEM;

	while (r == 0)
		r = serve_one(s, request, room, size);
	if (r != -ENODEV && r != -ECONNABORTED)
		rsm_log_error("serve /dev/fuse: %s", strerror(-r));
	if (!atomic_exchange(&s->gone, true))
		pthread_kill(s->main, SIGTERM);
	return NULL;
}

static int do_mount(const struct options *o, int dev, struct rsm_error *err)
{
	unsigned long flags = MS_NOSUID | MS_NODEV | (o->readonly ? MS_RDONLY : 0);
	char data[128];

	snprintf(data, sizeof(data),
		 "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions", dev);
	if (mount(o->source, o->mountpoint, "fuse.runsm", flags, data) < 0)
		return rsm_fail_errno(err, errno, "mount on '%s'", o->mountpoint);
	return 0;
}

/* Fork; the parent waits until the child says that the mount is there, and exits. */
static int go_to_background(int *ret_ready)
{
	int p[2];
	char c;
	pid_t pid;

	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid > 0) {
		close(p[1]);
		_exit(read(p[0], &c, 1) == 1 ? 0 : 1);
	}
	close(p[0]);
	setsid();
	*ret_ready = p[1];
	return 0;
}

/* Tell the parent that the mount is there, and let go of its terminal. */
static void ready(const struct options *o, int pipe_fd)
{
	_cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (pipe_fd < 0)
		return;
	(void)!write(pipe_fd, "r", 1);
	for (int fd = 0; fd < 3 && null >= 0; fd++)
		if (fd != 2 || !o->trace)
			dup2(null, fd);
}

static int run(const struct options *o, struct server *s, int ready_fd, struct rsm_error *err)
{
	pthread_t threads[THREADS_MAX];
	unsigned n = 0;
	sigset_t set;
	int sig, r;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	s->main = pthread_self();
	r = do_mount(o, s->dev, err);
	if (r < 0)
		return r;
	while (n < o->threads && pthread_create(&threads[n], NULL, worker, s) == 0)
		n++;
	if (n)
		ready(o, ready_fd);
	if (n)
		sigwait(&set, &sig);
	/* lazily: files that are still open are served until they are closed */
	if (!atomic_load(&s->gone) && umount2(o->mountpoint, MNT_DETACH) < 0)
		rsm_log_warn("unmount '%s': %s", o->mountpoint, strerror(errno));
	while (n)
		pthread_join(threads[--n], NULL);
	return 0;
}

static int serve(const struct options *o, struct rsm_error *err)
{
	struct fsrv_export export = {.fd = -1};
	struct fsrv_options fo = {.cache = o->cache, .trace_fd = -1};
	struct server s = {.dev = -1};
	struct fsrv_fs *fs = NULL;
	_cleanup_close_ int ready_fd = -1;
	int r;

	/* first: the file system opens /proc/self */
	r = o->foreground ? 0 : go_to_background(&ready_fd);
	if (r < 0)
		return rsm_fail_errno(err, r, "go to the background");
	if (o->trace) {
		fo.trace_fd =
			!strcmp(o->trace, "stderr")
				? STDERR_FILENO
				: open(o->trace, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
		if (fo.trace_fd < 0)
			return rsm_fail_errno(err, errno, "open '%s'", o->trace);
	}
	r = fsrv_export_open(o->source, o->readonly, &export, err);
	if (r < 0)
		return r;
	export.cache = o->cache;
	r = fsrv_passthrough_new(&export, 1, &fs, err);
	close(export.fd);
	if (r < 0)
		return r;
	r = fsrv_session_new(fs, &fo, &s.session);
	if (r < 0) {
		rsm_fail_errno(err, r, "start the session");
	} else {
		fsrv_set_deferred(s.session, deferred, &s);
		s.dev = open("/dev/fuse", O_RDWR | O_CLOEXEC);
		r = s.dev < 0 ? rsm_fail_errno(err, errno, "open '/dev/fuse'")
			      : run(o, &s, ready_fd, err);
		fsrv_session_free(s.session);
		rsm_close(&s.dev);
	}
	fsrv_fs_free(fs);
	return r;
}

int main(int argc, char **argv)
{
	struct rsm_error err = RSM_ERROR_INIT;
	struct options o;
	struct rlimit files;
	int r;

	rsm_log_set_name("runsm-fuse");
	(void)signal(SIGXFSZ, SIG_IGN); /* a write beyond our ulimit is EFBIG */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	r = parse(argc, argv, &o, &err);
	if (r == 0)
		r = serve(&o, &err);
	if (r < 0) {
		rsm_log_error("%s", err.message);
		return 1;
	}
	return 0;
}
