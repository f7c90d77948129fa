// SPDX-License-Identifier: Apache-2.0
/*
 * Figures of a container from its cgroup in the guest (admin-guide/cgroup-v2.rst of Linux). A file
 * that the guest's kernel does not have leaves its figure 0.
 */
#include "agent/agent.h"

#include "base/cleanup.h"
#include "base/io.h"

#include <string.h>

#define FILE_MAX_BYTES (64U << 10)
#define STATS_MAX      256

static char *read_of(const struct container *c, const char *name)
{
	char *text;

	return rsm_read_file_at(c->cgroup_fd, name, FILE_MAX_BYTES, &text, NULL) < 0 ? NULL : text;
}

/* A file with one number; "max" is UINT64_MAX. */
static uint64_t number(const struct container *c, const char *name)
{
	_cleanup_free_ char *text = read_of(c, name);

	if (!text)
		return 0;
	return strncmp(text, "max", 3) == 0 ? UINT64_MAX : strtoull(text, NULL, 10);
}

static void read_cpu(const struct container *c, Runsm__StatsResponse *r)
{
	_cleanup_free_ char *text = read_of(c, "cpu.stat");

	if (!text)
		return;
	(void)cgroup_flat_value(text, "usage_usec", &r->cpu_usage);
	(void)cgroup_flat_value(text, "user_usec", &r->cpu_user);
	(void)cgroup_flat_value(text, "system_usec", &r->cpu_system);
}

static void read_memory(const struct container *c, Runsm__StatsResponse *r)
{
	_cleanup_free_ char *events = read_of(c, "memory.events");

	r->memory_usage = number(c, "memory.current");
	r->memory_max_usage = number(c, "memory.peak"); /* since Linux 5.19 */
	r->memory_limit = number(c, "memory.max");
	if (events)
		(void)cgroup_flat_value(events, "max", &r->memory_failures);
}

/* Lines "NAME VALUE" of @text, which is taken apart, to at most STATS_MAX entries. */
static size_t split_stat(char *text, Runsm__Stat *stats, Runsm__Stat **list)
{
	size_t n = 0;
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line && n < STATS_MAX;
	     line = strtok_r(NULL, "\n", &save)) {
		char *value = strchr(line, ' ');

		if (!value)
			continue;
		*value = '\0';
		runsm__stat__init(&stats[n]);
		stats[n].name = line;
		stats[n].value = strtoull(value + 1, NULL, 10);
		list[n] = &stats[n];
		n++;
	}
	return n;
}

void stats_reply(struct container *c, struct ttrpc_call *call)
{
	Runsm__StatsResponse reply = RUNSM__STATS_RESPONSE__INIT;
	_cleanup_free_ char *memory_stat = read_of(c, "memory.stat");
	_cleanup_free_ Runsm__Stat *stats = calloc(STATS_MAX, sizeof(*stats));
	_cleanup_free_ Runsm__Stat **list = calloc(STATS_MAX, sizeof(*list));

	if (!stats || !list) {
		ttrpc_fail(call, ENOMEM, "out of memory for the figures of container '%s'", c->id);
		return;
	}
	read_cpu(c, &reply);
	read_memory(c, &reply);
	reply.pids_current = number(c, "pids.current");
	reply.pids_limit = number(c, "pids.max");
	if (memory_stat)
		reply.n_memory_stat = split_stat(memory_stat, stats, list);
	reply.memory_stat = list;
	ttrpc_reply(call, &reply.base);
}
