// SPDX-License-Identifier: Apache-2.0
/*
 * runsm-virtiofsd: one directory for one virtual machine, over vhost-user. Takes the options of the
 * Rust virtiofsd; ends when its client disconnects, as that does.
 */
#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/math.h"
#include "fuse/fsrv.h"
#include "virtiofs/virtiofs.h"
#include "vmm/vhost_user.h"

#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>

struct options {
	const char *socket_path;
	const char *shared_dir;
	const char *tag;
	int fd;
	enum fsrv_cache cache;
	bool readonly;
	unsigned helpers;
};

static const char usage[] =
	"Usage: runsm-virtiofsd --shared-dir DIR (--socket-path PATH | --fd FD) [OPTION]...\n"
	"Serve a directory to one virtual machine as virtio-fs, over vhost-user.\n"
	"\n"
	"  --shared-dir DIR        the directory\n"
	"  --socket-path PATH      listen here; removed when the client disconnects\n"
	"  --fd FD                 use this listening or connected socket\n"
	"  --tag TAG               for masters that ask for it (QEMU does not); default: virtiofs\n"
	"  --cache POLICY          auto (default), always or never\n"
	"  --readonly              refuse every change\n"
	"  --thread-pool-size N    most helper threads beside one per queue; default 8\n"
	"  --announce-submounts    accepted: submounts are always announced\n"
	"  --log-level LEVEL       error, warn, info (default), debug, trace or off\n"
	"  --help, --version\n";

enum { O_SOCKET = 256, O_DIR, O_FD, O_TAG, O_CACHE, O_RO, O_POOL, O_SUBMOUNTS, O_LOG };

static const struct option long_options[] = {
	{"socket-path", required_argument, NULL, O_SOCKET},
	{"shared-dir", required_argument, NULL, O_DIR},
	{"fd", required_argument, NULL, O_FD},
	{"tag", required_argument, NULL, O_TAG},
	{"cache", required_argument, NULL, O_CACHE},
	{"readonly", no_argument, NULL, O_RO},
	{"thread-pool-size", required_argument, NULL, O_POOL},
	{"announce-submounts", no_argument, NULL, O_SUBMOUNTS},
	{"log-level", required_argument, NULL, O_LOG},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

/* ---- options */

static int number(const char *what, const char *text, unsigned max, unsigned *ret,
		  struct rsm_error *err)
{
	char *end;
	unsigned long v;

	errno = 0;
	v = strtoul(text, &end, 10);
	if (errno || end == text || *end || text[0] == '-' || v > max)
		return rsm_fail(err, EINVAL, "--%s: '%s' is not a number from 0 to %u", what, text,
				max);
	*ret = (unsigned)v;
	return 0;
}

/* Index of @text in @names; @what is for the message. */
static int choice(const char *what, const char *text, const char *const *names, size_t n,
		  struct rsm_error *err)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(text, names[i]) == 0)
			return (int)i;
	}
	return rsm_fail(err, EINVAL, "--%s: '%s' is not known", what, text);
}

static int set_cache(struct options *o, const char *text, struct rsm_error *err)
{
	static const char *const names[] = {"never", "auto", "always"};
	static const enum fsrv_cache values[] = {FSRV_CACHE_NEVER, FSRV_CACHE_AUTO,
						 FSRV_CACHE_ALWAYS};
	int i = choice("cache", text, names, RSM_ARRAY_SIZE(names), err);

	if (i >= 0)
		o->cache = values[i];
	return i;
}

static int set_log_level(const char *text, struct rsm_error *err)
{
	static const char *const names[] = {"off", "error", "warn", "info", "debug", "trace"};
	static const enum rsm_log_level values[] = {RSM_LOG_ERROR, RSM_LOG_ERROR, RSM_LOG_WARNING,
						    RSM_LOG_INFO,  RSM_LOG_DEBUG, RSM_LOG_DEBUG};
	int i = choice("log-level", text, names, RSM_ARRAY_SIZE(names), err);

	if (i >= 0)
		rsm_log_set_level(values[i]);
	if (i == 0)
		rsm_log_to(-1, RSM_LOG_TEXT, false);
	return i;
}

static int set_option(struct options *o, int option, struct rsm_error *err)
{
	unsigned v;
	int ret = 0;

	switch (option) {
	case O_SOCKET:
		o->socket_path = optarg;
		break;
	case O_DIR:
		o->shared_dir = optarg;
		break;
	case O_FD:
		ret = number("fd", optarg, 1U << 20, &v, err);
		if (ret == 0)
			o->fd = (int)v;
		break;
	case O_TAG:
		o->tag = optarg;
		break;
	case O_CACHE:
		ret = set_cache(o, optarg, err);
		break;
	case O_RO:
		o->readonly = true;
		break;
	case O_POOL:
		ret = number("thread-pool-size", optarg, 64, &o->helpers, err);
		break;
	case O_SUBMOUNTS:
		break;
	case O_LOG:
		ret = set_log_level(optarg, err);
		break;
	default:
		ret = rsm_fail(err, EINVAL, "see --help");
	}
	return ret;
}

/* Return: 0, 1 if the program is done already, -errno with @err */
static int parse(int argc, char **argv, struct options *o, struct rsm_error *err)
{
	int option;

	while ((option = getopt_long(argc, argv, "hV", long_options, NULL)) != -1) {
		int ret;

		if (option == 'h' || option == 'V') {
			if (option == 'h')
				fputs(usage, stdout);
			else
				puts("runsm-virtiofsd " PACKAGE_VERSION);
			return 1;
		}
		ret = set_option(o, option, err);
		if (ret < 0)
			return ret;
	}
	if (optind < argc)
		return rsm_fail(err, EINVAL, "'%s' is not an option; see --help", argv[optind]);
	if (!o->shared_dir)
		return rsm_fail(err, EINVAL, "--shared-dir is missing; see --help");
	if (!o->socket_path == (o->fd < 0))
		return rsm_fail(err, EINVAL, "one of --socket-path and --fd is needed");
	return 0;
}

/* ---- socket */

/**
 * struct place - Where the socket is, to remove it again
 */
struct place {
	int dirfd;
	char name[108];
};

static int find_place(const char *path, struct place *ret, struct rsm_error *err)
{
	_cleanup_free_ char *dir = strdup(path);
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	int rc;

	if (!dir)
		return rsm_fail_errno(err, ENOMEM, "open '%s'", path);
	rc = *name ? rsm_format(ret->name, sizeof(ret->name), "%s", name) : -EISDIR;
	if (rc < 0)
		return rsm_fail_errno(err, rc, "socket '%s'", path);
	if (slash)
		dir[slash == path ? 1 : slash - path] = '\0';
	ret->dirfd = open(slash ? dir : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return ret->dirfd < 0 ? rsm_fail_errno(err, errno, "open directory of '%s'", path) : 0;
}

static int listen_at(const char *path, struct place *place, struct rsm_error *err)
{
	int fd, probe, ret = find_place(path, place, err);

	if (ret < 0)
		return ret;
	fd = rsm_unix_listen_at(place->dirfd, place->name, 1);
	if (fd == -EADDRINUSE) {
		/* a socket nobody listens on any more is left from a killed predecessor */
		probe = rsm_unix_connect_at(place->dirfd, place->name);
		if (probe >= 0)
			close(probe);
		else if (probe == -ECONNREFUSED && unlinkat(place->dirfd, place->name, 0) == 0)
			fd = rsm_unix_listen_at(place->dirfd, place->name, 1);
	}
	return fd < 0 ? rsm_fail_errno(err, fd, "listen on '%s'", path) : fd;
}

/* ---- life */

struct daemon {
	struct rsm_loop *loop;
	struct rsm_error err; /* why the connection ended, if not by the client's wish */
};

static void on_closed(void *cookie, const struct rsm_error *err)
{
	struct daemon *d = cookie;

	d->err = *err;
	rsm_loop_stop(d->loop, 0);
}

static void on_signal(void *cookie, int fd, uint32_t events)
{
	struct daemon *d = cookie;

	rsm_log_info("ended by a signal");
	rsm_loop_stop(d->loop, 0);
}

static int watch_signals(struct daemon *d, int *ret_fd)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a write beyond our ulimit is an error of the client's: EFBIG */
	*ret_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (*ret_fd < 0)
		return -errno;
	return rsm_loop_add(d->loop, *ret_fd, EPOLLIN, on_signal, d, NULL);
}

static int new_session(const struct options *o, struct fsrv_fs **fs, struct fsrv_session **session,
		       struct rsm_error *err)
{
	struct fsrv_options how = {.cache = o->cache, .trace_fd = -1};
	struct fsrv_export export;
	int ret = fsrv_export_open(o->shared_dir, o->readonly, &export, err);

	if (ret < 0)
		return ret;
	export.cache = o->cache;
	ret = fsrv_passthrough_new(&export, 1, fs, err);
	close(export.fd);
	if (ret < 0)
		return ret;
	ret = fsrv_session_new(*fs, &how, session);
	return ret < 0 ? rsm_fail_errno(err, ret, "start a session") : 0;
}

static int run(const struct options *o, int sock, struct rsm_error *err)
{
	_cleanup_close_ int signal_fd = -1;
	struct virtiofs_options how = {.tag = o->tag, .helpers = o->helpers};
	struct daemon d = {.err = RSM_ERROR_INIT};
	struct fsrv_fs *fs = NULL;
	struct fsrv_session *session = NULL;
	struct vdev *dev = NULL;
	struct vhost_user *vu = NULL;
	int ret;

	ret = rsm_loop_new(&d.loop);
	if (ret == 0)
		ret = watch_signals(&d, &signal_fd);
	if (ret < 0)
		return rsm_fail_errno(err, ret, "set up");
	ret = new_session(o, &fs, &session, err);
	if (ret == 0)
		ret = virtiofs_new(&how, session, &dev, err);
	if (ret == 0)
		ret = vhost_user_new(d.loop, dev, sock, on_closed, &d, &vu, err);
	if (ret == 0)
		ret = rsm_loop_run(d.loop);
	if (ret == 0 && d.err.code) {
		*err = d.err;
		ret = -err->code;
	}
	vhost_user_free(vu);
	virtiofs_free(dev);
	fsrv_session_free(session);
	fsrv_fs_free(fs);
	rsm_loop_free(d.loop);
	return ret;
}

/* Every inode the guest knows may hold an fd: take all there are. */
static void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int main(int argc, char **argv)
{
	struct options o = {.tag = "virtiofs", .fd = -1, .cache = FSRV_CACHE_AUTO};
	struct rsm_error err = RSM_ERROR_INIT;
	struct place place = {.dirfd = -1};
	int ret, sock;

	rsm_log_set_name("runsm-virtiofsd");
	rsm_log_set_level(RSM_LOG_INFO);
	ret = parse(argc, argv, &o, &err);
	if (ret == 1)
		return 0;
	if (ret < 0) {
		rsm_log_error("%s", err.message);
		return 2;
	}
	raise_file_limit();
	umask(0); /* the guest has applied its own */
	sock = o.fd >= 0 ? o.fd : listen_at(o.socket_path, &place, &err);
	ret = sock < 0 ? sock : run(&o, sock, &err);
	if (place.dirfd >= 0 && sock >= 0)
		(void)unlinkat(place.dirfd, place.name, 0);
	if (ret < 0)
		rsm_log_error("%s", err.message);
	return ret < 0;
}
