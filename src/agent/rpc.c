// SPDX-License-Identifier: Apache-2.0
/* The methods of runsm.Agent: look up what is named, check what is asked, pass it on. */
#include "agent/agent.h"

#include "base/math.h"
#include "base/proc.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#define NS_PER_S       1000000000ULL
#define CLOCK_SLACK_NS (NS_PER_S / 20)

static struct container *need_container(struct agent *a, const char *id, struct ttrpc_call *call)
{
	struct container *c = container_find(a, id);

	if (!c)
		ttrpc_fail(call, ENOENT, "container '%.100s' does not exist", id);
	return c;
}

static struct process *need_process(struct agent *a, const char *id, const char *exec_id,
				    struct ttrpc_call *call)
{
	struct container *c = need_container(a, id, call);
	struct process *p = c ? container_process(c, exec_id) : NULL;

	if (c && !p)
		ttrpc_fail(call, ENOENT, "container '%s' has no process '%.100s'", id, exec_id);
	return p;
}

static int check_process(const Runsm__Process *p, struct rsm_error *err)
{
	if (!p || p->n_args == 0)
		return rsm_fail(err, EINVAL, "a process needs args");
	if (p->cwd[0] && p->cwd[0] != '/')
		return rsm_fail(err, EINVAL, "cwd '%s' is not absolute", p->cwd);
	return 0;
}

static int check_paths(const Runsm__CreateContainerRequest *r, struct rsm_error *err)
{
	for (size_t i = 0; i < r->n_mounts; i++)
		if (r->mounts[i]->destination[0] != '/')
			return rsm_fail(err, EINVAL, "mount destination '%s' is not absolute",
					r->mounts[i]->destination);
	for (size_t i = 0; i < r->n_devices; i++)
		if (r->devices[i]->path[0] != '/')
			return rsm_fail(err, EINVAL, "device path '%s' is not absolute",
					r->devices[i]->path);
	for (size_t i = 0; i < r->n_masked_paths; i++)
		if (r->masked_paths[i][0] != '/')
			return rsm_fail(err, EINVAL, "masked path '%s' is not absolute",
					r->masked_paths[i]);
	for (size_t i = 0; i < r->n_readonly_paths; i++)
		if (r->readonly_paths[i][0] != '/')
			return rsm_fail(err, EINVAL, "read-only path '%s' is not absolute",
					r->readonly_paths[i]);
	return 0;
}

static void create(void *cookie, struct ttrpc_call *call, const ProtobufCMessage *request)
{
	/* unpacked for this call alone */
	Runsm__CreateContainerRequest *r = (Runsm__CreateContainerRequest *)request;
	struct rsm_error err = RSM_ERROR_INIT;
	struct container *c = NULL;
	int ret = check_process(r->process, &err);

	if (ret == 0)
		ret = check_paths(r, &err);
	if (ret == 0)
		ret = drivers_check(r, &err);
	if (ret == 0)
		ret = container_new(cookie, r->id, r->pids_limit, &c, &err);
	if (ret == 0)
		ret = cgroup_filter_devices(c->cgroup_fd, r->device_filter.data,
					    r->device_filter.len, &err);
	if (ret == 0)
		ret = cgroup_limit(c->cgroup_fd, "memory.max", r->memory_limit, &err);
	if (ret == 0)
		ret = process_new(c, "", r, r->process, "", call, &err);
	if (ret == 0)
		return;
	container_free(c);
	ttrpc_fail_error(call, &err);
}

static void start(void *cookie, struct ttrpc_call *call, const ProtobufCMessage *request)
{
	struct process *p =
		need_process(cookie, ((const Runsm__ContainerRequest *)request)->id, "", call);

	if (p)
		process_start(p, call);
}

static void exec(void *cookie, struct ttrpc_call *call, const ProtobufCMessage *request)
{
	const Runsm__ExecRequest *r = (const Runsm__ExecRequest *)request;
	struct process *init = need_process(cookie, r->id, "", call), *old;
	struct rsm_error err = RSM_ERROR_INIT;
	int ret;

	if (!init)
		return;
	old = container_process(init->container, r->exec_id);
	if (init->state < PROCESS_CREATED || init->state > PROCESS_RUNNING)
		ret = rsm_fail(&err, EINVAL, "cannot exec in a container that is not running");
	else if (!r->exec_id[0] || (old && !(old->state == PROCESS_DONE && old->waited)))
		ret = rsm_fail(&err, EEXIST, "container '%s' has a process '%.100s'", r->id,
			       r->exec_id);
	else
		ret = check_process(r->process, &err);
	if (ret == 0) {
		if (old)
			process_free(old);
		container_forget_ended(init->container);
		ret = process_new(init->container, r->exec_id, NULL, r->process, r->cgroup, call,
				  &err);
	}
	if (ret < 0)
		ttrpc_fail_error(call, &err);
}

static void send_signal(void *cookie, struct ttrpc_call *call, const ProtobufCMessage *request)
{
	const Runsm__SignalRequest *r = (const Runsm__SignalRequest *)request;
	struct process *p = need_process(cookie, r->id, r->all ? "" : r->exec_id, call);
	Runsm__Empty empty = RUNSM__EMPTY__INIT;
	int ret;

	if (!p)
		return;
	if (r->all)
		ret = cgroup_signal(p->container->cgroup_fd, (int)r->signal);
	else
		ret = p->pidfd >= 0 ? rsm_pidfd_send_signal(p->pidfd, (int)r->signal) : -ESRCH;
	if (ret == -ESRCH)
		ttrpc_fail(call, ESRCH, "process already finished");
	else if (ret < 0)
		ttrpc_fail(call, -ret, "send signal %u: %s", r->signal, strerror(-ret));
	else
		ttrpc_reply(call, &empty.base);
}

static void wait_for(void *cookie, struct ttrpc_call *call, const ProtobufCMessage *request)
{
	const Runsm__ProcessRequest *r = (const Runsm__ProcessRequest *)request;
	struct process *p = need_process(cookie, r->id, r->exec_id, call);

	if (p)
		process_wait(p, call);
}

static void resize(void *cookie, struct ttrpc_call *call, const ProtobufCMessage *request)
{
	const Runsm__ResizeRequest *r = (const Runsm__ResizeRequest *)request;
	struct process *p = need_process(cookie, r->id, r->exec_id, call);
	Runsm__Empty empty = RUNSM__EMPTY__INIT;
	int ret = p ? process_resize(p, r->rows, r->cols) : 0;

	if (ret < 0)
		ttrpc_fail(call, -ret, "resize the terminal: %s", strerror(-ret));
	else if (p)
		ttrpc_reply(call, &empty.base);
}

static void processes(void *cookie, struct ttrpc_call *call, const ProtobufCMessage *request)
{
	struct container *c =
		need_container(cookie, ((const Runsm__ContainerRequest *)request)->id, call);

	if (c)
		ps_reply(c, call);
}

static void update(void *cookie, struct ttrpc_call *call, const ProtobufCMessage *request)
{
	const Runsm__UpdateContainerRequest *r = (const Runsm__UpdateContainerRequest *)request;
	struct container *c = need_container(cookie, r->id, call);
	Runsm__Empty empty = RUNSM__EMPTY__INIT;
	struct rsm_error err = RSM_ERROR_INIT;

	if (!c)
		return;
	if (cgroup_limit(c->cgroup_fd, "memory.max", r->memory_limit, &err) < 0 ||
	    cgroup_limit(c->cgroup_fd, "pids.max", r->pids_limit, &err) < 0)
		ttrpc_fail_error(call, &err);
	else
		ttrpc_reply(call, &empty.base);
}

static void stats(void *cookie, struct ttrpc_call *call, const ProtobufCMessage *request)
{
	struct container *c =
		need_container(cookie, ((const Runsm__ContainerRequest *)request)->id, call);

	if (c)
		stats_reply(c, call);
}

static void wait_oom(void *cookie, struct ttrpc_call *call, const ProtobufCMessage *request)
{
	const Runsm__OomRequest *r = (const Runsm__OomRequest *)request;
	struct container *c = need_container(cookie, r->id, call);

	if (c)
		oom_wait(&c->oom, r->seen, call);
}

/*
 * Once containers run only forward: where the clock went on while the VM was paused it is right, and
 * the message, which took its time to get here, is not.
 */
static void set_clock(void *cookie, struct ttrpc_call *call, const ProtobufCMessage *request)
{
	const Runsm__ClockRequest *r = (const Runsm__ClockRequest *)request;
	uint64_t want = r->realtime, now;
	Runsm__Empty empty = RUNSM__EMPTY__INIT;
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	now = (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
	ts.tv_sec = (time_t)(want / NS_PER_S);
	ts.tv_nsec = (long)(want % NS_PER_S);
	if ((r->backward || (want > now && want - now > CLOCK_SLACK_NS)) &&
	    clock_settime(CLOCK_REALTIME, &ts) < 0)
		ttrpc_fail(call, errno, "set the clock: %s", strerror(errno));
	else
		ttrpc_reply(call, &empty.base);
}

static void closed(void *cookie, struct ttrpc_conn *conn, int error)
{
	struct agent *a = cookie;

	rsm_loop_stop(a->loop, error);
}

static const struct ttrpc_method methods[] = {
	{"runsm.Agent", "CreateContainer", &runsm__create_container_request__descriptor, create},
	{"runsm.Agent", "StartContainer", &runsm__container_request__descriptor, start},
	{"runsm.Agent", "Exec", &runsm__exec_request__descriptor, exec},
	{"runsm.Agent", "Signal", &runsm__signal_request__descriptor, send_signal},
	{"runsm.Agent", "Wait", &runsm__process_request__descriptor, wait_for},
	{"runsm.Agent", "Resize", &runsm__resize_request__descriptor, resize},
	{"runsm.Agent", "Processes", &runsm__container_request__descriptor, processes},
	{"runsm.Agent", "UpdateContainer", &runsm__update_container_request__descriptor, update},
	{"runsm.Agent", "Stats", &runsm__container_request__descriptor, stats},
	{"runsm.Agent", "WaitOom", &runsm__oom_request__descriptor, wait_oom},
	{"runsm.Agent", "SetClock", &runsm__clock_request__descriptor, set_clock},
};

const struct ttrpc_server rpc_server = {methods, RSM_ARRAY_SIZE(methods), closed};
