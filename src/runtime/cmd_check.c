// SPDX-License-Identifier: Apache-2.0
/* check: can a container run here, on which machine, and if not, what is to be done? */
#include "runtime/cmd.h"

#include "base/math.h"
#include "runtime/check.h"

#include <stdio.h>
#include <string.h>

struct check_opts {
	const char *format;
};

static const struct cmd_opt opts[] = {
	{"format", 'f', CMD_STRING, offsetof(struct check_opts, format),
	 "select one of: text or json (default: \"text\")"},
};

static const char *const grade_names[] = {"ok", "warn", "fail"};

static void print_text(const struct check_report *r)
{
	for (size_t i = 0; i < r->n; i++) {
		const struct check_item *item = &r->items[i];

		printf("%-5s %-12s %s\n", grade_names[item->grade], item->name, item->detail);
		if (item->advice[0])
			printf("%18s → %s\n", "", item->advice);
	}
	printf("\n%s\n",
	       check_passed(r) ? "Containers can run here." : "No container can run here.");
}

static int print_json(const struct check_report *r, struct rsm_error *err)
{
	_cleanup_jsongen_ struct rsm_jsongen *g = NULL;
	const char *text;

	if (rsm_jsongen_new(true, &g) < 0)
		return rsm_fail(err, ENOMEM, "out of memory");
	rsm_jsongen_object(g);
	rsm_jsongen_kbool(g, "ok", check_passed(r));
	rsm_jsongen_kstring(g, "machine", r->machine);
	rsm_jsongen_key(g, "checks");
	rsm_jsongen_array(g);
	for (size_t i = 0; i < r->n; i++) {
		rsm_jsongen_object(g);
		rsm_jsongen_kstring(g, "name", r->items[i].name);
		rsm_jsongen_kstring(g, "status", grade_names[r->items[i].grade]);
		rsm_jsongen_kstring(g, "detail", r->items[i].detail);
		rsm_jsongen_kstring(g, "advice", r->items[i].advice);
		rsm_jsongen_end_object(g);
	}
	rsm_jsongen_end_array(g);
	rsm_jsongen_end_object(g);
	if (rsm_jsongen_finish(g, &text, NULL) < 0)
		return rsm_fail(err, ENOMEM, "out of memory");
	printf("%s", text);
	return 0;
}

static int run(const struct cmd_env *env, const void *o, int argc, char **argv,
	       struct rsm_error *err)
{
	const struct check_opts *co = o;
	const char *format = co->format ? co->format : "text";
	struct check_report r = {0};
	int ret = 0;

	if (strcmp(format, "text") != 0 && strcmp(format, "json") != 0)
		return rsm_fail(err, EINVAL, "invalid format option");
	check_all(env->root, &r);
	if (strcmp(format, "json") == 0)
		ret = print_json(&r, err);
	else
		print_text(&r);
	if (ret < 0)
		return ret;
	return check_passed(&r) ? 0 : 1;
}

const struct cmd_verb cmd_check = {
	.name = "check",
	.summary = "check whether containers can run here, and how",
	.usage = "[command options]",
	.description =
		"Look at KVM, QEMU, the guest image and the kernel's features. The exit status is 0\n"
		"   only if a container can run.",
	.opts = opts,
	.nopts = RSM_ARRAY_SIZE(opts),
	.opts_size = sizeof(struct check_opts),
	.max_args = 0,
	.run = run,
};
