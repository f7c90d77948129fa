// SPDX-License-Identifier: Apache-2.0
#include "agent/agent.h"
#include "agent/setup.h"

#include "base/cleanup.h"

#include <limits.h>
#include <string.h>
#include <sys/wait.h>

/* Exec sessions that have ended and were waited for; older ones are forgotten. */
#define ENDED_KEPT 64

struct container *container_find(struct agent *a, const char *id)
{
	struct container *c = a->containers;

	while (c && strcmp(c->id, id) != 0)
		c = c->next;
	return c;
}

struct process *container_process(struct container *c, const char *exec_id)
{
	struct process *p = c->processes;

	while (p && strcmp(p->exec_id, exec_id) != 0)
		p = p->next;
	return p;
}

struct process *container_init(struct container *c)
{
	return container_process(c, "");
}

static bool id_ok(const char *id)
{
	return id[0] && id[0] != '.' && !strchr(id, '/') && strlen(id) <= NAME_MAX;
}

/* Everything in it has ended. */
static bool is_over(const struct container *c)
{
	for (const struct process *p = c->processes; p; p = p->next)
		if (p->state != PROCESS_DONE)
			return false;
	return true;
}

int container_new(struct agent *a, const char *id, uint64_t pids_limit, struct container **ret,
		  struct rsm_error *err)
{
	struct container *c = container_find(a, id);
	int error;

	if (!id_ok(id))
		return rsm_fail(err, EINVAL, "container id '%.100s' is not a name", id);
	if (c && !is_over(c))
		return rsm_fail(err, EEXIST, "container '%s' exists in this VM", id);
	container_free(c);
	c = calloc(1, sizeof(*c));
	if (!c)
		return rsm_fail_errno(err, ENOMEM, "make container '%s'", id);
	c->cgroup_fd = c->oom.fd = -1;
	c->id = strdup(id);
	if (!c->id) {
		free(c);
		return rsm_fail_errno(err, ENOMEM, "make container '%s'", id);
	}
	error = cgroup_new(a, id, pids_limit, &c->cgroup_fd, err);
	if (error < 0) {
		free(c->id);
		free(c);
		return error;
	}
	c->agent = a;
	c->next = a->containers;
	a->containers = c;
	error = oom_open(&c->oom, a->loop, c->cgroup_fd);
	if (error < 0) {
		container_free(c);
		return rsm_fail_errno(err, error, "watch the memory of container '%s'", id);
	}
	*ret = c;
	return 0;
}

void container_free(struct container *c)
{
	if (!c)
		return;
	while (c->processes)
		process_free(c->processes);
	for (struct container **at = &c->agent->containers; *at; at = &(*at)->next) {
		if (*at == c) {
			*at = c->next;
			break;
		}
	}
	oom_close(&c->oom);
	rsm_close(&c->cgroup_fd);
	(void)cgroup_remove(c->agent, c->id);
	if (c->nodes)
		setup_remove_nodes(c->nodes);
	free(c->nodes);
	free(c->id);
	free(c);
}

void container_forget_ended(struct container *c)
{
	struct process *next;
	int kept = 0;

	for (struct process *p = c->processes; p; p = next) {
		next = p->next;
		if (p->state == PROCESS_DONE && p->waited && p->exec_id[0] && !streams_alive(p) &&
		    ++kept > ENDED_KEPT)
			process_free(p);
	}
}

static struct process *find_pid(struct agent *a, pid_t pid)
{
	for (struct container *c = a->containers; c; c = c->next)
		for (struct process *p = c->processes; p; p = p->next)
			if (p->pid == pid && p->state < PROCESS_EXITED)
				return p;
	return NULL; /* an orphan that PID 1 inherited */
}

void containers_reap(struct agent *a)
{
	for (;;) {
		int wstatus;
		pid_t pid = waitpid(-1, &wstatus, WNOHANG);
		struct process *p;

		if (pid <= 0)
			return;
		p = find_pid(a, pid);
		if (p)
			process_reaped(p, wstatus);
	}
}
