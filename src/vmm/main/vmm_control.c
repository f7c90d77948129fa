// SPDX-License-Identifier: Apache-2.0
/*
 * Service runsm.Sandbox on the control socket. Most calls are handed on to the agent as they are
 * and its answer handed back; what the VMM itself knows or decides has a handler of its own.
 */
#include "vmm/main/vmm_sandbox.h"

#include "base/io.h"
#include "base/log.h"
#include "base/math.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#define SOCKET_NAME "control.sock"
#define BACKLOG     64

/* A call handed on: @after is told of success before the answer goes back. */
struct forwarded {
	struct sandbox *sandbox;
	struct ttrpc_call *call;
	void (*after)(struct sandbox *s);
};

static void forward_done(void *cookie, const ProtobufCMessage *reply, const struct rsm_error *err)
{
	struct forwarded *f = cookie;

	if (reply && f->after && !f->sandbox->ended)
		f->after(f->sandbox);
	if (reply)
		ttrpc_reply(f->call, reply);
	else
		ttrpc_fail_error(f->call, err);
	free(f);
}

static void forward_to(struct sandbox *s, struct ttrpc_call *call, const char *method,
		       const ProtobufCMessage *request, ttrpc_done_fn done,
		       void (*after)(struct sandbox *s))
{
	struct forwarded *f = malloc(sizeof(*f));
	int r = -ENOMEM;

	if (f) {
		*f = (struct forwarded){.sandbox = s, .call = call, .after = after};
		r = sandbox_call_agent(s, method, request, done, f);
	}
	if (r < 0) {
		free(f);
		ttrpc_fail(call, -r, "the agent cannot be asked: %s", strerror(-r));
	}
}

static void forward(struct sandbox *s, struct ttrpc_call *call, const char *method,
		    const ProtobufCMessage *request, void (*after)(struct sandbox *s))
{
	forward_to(s, call, method, request, forward_done, after);
}

/* Is the call for this container, and is the container there? Answers it if not. */
static bool check(struct sandbox *s, struct ttrpc_call *call, const char *id)
{
	if (strcmp(id, s->config->id) != 0) {
		ttrpc_fail(call, ENOENT, "container '%.64s' is not in this VM", id);
		return false;
	}
	if (s->status == RUNSM__STATUS__CREATING) {
		ttrpc_fail(call, EBUSY, "container is being created");
		return false;
	}
	return true;
}

static void reply_empty(struct ttrpc_call *call)
{
	Runsm__Empty empty = RUNSM__EMPTY__INIT;

	ttrpc_reply(call, &empty.base);
}

/* ---- methods */

static void do_state(void *cookie, struct ttrpc_call *call, const ProtobufCMessage *request)
{
	struct sandbox *s = ((struct client *)cookie)->sandbox;
	Runsm__StateResponse answer = RUNSM__STATE_RESPONSE__INIT;

	answer.status = s->status;
	answer.init_pid_in_guest = s->init_pid;
	answer.machine = s->config->accel;
	answer.oom_kills = s->oom_kills;
	ttrpc_reply(call, &answer.base);
}

static void started(struct sandbox *s)
{
	if (s->status == RUNSM__STATUS__CREATED)
		s->status = RUNSM__STATUS__RUNNING;
}

static void do_start(void *cookie, struct ttrpc_call *call, const ProtobufCMessage *request)
{
	struct sandbox *s = ((struct client *)cookie)->sandbox;

	if (!check(s, call, ((const Runsm__ContainerRequest *)request)->id))
		return;
	if (s->status != RUNSM__STATUS__CREATED) {
		ttrpc_fail(call, EINVAL, "container is not in state created");
		return;
	}
	/* What the guest's kernel read from the clock of its board is up to half a second off. */
	sandbox_tell_time(s, true);
	forward(s, call, "StartContainer", request, started);
}

static void exec_done(void *cookie, const ProtobufCMessage *reply, const struct rsm_error *err)
{
	struct process *p = cookie;

	if (!reply) {
		ttrpc_fail_error(p->starting, err);
		p->starting = NULL;
		process_free(p);
		return;
	}
	ttrpc_reply(p->starting, reply);
	p->starting = NULL;
	process_watch(p);
	if (p->orphan)
		process_kill(p);
}

static void do_exec(void *cookie, struct ttrpc_call *call, const ProtobufCMessage *message)
{
	/* The ports are filled in; the message is ours as long as we are called. */
	Runsm__ExecRequest *request = (Runsm__ExecRequest *)message;
	struct client *client = cookie;
	struct sandbox *s = client->sandbox;
	struct rsm_error err = RSM_ERROR_INIT;
	struct process *p;
	int fds[RSM_FDS_MAX];
	size_t n = 0;
	int r;

	while (n < RSM_FDS_MAX && (fds[n] = ttrpc_call_take_fd(call)) >= 0)
		n++;
	if (!check(s, call, request->id))
		goto out;
	if (s->status != RUNSM__STATUS__RUNNING && s->status != RUNSM__STATUS__CREATED) {
		ttrpc_fail(call, EINVAL, "cannot exec in a container that is not running");
		goto out;
	}
	if (!*request->exec_id || !request->process || !request->process->stdio) {
		ttrpc_fail(call, EINVAL, "exec: incomplete request");
		goto out;
	}
	if (process_find(s, request->exec_id)) {
		ttrpc_fail(call, EEXIST, "process '%.64s' exists", request->exec_id);
		goto out;
	}
	if (process_new(s, request->exec_id, &p) < 0) {
		ttrpc_fail(call, ENOMEM, "out of memory");
		goto out;
	}
	p->owner = client;
	p->starting = call;
	r = process_add_stdio(p, request->process->stdio, fds, n, &err);
	if (r == 0) {
		r = sandbox_call_agent(s, "Exec", message, exec_done, p);
		if (r < 0)
			(void)rsm_fail_errno(&err, r, "ask the agent");
	}
	if (r < 0) {
		ttrpc_fail_error(call, &err);
		process_free(p);
	}
out:
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
}

static void do_wait(void *cookie, struct ttrpc_call *call, const ProtobufCMessage *message)
{
	const Runsm__ProcessRequest *request = (const void *)message;
	struct sandbox *s = ((struct client *)cookie)->sandbox;
	struct process *p;

	if (!check(s, call, request->id))
		return;
	p = process_find(s, request->exec_id);
	if (p && !p->starting)
		process_wait(p, call);
	else
		ttrpc_fail(call, ESRCH, "no process '%.64s'", request->exec_id);
}

static void ignore_resume(void *cookie, const struct rsm_error *err)
{
	struct sandbox *s = cookie;

	s->pausing = false;
	if (!err->code)
		s->status = s->paused_from;
}

static void do_signal(void *cookie, struct ttrpc_call *call, const ProtobufCMessage *message)
{
	const Runsm__SignalRequest *request = (const void *)message;
	struct sandbox *s = ((struct client *)cookie)->sandbox;
	bool kills;

	if (!check(s, call, request->id))
		return;
	kills = request->signal == SIGKILL && !*request->exec_id;
	if (s->status != RUNSM__STATUS__PAUSED && !kills) {
		forward(s, call, "Signal", message, NULL);
		return;
	}
	/*
	 * A paused guest takes it when it goes on, and what kills it makes it go on. SIGKILL is not
	 * left to a guest that may be too broken to answer.
	 */
	(void)sandbox_call_agent(s, "Signal", message, NULL, NULL);
	if (kills)
		sandbox_killed(s);
	if (kills && s->status == RUNSM__STATUS__PAUSED && !s->pausing &&
	    machine_resume(s->machine, ignore_resume, s) == 0)
		s->pausing = true;
	reply_empty(call);
}

static void do_resize(void *cookie, struct ttrpc_call *call, const ProtobufCMessage *message)
{
	struct sandbox *s = ((struct client *)cookie)->sandbox;

	if (check(s, call, ((const Runsm__ResizeRequest *)message)->id))
		forward(s, call, "Resize", message, NULL);
}

static void do_processes(void *cookie, struct ttrpc_call *call, const ProtobufCMessage *message)
{
	struct sandbox *s = ((struct client *)cookie)->sandbox;

	if (!check(s, call, ((const Runsm__ContainerRequest *)message)->id))
		return;
	if (s->status == RUNSM__STATUS__PAUSED)
		ttrpc_fail(call, EBUSY, "container is paused");
	else
		forward(s, call, "Processes", message, NULL);
}

static void updated_late(void *cookie, const ProtobufCMessage *reply, const struct rsm_error *err)
{
	if (!reply)
		rsm_log_warn("limits set while the container was paused: %s", err->message);
}

/* A paused guest takes new limits when it goes on, and uses up nothing before. */
static void update_paused(struct sandbox *s, struct ttrpc_call *call, const ProtobufCMessage *message)
{
	int r = sandbox_call_agent(s, "UpdateContainer", message, updated_late, s);

	if (r < 0)
		ttrpc_fail(call, -r, "the agent cannot be asked: %s", strerror(-r));
	else
		reply_empty(call);
}

static void do_update(void *cookie, struct ttrpc_call *call, const ProtobufCMessage *message)
{
	const Runsm__UpdateContainerRequest *r = (const Runsm__UpdateContainerRequest *)message;
	struct sandbox *s = ((struct client *)cookie)->sandbox;
	const uint64_t memory = s->config->memory_bytes;

	if (!check(s, call, r->id))
		return;
	if (r->memory_limit != UINT64_MAX && r->memory_limit > memory)
		ttrpc_fail(call, ERANGE,
			   "linux.resources.memory.limit: the VM was made with %llu MiB, and cannot "
			   "have more: make the container anew",
			   (unsigned long long)memory >> 20);
	else if (s->status == RUNSM__STATUS__PAUSED)
		update_paused(s, call, message);
	else
		forward(s, call, "UpdateContainer", message, NULL);
}

static void stats_done(void *cookie, const ProtobufCMessage *reply, const struct rsm_error *err)
{
	struct forwarded *f = cookie;
	Runsm__StatsResponse answer;

	if (reply) {
		answer = *(const Runsm__StatsResponse *)reply;
		answer.vm_memory = f->sandbox->config->memory_bytes;
		ttrpc_reply(f->call, &answer.base);
	} else {
		ttrpc_fail_error(f->call, err);
	}
	free(f);
}

static void do_stats(void *cookie, struct ttrpc_call *call, const ProtobufCMessage *message)
{
	struct sandbox *s = ((struct client *)cookie)->sandbox;

	if (!check(s, call, ((const Runsm__ContainerRequest *)message)->id))
		return;
	if (s->status == RUNSM__STATUS__PAUSED)
		ttrpc_fail(call, EBUSY, "container is paused");
	else
		forward_to(s, call, "Stats", message, stats_done, NULL);
}

static void do_wait_oom(void *cookie, struct ttrpc_call *call, const ProtobufCMessage *message)
{
	const Runsm__OomRequest *r = (const Runsm__OomRequest *)message;
	struct sandbox *s = ((struct client *)cookie)->sandbox;

	if (check(s, call, r->id))
		oom_wait(s, r->seen, call);
}

/* ---- pause, resume */

struct change {
	struct sandbox *sandbox;
	struct ttrpc_call *call;
	Runsm__Status to;
};

static void changed(void *cookie, const struct rsm_error *err)
{
	struct change *c = cookie;

	c->sandbox->pausing = false;
	if (err->code) {
		ttrpc_fail_error(c->call, err);
	} else {
		c->sandbox->status = c->to;
		reply_empty(c->call);
	}
	free(c);
}

static void change(struct sandbox *s, struct ttrpc_call *call, Runsm__Status to,
		   int (*act)(struct machine *m, machine_done_fn done, void *cookie))
{
	struct change *c = malloc(sizeof(*c));
	int r = -ENOMEM;

	if (c) {
		*c = (struct change){.sandbox = s, .call = call, .to = to};
		r = act(s->machine, changed, c);
	}
	if (r == 0) {
		s->pausing = true;
		return;
	}
	free(c);
	ttrpc_fail(call, -r, "the VM cannot be paused or resumed: %s", strerror(-r));
}

static void do_pause(void *cookie, struct ttrpc_call *call, const ProtobufCMessage *message)
{
	struct sandbox *s = ((struct client *)cookie)->sandbox;

	if (!check(s, call, ((const Runsm__ContainerRequest *)message)->id))
		return;
	if (s->pausing ||
	    (s->status != RUNSM__STATUS__RUNNING && s->status != RUNSM__STATUS__CREATED)) {
		ttrpc_fail(call, EINVAL, "container not running");
		return;
	}
	s->paused_from = s->status;
	change(s, call, RUNSM__STATUS__PAUSED, machine_pause);
}

/*
 * Of a paused VM without a CPU of its own time stands still, and the container would live in the
 * past. The guest takes the message when it goes on, before anything that is asked of it later.
 */
static void do_resume(void *cookie, struct ttrpc_call *call, const ProtobufCMessage *message)
{
	struct sandbox *s = ((struct client *)cookie)->sandbox;

	if (!check(s, call, ((const Runsm__ContainerRequest *)message)->id))
		return;
	if (s->pausing || s->status != RUNSM__STATUS__PAUSED) {
		ttrpc_fail(call, EINVAL, "container not paused");
		return;
	}
	sandbox_tell_time(s, false);
	change(s, call, s->paused_from, machine_resume);
}

/* ---- connections */

static void client_free(struct client *client)
{
	struct sandbox *s = client->sandbox;
	struct process *p;

	LIST_FOREACH(p, &s->processes, entry)
	{
		if (p->owner != client)
			continue;
		p->owner = NULL;
		p->orphan = true;
		if (!p->ended && !p->starting && !s->ended)
			process_kill(p);
	}
	oom_forget(s, client->conn);
	LIST_REMOVE(client, entry);
	ttrpc_conn_free(client->conn);
	free(client);
	if (!s->ended)
		processes_settle(s);
}

static void client_closed(void *cookie, struct ttrpc_conn *conn, int error)
{
	client_free(cookie);
}

static const struct ttrpc_method methods[] = {
	{"runsm.Sandbox", "State", &runsm__container_request__descriptor, do_state},
	{"runsm.Sandbox", "Start", &runsm__container_request__descriptor, do_start},
	{"runsm.Sandbox", "Exec", &runsm__exec_request__descriptor, do_exec},
	{"runsm.Sandbox", "Wait", &runsm__process_request__descriptor, do_wait},
	{"runsm.Sandbox", "Signal", &runsm__signal_request__descriptor, do_signal},
	{"runsm.Sandbox", "Resize", &runsm__resize_request__descriptor, do_resize},
	{"runsm.Sandbox", "Processes", &runsm__container_request__descriptor, do_processes},
	{"runsm.Sandbox", "Pause", &runsm__container_request__descriptor, do_pause},
	{"runsm.Sandbox", "Resume", &runsm__container_request__descriptor, do_resume},
	{"runsm.Sandbox", "UpdateContainer", &runsm__update_container_request__descriptor, do_update},
	{"runsm.Sandbox", "Stats", &runsm__container_request__descriptor, do_stats},
	{"runsm.Sandbox", "WaitOom", &runsm__oom_request__descriptor, do_wait_oom},
};

static const struct ttrpc_server server = {
	.methods = methods,
	.nmethods = RSM_ARRAY_SIZE(methods),
	.closed = client_closed,
};

static void incoming(void *cookie, int fd, uint32_t events)
{
	int sock = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct sandbox *s = cookie;
	struct client *client;

	if (sock < 0)
		return;
	client = calloc(1, sizeof(*client));
	if (!client || ttrpc_conn_new(s->loop, sock, &server, client, &client->conn) < 0) {
		close(sock);
		free(client);
		return;
	}
	client->sandbox = s;
	LIST_INSERT_HEAD(&s->clients, client, entry);
}

int control_listen(struct sandbox *s, struct rsm_error *err)
{
	int r;

	s->listen_fd = r = rsm_unix_listen_at(s->state_fd, SOCKET_NAME, BACKLOG);
	if (r >= 0)
		r = rsm_loop_add(s->loop, s->listen_fd, EPOLLIN, incoming, s, &s->listen_source);
	return r < 0 ? rsm_fail_errno(err, r, "listen on %s in the state directory", SOCKET_NAME)
		     : 0;
}

void control_free(struct sandbox *s)
{
	while (!LIST_EMPTY(&s->clients))
		client_free(LIST_FIRST(&s->clients));
	rsm_loop_remove(s->listen_source);
	rsm_close(&s->listen_fd);
}
