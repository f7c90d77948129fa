// SPDX-License-Identifier: Apache-2.0
#include "agent_rig.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/proc.h"

#include "cmocka_all.h"

#include <fcntl.h>
#include <mntent.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define AGENT      "./runsm-agent"
#define BUSYBOX    "/bin/busybox"
#define TIMEOUT_MS 30000

static const char *const applets[] = {
	"sh",  "cat",  "echo",     "ls",    "id",   "sleep",    "env",  "stat", "mount",
	"ps",  "grep", "dd",       "true",  "stty", "tty",      "kill", "head", "mkdir",
	"pwd", "wc",   "readlink", "touch", "cut",  "hostname", "nc",   "sort", "mknod"};

/* ---------------------------------------------------------------- set-up */

static bool find_cgroup2(char *buf, size_t size)
{
	FILE *f = setmntent("/proc/mounts", "r");
	bool found = false;

	for (struct mntent *m; f && !found && (m = getmntent(f)) != NULL;)
		if (strcmp(m->mnt_type, "cgroup2") == 0)
			found = rsm_format(buf, size, "%s", m->mnt_dir) == 0;
	if (f)
		endmntent(f);
	return found;
}

const char *rig_missing(void)
{
	char buf[256];

	if (geteuid() != 0)
		return "needs root";
	if (access(BUSYBOX, X_OK) < 0)
		return "needs " BUSYBOX " (busybox-static)";
	return find_cgroup2(buf, sizeof(buf)) ? NULL : "needs a cgroup v2 hierarchy";
}

const char *rig_path(struct rig *r, const char *fmt, ...)
{
	static char buf[512];
	char tail[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(tail, sizeof(tail), fmt, ap);
	va_end(ap);
	assert_int_equal(rsm_format(buf, sizeof(buf), "%s/%s", r->dir, tail), 0);
	return buf;
}

void rig_write_file(struct rig *r, const char *path, const char *text, int mode)
{
	const char *full = rig_path(r, "%s", path);
	int fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	assert_true(fd >= 0);
	assert_int_equal(rsm_write_full(fd, text, strlen(text)), 0);
	assert_int_equal(fchmod(fd, (mode_t)mode), 0);
	close(fd);
}

static void make_rootfs(struct rig *r)
{
	static const char *const dirs[] = {
		"ports",           "staging",          "exports",
		"exports/root",    "exports/root/bin", "exports/root/etc",
		"exports/root/tmp"};
	_cleanup_free_ char *busybox = NULL;
	size_t len;
	int fd;

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		assert_int_equal(mkdir(rig_path(r, "%s", dirs[i]), 0755), 0);
	assert_int_equal(chmod(rig_path(r, "exports/root/tmp"), 01777), 0);
	assert_int_equal(rsm_read_file_at(AT_FDCWD, BUSYBOX, 16U << 20, &busybox, &len), 0);
	fd = open(rig_path(r, "exports/root/bin/busybox"), O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	assert_true(fd >= 0);
	assert_int_equal(rsm_write_full(fd, busybox, len), 0);
	close(fd);
	for (size_t i = 0; i < sizeof(applets) / sizeof(applets[0]); i++)
		assert_int_equal(symlink("busybox", rig_path(r, "exports/root/bin/%s", applets[i])),
				 0);
	rig_write_file(r, "exports/root/etc/passwd",
		       "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n",
		       0644);
}

static void spawn_agent(struct rig *r)
{
	char exports[128], ports[128], staging[128];
	const char *argv[] = {AGENT, "--test-socket", "3",     "--exports", exports,   "--ports",
			      ports, "--staging",     staging, "--cgroup",  r->cgroup, NULL};
	int sv[2], fds[4] = {-1, 1, 2};
	struct rsm_spawn how = {.argv = argv, .fds = fds, .nfds = 4};

	(void)rsm_format(exports, sizeof(exports), "%s/exports", r->dir);
	(void)rsm_format(ports, sizeof(ports), "%s/ports", r->dir);
	(void)rsm_format(staging, sizeof(staging), "%s/staging", r->dir);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	fds[3] = sv[1];
	if (rsm_spawn(&how, &r->pid, NULL, &r->err) < 0)
		fail_msg("%s", r->err.message);
	close(sv[1]);
	assert_int_equal(ttrpc_conn_new(r->loop, sv[0], NULL, NULL, &r->agent), 0);
}

int rig_setup(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));
	char base[200];

	if (rig_missing()) {
		*state = NULL;
		free(r);
		return 0;
	}
	assert_int_equal(rsm_loop_new(&r->loop), 0);
	(void)rsm_format(r->dir, sizeof(r->dir), "/tmp/runsm-agent-XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	assert_int_equal(chmod(r->dir, 0755), 0);
	for (int i = 0; i < RIG_PORTS; i++)
		r->ports[i] = (struct rig_port){.rig = r, .listener = -1, .conn = -1};
	assert_true(find_cgroup2(base, sizeof(base)));
	assert_int_equal(
		rsm_format(r->cgroup, sizeof(r->cgroup), "%s/runsm-test-%d", base, getpid()), 0);
	make_rootfs(r);
	r->ports_fd = open(rig_path(r, "ports"), O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(mkdir(r->cgroup, 0755), 0);
	spawn_agent(r);
	*state = r;
	return 0;
}

static void forget_port(struct rig_port *p)
{
	rsm_loop_remove(p->source);
	p->source = NULL;
	rsm_close(&p->listener);
	rsm_close(&p->conn);
	p->ended = p->stalled = false;
	rsm_buf_free(&p->got);
	p->got = (struct rsm_buf){0};
}

int rig_teardown(void **state)
{
	struct rig *r = *state;
	int wstatus;

	if (!r)
		return 0;
	ttrpc_conn_free(r->agent);
	assert_int_equal(waitpid(r->pid, &wstatus, 0), r->pid);
	assert_int_equal(wstatus, 0);
	for (int i = 0; i < RIG_PORTS; i++)
		forget_port(&r->ports[i]);
	rsm_loop_free(r->loop);
	close(r->ports_fd);
	/* Empty: the agent cleaned up. */
	assert_int_equal(rmdir(r->cgroup), 0);
	assert_int_equal(rsm_remove_tree_at(AT_FDCWD, r->dir), 0);
	free(r);
	return 0;
}

/* ---------------------------------------------------------------- streams */

static void on_bytes(void *cookie, int fd, uint32_t events)
{
	struct rig_port *p = cookie;
	char *at;
	ssize_t n;

	if (p->stalled) {
		(void)rsm_source_pause(p->source);
		return;
	}
	at = rsm_buf_reserve(&p->got, 65536);
	assert_non_null(at);
	n = read(fd, at, 65535);
	if (n > 0) {
		p->got.len += (size_t)n;
		p->got.data[p->got.len] = '\0';
		return;
	}
	p->ended = true;
	rsm_loop_remove(p->source);
	p->source = NULL;
}

static void on_accept(void *cookie, int fd, uint32_t events)
{
	struct rig_port *p = cookie;

	p->conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	assert_true(p->conn >= 0);
	rsm_loop_remove(p->source);
	rsm_close(&p->listener);
	assert_int_equal(rsm_loop_add(p->rig->loop, p->conn, EPOLLIN, on_bytes, p, &p->source), 0);
}

void rig_listen(struct rig *r, unsigned port)
{
	struct rig_port *p = &r->ports[port];
	char name[16];

	forget_port(p);
	(void)rsm_format(name, sizeof(name), "%u", port);
	(void)unlinkat(r->ports_fd, name, 0);
	p->listener = rsm_unix_listen_at(r->ports_fd, name, 1);
	assert_true(p->listener >= 0);
	assert_int_equal(rsm_loop_add(r->loop, p->listener, EPOLLIN, on_accept, p, &p->source), 0);
}

#define WAIT_UNTIL(r, condition)                                                                   \
	do {                                                                                       \
		uint64_t end_ = rsm_now_ns() + TIMEOUT_MS * 1000000ULL;                            \
		while (!(condition)) {                                                             \
			assert_true(rsm_now_ns() < end_);                                          \
			assert_int_equal(rsm_loop_once((r)->loop, 100), 0);                        \
		}                                                                                  \
	} while (0)

void rig_wait_connected(struct rig *r, unsigned port)
{
	WAIT_UNTIL(r, r->ports[port].conn >= 0);
}

void rig_wait_text(struct rig *r, unsigned port, const char *text)
{
	WAIT_UNTIL(r, r->ports[port].got.data && strstr(r->ports[port].got.data, text));
}

void rig_wait_end(struct rig *r, unsigned port)
{
	WAIT_UNTIL(r, r->ports[port].ended);
}

/* ---------------------------------------------------------------- calls */

static int call(struct rig *r, const char *method, const ProtobufCMessage *request,
		ProtobufCMessage **reply)
{
	r->err = (struct rsm_error)RSM_ERROR_INIT;
	return ttrpc_call_sync(r->agent, &runsm__agent__descriptor, method, request, NULL, 0,
			       TIMEOUT_MS, reply, &r->err);
}

int rig_create_only(struct rig *r, struct rig_spec *s)
{
	return call(r, "CreateContainer", &s->request.base, NULL);
}

int rig_create(struct rig *r, struct rig_spec *s)
{
	const uint32_t ports[] = {s->io.stdin_port, s->io.stdout_port, s->io.stderr_port,
				  s->io.tty_port};

	for (int i = 0; i < 4; i++)
		if (ports[i])
			rig_listen(r, ports[i]);
	return rig_create_only(r, s);
}

int rig_start(struct rig *r, const char *id)
{
	Runsm__ContainerRequest request = RUNSM__CONTAINER_REQUEST__INIT;

	request.id = (char *)id;
	return call(r, "StartContainer", &request.base, NULL);
}

int rig_exec(struct rig *r, const char *id, const char *exec_id, Runsm__Process *process)
{
	Runsm__ExecRequest request = RUNSM__EXEC_REQUEST__INIT;

	request.id = (char *)id;
	request.exec_id = (char *)exec_id;
	request.process = process;
	return call(r, "Exec", &request.base, NULL);
}

int rig_signal(struct rig *r, const char *id, const char *exec_id, int sig, bool all)
{
	Runsm__SignalRequest request = RUNSM__SIGNAL_REQUEST__INIT;

	request.id = (char *)id;
	request.exec_id = (char *)exec_id;
	request.signal = (uint32_t)sig;
	request.all = all;
	return call(r, "Signal", &request.base, NULL);
}

int rig_resize(struct rig *r, const char *id, unsigned rows, unsigned cols)
{
	Runsm__ResizeRequest request = RUNSM__RESIZE_REQUEST__INIT;

	request.id = (char *)id;
	request.rows = rows;
	request.cols = cols;
	return call(r, "Resize", &request.base, NULL);
}

int rig_wait(struct rig *r, const char *id, const char *exec_id, Runsm__WaitResponse *ret)
{
	Runsm__ProcessRequest request = RUNSM__PROCESS_REQUEST__INIT;
	Runsm__WaitResponse *reply;
	int error;

	request.id = (char *)id;
	request.exec_id = (char *)exec_id;
	error = call(r, "Wait", &request.base, (ProtobufCMessage **)&reply);
	if (error < 0)
		return error;
	*ret = *reply;
	ret->extra_bytes = NULL; /* goes with the reply */
	ret->n_extra_bytes = 0;
	runsm__wait_response__free_unpacked(reply, NULL);
	return 0;
}

int rig_run(struct rig *r, struct rig_spec *s, const char **ret_out)
{
	Runsm__WaitResponse status;
	int ret = rig_create(r, s);

	if (ret == 0)
		ret = rig_start(r, s->request.id);
	if (ret == 0)
		ret = rig_wait(r, s->request.id, "", &status);
	if (ret < 0)
		return ret;
	rig_wait_end(r, 2);
	if (ret_out)
		*ret_out = r->ports[2].got.data ? r->ports[2].got.data : "";
	return status.status;
}

/* ---------------------------------------------------------------- specs */

Runsm__Mount *rig_add_mount(struct rig_spec *s, const char *type, const char *destination)
{
	Runsm__Mount *m = &s->mount[s->request.n_mounts];

	assert_true(s->request.n_mounts < RIG_MAX);
	runsm__mount__init(m);
	m->type = (char *)type;
	m->destination = (char *)destination;
	s->mounts[s->request.n_mounts++] = m;
	return m;
}

void rig_spec(struct rig_spec *s, const char *id, const char *script)
{
	/* Docker's: chown … audit_write */
	const uint64_t caps = 0xa80425fbULL;

	memset(s, 0, sizeof(*s));
	runsm__create_container_request__init(&s->request);
	runsm__process__init(&s->process);
	runsm__user__init(&s->user);
	runsm__capabilities__init(&s->caps);
	runsm__stdio__init(&s->io);
	s->request.id = (char *)id;
	s->request.root_export = (char *)"root";
	s->request.process = &s->process;
	s->request.mounts = s->mounts;
	s->process.user = &s->user;
	s->process.capabilities = &s->caps;
	s->process.has_capabilities = true;
	s->caps.bounding = s->caps.effective = s->caps.permitted = caps;
	s->process.stdio = &s->io;
	s->io.stdin_port = 1;
	s->io.stdout_port = 2;
	s->io.stderr_port = 3;
	s->process.cwd = (char *)"/";
	s->process.args = s->args;
	s->process.env = s->env;
	s->args[0] = (char *)"sh";
	s->args[1] = (char *)"-c";
	s->args[2] = (char *)script;
	s->process.n_args = 3;
	s->env[s->process.n_env++] = (char *)"PATH=/bin";
	(void)rig_add_mount(s, "proc", "/proc");
	rig_add_mount(s, "tmpfs", "/dev")->data = (char *)"mode=755,size=65536k";
	rig_add_mount(s, "devpts", "/dev/pts")->data =
		(char *)"newinstance,ptmxmode=0666,mode=0620,gid=5";
	rig_add_mount(s, "sysfs", "/sys")->flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
	rig_add_mount(s, "cgroup2", "/sys/fs/cgroup")->flags = MS_RDONLY;
}
