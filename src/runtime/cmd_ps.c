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
#include "runtime/ps_table.h"

#include <stdio.h>
#include <string.h>

struct ps_opts {
	const char *format;
};

static const struct cmd_opt opts[] = {
	{"format", 'f', CMD_STRING, offsetof(struct ps_opts, format),
	 "select one of: table or json (default: \"table\")"},
};

static int run(const struct cmd_env *env, const void *o, int argc, char **argv,
	       struct rsm_error *err)
{
	const struct ps_opts *po = o;
	const char *format = po->format ? po->format : "table";
	const bool json = strcmp(format, "json") == 0;
	_cleanup_ctr_ struct ctr *c = NULL;
	const Runsm__ProcessesResponse none = RUNSM__PROCESSES_RESPONSE__INIT;
	Runsm__ProcessesResponse *list = NULL;
	struct ps_format table;
	int status, ret;

	if (strcmp(format, "table") != 0 && !json)
		return rsm_fail(err, EINVAL, "invalid format option");
	ret = ps_format_parse(argc - 1, argv + 1, &table, err);
	if (ret < 0)
		return ret;
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
			ps_print(stdout, &table, &none);
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
	ps_print(stdout, &table, list);
	runsm__processes_response__free_unpacked(list, NULL);
	return 0;
}

const struct cmd_verb cmd_ps = {
	.name = "ps",
	.summary = "display the processes running inside a container",
	.usage = "[command options] <container-id> [ps options]",
	.description =
		"Process numbers are those of the VM; on the host these processes do not exist. In JSON\n"
		"   it is the one on the host that stands for the container. Of ps(1) the options -e, -ef,\n"
		"   ax, aux and -o are there; the default is -ef.",
	.opts = opts,
	.nopts = RSM_ARRAY_SIZE(opts),
	.opts_size = sizeof(struct ps_opts),
	.min_args = 1,
	.max_args = -1,
	.stop_at_arg = true,
	.run = run,
};
