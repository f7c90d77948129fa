// SPDX-License-Identifier: Apache-2.0
/* The list of a container's processes, from its cgroup and /proc. */
#include "agent/agent.h"

#include "base/cleanup.h"
#include "base/io.h"

#include <fcntl.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

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
	int ppid, pgrp, session, tty;
	long threads, rss;
	char state;

	if (!open || !close || close < open)
		return false;
	if (sscanf(close + 1,
		   " %c %d %d %d %d %d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %d %ld %*d %llu %lu "
		   "%ld",
		   &state, &ppid, &pgrp, &session, &tty, &info->tpgid, &utime, &stime, &info->nice,
		   &threads, &start, &info->vsz_bytes, &rss) != 13)
		return false;
	info->ppid = (uint32_t)ppid;
	info->pgid = (uint32_t)pgrp;
	info->session = (uint32_t)session;
	info->tty = (uint32_t)tty;
	info->threads = (uint32_t)threads;
	info->rss_bytes = (uint64_t)rss * (uint64_t)sysconf(_SC_PAGESIZE);
	info->cpu_ticks = (uint64_t)utime + stime;
	info->start_ticks = start;
	info->state = strndup(&state, 1);
	info->comm = strndup(open + 1, (size_t)(close - open - 1));
	return info->state && info->comm;
}

static void read_status(pid_t pid, Runsm__ProcessInfo *info)
{
	_cleanup_free_ char *text = read_of(pid, "status", NULL);
	const char *uid = text ? strstr(text, "\nUid:\t") : NULL;
	const char *locked = text ? strstr(text, "\nVmLck:\t") : NULL;

	if (uid)
		(void)sscanf(uid, "\nUid:\t%u\t%u", &info->uid, &info->euid);
	if (locked)
		info->locked = strtoul(locked + strlen("\nVmLck:\t"), NULL, 10) > 0;
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
	read_status(pid, info);
	info->cmdline = read_cmdline(pid);
	make_text(info->comm);
	if (info->cmdline)
		make_text(info->cmdline);
	return info;
}

static void describe_guest(Runsm__ProcessesResponse *reply)
{
	struct sysinfo si;

	if (sysinfo(&si) < 0)
		return;
	reply->uptime = (uint64_t)si.uptime;
	reply->memory_bytes = (uint64_t)si.totalram * si.mem_unit;
	reply->time = (uint64_t)time(NULL);
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
	describe_guest(&reply);
	for (ssize_t i = 0; i < n; i++) {
		list[reply.n_processes] = describe(pids[i]);
		if (list[reply.n_processes])
			reply.n_processes++;
	}
	ttrpc_reply(call, &reply.base);
	for (size_t i = 0; i < reply.n_processes; i++)
		runsm__process_info__free_unpacked(list[i], NULL);
}
