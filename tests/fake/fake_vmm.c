// SPDX-License-Identifier: Apache-2.0
/*
 * A stand-in for runsm-vmm: the same start-up, control socket and exit status, and no VM.
 *
 * For tests of the runtime alone, in seconds and without root. What the "container" does is said by
 * process.args of its config.json:
 *
 *	exit N		ends with N as soon as it is started
 *	sleep		runs until a signal ends it
 *	refuse C M	reports failure: exit status C, message M, with a guest console
 *	mute		ends without a report
 *	hang		never reports
 *	oom		runs until somebody waits for it to run out of memory; see below
 *	deaf		runs, and never tells its figures
 *
 * Its guest's figures are partly nonsense, and it runs out of memory once with "oom", right after the
 * first who waits for that does, and ends with 137.
 *
 * An exec'ed process writes its arguments to its stdout and ends with the first one's number;
 * "wait" runs until it is signalled.
 */
#include "base/cleanup.h"
#include "base/io.h"
#include "base/math.h"
#include "ttrpc/agent.pb-c.h"
#include "ttrpc/ttrpc.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

enum { FD_CONFIG = 3, FD_SYNC, FD_STATE_DIR, FD_LOG, FD_CONSOLE };

struct fake {
	struct rsm_loop *loop;
	Runsm__VmConfig *config;
	Runsm__Status status;
	struct ttrpc_call *exec_waiter;
	int exec_status;
};

static const char *arg(const struct fake *f, size_t i)
{
	const Runsm__Process *p = f->config->container->process;

	return i < p->n_args ? p->args[i] : "";
}

static void reply_empty(struct ttrpc_call *call)
{
	Runsm__Empty empty = RUNSM__EMPTY__INIT;

	ttrpc_reply(call, &empty.base);
}

static void do_state(void *cookie, struct ttrpc_call *call, const ProtobufCMessage *request)
{
	struct fake *f = cookie;
	Runsm__StateResponse r = RUNSM__STATE_RESPONSE__INIT;

	r.status = f->status;
	r.machine = f->config->accel;
	ttrpc_reply(call, &r.base);
}

static void end_soon(void *cookie)
{
	struct fake *f = cookie;

	rsm_loop_stop(f->loop, atoi(arg(f, 1)));
}

static void do_start(void *cookie, struct ttrpc_call *call, const ProtobufCMessage *request)
{
	struct fake *f = cookie;

	f->status = RUNSM__STATUS__RUNNING;
	reply_empty(call);
	if (strcmp(arg(f, 0), "exit") == 0)
		(void)rsm_loop_timer(f->loop, 20000000, end_soon, f, NULL);
}

static void end_exec(struct fake *f, int status)
{
	Runsm__WaitResponse r = RUNSM__WAIT_RESPONSE__INIT;

	f->exec_status = status;
	r.status = status;
	if (f->exec_waiter)
		ttrpc_reply(f->exec_waiter, &r.base);
	f->exec_waiter = NULL;
}

static void do_exec(void *cookie, struct ttrpc_call *call, const ProtobufCMessage *request)
{
	const Runsm__Process *p = ((const Runsm__ExecRequest *)request)->process;
	Runsm__ExecResponse r = RUNSM__EXEC_RESPONSE__INIT;
	struct fake *f = cookie;
	_cleanup_close_ int in = -1, out = -1;

	f->exec_status = -1;
	if (strcmp(p->args[0], "missing") == 0) {
		const struct rsm_error err = {
			ENOENT, 127, "exec: \"missing\": executable file not found in $PATH"};

		ttrpc_fail_error(call, &err);
		return;
	}
	if (p->stdio->stdin_port)
		in = ttrpc_call_take_fd(call);
	if (p->stdio->stdout_port || p->stdio->tty_port)
		out = ttrpc_call_take_fd(call);
	for (size_t i = 0; out >= 0 && i < p->n_args; i++)
		(void)dprintf(out, "%s%s", p->args[i], i + 1 < p->n_args ? " " : "\n");
	(void)dprintf(out, "user %u:%u cwd %s env %s\n", p->user->uid, p->user->gid, p->cwd,
		      p->n_env ? p->env[p->n_env - 1] : "");
	r.pid = 42;
	ttrpc_reply(call, &r.base);
	if (strcmp(p->args[0], "wait") != 0)
		end_exec(f, atoi(p->args[0]));
}

static void do_wait(void *cookie, struct ttrpc_call *call, const ProtobufCMessage *request)
{
	struct fake *f = cookie;

	f->exec_waiter = call;
	if (f->exec_status >= 0)
		end_exec(f, f->exec_status);
}

static void do_signal(void *cookie, struct ttrpc_call *call, const ProtobufCMessage *request)
{
	const Runsm__SignalRequest *r = (const Runsm__SignalRequest *)request;
	struct fake *f = cookie;

	reply_empty(call);
	if (r->signal == 0)
		return;
	if (r->exec_id[0])
		end_exec(f, 128 + (int)r->signal);
	else
		rsm_loop_stop(f->loop, 128 + (int)r->signal);
}

static void do_processes(void *cookie, struct ttrpc_call *call, const ProtobufCMessage *request)
{
	Runsm__ProcessInfo p = RUNSM__PROCESS_INFO__INIT, *list[] = {&p};
	Runsm__ProcessesResponse r = RUNSM__PROCESSES_RESPONSE__INIT;

	p.pid = 7;
	p.state = (char *)"S";
	p.cmdline = (char *)"sh\033[2J -c x";
	p.comm = (char *)"sh";
	p.cpu_ticks = 366100;
	r.n_processes = 1;
	r.processes = list;
	ttrpc_reply(call, &r.base);
}

static void do_stats(void *cookie, struct ttrpc_call *call, const ProtobufCMessage *request)
{
	Runsm__Stat good = RUNSM__STAT__INIT, bad = RUNSM__STAT__INIT, *list[] = {&bad, &good, &good};
	Runsm__StatsResponse r = RUNSM__STATS_RESPONSE__INIT;
	struct fake *f = cookie;

	if (strcmp(arg(f, 0), "deaf") == 0)
		return;
	if (f->status == RUNSM__STATUS__PAUSED) {
		ttrpc_fail(call, EBUSY, "container is paused");
		return;
	}
	good.name = (char *)"anon";
	good.value = UINT64_MAX;
	bad.name = (char *)"\"}\n\033[2J\xff";
	r.memory_usage = r.memory_limit = UINT64_MAX;
	r.memory_stat = list;
	r.n_memory_stat = RSM_ARRAY_SIZE(list);
	r.pids_current = 3;
	r.vm_memory = f->config->memory_bytes;
	ttrpc_reply(call, &r.base);
}

static void out_of_memory(void *cookie)
{
	struct fake *f = cookie;

	rsm_loop_stop(f->loop, 137);
}

static void do_wait_oom(void *cookie, struct ttrpc_call *call, const ProtobufCMessage *request)
{
	Runsm__OomResponse r = RUNSM__OOM_RESPONSE__INIT;
	struct fake *f = cookie;

	if (strcmp(arg(f, 0), "oom") != 0 || ((const Runsm__OomRequest *)request)->seen > 0)
		return;
	r.kills = 1;
	ttrpc_reply(call, &r.base);
	(void)rsm_loop_timer(f->loop, 20000000, out_of_memory, f, NULL);
}

static void do_pause(void *cookie, struct ttrpc_call *call, const ProtobufCMessage *request)
{
	((struct fake *)cookie)->status = RUNSM__STATUS__PAUSED;
	reply_empty(call);
}

static void do_resume(void *cookie, struct ttrpc_call *call, const ProtobufCMessage *request)
{
	((struct fake *)cookie)->status = RUNSM__STATUS__RUNNING;
	reply_empty(call);
}

static void closed(void *cookie, struct ttrpc_conn *conn, int error)
{
	ttrpc_conn_free(conn);
}

static const struct ttrpc_method methods[] = {
	{"runsm.Sandbox", "State", &runsm__container_request__descriptor, do_state},
	{"runsm.Sandbox", "Start", &runsm__container_request__descriptor, do_start},
	{"runsm.Sandbox", "Exec", &runsm__exec_request__descriptor, do_exec},
	{"runsm.Sandbox", "Wait", &runsm__process_request__descriptor, do_wait},
	{"runsm.Sandbox", "Signal", &runsm__signal_request__descriptor, do_signal},
	{"runsm.Sandbox", "Processes", &runsm__container_request__descriptor, do_processes},
	{"runsm.Sandbox", "Stats", &runsm__container_request__descriptor, do_stats},
	{"runsm.Sandbox", "WaitOom", &runsm__oom_request__descriptor, do_wait_oom},
	{"runsm.Sandbox", "Pause", &runsm__container_request__descriptor, do_pause},
	{"runsm.Sandbox", "Resume", &runsm__container_request__descriptor, do_resume},
};

static const struct ttrpc_server server = {methods, RSM_ARRAY_SIZE(methods), closed};

static void incoming(void *cookie, int fd, uint32_t events)
{
	int sock = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct fake *f = cookie;
	struct ttrpc_conn *conn;

	if (sock >= 0 && ttrpc_conn_new(f->loop, sock, &server, f, &conn) < 0)
		close(sock);
}

static void report(const struct fake *f)
{
	Runsm__VmReport r = RUNSM__VM_REPORT__INIT;
	uint8_t buf[1024];

	r.ok = strcmp(arg(f, 0), "refuse") != 0;
	if (!r.ok) {
		r.code = EINVAL;
		r.exit_status = (uint32_t)atoi(arg(f, 1));
		r.message = (char *)arg(f, 2);
		r.console = (char *)"line one\nKernel panic - not syncing\n";
	}
	(void)rsm_write_full(FD_SYNC, buf, runsm__vm_report__pack(&r, buf));
	close(FD_SYNC);
}

static Runsm__VmConfig *read_config(void)
{
	static uint8_t buf[1 << 20];
	ssize_t n = rsm_read_full(FD_CONFIG, buf, sizeof(buf));

	return n < 0 ? NULL : runsm__vm_config__unpack(NULL, (size_t)n, buf);
}

int main(int argc, char **argv)
{
	struct fake f = {.status = RUNSM__STATUS__CREATED};
	int fd, status;

	(void)setsid();
	(void)signal(SIGPIPE, SIG_IGN);
	f.config = read_config();
	if (!f.config || rsm_loop_new(&f.loop) < 0)
		return 250;
	if (strcmp(arg(&f, 0), "mute") == 0)
		_exit(3);
	fd = rsm_unix_listen_at(FD_STATE_DIR, "control.sock", 8);
	if (fd < 0 || rsm_loop_add(f.loop, fd, EPOLLIN, incoming, &f, NULL) < 0)
		return 251;
	if (strcmp(arg(&f, 0), "hang") == 0)
		f.status = RUNSM__STATUS__CREATING;
	else
		report(&f);
	status = rsm_loop_run(f.loop);
	_exit(status < 0 ? 252 : status); /* what is still allocated is no leak */
}
