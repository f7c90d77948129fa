// SPDX-License-Identifier: Apache-2.0
/*
 * runsm-virtiofsd as a program: options, life, and a hostile client. Whatever the client sends, the
 * server answers, refuses or hangs up; it does not crash, hang, or reach beyond its directory.
 *
 * The random part is bounded by number, and its seed is printed and can be given in RUNSM_SEED.
 */
#include "base/cleanup.h"
#include "base/io.h"
#include "base/loop.h"
#include "base/math.h"
#include "base/proc.h"
#include "cmocka_all.h"
#include "vu_client.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define PROGRAM  "./runsm-virtiofsd"
#define FEATURES (1ULL << VIRTIO_RING_F_EVENT_IDX | 1ULL << VIRTIO_RING_F_INDIRECT_DESC)

static char tmp[] = "/tmp/test-virtiofsd.XXXXXX", dir[64], sock[64], canary[64];
static uint64_t seed;

static uint32_t rnd(uint32_t below)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return below ? (uint32_t)(seed >> 33) % below : 0;
}

/* The shared directory is a small tmpfs: a random FALLOCATE cannot fill everybody's disk. */
static bool bounded;

static int make_dirs(void **state)
{
	const char *given = getenv("RUNSM_SEED");
	int fd;

	seed = given ? strtoull(given, NULL, 0) : rsm_now_ns();
	printf("# seed %llu\n", (unsigned long long)seed);
	assert_non_null(mkdtemp(tmp));
	snprintf(dir, sizeof(dir), "%s/shared", tmp);
	snprintf(sock, sizeof(sock), "%s/sock", tmp);
	snprintf(canary, sizeof(canary), "%s/canary", tmp);
	assert_int_equal(mkdir(dir, 0755), 0);
	bounded = unshare(CLONE_NEWNS) == 0 &&
		  mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		  mount("tmpfs", dir, "tmpfs", 0, "size=64m") == 0;
	fd = open(canary, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "alive", 5), 5);
	return close(fd);
}

static int remove_dirs(void **state)
{
	if (bounded)
		(void)umount2(dir, MNT_DETACH);
	return rsm_remove_tree_at(AT_FDCWD, tmp);
}

static void assert_canary(void)
{
	_cleanup_free_ char *text = NULL;
	struct stat st;

	assert_int_equal(rsm_read_file_at(AT_FDCWD, canary, 64, &text, NULL), 0);
	assert_string_equal(text, "alive");
	assert_int_equal(stat(canary, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
}

/* ---- the program */

static pid_t start_program(const char *const *argv, int *ret_stderr)
{
	int pipe_fds[2];
	int fds[] = {-1, -1, -1};
	struct rsm_spawn how = {.argv = argv, .fds = fds, .nfds = 3};
	pid_t pid;

	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	/* without a pipe what a sanitizer has to say goes to ours */
	fds[1] = fds[2] = ret_stderr ? pipe_fds[1] : STDERR_FILENO;
	assert_int_equal(rsm_spawn(&how, &pid, NULL, NULL), 0);
	close(pipe_fds[1]);
	if (ret_stderr)
		*ret_stderr = pipe_fds[0];
	else
		close(pipe_fds[0]);
	return pid;
}

/* Exit status, waiting at most 5 s; a program that hangs or dies of a signal fails the test. */
static int wait_program(pid_t pid)
{
	int status;

	for (unsigned i = 0; i < 5000; i++) {
		if (waitpid(pid, &status, WNOHANG) == pid) {
			if (!WIFEXITED(status))
				fail_msg("ended by signal %d", WTERMSIG(status));
			return WEXITSTATUS(status);
		}
		usleep(1000);
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	fail_msg("the server hangs");
	return -1;
}

static pid_t start_server(struct vuc *c)
{
	const char *const argv[] = {PROGRAM, "--socket-path", sock,  "--shared-dir",
				    dir,     "--log-level",   "off", NULL};
	pid_t pid = start_program(argv, NULL);
	int ret = -ENOENT;

	for (unsigned i = 0; i < 5000 && (ret == -ENOENT || ret == -ECONNREFUSED); i++) {
		ret = vuc_connect(sock, 1 << 20, c);
		usleep(ret < 0 ? 500 : 0);
	}
	assert_int_equal(ret, 0);
	return pid;
}

static void client_that_hangs_up_ends_the_server_and_its_socket(void **state)
{
	struct vuc c;
	pid_t pid = start_server(&c);

	assert_int_equal(vuc_start(&c, 2, FEATURES), 0);
	vuc_close(&c);
	assert_int_equal(wait_program(pid), 0);
	assert_int_equal(access(sock, F_OK), -1);
}

static void signal_ends_the_server_and_its_socket(void **state)
{
	struct vuc c;
	pid_t pid = start_server(&c);

	kill(pid, SIGTERM);
	assert_int_equal(wait_program(pid), 0);
	assert_int_equal(access(sock, F_OK), -1);
	vuc_close(&c);
}

static void socket_left_by_a_killed_server_is_replaced(void **state)
{
	struct vuc c;
	pid_t pid = start_server(&c);

	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	vuc_close(&c);
	assert_int_equal(access(sock, F_OK), 0);
	pid = start_server(&c);
	assert_int_equal(vuc_start(&c, 2, FEATURES), 0);
	vuc_close(&c);
	assert_int_equal(wait_program(pid), 0);
}

static void options_are_checked(void **state)
{
	static const struct {
		const char *argv[8];
		int status;
		const char *says;
	} cases[] = {
		{{PROGRAM, "--help"}, 0, "--shared-dir"},
		{{PROGRAM, "--version"}, 0, "runsm-virtiofsd 0."},
		{{PROGRAM}, 2, "--shared-dir is missing"},
		{{PROGRAM, "--shared-dir", "/tmp"}, 2, "--socket-path and --fd"},
		{{PROGRAM, "--shared-dir", "/tmp", "--fd", "3", "--socket-path", "x"},
		 2,
		 "--socket-path and --fd"},
		{{PROGRAM, "--no-such-option"}, 2, "no-such-option"},
		{{PROGRAM, "argument"}, 2, "'argument' is not an option"},
		{{PROGRAM, "--cache", "sometimes"}, 2, "'sometimes'"},
		{{PROGRAM, "--log-level", "loud"}, 2, "'loud'"},
		{{PROGRAM, "--thread-pool-size", "-1"}, 2, "'-1'"},
		{{PROGRAM, "--thread-pool-size", "65"}, 2, "'65'"},
		{{PROGRAM, "--fd", ""}, 2, "''"},
		{{PROGRAM, "--shared-dir", "/does/not/exist", "--fd", "0"}, 1, ""},
		{{PROGRAM, "--shared-dir", "/does/not/exist", "--socket-path", "/tmp/"},
		 1,
		 "/tmp/"},
		{{PROGRAM, "--shared-dir", "/tmp", "--socket-path", "/does/not/exist/s"},
		 1,
		 "/does/not/exist"},
	};

	for (size_t i = 0; i < RSM_ARRAY_SIZE(cases); i++) {
		char text[4096] = "";
		int fd, status;
		pid_t pid = start_program(cases[i].argv, &fd);

		assert_true(rsm_read_full(fd, text, sizeof(text) - 1) >= 0);
		close(fd);
		status = wait_program(pid);
		if (status != cases[i].status || !strstr(text, cases[i].says))
			fail_msg("case %zu: status %d, \"%s\"", i, status, text);
	}
}

/* ---- vhost-user messages of a hostile master */

static void random_payload(struct vuc *c, uint32_t request, union vhu_payload *p)
{
	static const uint64_t edges[] = {0,      1,       2,          3,          8,         0x100,
					 0xffff, 0x10000, UINT32_MAX, 1ULL << 63, UINT64_MAX};
	uint8_t *bytes = (uint8_t *)p;

	memset(p, 0, sizeof(*p));
	for (unsigned i = 0; i < 8; i++) {
		uint64_t v = edges[rnd(RSM_ARRAY_SIZE(edges))];

		memcpy(bytes + 8 * i, &v, sizeof(v));
	}
	if (rnd(2)) /* small numbers in both halves: indexes and counts that may be right */
		p->state = (struct vhu_vring_state){rnd(3), 1U << rnd(11)};
	if (request == VHU_SET_MEM_TABLE && rnd(4)) {
		p->mem.n = rnd(3);
		p->mem.regions[0] = (struct vhu_mem_region){VUC_GPA, c->mem_len, (uintptr_t)c->mem,
							    rnd(2) * 4096};
	}
	if (request == VHU_SET_VRING_ADDR && rnd(4))
		p->addr = (struct vhu_vring_addr){.index = rnd(3),
						  .desc = (uintptr_t)c->mem + rnd(1 << 20),
						  .avail = (uintptr_t)c->mem + rnd(1 << 20) * 2,
						  .used = (uintptr_t)c->mem + rnd(1 << 18) * 4};
}

static void random_message(struct vuc *c)
{
	static const uint8_t sizes[] = {0, 4, 8, 8, 8, 12, 16, 40, 40, 72};
	uint32_t request = rnd(8) ? rnd(40) : rnd(UINT32_MAX);
	uint32_t flags = rnd(8) ? VHU_VERSION | (rnd(2) ? VHU_FLAG_NEED_REPLY : 0) : rnd(64);
	uint32_t size = sizes[rnd(RSM_ARRAY_SIZE(sizes))];
	int fds[8] = {c->mem_fd, c->q[0].kick_fd, c->q[1].call_fd, c->mem_fd,
		      c->mem_fd, c->mem_fd,       c->mem_fd,       c->mem_fd};
	union vhu_payload p;

	for (unsigned i = 0; i < 8; i++)
		fds[i] = fds[i] < 0 ? c->mem_fd : fds[i];
	if (!rnd(50))
		size = rnd(UINT32_MAX);
	random_payload(c, request, &p);
	/* a closed connection shows up as EPIPE: that is an answer, too */
	(void)vuc_send(c, request, flags, &p, rsm_min(size, (uint32_t)sizeof(p)), fds,
		       rnd(3) ? 0 : rnd(8));
}

static void random_messages_are_survived(void **state)
{
	for (unsigned round = 0; round < 60; round++) {
		struct vuc c;
		pid_t pid = start_server(&c);
		int status;

		if (rnd(3))
			assert_int_equal(vuc_start(&c, 2, FEATURES), 0);
		for (unsigned i = 0; i < 40; i++)
			random_message(&c);
		vuc_close(&c);
		status = wait_program(pid);
		assert_true(status == 0 || status == 1);
	}
}

/* ---- FUSE requests of a hostile guest */

static const char *random_name(void)
{
	static const char *const names[] = {"a",  "b",         "c",          ".",        "..",
					    "",   "a/b",       "../canary",  "/etc",     "x y",
					    "\n", "../../tmp", "..\0canary", "\xff\xfe", "sub"};

	return names[rnd(RSM_ARRAY_SIZE(names))];
}

/* Requests a random guest may send: not those that are meant to wait (SETLKW). */
static uint32_t random_opcode(void)
{
	uint32_t opcode;

	do
		opcode = rnd(50) ? rnd(56) : rnd(UINT32_MAX);
	while (opcode == FUSE_SETLKW || opcode == FUSE_DESTROY ||
	       (opcode == FUSE_FALLOCATE && !bounded));
	return opcode;
}

static void submit_random_request(struct vuc *c, uint16_t slot)
{
	static const uint32_t small[] = {0, 1, 2, 3, 7, 64, 4096, 0x8000, 0x1000000, UINT32_MAX};
	uint8_t *out = c->data + (size_t)slot * 8192, *in = out + 4096;
	uint32_t len = (uint32_t)sizeof(struct fuse_in_header) + rnd(120), cut;
	struct fuse_in_header h = {.len = rnd(10) ? len : rnd(UINT32_MAX),
				   .opcode = random_opcode(),
				   .unique = rnd(1000),
				   .nodeid = rnd(4) ? 1 + rnd(4) : rnd(UINT32_MAX),
				   .uid = rnd(3),
				   .gid = rnd(3)};
	struct vuc_seg outs[3], ins[2];
	unsigned nout = 0, nin = 0;

	for (uint32_t i = 0; i < len; i += 4)
		memcpy(out + i, &small[rnd(RSM_ARRAY_SIZE(small))], 4);
	memcpy(out, &h, sizeof(h));
	if (rnd(4))
		strcpy((char *)out + sizeof(h) + (rnd(2) ? rnd(64) : 0), random_name());
	for (uint32_t at = 0; at < len && nout < 3; at += cut) {
		cut = nout == 2 || rnd(2) ? len - at : 1 + rnd(len - at);
		outs[nout++] = (struct vuc_seg){out + at, cut};
	}
	if (rnd(10))
		ins[nin++] = (struct vuc_seg){in, 1 + rnd(64)};
	if (nin && rnd(4))
		ins[nin++] = (struct vuc_seg){in + 64, 1 + rnd(4000)};
	vuc_submit(c, 1, slot, outs, nout, ins, nin);
}

static void init_session(struct vuc *c)
{
	struct {
		struct fuse_in_header h;
		struct fuse_init_in arg;
	} *req = (void *)c->data;
	struct vuc_seg out = {req, sizeof(*req)}, in = {c->data + 4096, 256};
	struct fuse_out_header reply;
	uint16_t slot;
	uint32_t len;

	memset(req, 0, sizeof(*req));
	req->h = (struct fuse_in_header){.len = sizeof(*req), .opcode = FUSE_INIT, .unique = 1};
	req->arg = (struct fuse_init_in){.major = 7, .minor = 36};
	vuc_submit(c, 1, 0, &out, 1, &in, 1);
	vuc_kick(c, 1);
	assert_int_equal(vuc_wait(c, 1, 5000), 0);
	assert_int_equal(vuc_reap(c, 1, &slot, &len), 1);
	memcpy(&reply, c->data + 4096, sizeof(reply));
	assert_int_equal(reply.error, 0);
}

static void random_requests_are_all_answered(void **state)
{
	enum { DEPTH = 16, ROUNDS = 1500 };

	for (unsigned session = 0; session < 3; session++) {
		struct vuc c;
		pid_t pid = start_server(&c);
		uint64_t n;

		assert_int_equal(vuc_start(&c, 2, FEATURES), 0);
		init_session(&c);
		for (unsigned round = 0; round < ROUNDS; round++) {
			for (uint16_t i = 0; i < DEPTH; i++)
				submit_random_request(&c, i);
			vuc_kick(&c, 1);
			for (unsigned i = 0; i < DEPTH; i++) {
				uint16_t slot;
				uint32_t len;

				if (vuc_wait(&c, 1, 5000) < 0)
					fail_msg("a request hangs");
				assert_int_equal(vuc_reap(&c, 1, &slot, &len), 1);
				assert_true(len <= 4096);
			}
		}
		assert_int_equal(vuc_call(&c, VHU_GET_QUEUE_NUM, NULL, 0, &n, 8), 0);
		vuc_close(&c);
		assert_int_equal(wait_program(pid), 0);
		assert_canary();
	}
}

static void kick_anyway(struct vuc *c, unsigned q)
{
	uint64_t one = 1;

	c->q[q].avail->idx = c->q[q].avail_idx;
	assert_int_equal(write(c->q[q].kick_fd, &one, sizeof(one)), sizeof(one));
}

static void random_rings_are_survived(void **state)
{
	for (unsigned round = 0; round < 40; round++) {
		struct vuc c;
		pid_t pid = start_server(&c);
		uint64_t n;

		assert_int_equal(vuc_start(&c, 2, FEATURES), 0);
		init_session(&c);
		for (unsigned i = 0; i < 200; i++) {
			uint8_t *at = c.mem + VUC_RINGS_BYTES * rnd(2) + rnd(0x4000);
			uint32_t v = rnd(2) ? rnd(256) : rnd(UINT32_MAX);

			memcpy(at, &v, sizeof(v));
			submit_random_request(&c, (uint16_t)rnd(64));
			if (rnd(3) == 0)
				kick_anyway(&c, rnd(2));
		}
		/* the device may wait for a reset, the back end still serves its master */
		assert_int_equal(vuc_call(&c, VHU_GET_QUEUE_NUM, NULL, 0, &n, 8), 0);
		assert_int_equal(vuc_stop(&c, NULL), 0);
		vuc_close(&c);
		assert_int_equal(wait_program(pid), 0);
	}
	assert_canary();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_are_checked),
		cmocka_unit_test(client_that_hangs_up_ends_the_server_and_its_socket),
		cmocka_unit_test(signal_ends_the_server_and_its_socket),
		cmocka_unit_test(socket_left_by_a_killed_server_is_replaced),
		cmocka_unit_test(random_messages_are_survived),
		cmocka_unit_test(random_requests_are_all_answered),
		cmocka_unit_test(random_rings_are_survived),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("virtiofsd", tests, make_dirs, remove_dirs);
}
