// SPDX-License-Identifier: Apache-2.0
/*
 * The agent's side of user namespaces.
 *
 * A child in one (its own, or its container's, for exec) has no rights outside of it, so whatever
 * needs such rights is done to it from here, between its clone() and the byte that lets it go on:
 * its mappings, limits above the agent's own, priorities, the ownership of its stdio. It begins as
 * the guest's root, which the namespace does not know, and becomes the namespace's root itself
 * (setup_userns.c).
 */
#include "agent/agent.h"
#include "agent/setup.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/math.h"

#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

bool userns_map(Runsm__IdMapping *const *map, size_t n, uint32_t id, uint32_t *ret)
{
	for (size_t i = 0; i < n; i++) {
		if (id < map[i]->container || id - map[i]->container >= map[i]->size)
			continue;
		*ret = map[i]->host + (id - map[i]->container);
		return true;
	}
	return false;
}

static int write_map(pid_t pid, const char *file, Runsm__IdMapping *const *map, size_t n,
		     struct rsm_error *err)
{
	_cleanup_buf_ struct rsm_buf text = {0};
	_cleanup_close_ int fd = -1;
	char path[64];
	int ret = rsm_format(path, sizeof(path), "/proc/%d/%s", (int)pid, file);

	for (size_t i = 0; ret == 0 && i < n; i++)
		ret = rsm_buf_addf(&text, "%u %u %u\n", map[i]->container, map[i]->host,
				   map[i]->size);
	if (ret == 0) {
		fd = open(path, O_WRONLY | O_CLOEXEC);
		ret = fd < 0 ? -errno : rsm_write_full(fd, text.data, text.len);
	}
	return ret < 0 ? rsm_fail_errno(err, ret, "write %s of the user namespace", file) : 0;
}

/* A hard limit can be lowered in the namespace, but not raised. */
static int raise_limits(pid_t pid, const Runsm__Process *process, struct rsm_error *err)
{
	for (size_t i = 0; i < process->n_rlimits; i++) {
		const Runsm__Rlimit *r = process->rlimits[i];
		struct rlimit now;

		if (prlimit(pid, r->resource, NULL, &now) == 0) {
			if (r->hard <= now.rlim_max)
				continue;
			now.rlim_max = r->hard;
			if (prlimit(pid, r->resource, &now, NULL) == 0)
				continue;
		}
		return rsm_fail_errno(err, errno, "raise rlimit %u to %llu", r->resource,
				      (unsigned long long)r->hard);
	}
	return 0;
}

/* The namespace's root may not give what does not belong to it to anybody. */
static int give_streams(struct process *p, uint32_t uid, struct rsm_error *err)
{
	for (size_t i = 0; i < p->nstreams; i++)
		if (p->streams[i].theirs >= 0 &&
		    fchown(p->streams[i].theirs, uid, (gid_t)-1) < 0)
			return rsm_fail_errno(err, errno, "give a stream to uid %u", uid);
	return 0;
}

/* What the container's root or user is called outside; read back from the kernel for exec. */
static int find_uid(pid_t pid, uint32_t id, uint32_t *ret, struct rsm_error *err)
{
	_cleanup_free_ char *text = NULL;
	char path[64], *line, *rest;
	int r = rsm_format(path, sizeof(path), "/proc/%d/uid_map", (int)pid);

	if (r == 0)
		r = rsm_read_file_at(AT_FDCWD, path, 65536, &text, NULL);
	if (r < 0)
		return rsm_fail_errno(err, r, "read the user namespace's uid_map");
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		unsigned inside, outside, size;

		if (sscanf(line, "%u %u %u", &inside, &outside, &size) != 3 || id < inside ||
		    id - inside >= size)
			continue;
		*ret = outside + (id - inside);
		return 0;
	}
	return rsm_fail(err, EINVAL, "process.user.uid: %u is not mapped in the user namespace", id);
}

int userns_prepare(struct process *p, const struct setup *s, struct rsm_error *err)
{
	const Runsm__CreateContainerRequest *r = s->request;
	uint32_t uid = s->process->user ? s->process->user->uid : 0;
	int ret = 0;

	if (r) {
		ret = write_map(p->pid, "gid_map", r->gid_mappings, r->n_gid_mappings, err);
		if (ret == 0)
			ret = write_map(p->pid, "uid_map", r->uid_mappings, r->n_uid_mappings, err);
	}
	if (ret == 0)
		ret = find_uid(r ? p->pid : container_init(p->container)->pid, uid, &uid, err);
	if (ret == 0)
		ret = give_streams(p, uid, err);
	if (ret == 0)
		ret = setup_oom_score_adj(p->pid, s->process, err);
	if (ret == 0)
		ret = raise_limits(p->pid, s->process, err);
	return ret < 0 ? ret : setup_scheduling(p->pid, s->process, err);
}
