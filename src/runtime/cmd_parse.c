// SPDX-License-Identifier: Apache-2.0
#include "runtime/cmd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct cmd_opt *find_opt(const struct cmd_opt *opts, size_t nopts, const char *name,
				      size_t len)
{
	for (size_t i = 0; i < nopts; i++) {
		if (strlen(opts[i].name) == len && memcmp(opts[i].name, name, len) == 0)
			return &opts[i];
		if (len == 1 && opts[i].alias == name[0])
			return &opts[i];
	}
	return NULL;
}

static int set_flag(const struct cmd_opt *o, bool *to, const char *value, struct rsm_error *err)
{
	if (!value || strcmp(value, "true") == 0 || strcmp(value, "1") == 0)
		*to = true;
	else if (strcmp(value, "false") == 0 || strcmp(value, "0") == 0)
		*to = false;
	else
		return rsm_fail(err, EINVAL, "invalid boolean value \"%s\" for flag -%s", value,
				o->name);
	return 0;
}

static int set_uint(const struct cmd_opt *o, unsigned *to, const char *value, struct rsm_error *err)
{
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(value, &end, 10);
	if (errno || end == value || *end || value[0] == '-' || n > 1U << 30)
		return rsm_fail(err, EINVAL, "invalid value \"%s\" for flag -%s: parse error",
				value, o->name);
	*to = (unsigned)n;
	return 0;
}

static int add_to_list(struct cmd_list *list, const char *value, struct rsm_error *err)
{
	const char **v = reallocarray(list->v, list->n + 2, sizeof(*v));

	if (!v)
		return rsm_fail(err, ENOMEM, "out of memory");
	v[list->n++] = value;
	v[list->n] = NULL;
	list->v = v;
	return 0;
}

static int set_value(const struct cmd_opt *o, void *into, const char *value, struct rsm_error *err)
{
	void *to = (char *)into + o->offset;

	switch (o->kind) {
	case CMD_FLAG:
		return set_flag(o, to, value, err);
	case CMD_STRING:
		*(const char **)to = value;
		return 0;
	case CMD_UINT:
		return set_uint(o, to, value, err);
	case CMD_LIST:
		return add_to_list(to, value, err);
	}
	return -EINVAL;
}

int cmd_parse(const struct cmd_opt *opts, size_t nopts, bool stop_at_arg, int *argc, char **argv,
	      void *into, bool *help, struct rsm_error *err)
{
	int n = 0, i;

	*help = false;
	for (i = 0; i < *argc; i++) {
		const char *name = argv[i], *value;
		const struct cmd_opt *o;
		size_t len;
		int ret;

		if (name[0] != '-' || name[1] == '\0') {
			if (stop_at_arg)
				break;
			argv[n++] = argv[i];
			continue;
		}
		if (strcmp(name, "--") == 0) {
			i++;
			break;
		}
		name += name[1] == '-' ? 2 : 1;
		len = strcspn(name, "=");
		value = name[len] == '=' ? name + len + 1 : NULL;
		o = find_opt(opts, nopts, name, len);
		if (!o && !value && (strcmp(name, "help") == 0 || strcmp(name, "h") == 0)) {
			*help = true;
			continue;
		}
		if (!o)
			return rsm_fail(err, EINVAL, "flag provided but not defined: -%.*s",
					(int)len, name);
		if (o->kind != CMD_FLAG && !value) {
			if (i + 1 >= *argc)
				return rsm_fail(err, EINVAL, "flag needs an argument: -%s", name);
			value = argv[++i];
		}
		ret = set_value(o, into, value, err);
		if (ret < 0)
			return ret;
	}
	while (i < *argc)
		argv[n++] = argv[i++];
	*argc = n;
	return 0;
}

void cmd_free_opts(const struct cmd_opt *opts, size_t nopts, void *into)
{
	for (size_t i = 0; i < nopts; i++) {
		struct cmd_list *list = (struct cmd_list *)((char *)into + opts[i].offset);

		if (opts[i].kind != CMD_LIST)
			continue;
		free(list->v);
		*list = (struct cmd_list){ 0 };
	}
}

void cmd_print_opts(const struct cmd_opt *opts, size_t nopts)
{
	size_t width = 0;

	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < nopts; i++) {
			char left[80], alias[16] = "";
			const char *value = opts[i].kind == CMD_FLAG ? "" : " value";

			if (opts[i].alias)
				(void)snprintf(alias, sizeof(alias), ", -%c%s", opts[i].alias,
					       value);
			(void)snprintf(left, sizeof(left), "--%s%s%s", opts[i].name, value, alias);
			if (pass == 0)
				width = strlen(left) > width ? strlen(left) : width;
			else
				printf("   %-*s  %s\n", (int)width, left, opts[i].help);
		}
	}
}
