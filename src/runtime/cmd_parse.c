// SPDX-License-Identifier: Apache-2.0
#include "runtime/cmd.h"

#include "base/math.h"

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

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Longer names first: "m" is the beginning of "ms". */
static const struct {
	const char *name;
	int64_t ns;
} time_units[] = {
	{"ns", 1},       {"us", 1000},        {"\u00b5s", 1000},    {"\u03bcs", 1000},
	{"ms", 1000000}, {"s", 1000000000LL}, {"m", 60000000000LL}, {"h", 3600000000000LL},
};

static const char *take_unit(const char *s, int64_t *ret)
{
	for (size_t i = 0; i < RSM_ARRAY_SIZE(time_units); i++) {
		size_t len = strlen(time_units[i].name);

		if (strncmp(s, time_units[i].name, len) == 0) {
			*ret = time_units[i].ns;
			return s + len;
		}
	}
	return NULL;
}

/* One "1.5h" at @s, added to @sum; @s moves behind it. */
static int add_duration(const char **s, int64_t *sum)
{
	const char *at = *s;
	int64_t whole = 0, unit, part;
	double fraction = 0, scale = 1;
	bool any = digit(*at);

	for (; digit(*at); at++)
		if (!rsm_mul(whole, (int64_t)10, &whole) || !rsm_add(whole, *at - '0', &whole))
			return -EINVAL;
	if (*at == '.')
		for (at++; digit(*at); at++, any = true) {
			scale *= 10;
			fraction += (*at - '0') / scale;
		}
	*s = take_unit(at, &unit);
	if (!any || !*s || !rsm_mul(whole, unit, &part) ||
	    !rsm_add(part, (int64_t)(fraction * (double)unit), &part) || !rsm_add(*sum, part, sum))
		return -EINVAL;
	return 0;
}

int cmd_duration_parse(const char *s, int64_t *ret)
{
	bool negative = *s == '-';
	int64_t sum = 0;

	if (*s == '-' || *s == '+')
		s++;
	if (strcmp(s, "0") == 0) {
		*ret = 0;
		return 0;
	}
	do {
		if (add_duration(&s, &sum) < 0)
			return -EINVAL;
	} while (*s);
	*ret = negative ? -sum : sum;
	return 0;
}

static int set_duration(const struct cmd_opt *o, struct cmd_duration *to, const char *value,
			struct rsm_error *err)
{
	if (cmd_duration_parse(value, &to->ns) < 0)
		return rsm_fail(err, EINVAL, "invalid value \"%s\" for flag -%s: parse error",
				value, o->name);
	to->given = true;
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
	case CMD_DURATION:
		return set_duration(o, to, value, err);
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
