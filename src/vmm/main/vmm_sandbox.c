// SPDX-License-Identifier: Apache-2.0
#include "vmm/main/vmm_sandbox.h"

#include "base/io.h"
#include "base/log.h"
#include "base/math.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define DEFAULT_BOOT_MS 60000U
/* When the agent's connection breaks, the machine's end is the better story, if it comes soon. */
#define AGENT_LOST_NS   500000000ULL
/* What SIGKILL does not end in this time is ended with the VM. */
#define KILL_NS         (10ULL * 1000000000)
#define CONSOLE_LINES   12U
#define CONSOLE_MAX     2048
/* message, console, three numbers and the fields' tags */
#define REPORT_MAX      (RSM_ERROR_MESSAGE_MAX + CONSOLE_MAX + 64)

/* ---- reporting */

/* On the stack: that memory has run out must be reported too. */
static void write_report(struct sandbox *s, const Runsm__VmReport *report)
{
	uint8_t data[REPORT_MAX];
	size_t len = runsm__vm_report__get_packed_size(report);

	rsm_assert(len <= sizeof(data));
	(void)runsm__vm_report__pack(report, data);
	if (rsm_write_full(s->sync_fd, data, len) < 0)
		rsm_log_warn("nobody takes the report of what became of the VM");
	rsm_loop_remove(s->sync_source);
	s->sync_source = NULL;
	rsm_close(&s->sync_fd);
}

static void console_text(struct sandbox *s, char *buf, size_t size)
{
	buf[0] = '\0';
	if (!s->console)
		return;
	console_drain(s->console);
	(void)console_last_lines(s->console, CONSOLE_LINES, buf, size);
}

void sandbox_report(struct sandbox *s, const struct rsm_error *err)
{
	Runsm__VmReport report = RUNSM__VM_REPORT__INIT;
	char console[CONSOLE_MAX] = "";

	if (s->sync_fd < 0)
		return;
	report.ok = !err;
	if (err) {
		report.code = (uint32_t)err->code;
		report.exit_status = (uint32_t)err->exit_status;
		report.message = (char *)err->message;
		/* The agent's own complaint (no such program, …) says it all. */
		if (!s->agent || err->exit_status == 0)
			console_text(s, console, sizeof(console));
		report.console = console;
	}
	write_report(s, &report);
}

static void log_failure(struct sandbox *s, const struct rsm_error *err)
{
	char console[CONSOLE_MAX];

	console_text(s, console, sizeof(console));
	for (char *c = console; *c; c++)
		if (*c == '\n')
			*c = '|';
	rsm_log_error("%s: %s%s%s", s->config->id, err->message,
		      *console ? "; the guest's console said last: " : "", console);
}

void sandbox_fail(struct sandbox *s, const struct rsm_error *err)
{
	if (s->ended)
		return;
	s->ended = true;
	s->failure = *err;
	if (s->sync_fd >= 0)
		sandbox_report(s, err);
	else
		log_failure(s, err);
	rsm_loop_stop(s->loop, err->exit_status ? err->exit_status : EXIT_VM_FAILED);
}

static int fail_fmt(struct sandbox *s, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int fail_fmt(struct sandbox *s, int code, const char *fmt, ...)
{
	struct rsm_error err = {.code = code};
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(err.message, sizeof(err.message), fmt, ap);
	va_end(ap);
	sandbox_fail(s, &err);
	return -code;
}

void sandbox_end(struct sandbox *s)
{
	if (s->ended)
		return;
	s->ended = true;
	s->status = RUNSM__STATUS__STOPPED;
	processes_end(s);
	rsm_loop_stop(s->loop, s->init->result.status & 0xff);
}

/* ---- agent */

static void ignore_answer(void *cookie, const ProtobufCMessage *reply, const struct rsm_error *err)
{
	if (err->code)
		rsm_log_debug("agent: %s", err->message);
}

int sandbox_call_agent(struct sandbox *s, const char *method, const ProtobufCMessage *request,
		       ttrpc_done_fn done, void *cookie)
{
	if (!s->agent)
		return -ENOTCONN;
	return ttrpc_call_async(s->agent, &runsm__agent__descriptor, method, request, NULL, 0,
				done ? done : ignore_answer, cookie);
}

void sandbox_tell_time(struct sandbox *s, bool backward)
{
	Runsm__ClockRequest request = RUNSM__CLOCK_REQUEST__INIT;
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	request.realtime = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	request.backward = backward;
	(void)sandbox_call_agent(s, "SetClock", &request.base, NULL, NULL);
}

void sandbox_signal_init(struct sandbox *s, int sig)
{
	Runsm__SignalRequest request = RUNSM__SIGNAL_REQUEST__INIT;

	request.id = s->config->id;
	request.signal = (uint32_t)sig;
	(void)sandbox_call_agent(s, "Signal", &request.base, NULL, NULL);
}

static void kill_timeout(void *cookie)
{
	struct sandbox *s = cookie;

	s->kill_timer = NULL;
	if (s->init->ended)
		return;
	rsm_log_warn("%s: the guest did not end a killed process; the VM is ended", s->config->id);
	s->init->ended = true;
	s->init->result.status = 128 + SIGKILL;
	processes_settle(s);
}

void sandbox_killed(struct sandbox *s)
{
	if (!s->kill_timer)
		(void)rsm_loop_timer(s->loop, KILL_NS, kill_timeout, s, &s->kill_timer);
}

static void agent_lost(void *cookie)
{
	struct sandbox *s = cookie;

	s->lost_timer = NULL;
	(void)fail_fmt(s, EIO, "the agent in the guest broke its connection");
}

static void agent_closed(void *cookie, struct ttrpc_conn *conn, int error)
{
	struct sandbox *s = cookie;

	ttrpc_conn_free(conn);
	s->agent = NULL;
	if (!s->ended && !s->lost_timer)
		(void)rsm_loop_timer(s->loop, AGENT_LOST_NS, agent_lost, s, &s->lost_timer);
}

static const struct ttrpc_server agent_server = {.closed = agent_closed};

static void call_failed(void *cookie)
{
	struct sandbox *s = cookie;

	s->call_timer = NULL;
	if (s->agent)
		sandbox_fail(s, &s->call_error);
}

void sandbox_call_failed(struct sandbox *s, const struct rsm_error *err)
{
	if (s->ended || s->call_timer)
		return;
	s->call_error = *err;
	(void)rsm_loop_timer(s->loop, 0, call_failed, s, &s->call_timer);
}

static void created(void *cookie, const ProtobufCMessage *reply, const struct rsm_error *err)
{
	const Runsm__CreateContainerResponse *answer = (const void *)reply;
	struct sandbox *s = cookie;

	if (s->ended)
		return;
	if (!reply) {
		sandbox_call_failed(s, err);
		return;
	}
	rsm_loop_remove(s->boot_timer);
	s->boot_timer = NULL;
	s->init_pid = answer->pid;
	s->status = RUNSM__STATUS__CREATED;
	process_watch(s->init);
	oom_watch(s);
	rsm_log_debug("%s: created, pid %u in the guest", s->config->id, answer->pid);
	sandbox_report(s, NULL);
	if (s->log_of_start) {
		rsm_log_to(-1, RSM_LOG_TEXT, false);
		close(FD_LOG);
	}
}

static int agent_connected(void *cookie, struct vsock_stream *stream)
{
	struct sandbox *s = cookie;
	int fds[2], r;

	if (s->agent || s->agent_relay)
		return -EBUSY;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return fail_fmt(s, errno, "make a socket pair: %s", strerror(errno));
	r = stdio_relay_new(s->loop, fds[1], STDIO_SOURCE | STDIO_SINK, NULL, NULL,
			    &s->agent_relay);
	close(fds[1]);
	if (r == 0)
		r = ttrpc_conn_new(s->loop, fds[0], &agent_server, s, &s->agent);
	if (r < 0) {
		close(fds[0]);
		return fail_fmt(s, -r, "connect to the agent: %s", strerror(-r));
	}
	stdio_relay_attach(s->agent_relay, stream);
	rsm_log_debug("%s: the agent is connected", s->config->id);
	r = sandbox_call_agent(s, "CreateContainer", &s->config->container->base, created, s);
	if (r < 0)
		(void)fail_fmt(s, -r, "ask the agent for the container: %s", strerror(-r));
	return 0;
}

/* ---- machine */

static void boot_timeout(void *cookie)
{
	struct sandbox *s = cookie;
	char console[512];

	s->boot_timer = NULL;
	console_text(s, console, sizeof(console));
	(void)fail_fmt(s, ETIMEDOUT, "timed out: %s within %u ms%s",
		       s->agent ? "the agent in the guest did not create the container"
				: "the guest did not answer",
		       s->config->boot_timeout_ms, *console ? "" : ", and its console is silent");
}

static void machine_exited(void *cookie, const struct rsm_error *why)
{
	struct rsm_error err = RSM_ERROR_INIT;
	struct sandbox *s = cookie;
	char panic[256] = "";

	console_drain(s->console);
	(void)console_panic(s->console, panic, sizeof(panic));
	if (oom_deadlock(s, panic, &err))
		sandbox_fail(s, &err);
	else if (panic[0])
		(void)fail_fmt(s, EIO, "the guest's kernel panicked: %s", panic);
	else if (why->code)
		(void)fail_fmt(s, why->code, "the VM failed: %s", why->message);
	else
		(void)fail_fmt(s, EIO, "the guest %s",
			       s->sync_fd >= 0 ? "stopped before the container was created"
					       : "stopped by itself");
}

static int open_scratch(struct sandbox *s, struct rsm_error *err)
{
	return s->config->scratch_bytes
		       ? blk_new(FD_EXTRA + (int)s->config->extra_fds, &s->scratch, err)
		       : 0;
}

static int start_machine(struct sandbox *s, struct rsm_error *err)
{
	const struct machine_ops *ops = machine_find(s->config->accel);
	struct vdev *devices[4] = {s->fs, vsock_vdev(s->vsock)};
	size_t ndevices = 2;
	struct machine_config config = {
		.kernel = s->config->kernel,
		.initrd = s->config->initrd,
		.cmdline = s->config->cmdline,
		.memory = s->config->memory_bytes,
		.vcpus = s->config->vcpus,
		.qemu = s->config->qemu,
		.devices = devices,
	};
	_cleanup_close_ int console_fd = -1;
	int fds[2], r;

	if (!ops)
		return rsm_fail(err, EINVAL, "no machine '%s'", s->config->accel);
	if (s->scratch)
		devices[ndevices++] = s->scratch;
	if (s->nic)
		devices[ndevices++] = s->nic;
	config.ndevices = ndevices;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return rsm_fail_errno(err, errno, "make a socket pair");
	config.console_fd = console_fd = fds[1];
	r = console_new(s->loop, fds[0], &s->console);
	if (r < 0) {
		close(fds[0]);
		return rsm_fail_errno(err, r, "open the guest's console");
	}
	r = machine_create(ops, s->loop, &config, machine_exited, s, &s->machine, err);
	if (r == 0 && !ops->spawns)
		r = sandbox_jail(s, err);
	if (r == 0)
		r = machine_start(s->machine, err);
	if (r == 0 && ops->spawns)
		r = sandbox_jail(s, err);
	if (r == 0)
		rsm_log_debug("%s: the %s machine is started", s->config->id, ops->name);
	return r;
}

/* ---- life */

/* The fds of init are no longer ours once the relays have their own. */
static int release_stdio(struct sandbox *s)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return -errno;
	for (int fd = 0; fd < (s->keep_stderr ? 2 : 3); fd++)
		(void)dup2(null, fd);
	close(null);
	for (unsigned i = 0; i < s->config->extra_fds; i++)
		close(FD_EXTRA + (int)i);
	close(FD_CONSOLE_SOCKET);
	return 0;
}

static int init_stdio(struct sandbox *s, struct rsm_error *err)
{
	Runsm__Stdio *stdio = s->config->container->process->stdio;
	int fds[RELAYS_MAX];
	size_t n = 0;

	if (stdio->tty_port) {
		if (tty_open(s, err) < 0)
			return -err->code;
		stdio->stdin_port = stdio->stdout_port = stdio->stderr_port = 0;
		fds[n++] = s->tty_fd;
	}
	if (stdio->stdin_port)
		fds[n++] = STDIN_FILENO;
	if (stdio->stdout_port)
		fds[n++] = STDOUT_FILENO;
	if (stdio->stderr_port)
		fds[n++] = STDERR_FILENO;
	for (unsigned i = 0; i < s->config->extra_fds; i++)
		fds[n++] = FD_EXTRA + (int)i;
	if (process_new(s, "", &s->init) < 0)
		return rsm_fail_errno(err, ENOMEM, "stdio");
	if (process_add_stdio(s->init, stdio, fds, n, err) < 0)
		return -err->code;
	return release_stdio(s) < 0 ? rsm_fail_errno(err, errno, "open /dev/null") : 0;
}

/* Nobody waits for the report any more: without its creator the container is nobody's. */
static void creator_gone(void *cookie, int fd, uint32_t events)
{
	struct rsm_error err = {.code = EPIPE};

	(void)rsm_format(err.message, sizeof(err.message),
			 "the command that creates the container was killed");
	sandbox_fail(cookie, &err);
}

/*
 * The runtime runs the hooks of create: the namespaces they look at must be there, and nothing
 * opened that they may change (mounts and files in the root file system, links of the network).
 */
static int await_hooks(struct sandbox *s, struct rsm_error *err)
{
	Runsm__VmReport ready = RUNSM__VM_REPORT__INIT;
	uint8_t packed[16];
	ssize_t n;
	char go;

	if (!s->config->await_hooks)
		return 0;
	ready.ok = ready.ready = true;
	rsm_assert(runsm__vm_report__get_packed_size(&ready) <= sizeof(packed));
	n = rsm_write_full(s->sync_fd, packed, runsm__vm_report__pack(&ready, packed));
	if (n == 0)
		n = rsm_read_full(s->sync_fd, &go, 1);
	if (n < 0)
		return rsm_fail_errno(err, (int)n, "wait for the hooks");
	return n == 1 ? 0 : rsm_fail(err, EPIPE, "the command that creates the container is gone");
}

int sandbox_start(struct sandbox *s, struct rsm_error *err)
{
	int r = network_enter(s, err);

	if (r == 0)
		r = await_hooks(s, err);

	if (r == 0)
		r = network_check(s, err);
	if (r < 0)
		return r;
	if (!s->config->boot_timeout_ms)
		s->config->boot_timeout_ms = DEFAULT_BOOT_MS;
	r = rsm_loop_add(s->loop, s->sync_fd, 0, creator_gone, s, &s->sync_source);
	if (r < 0)
		return rsm_fail_errno(err, r, "watch the sync socket");
	r = vmm_exports_open(s->config, &s->exports, &s->fs, err);
	if (r < 0)
		return r;
	r = vsock_new(s->loop, &s->vsock);
	if (r == 0)
		r = vsock_listen(s->vsock, AGENT_PORT, agent_connected, s);
	if (r == 0)
		r = rsm_loop_timer(s->loop, s->config->boot_timeout_ms * 1000000ULL, boot_timeout,
				   s, &s->boot_timer);
	if (r < 0)
		return rsm_fail_errno(err, r, "prepare the VM");
	r = init_stdio(s, err);
	if (r == 0)
		r = open_scratch(s, err);
	if (r == 0)
		r = network_open(s, err);
	if (r == 0)
		r = control_listen(s, err);
	return r < 0 ? r : start_machine(s, err);
}

void sandbox_free(struct sandbox *s)
{
	s->ended = true;
	ttrpc_conn_free(s->agent);
	s->agent = NULL;
	machine_free(s->machine);
	control_free(s);
	while (!LIST_EMPTY(&s->processes))
		process_free(LIST_FIRST(&s->processes));
	stdio_relay_free(s->agent_relay);
	vsock_free(s->vsock);
	blk_free(s->scratch);
	net_free(s->nic);
	vmm_exports_free(s->exports, s->fs);
	console_free(s->console);
	rsm_loop_remove(s->boot_timer);
	rsm_loop_remove(s->lost_timer);
	rsm_loop_remove(s->call_timer);
	rsm_loop_remove(s->kill_timer);
	rsm_loop_remove(s->oom_timer);
	rsm_loop_remove(s->settle);
	rsm_loop_remove(s->sync_source);
	rsm_close(&s->tty_fd);
	rsm_close(&s->sync_fd);
}
