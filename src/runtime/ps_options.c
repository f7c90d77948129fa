// SPDX-License-Identifier: Apache-2.0
#include "runtime/ps_table.h"

#include <errno.h>
#include <string.h>

#define SEPARATORS ", \t"

/* What the options add up to */
struct chosen {
	bool full, bsd, user;
	struct ps_format *format;
};

static int add(struct ps_format *f, const char *name, size_t len, const char *header,
	       struct rsm_error *err)
{
	const struct ps_column *c = ps_column_find(name, len);

	if (!c)
		return rsm_fail(err, EINVAL, "ps: column '%.*s' is not supported", (int)len, name);
	if (f->n == PS_COLUMNS_MAX)
		return rsm_fail(err, EINVAL, "ps: more than %d columns", PS_COLUMNS_MAX);
	f->columns[f->n] = c;
	f->headers[f->n] = header ? header : ps_column_header(c);
	f->len[f->n] = (int)strlen(f->headers[f->n]);
	f->title |= f->len[f->n] > 0;
	f->n++;
	return 0;
}

/* "pid,ppid args=COMMAND LINE": a header of one's own goes to the end of the argument. */
static int add_list(struct ps_format *f, const char *list, struct rsm_error *err)
{
	size_t before = f->n;

	for (const char *at = list + strspn(list, SEPARATORS); *at;) {
		size_t len = strcspn(at, SEPARATORS "=");
		bool titled = at[len] == '=';
		int ret = add(f, at, len, titled ? at + len + 1 : NULL, err);

		if (ret < 0)
			return ret;
		if (titled)
			break;
		at += len;
		at += strspn(at, SEPARATORS);
	}
	return f->n > before ? 0 : rsm_fail(err, EINVAL, "ps: a list of columns is empty");
}

/*
 * One word of letters, with or without a dash. A letter that takes a value has it in the same word
 * or in the next; @ret: how many words were used.
 */
static int letters(struct chosen *c, const char *word, const char *next, int *ret,
		   struct rsm_error *err)
{
	/* -aux and the like have always been taken for aux */
	bool dash = word[0] == '-' && strncmp(word, "-aux", 4) != 0;

	*ret = 1;
	for (const char *at = word + (word[0] == '-'); *at; at++) {
		if (*at == 'o') {
			const char *list = at[1] ? at + 1 : next;

			*ret = at[1] ? 1 : 2;
			return list ? add_list(c->format, list, err)
				    : rsm_fail(err, EINVAL, "ps: -o needs a list of columns");
		}
		if (*at == 'w') /* lines are not cut in any case */
			continue;
		if (dash && (*at == 'e' || *at == 'A'))
			continue;
		if (dash && *at == 'f')
			c->full = true;
		else if (*at == 'x' || (!dash && *at == 'a'))
			c->bsd = true;
		else if (!dash && *at == 'u')
			c->bsd = c->user = true;
		else
			return rsm_fail(
				err, EINVAL,
				"ps: option '%s%c' is not supported: the container's processes "
				"are shown, with the columns of -e, -ef, ax, aux or -o LIST",
				dash ? "-" : "", *at);
	}
	return 0;
}

static int parse_words(struct chosen *c, int argc, char **argv, struct rsm_error *err)
{
	for (int i = 0, used; i < argc; i += used) {
		const char *word = argv[i], *value = NULL;
		int ret;

		used = 1;
		if (strncmp(word, "--format=", 9) == 0)
			value = word + 9;
		else if (strcmp(word, "--format") == 0 && i + 1 < argc)
			value = argv[i + used++];
		if (value)
			ret = add_list(c->format, value, err);
		else if (strncmp(word, "--", 2) == 0 || !word[0] || strcmp(word, "-") == 0)
			ret = rsm_fail(err, EINVAL, "ps: option '%s' is not supported", word);
		else
			ret = letters(c, word, i + 1 < argc ? argv[i + 1] : NULL, &used, err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

int ps_format_parse(int argc, char **argv, struct ps_format *ret, struct rsm_error *err)
{
	struct chosen c = {.format = ret, .full = argc == 0};
	int error;

	*ret = (struct ps_format){0};
	error = parse_words(&c, argc, argv, err);
	if (error < 0 || ret->n > 0)
		return error;
	if (c.full && !c.bsd) {
		error = add(ret, "user", 4, "UID", err);
		if (error == 0)
			error = add_list(ret, "pid,ppid,c,stime,tname,time,cmd", err);
		return error;
	}
	if (c.user)
		return add_list(
			ret, "user,pid,%cpu,%mem,vsz,rss,tname,stat,start_time,bsdtime,args", err);
	if (c.bsd)
		return add_list(ret, "pid,tname,stat,bsdtime,args", err);
	error = add_list(ret, "pid,tname,time", err);
	return error < 0 ? error : add(ret, "ucmd", 4, "CMD", err);
}
