// SPDX-License-Identifier: Apache-2.0
/*
 * A process is reported to those who wait for it when
 *
 *	the agent answered Wait	(the process is reaped; how many bytes it wrote) and
 *	the host fds took them	(or will never take more, or took nothing for STALL_NS)
 *
 * so a fast exit loses no output. Others in the container may hold on to the output of an exec'ed
 * process that has ended: the host fds stay open for them until they let go of it, which is what
 * sharing the fd itself comes to under runc. The looking is done from a timer, never from within a relay's
 * callback, because it frees relays.
 */
#include "vmm/main/vmm_sandbox.h"

#include "base/log.h"
#include "base/math.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

/* A reader that takes nothing for so long keeps no ended process from being reported. */
#define STALL_NS   (10ULL * 1000000000)
/* How long init's report waits for those of other processes, which ended with it. */
#define OTHERS_NS  (1000000000ULL)
#define RECHECK_NS 100000000ULL
/* So many ended processes may have output that somebody holds on to; beyond, the oldest lose it. */
#define LINGERING_MAX 64U

int process_new(struct sandbox *s, const char *exec_id, struct process **ret)
{
	struct process *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->exec_id = strdup(exec_id);
	if (!p->exec_id) {
		free(p);
		return -ENOMEM;
	}
	p->sandbox = s;
	runsm__wait_response__init(&p->result);
	LIST_INSERT_HEAD(&s->processes, p, entry);
	*ret = p;
	return 0;
}

/* Their relays are not looked at any more. */
static void forget_relays(struct process *p)
{
	p->in = p->out = p->err = p->tty = NULL;
	memset(p->extra, 0, sizeof(p->extra));
}

static void free_relays(struct process *p)
{
	for (size_t i = 0; i < p->nrelays; i++)
		stdio_relay_free(p->relays[i]);
	p->nrelays = 0;
	forget_relays(p);
}

/* Keep what the guest may still write to, other than a terminal, which ended with its session. */
static void free_ended_relays(struct process *p)
{
	size_t kept = 0;

	for (size_t i = 0; i < p->nrelays; i++) {
		struct stdio_relay *r = p->relays[i];

		if (r == p->in || r == p->tty || stdio_relay_done(r, UINT64_MAX))
			stdio_relay_free(r);
		else
			p->relays[kept++] = r;
	}
	p->nrelays = kept;
	forget_relays(p);
}

void process_free(struct process *p)
{
	struct waiter *w;

	free_relays(p);
	while ((w = SLIST_FIRST(&p->waiters))) {
		SLIST_REMOVE_HEAD(&p->waiters, next);
		ttrpc_fail(w->call, ESRCH, "the process is gone");
		free(w);
	}
	LIST_REMOVE(p, entry);
	free(p->exec_id);
	free(p);
}

struct process *process_find(struct sandbox *s, const char *exec_id)
{
	struct process *p;

	LIST_FOREACH(p, &s->processes, entry)
	if (strcmp(p->exec_id, exec_id) == 0)
		return p;
	return NULL;
}

/* ---- stdio */

static void relay_event(void *cookie, struct stdio_relay *r)
{
	struct process *p = cookie;

	if (p->ended && (!p->reported || stdio_relay_done(r, UINT64_MAX)))
		processes_settle(p->sandbox);
}

static int add_relay(struct process *p, int fd, unsigned dirs, uint32_t *port,
		     struct stdio_relay **ret, struct rsm_error *err)
{
	struct stdio_relay *r;
	int failure;

	rsm_assert(p->nrelays < RELAYS_MAX);
	failure = stdio_relay_new(p->sandbox->loop, fd, dirs, relay_event, p, &r);
	if (failure < 0)
		return rsm_fail_errno(err, failure, "stdio");
	failure = stdio_relay_expect(r, p->sandbox->vsock, port);
	if (failure < 0) {
		stdio_relay_free(r);
		return rsm_fail_errno(err, failure, "stdio");
	}
	p->relays[p->nrelays++] = r;
	*ret = r;
	return 0;
}

static unsigned extra_dirs(const Runsm__ExtraFd *x)
{
	if (x->access == RUNSM__FD_ACCESS__READ_ONLY)
		return STDIO_SOURCE;
	return x->access == RUNSM__FD_ACCESS__WRITE_ONLY ? STDIO_SINK : STDIO_SOURCE | STDIO_SINK;
}

int process_add_stdio(struct process *p, Runsm__Stdio *stdio, const int *fds, size_t nfds,
		      struct rsm_error *err)
{
	const struct {
		uint32_t *port;
		unsigned dirs;
		struct stdio_relay **relay;
	} fixed[] = {
		{&stdio->stdin_port, STDIO_SOURCE, &p->in},
		{&stdio->stdout_port, STDIO_SINK, &p->out},
		{&stdio->stderr_port, STDIO_SINK, &p->err},
		{&stdio->tty_port, STDIO_SOURCE | STDIO_SINK, &p->tty},
	};
	size_t next = 0;

	for (size_t i = 0; i < RSM_ARRAY_SIZE(fixed) + stdio->n_extra; i++) {
		bool extra = i >= RSM_ARRAY_SIZE(fixed);
		size_t x = extra ? i - RSM_ARRAY_SIZE(fixed) : 0;
		uint32_t *port = extra ? &stdio->extra[x]->port : fixed[i].port;
		int r;

		if (*port == 0)
			continue;
		if (next == nfds || p->nrelays == RELAYS_MAX || x >= EXTRA_FDS_MAX)
			return rsm_fail(err, EINVAL, "stdio: %zu file descriptors are too few",
					nfds);
		r = add_relay(p, fds[next++], extra ? extra_dirs(stdio->extra[x]) : fixed[i].dirs,
			      port, extra ? &p->extra[x] : fixed[i].relay, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- the end */

static bool extra_relayed(const struct process *p)
{
	for (size_t i = 0; i < EXTRA_FDS_MAX; i++)
		if (p->extra[i] && !stdio_relay_done(p->extra[i], p->extra_bytes[i]))
			return false;
	return true;
}

static bool relayed(struct process *p)
{
	uint64_t now = rsm_now_ns(), progress = 0;

	for (size_t i = 0; i < p->nrelays; i++)
		progress += stdio_relay_bytes(p->relays[i]);
	if (progress != p->progress || !p->stalled_ns) {
		p->progress = progress;
		p->stalled_ns = now;
	}
	if ((!p->out || stdio_relay_done(p->out, p->result.stdout_bytes)) &&
	    (!p->err || stdio_relay_done(p->err, p->result.stderr_bytes)) &&
	    (!p->tty || stdio_relay_done(p->tty, p->result.tty_bytes)) && extra_relayed(p))
		return true;
	if (now - p->stalled_ns < STALL_NS)
		return false;
	rsm_log_warn("nobody reads the last output of process '%s'", p->exec_id);
	return true;
}

static void report(struct process *p)
{
	struct waiter *w;

	p->reported = true;
	/* Whoever reads them sees the end before the exit, if this is the end. */
	if (p == p->sandbox->init)
		free_relays(p);
	else
		free_ended_relays(p);
	while ((w = SLIST_FIRST(&p->waiters))) {
		SLIST_REMOVE_HEAD(&p->waiters, next);
		ttrpc_reply(w->call, &p->result.base);
		free(w);
	}
}

void processes_end(struct sandbox *s)
{
	struct process *p;

	LIST_FOREACH(p, &s->processes, entry)
	{
		if (p->reported || p->starting)
			continue;
		if (!p->ended)
			p->result.status = 128 + SIGKILL; /* the VM's end is theirs */
		report(p);
	}
}

/* Is anybody still to be told of a process's end? */
static bool others_pending(struct sandbox *s)
{
	struct process *p;

	if (rsm_now_ns() - s->init->stalled_ns > OTHERS_NS)
		return false;
	LIST_FOREACH(p, &s->processes, entry)
	if (!p->reported && !SLIST_EMPTY(&p->waiters))
		return true;
	return false;
}

static void settle(void *cookie)
{
	struct sandbox *s = cookie;
	struct process *p, *next;
	unsigned lingering = 0;
	bool again = false;

	s->settle = NULL;
	for (p = LIST_FIRST(&s->processes); p; p = next) {
		next = LIST_NEXT(p, entry);
		if (!p->ended)
			continue;
		if (!p->reported && relayed(p))
			report(p);
		if (!p->reported) {
			again = true;
			continue;
		}
		free_ended_relays(p);
		if (p->nrelays > 0 && ++lingering > LINGERING_MAX) /* the newest come first */
			free_relays(p);
		if (p != s->init && !p->owner && p->nrelays == 0)
			process_free(p);
	}
	if (s->init && s->init->reported) {
		if (!others_pending(s)) {
			sandbox_end(s);
			return;
		}
		again = true;
	}
	if (again && !s->settle)
		(void)rsm_loop_timer(s->loop, RECHECK_NS, settle, s, &s->settle);
}

void processes_settle(struct sandbox *s)
{
	rsm_loop_remove(s->settle);
	s->settle = NULL;
	(void)rsm_loop_timer(s->loop, 0, settle, s, &s->settle);
}

static void wait_done(void *cookie, const ProtobufCMessage *reply, const struct rsm_error *err)
{
	const Runsm__WaitResponse *answer = (const void *)reply;
	struct process *p = cookie;
	struct sandbox *s = p->sandbox;

	if (s->ended)
		return;
	if (!reply && p == s->init) {
		sandbox_call_failed(s, err);
		return;
	}
	p->ended = true;
	if (reply) {
		p->result.status = answer->status;
		p->result.stdout_bytes = answer->stdout_bytes;
		p->result.stderr_bytes = answer->stderr_bytes;
		p->result.tty_bytes = answer->tty_bytes;
		p->result.oom_killed = answer->oom_killed;
		oom_take(s, answer->oom_kills);
		for (size_t i = 0; i < rsm_min(answer->n_extra_bytes, (size_t)EXTRA_FDS_MAX); i++)
			p->extra_bytes[i] = answer->extra_bytes[i];
	} else {
		rsm_log_warn("wait for process '%s': %s", p->exec_id, err->message);
		p->result.status = EXIT_VM_FAILED;
	}
	processes_settle(s);
}

void process_watch(struct process *p)
{
	Runsm__ProcessRequest request = RUNSM__PROCESS_REQUEST__INIT;
	int r;

	request.id = p->sandbox->config->id;
	request.exec_id = p->exec_id;
	r = sandbox_call_agent(p->sandbox, "Wait", &request.base, wait_done, p);
	if (r < 0) {
		p->ended = true;
		p->result.status = EXIT_VM_FAILED;
		processes_settle(p->sandbox);
	}
}

void process_wait(struct process *p, struct ttrpc_call *call)
{
	struct waiter *w;

	if (p->reported) {
		ttrpc_reply(call, &p->result.base);
		return;
	}
	w = calloc(1, sizeof(*w));
	if (!w) {
		ttrpc_fail(call, ENOMEM, "out of memory");
		return;
	}
	w->call = call;
	SLIST_INSERT_HEAD(&p->waiters, w, next);
}

void process_kill(struct process *p)
{
	Runsm__SignalRequest request = RUNSM__SIGNAL_REQUEST__INIT;

	request.id = p->sandbox->config->id;
	request.exec_id = p->exec_id;
	request.signal = SIGKILL;
	(void)sandbox_call_agent(p->sandbox, "Signal", &request.base, NULL, NULL);
}
