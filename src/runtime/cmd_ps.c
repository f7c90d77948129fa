// SPDX-License-Identifier: Apache-2.0
/*
 * The processes of a container, as the guest's kernel counts them: their pids are those of the VM,
 * not of the host, where they do not exist.
 *
 * The JSON form is for programs, and those look the pids up on the host, as `docker top` does:
 * there a pid of the guest would be some other process. So it has the one that stands for the
 * container.
 */
#include "runtime/cmd.h"

#include "base/math.h"
#include "runtime/processes.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct ps_opts {
	const char *format;
};

static const struct cmd_opt opts[] = {
	{"format", 'f', CMD_STRING, offsetof(struct ps_opts, format),
	 "select one of: table or json (default: \"table\")"},
};

/* Of USER_HZ on x86-64; the guest's value, not this process's. */
#define TICKS_PER_SECOND 100

/* Text of a guest goes to the caller's terminal: control characters do not. */
static void print_text(const char *s)
{
	for (; *s; s++)
		putchar((unsigned char)*s < 0x20 || *s == 0x7f ? '?' : *s);
}

static void print_table(const Runsm__ProcessesResponse *r)
{
	printf("%-8s %7s %7s %-4s %10s %s\n", "UID", "PID", "PPID", "STAT", "TIME", "CMD");
	for (size_t i = 0; i < r->n_processes; i++) {
		const Runsm__ProcessInfo *p = r->processes[i];
		uint64_t seconds = p->cpu_ticks / TICKS_PER_SECOND;
		char time[32];

		(void)snprintf(time, sizeof(time), "%02" PRIu64 ":%02u:%02u", seconds / 3600,
			       (unsigned)(seconds / 60 % 60), (unsigned)(seconds % 60));
		printf("%-8u %7u %7u ", p->uid, p->pid, p->ppid);
		print_text(p->state);
		printf("%*s %10s ", (int)(4 - rsm_min(strlen(p->state), (size_t)4)), "", time);
		if (p->cmdline[0]) {
			print_text(p->cmdline);
		} else {
			putchar('[');
			print_text(p->comm);
			putchar(']');
		}
		putchar('\n');
	}
}

static int run(const struct cmd_env *env, const void *o, int argc, char **argv,
	       struct rsm_error *err)
{
	const struct ps_opts *po = o;
	const char *format = po->format ? po->format : "table";
	const bool json = strcmp(format, "json") == 0;
	_cleanup_ctr_ struct ctr *c = NULL;
	const Runsm__ProcessesResponse none = RUNSM__PROCESSES_RESPONSE__INIT;
	Runsm__ProcessesResponse *list = NULL;
	int status, ret;

	if (strcmp(format, "table") != 0 && !json)
		return rsm_fail(err, EINVAL, "invalid format option");
	if (argc > 1 && strcmp(argv[1], "-ef") != 0)
		return rsm_fail(err, EINVAL,
				"options of ps(1) are not supported: the processes are "
				"the guest's");
	ret = ctr_open(env->root, argv[0], false, &c, err);
	if (ret < 0)
		return ret;
	status = ctr_status(c, err);
	if (status < 0)
		return status;
	if (status == CTR_STOPPED) { /* none, as runc says */
		if (json)
			printf("[]\n");
		else
			print_table(&none);
		return 0;
	}
	if (status == CTR_CREATING)
		return rsm_fail(err, EINVAL, "container not running");
	if (json) {
		printf("[%d]\n", (int)c->state.pid);
		return 0;
	}
	ret = status == CTR_PAUSED ? processes_recall(c, &list, err) : processes_ask(c, &list, err);
	if (ret < 0)
		return ret;
	print_table(list);
	runsm__processes_response__free_unpacked(list, NULL);
	return 0;
}

const struct cmd_verb cmd_ps = {
	.name = "ps",
	.summary = "display the processes running inside a container",
	.usage = "[command options] <container-id>",
	.description =
		"Process numbers are those of the VM; on the host these processes do not exist. In JSON "
		"it is the one on the host that stands for the container.",
	.opts = opts,
	.nopts = RSM_ARRAY_SIZE(opts),
	.opts_size = sizeof(struct ps_opts),
	.min_args = 1,
	.max_args = -1,
	.stop_at_arg = true,
	.run = run,
};
