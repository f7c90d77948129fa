// SPDX-License-Identifier: Apache-2.0
#include "runtime/cmd.h"

#include "base/math.h"
#include "runtime/ctr.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct list_opts {
	const char *format;
	bool quiet;
};

static const struct cmd_opt opts[] = {
	{"format", 'f', CMD_STRING, offsetof(struct list_opts, format),
	 "select one of: table or json (default: \"table\")"},
	{"quiet", 'q', CMD_FLAG, offsetof(struct list_opts, quiet), "display only container IDs"},
};

struct row {
	struct ctr *c;
	int status;
	char owner[64];
};

static void owner_name(uid_t uid, char *buf, size_t size)
{
	const struct passwd *pw = getpwuid(uid);

	if (pw)
		(void)snprintf(buf, size, "%s", pw->pw_name);
	else
		(void)snprintf(buf, size, "#%u", (unsigned)uid);
}

/* Containers come and go meanwhile: one that is gone, or whose VMM is mute, must not fail the list.
 */
static size_t collect(const struct cmd_env *env, char **ids, int n, struct row *rows)
{
	size_t used = 0;

	for (int i = 0; i < n; i++) {
		struct rsm_error err = RSM_ERROR_INIT;
		struct row *r = &rows[used];

		if (ctr_open(env->root, ids[i], false, &r->c, &err) < 0) {
			if (err.code != ENOENT)
				rsm_log_warn("%s", err.message);
			continue;
		}
		r->status = ctr_status(r->c, &err);
		if (r->status < 0)
			rsm_log_warn("%s", err.message);
		owner_name(r->c->state.owner, r->owner, sizeof(r->owner));
		used++;
	}
	return used;
}

static const char *const headings[] = {"ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"};

/* Columns as runc prints them: at least 12 wide, 3 blanks apart. */
static void print_table(const struct row *rows, size_t n)
{
	size_t width[RSM_ARRAY_SIZE(headings)] = {0};

	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i <= n; i++) {
			const char *cells[RSM_ARRAY_SIZE(headings)];
			char pid[16];

			memcpy(cells, headings, sizeof(cells));
			if (i > 0) {
				const struct row *r = &rows[i - 1];

				(void)snprintf(pid, sizeof(pid), "%d",
					       r->status == CTR_STOPPED ? 0 : r->c->state.pid);
				cells[0] = r->c->id;
				cells[1] = pid;
				cells[2] = r->status < 0
						   ? "unknown"
						   : ctr_status_name((enum ctr_status)r->status);
				cells[3] = r->c->state.bundle;
				cells[4] = r->c->state.created;
				cells[5] = r->owner;
			}
			for (size_t k = 0; k < RSM_ARRAY_SIZE(headings); k++) {
				size_t need = rsm_max(strlen(cells[k]) + 3, (size_t)12);

				width[k] = rsm_max(width[k], need);
				if (pass == 1 && k + 1 < RSM_ARRAY_SIZE(headings))
					printf("%-*s", (int)width[k], cells[k]);
				else if (pass == 1)
					printf("%s\n", cells[k]);
			}
		}
	}
}

static int print_json(const struct row *rows, size_t n, struct rsm_error *err)
{
	_cleanup_jsongen_ struct rsm_jsongen *g = NULL;
	const char *text;

	if (n == 0) { /* what runc prints, and what its callers therefore expect */
		printf("null\n");
		return 0;
	}
	if (rsm_jsongen_new(false, &g) < 0)
		return rsm_fail(err, ENOMEM, "out of memory");
	rsm_jsongen_array(g);
	for (size_t i = 0; i < n; i++) {
		rsm_jsongen_object(g);
		ctr_state_json(g, rows[i].c, (enum ctr_status)rows[i].status, rows[i].owner);
		rsm_jsongen_end_object(g);
	}
	rsm_jsongen_end_array(g);
	if (rsm_jsongen_finish(g, &text, NULL) < 0)
		return rsm_fail(err, ENOMEM, "out of memory");
	printf("%s\n", text);
	return 0;
}

static int run(const struct cmd_env *env, const void *o, int argc, char **argv,
	       struct rsm_error *err)
{
	const struct list_opts *lo = o;
	const char *format = lo->format ? lo->format : "table";
	_cleanup_free_ struct row *rows = NULL;
	_cleanup_free_ char **ids = NULL;
	size_t used;
	int n, ret = 0;

	if (strcmp(format, "table") != 0 && strcmp(format, "json") != 0)
		return rsm_fail(err, EINVAL, "invalid format option");
	n = ctr_list(env->root, &ids, err);
	if (n < 0)
		return n;
	if (lo->quiet) {
		for (int i = 0; i < n; i++)
			printf("%s\n", ids[i]);
		return 0;
	}
	rows = calloc((size_t)n + 1, sizeof(*rows));
	if (!rows)
		return rsm_fail(err, ENOMEM, "out of memory");
	used = collect(env, ids, n, rows);
	if (strcmp(format, "json") == 0)
		ret = print_json(rows, used, err);
	else
		print_table(rows, used);
	for (size_t i = 0; i < used; i++)
		ctr_free(rows[i].c);
	return ret;
}

const struct cmd_verb cmd_list = {
	.name = "list",
	.summary = "list the containers of the given root",
	.usage = "[command options]",
	.opts = opts,
	.nopts = RSM_ARRAY_SIZE(opts),
	.opts_size = sizeof(struct list_opts),
	.max_args = 0,
	.run = run,
};
