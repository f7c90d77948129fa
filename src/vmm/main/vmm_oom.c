// SPDX-License-Identifier: Apache-2.0
/*
 * The guest's kernel ended processes of the container for want of memory: who hears of it.
 *
 * The agent is asked for a count above the one known; its answer, and what it says at a process's
 * end, raise that, and it is asked again, OOM_INTERVAL_NS later: a guest that answers at once for
 * ever costs ten calls a second. The count is the guest's word. It is compared, and printed.
 */
#include "vmm/main/vmm_sandbox.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define OOM_INTERVAL_NS 100000000ULL

static void ask(void *cookie);

static void answered(void *cookie, const ProtobufCMessage *reply, const struct rsm_error *err)
{
	struct sandbox *s = cookie;

	if (s->ended)
		return;
	if (!reply) {
		rsm_log_debug("%s: the guest does not tell of lack of memory: %s", s->config->id,
			      err->message);
		return;
	}
	oom_take(s, ((const Runsm__OomResponse *)reply)->kills);
	(void)rsm_loop_timer(s->loop, OOM_INTERVAL_NS, ask, s, &s->oom_timer);
}

static void ask(void *cookie)
{
	Runsm__OomRequest request = RUNSM__OOM_REQUEST__INIT;
	struct sandbox *s = cookie;
	int r;

	s->oom_timer = NULL;
	request.id = s->config->id;
	request.seen = s->oom_kills;
	r = sandbox_call_agent(s, "WaitOom", &request.base, answered, s);
	if (r < 0)
		rsm_log_warn("%s: lack of memory in the guest is not told of: %s", s->config->id,
			     strerror(-r));
}

void oom_watch(struct sandbox *s)
{
	ask(s);
}

static void answer(struct sandbox *s, struct ttrpc_call *call)
{
	Runsm__OomResponse reply = RUNSM__OOM_RESPONSE__INIT;

	reply.kills = s->oom_kills;
	ttrpc_reply(call, &reply.base);
}

/* Answer those who have seen less than @kills, which is the new count. */
static void oom_tell(struct sandbox *s, uint64_t kills)
{
	struct oom_waiter *w, *next;

	s->oom_kills = kills;
	for (w = LIST_FIRST(&s->oom_waiters); w; w = next) {
		next = LIST_NEXT(w, entry);
		if (kills <= w->seen)
			continue;
		answer(s, w->call);
		LIST_REMOVE(w, entry);
		free(w);
	}
}

void oom_take(struct sandbox *s, uint64_t kills)
{
	if (kills <= s->oom_kills)
		return;
	rsm_log_limited(&s->oom_log, RSM_LOG_WARNING,
			"%s: the guest ran out of memory, and its kernel ended a process of the "
			"container (%llu so far): the VM has %llu MiB, give it more with "
			"linux.resources.memory.limit (--memory), or with update if that had "
			"lowered it",
			s->config->id, (unsigned long long)kills,
			(unsigned long long)s->config->memory_bytes >> 20);
	oom_tell(s, kills);
}

bool oom_deadlock(struct sandbox *s, const char *panic, struct rsm_error *err)
{
	if (!strstr(panic, "System is deadlocked on memory")) /* mm/oom_kill.c of Linux */
		return false;
	oom_tell(s, s->oom_kills + 1);
	err->exit_status = 128 + SIGKILL;
	(void)rsm_fail(err, ENOMEM,
		       "the guest ran out of memory, and its kernel found no process that it may "
		       "end: the VM has %llu MiB, give it more with linux.resources.memory.limit "
		       "(--memory), or raise process.oomScoreAdj",
		       (unsigned long long)s->config->memory_bytes >> 20);
	return true;
}

void oom_wait(struct sandbox *s, uint64_t seen, struct ttrpc_call *call)
{
	struct oom_waiter *w;

	if (s->oom_kills > seen) {
		answer(s, call);
		return;
	}
	w = malloc(sizeof(*w));
	if (!w) {
		ttrpc_fail(call, ENOMEM, "out of memory");
		return;
	}
	*w = (struct oom_waiter){.call = call, .seen = seen};
	LIST_INSERT_HEAD(&s->oom_waiters, w, entry);
}

void oom_forget(struct sandbox *s, const struct ttrpc_conn *conn)
{
	struct oom_waiter *w, *next;

	for (w = LIST_FIRST(&s->oom_waiters); w; w = next) {
		next = LIST_NEXT(w, entry);
		if (ttrpc_call_conn(w->call) != conn)
			continue;
		ttrpc_fail(w->call, ECANCELED, "the connection is closed");
		LIST_REMOVE(w, entry);
		free(w);
	}
}
