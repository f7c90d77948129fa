// SPDX-License-Identifier: Apache-2.0
/* The list of a container's processes, from its cgroup and /proc. */
#include "agent/agent.h"

#include "base/cleanup.h"
#include "base/io.h"

#include <fcntl.h>
#include <string.h>

#define FILE_MAX_BYTES    (256U << 10)
#define CMDLINE_MAX_BYTES 4096

static char *read_of(pid_t pid, const char *name, size_t *len)
{
	char path[64], *text;

	(void)rsm_format(path, sizeof(path), "/proc/%d/%s", pid, name);
	return rsm_read_file_at(AT_FDCWD, path, FILE_MAX_BYTES, &text, len) < 0 ? NULL : text;
}

/* proc(5), /proc/PID/stat; comm stands in parentheses and may itself contain any byte. */
static bool read_stat(pid_t pid, Runsm__ProcessInfo *info)
{
	_cleanup_free_ char *text = read_of(pid, "stat", NULL);
	char *open = text ? strchr(text, '(') : NULL, *close = text ? strrchr(text, ')') : NULL;
	unsigned long utime, stime;
	unsigned long long start;
	int ppid;
	char state;

	if (!open || !close || close < open)
		return false;
	if (sscanf(close + 1,
		   " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d %*d %*d %llu",
		   &state, &ppid, &utime, &stime, &start) != 5)
		return false;
	info->ppid = (uint32_t)ppid;
	info->cpu_ticks = (uint64_t)utime + stime;
	info->start_ticks = start;
	info->state = strndup(&state, 1);
	info->comm = strndup(open + 1, (size_t)(close - open - 1));
	return info->state && info->comm;
}

static uint32_t read_uid(pid_t pid)
{
	_cleanup_free_ char *text = read_of(pid, "status", NULL);
	const char *at = text ? strstr(text, "\nUid:\t") : NULL;

	return at ? (uint32_t)strtoul(at + strlen("\nUid:\t"), NULL, 10) : 0;
}

/* protobuf strings are UTF-8, program arguments are any bytes. */
static void make_text(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || (unsigned char)*s >= 0x7f)
			*s = '?';
}

static char *read_cmdline(pid_t pid)
{
	size_t len = 0;
	char *text = read_of(pid, "cmdline", &len);

	if (!text)
		return strdup("");
	while (len > 0 && text[len - 1] == '\0')
		len--;
	if (len > CMDLINE_MAX_BYTES)
		len = CMDLINE_MAX_BYTES;
	for (size_t i = 0; i < len; i++)
		if (text[i] == '\0')
			text[i] = ' ';
	text[len] = '\0';
	return text;
}

/* NULL if it has ended meanwhile, or out of memory */
static Runsm__ProcessInfo *describe(pid_t pid)
{
	Runsm__ProcessInfo *info = malloc(sizeof(*info));

	if (!info)
		return NULL;
	runsm__process_info__init(info);
	info->pid = (uint32_t)pid;
	if (!read_stat(pid, info)) {
		runsm__process_info__free_unpacked(info, NULL);
		return NULL;
	}
	info->uid = read_uid(pid);
	info->cmdline = read_cmdline(pid);
	make_text(info->comm);
	if (info->cmdline)
		make_text(info->cmdline);
	return info;
}

void ps_reply(struct container *c, struct ttrpc_call *call)
{
	Runsm__ProcessesResponse reply = RUNSM__PROCESSES_RESPONSE__INIT;
	_cleanup_free_ Runsm__ProcessInfo **list = NULL;
	_cleanup_free_ pid_t *pids = NULL;
	ssize_t n = cgroup_pids(c->cgroup_fd, &pids);

	if (n < 0) {
		ttrpc_fail(call, (int)-n, "list the processes of container '%s'", c->id);
		return;
	}
	list = calloc((size_t)n + 1, sizeof(*list));
	if (!list) {
		ttrpc_fail(call, ENOMEM, "out of memory for %zd processes", n);
		return;
	}
	reply.processes = list;
	for (ssize_t i = 0; i < n; i++) {
		list[reply.n_processes] = describe(pids[i]);
		if (list[reply.n_processes])
			reply.n_processes++;
	}
	ttrpc_reply(call, &reply.base);
	for (size_t i = 0; i < reply.n_processes; i++)
		runsm__process_info__free_unpacked(list[i], NULL);
}
