// SPDX-License-Identifier: Apache-2.0
/*
 * memory.events of a container's cgroup counts, as oom_kill, every process of it that the kernel
 * ends for want of memory, whether the cgroup's limit or the guest's RAM is at its end. The kernel
 * says that the file has changed by EPOLLERR, until it is read from its beginning. A cgroup that is
 * gone says so for ever: the watch ends before.
 */
#include "agent/agent.h"

#include "base/cleanup.h"

#include <fcntl.h>

#define EVENTS_MAX_BYTES 1024

uint64_t oom_look(struct oom *o)
{
	Runsm__OomResponse reply = RUNSM__OOM_RESPONSE__INIT;
	char text[EVENTS_MAX_BYTES];
	ssize_t n;

	if (o->fd < 0)
		return o->kills;
	n = pread(o->fd, text, sizeof(text) - 1, 0);
	if (n < 0) {
		rsm_loop_remove(o->source);
		o->source = NULL;
		return o->kills;
	}
	text[n] = '\0';
	(void)cgroup_flat_value(text, "oom_kill", &o->kills);
	if (o->waiter && o->kills > o->seen) {
		reply.kills = o->kills;
		ttrpc_reply(rsm_steal_ptr(o->waiter), &reply.base);
	}
	return o->kills;
}

static void on_change(void *cookie, int fd, uint32_t events)
{
	(void)oom_look(cookie);
}

int oom_open(struct oom *o, struct rsm_loop *loop, int cgroup_fd)
{
	int ret;

	o->fd = openat(cgroup_fd, "memory.events", O_RDONLY | O_CLOEXEC);
	if (o->fd < 0)
		return errno == ENOENT ? 0 : -errno;
	ret = rsm_loop_add(loop, o->fd, 0, on_change, o, &o->source);
	if (ret < 0)
		rsm_close(&o->fd);
	else
		(void)oom_look(o);
	return ret;
}

void oom_wait(struct oom *o, uint64_t seen, struct ttrpc_call *call)
{
	if (o->waiter)
		ttrpc_fail(rsm_steal_ptr(o->waiter), ECANCELED, "another call waits");
	o->waiter = call;
	o->seen = seen;
	(void)oom_look(o);
	if (o->fd < 0 && o->waiter)
		ttrpc_fail(rsm_steal_ptr(o->waiter), ESRCH,
			   "the container's memory is not watched");
}

void oom_close(struct oom *o)
{
	(void)oom_look(o);
	rsm_loop_remove(o->source);
	o->source = NULL;
	rsm_close(&o->fd);
	if (o->waiter)
		ttrpc_fail(rsm_steal_ptr(o->waiter), ESRCH, "the container has ended");
}
