// SPDX-License-Identifier: Apache-2.0
/*
 * bench-fuse: runsm-virtiofsd against QEMU's virtiofsd, both serving one directory over vhost-user
 * to one client, pinned and interleaved. Prints rates and, what counts, their ratio.
 *
 * Placement alone changes absolute rates severalfold, so each round runs both servers back to back
 * on the same CPUs, in alternating order, and gives one ratio; the table has the median ratio and
 * its spread over the rounds.
 */
#include "base/cleanup.h"
#include "base/error.h"
#include "base/io.h"
#include "base/loop.h"
#include "base/math.h"
#include "base/proc.h"
#include "floor.h"
#include "fuse_ops.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libgen.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define ROUNDS_MAX 101
#define BIG_DIR    100

struct options {
	const char *qemu, *runsm;
	unsigned cpus, rounds, ms;
	const char *only;
	const char *dir;
};

struct server {
	const char *name;
	pid_t pid;
	char socket[PATH_MAX];
	struct fc fc;
};

static const struct {
	const char *op;
	unsigned depth;
} plan[] = {
	{"(empty)", 1},
	{"(empty)", 8},
	{"lookup", 1},
	{"lookup", 8},
	{"getattr", 1},
	{"getattr", 8},
	{"open+read+release", 1},
	{"open+read+release", 8},
	{"read 4K", 1},
	{"read 4K", 8},
	{"create", 1},
	{"unlink", 1},
	{"readdirplus", 1},
	{"rename", 1},
};

/* ---- the tree both serve */

static int put_file(int dir, const char *name, size_t len)
{
	static const char zeros[65536];
	_cleanup_close_ int fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	return fd < 0 ? -errno : rsm_write_full(fd, zeros, len);
}

static int make_tree(const char *root)
{
	_cleanup_close_ int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int dir = -1, big = -1;
	char name[16];
	int ret = 0;

	if (fd < 0 || mkdirat(fd, "dir", 0755) < 0 || mkdirat(fd, "big", 0755) < 0)
		return -errno;
	dir = openat(fd, "dir", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	big = openat(fd, "big", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (unsigned i = 0; ret == 0 && i < FC_FILES; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		ret = put_file(dir, name, 65536);
	}
	for (unsigned i = 0; ret == 0 && i < BIG_DIR; i++) {
		snprintf(name, sizeof(name), "entry%u", i);
		ret = put_file(big, name, 0);
	}
	if (ret == 0)
		ret = put_file(dir, "rq0", 0);
	return ret ? ret : put_file(dir, "rr0", 0);
}

/* ---- servers */

static int pin(unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) < 0 ? -errno : 0;
}

static int pin_server(void *cookie)
{
	return pin(0);
}

static int start_server(struct server *s, const char *const *argv, struct rsm_error *err)
{
	const int fds[] = {-1, -1, 2};
	struct rsm_spawn how = {.argv = argv, .fds = fds, .nfds = 3, .before_exec = pin_server};
	int ret = rsm_spawn(&how, &s->pid, NULL, err);

	if (ret < 0)
		return ret;
	for (unsigned i = 0; i < 500; i++) {
		ret = fc_open(s->socket, s->name[0], &s->fc);
		if (ret != -ENOENT && ret != -ECONNREFUSED)
			break;
		usleep(10000);
	}
	return ret < 0 ? rsm_fail_errno(err, ret, "talk to %s", argv[0]) : 0;
}

/* Both end when their client hangs up; wait for that, but not for ever. */
static void end_server(struct server *s)
{
	if (!s->pid)
		return;
	fc_close(&s->fc);
	for (unsigned i = 0; i < 200; i++) {
		if (waitpid(s->pid, NULL, WNOHANG) == s->pid)
			return;
		usleep(10000);
	}
	fprintf(stderr, "%s did not end by itself\n", s->name);
	kill(s->pid, SIGKILL);
	waitpid(s->pid, NULL, 0);
}

static int start_servers(const struct options *o, const char *root, const char *tmp,
			 struct server s[2], struct rsm_error *err)
{
	char source[PATH_MAX + 16], path[PATH_MAX + 16];
	const char *qemu[] = {o->qemu,         path, "-o", source, "-o", "cache=auto", "-o",
			      "log_level=err", NULL};
	const char *runsm[] = {o->runsm, path,          "--shared-dir", root, "--cache",
			       "auto",   "--log-level", "error",        NULL};
	int ret;

	s[0].name = "qemu";
	s[1].name = "runsm";
	snprintf(source, sizeof(source), "source=%s", root);
	for (unsigned i = 0; i < 2; i++) {
		ret = rsm_format(s[i].socket, sizeof(s[i].socket), "%s/%s.sock", tmp, s[i].name);
		if (ret < 0)
			return rsm_fail_errno(err, ret, "name a socket");
		snprintf(path, sizeof(path), "--socket-path=%s", s[i].socket);
		ret = start_server(&s[i], i ? runsm : qemu, err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* ---- measuring */

/* Chains per second over about @ms, in batches where the operation has them. */
static double measure(struct server *s, const struct fc_op *op, unsigned depth, unsigned ms)
{
	uint64_t total = 0, budget = (uint64_t)ms * 1000000;
	int64_t done = 0;

	while (total < budget) {
		uint64_t ns = 0;
		int64_t n;

		if (op->prepare && op->prepare(&s->fc) < 0)
			return -1;
		n = fc_run(&s->fc, op, depth, op->batch, budget - total, &ns);
		if (n < 0 || (op->cleanup && op->cleanup(&s->fc) < 0)) {
			fprintf(stderr, "%s: %s: %s\n", s->name, op->name,
				strerror(s->fc.error ? -s->fc.error : (int)-n));
			return -1;
		}
		total += ns;
		done += n;
	}
	return (double)done * 1e9 / (double)total;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v, unsigned n)
{
	qsort(v, n, sizeof(*v), by_value);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static int compare(const struct options *o, struct server s[2], const struct fc_op *op,
		   unsigned depth)
{
	double rate[2][ROUNDS_MAX], ratio[ROUNDS_MAX], m;

	/* a first, unrecorded round fills caches on both sides */
	for (unsigned i = 0; i < 2; i++) {
		if (measure(&s[i], op, depth, o->ms / 4 + 1) < 0)
			return -EIO;
	}
	for (unsigned r = 0; r < o->rounds; r++) {
		for (unsigned i = 0; i < 2; i++) {
			unsigned who = (r + i) % 2;

			rate[who][r] = measure(&s[who], op, depth, o->ms);
			if (rate[who][r] < 0)
				return -EIO;
		}
		ratio[r] = rate[1][r] / rate[0][r];
	}
	m = median(ratio, o->rounds);
	printf("%-18s %5u %10.0f %10.0f %7.2f   %.2f..%.2f\n", op->name, depth,
	       median(rate[0], o->rounds), median(rate[1], o->rounds), m, ratio[0],
	       ratio[o->rounds - 1]);
	fflush(stdout);
	return 0;
}

static int run_plan(const struct options *o, struct server s[2])
{
	uint64_t floor = floor_ns(0, o->ms);
	int ret = 0;

	printf("server on CPU 0, client on CPU %u; files in %s; %u rounds of %u ms; operations/s\n",
	       o->cpus - 1, o->dir, o->rounds, o->ms);
	if (floor)
		printf("a server that does nothing reaches %llu/s at depth 1\n",
		       1000000000ULL / (unsigned long long)floor);
	printf("%-18s %5s %10s %10s %7s   %s\n", "operation", "depth", "qemu", "runsm", "ratio",
	       "spread");
	for (unsigned i = 0; i < RSM_ARRAY_SIZE(plan); i++) {
		for (unsigned j = 0; j < fc_nops; j++) {
			if (strcmp(fc_ops[j].name, plan[i].op) == 0 &&
			    (!o->only || strstr(plan[i].op, o->only)) &&
			    compare(o, s, &fc_ops[j], plan[i].depth) < 0)
				ret = -EIO;
		}
	}
	return ret;
}

static int bench(const struct options *o, struct rsm_error *err)
{
	char tmp[PATH_MAX], root[PATH_MAX + 8];
	struct server s[2] = {0};
	int ret = rsm_format(tmp, sizeof(tmp), "%s/bench-fuse.XXXXXX", o->dir);

	if (ret < 0 || !mkdtemp(tmp))
		return rsm_fail_errno(err, ret < 0 ? ret : errno, "make a directory in '%s'",
				      o->dir);
	snprintf(root, sizeof(root), "%s/root", tmp);
	ret = mkdir(root, 0755) < 0 ? -errno : make_tree(root);
	if (ret < 0)
		rsm_fail_errno(err, ret, "make files in '%s'", root);
	if (ret == 0)
		ret = pin(o->cpus - 1) < 0
			      ? rsm_fail(err, EINVAL, "CPU %u cannot be used", o->cpus - 1)
			      : 0;
	if (ret == 0)
		ret = start_servers(o, root, tmp, s, err);
	if (ret == 0 && run_plan(o, s) < 0)
		ret = rsm_fail(err, EIO, "some operations failed");
	end_server(&s[0]);
	end_server(&s[1]);
	(void)rsm_remove_tree_at(AT_FDCWD, tmp);
	return ret;
}

static const char usage[] =
	"Usage: bench-fuse [OPTION]...\n"
	"  --qemu PATH    QEMU's C virtiofsd; default /usr/lib/qemu/virtiofsd\n"
	"  --runsm PATH   runsm-virtiofsd; default: beside this program's build directory\n"
	"  --cpus 1|2     client on the server's CPU (default), or on the other\n"
	"  --rounds N     default 9\n"
	"  --ms N         per server and round; default 100\n"
	"  --dir DIR      where the files are made; default /dev/shm, so that no disk is timed\n"
	"  --only TEXT    operations whose name has this in it\n";

static int parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{"qemu", required_argument, NULL, 'q'}, {"runsm", required_argument, NULL, 'u'},
		{"cpus", required_argument, NULL, 'c'}, {"rounds", required_argument, NULL, 'r'},
		{"ms", required_argument, NULL, 'm'},   {"only", required_argument, NULL, 'o'},
		{"dir", required_argument, NULL, 'd'},  {NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'q':
			o->qemu = optarg;
			break;
		case 'u':
			o->runsm = optarg;
			break;
		case 'c':
			o->cpus = (unsigned)atoi(optarg);
			break;
		case 'r':
			o->rounds = (unsigned)atoi(optarg);
			break;
		case 'm':
			o->ms = (unsigned)atoi(optarg);
			break;
		case 'd':
			o->dir = optarg;
			break;
		case 'o':
			o->only = optarg;
			break;
		default:
			return -EINVAL;
		}
	}
	return o->cpus < 1 || o->cpus > 2 || !o->rounds || o->rounds > ROUNDS_MAX || !o->ms ||
			       optind < argc
		       ? -EINVAL
		       : 0;
}

int main(int argc, char **argv)
{
	char self[PATH_MAX] = "", beside[PATH_MAX + 32];
	struct options o = {.qemu = "/usr/lib/qemu/virtiofsd",
			    .runsm = beside,
			    .cpus = 1,
			    .rounds = 9,
			    .ms = 100,
			    .dir = "/dev/shm"};
	struct rsm_error err = RSM_ERROR_INIT;

	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		return 1;
	snprintf(beside, sizeof(beside), "%s/../runsm-virtiofsd", dirname(self));
	if (parse(argc, argv, &o) < 0) {
		fputs(usage, stderr);
		return 2;
	}
	if (bench(&o, &err) < 0) {
		fprintf(stderr, "bench-fuse: %s\n", err.message);
		return 1;
	}
	return 0;
}
