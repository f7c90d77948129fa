// SPDX-License-Identifier: Apache-2.0
/*
 * Annotations "org.systemd.property.NAME" as properties of the container's unit, as with runc. The
 * value is GVariant text (developer.gnome.org/glib, "GVariant Text Format"), of the types that
 * properties of a scope have:
 *
 *	true, 'text', "text", 5, -5, 0x1f, 1.5, ['a', 'b']
 *	TYPE VALUE, where TYPE is a keyword (uint64) or a signature (@t)
 *
 * A number without a type is an int32, one with a point a double. NAME with "Sec" at its end is a
 * time in seconds, and becomes the NAME with "USec" that systemd has on D-Bus.
 */
#include "runtime/cgroup_props.h"

#include "base/io.h"
#include "base/math.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MIN    3
#define STRINGS_MAX 64

/* These are the container itself. */
static const char *const fixed[] = {"Description", "Slice", "PIDs", "Delegate"};

struct text {
	const char *at;
	struct arena *arena;
};

static void skip_space(struct text *t)
{
	t->at += strspn(t->at, " \t");
}

static bool take_char(struct text *t, char c)
{
	skip_space(t);
	if (*t->at != c)
		return false;
	t->at++;
	return true;
}

static bool take_word(struct text *t, const char *word)
{
	size_t len = strlen(word);

	skip_space(t);
	if (strncmp(t->at, word, len) != 0 || isalnum((unsigned char)t->at[len]))
		return false;
	t->at += len;
	return true;
}

/* In quotes of either kind, with \\ \' \" \n \t. Return: NULL if it is none */
static const char *take_string(struct text *t)
{
	static const char codes[] = "\\'\"nt", means[] = "\\'\"\n\t";
	char quote, *to;
	size_t n = 0;

	skip_space(t);
	quote = *t->at;
	if (quote != '\'' && quote != '"')
		return NULL;
	to = arena_alloc(t->arena, strlen(t->at), 1);
	for (t->at++; to && *t->at && *t->at != quote; t->at++) {
		const char *code = *t->at == '\\' && t->at[1] ? strchr(codes, *++t->at) : t->at;

		if (!code)
			return NULL;
		to[n++] = code == t->at ? *t->at : means[code - codes];
	}
	return to && *t->at++ == quote ? to : NULL;
}

/* ['a', 'b'] as a list that ends with NULL */
static bool take_strings(struct text *t, struct cgroup_prop *p)
{
	const char **list = arena_alloc(t->arena, STRINGS_MAX + 1, sizeof(*list));
	size_t n = 0;

	if (!list || !take_char(t, '['))
		return false;
	while (!take_char(t, ']')) {
		if (n == STRINGS_MAX || (n > 0 && !take_char(t, ',')))
			return false;
		list[n] = take_string(t);
		if (!list[n++])
			return false;
	}
	p->text = list;
	return true;
}

/* ---- types */

static const struct {
	const char *keyword, *signature;
	enum cgroup_prop_kind kind;
	int64_t min;
	uint64_t max;
} types[] = {
	{"uint64", "@t", CGROUP_PROP_U64, 0, UINT64_MAX},
	{"int64", "@x", CGROUP_PROP_I64, INT64_MIN, INT64_MAX},
	{"uint32", "@u", CGROUP_PROP_U32, 0, UINT32_MAX},
	{"int32", "@i", CGROUP_PROP_I32, INT32_MIN, INT32_MAX},
	{"double", "@d", CGROUP_PROP_DOUBLE, 0, 0},
	{"boolean", "@b", CGROUP_PROP_BOOL, 0, 0},
	{"string", "@s", CGROUP_PROP_TEXT, 0, 0},
	{NULL, "@as", CGROUP_PROP_STRINGS, 0, 0},
};

/* What the value looks like, when no type is given. */
static enum cgroup_prop_kind guess(struct text *t)
{
	skip_space(t);
	if (*t->at == '\'' || *t->at == '"')
		return CGROUP_PROP_TEXT;
	if (*t->at == '[')
		return CGROUP_PROP_STRINGS;
	if (isalpha((unsigned char)*t->at))
		return CGROUP_PROP_BOOL;
	return strchr(t->at, '.') ? CGROUP_PROP_DOUBLE : CGROUP_PROP_I32;
}

static bool take_integer(struct text *t, struct cgroup_prop *p)
{
	bool negative;
	char *end;

	skip_space(t);
	negative = *t->at == '-';
	if (!isdigit((unsigned char)t->at[negative]))
		return false;
	errno = 0;
	p->value = strtoull(t->at + negative, &end, 0);
	t->at = end;
	for (size_t i = 0; errno == 0 && i < RSM_ARRAY_SIZE(types); i++) {
		if (types[i].kind != p->kind)
			continue;
		if (!negative)
			return p->value <= types[i].max;
		if (types[i].min == 0 || p->value > (uint64_t)-(types[i].min + 1) + 1)
			return p->value == 0;
		p->value = -p->value;
		return true;
	}
	return false;
}

static bool take_double(struct text *t, struct cgroup_prop *p)
{
	char *end;

	skip_space(t);
	if (!isdigit((unsigned char)*t->at) && *t->at != '-')
		return false;
	p->number = strtod(t->at, &end);
	t->at = end;
	return true;
}

static bool take_bool(struct text *t, struct cgroup_prop *p)
{
	p->value = take_word(t, "true");
	return p->value || take_word(t, "false");
}

static bool take_value(struct text *t, struct cgroup_prop *p)
{
	size_t i = 0;

	while (i < RSM_ARRAY_SIZE(types) && !(types[i].keyword && take_word(t, types[i].keyword)) &&
	       !take_word(t, types[i].signature))
		i++;
	p->kind = i < RSM_ARRAY_SIZE(types) ? types[i].kind : guess(t);
	switch (p->kind) {
	case CGROUP_PROP_TEXT:
		p->text = take_string(t);
		return p->text != NULL;
	case CGROUP_PROP_STRINGS:
		return take_strings(t, p);
	case CGROUP_PROP_BOOL:
		return take_bool(t, p);
	case CGROUP_PROP_DOUBLE:
		return take_double(t, p);
	default:
		return take_integer(t, p);
	}
}

/* ---- names */

/* "TimeoutStopSec" is TimeoutStopUSec on D-Bus. Return: false if its value is no number */
static bool seconds_to_us(struct cgroup_prop *p, struct arena *arena)
{
	size_t len = strlen(p->name);
	double number = p->number;

	if (len < 4 || strcmp(p->name + len - 3, "Sec") != 0 ||
	    !islower((unsigned char)p->name[len - 4]))
		return true;
	switch (p->kind) {
	case CGROUP_PROP_DOUBLE:
		if (!(number >= 0 && number < 1e12))
			return false;
		p->value = (uint64_t)(number * 1e6);
		break;
	case CGROUP_PROP_U64:
	case CGROUP_PROP_U32:
	case CGROUP_PROP_I64:
	case CGROUP_PROP_I32:
		if (!rsm_mul(p->value, (uint64_t)1000000, &p->value))
			return false;
		break;
	default:
		return false;
	}
	p->kind = CGROUP_PROP_U64;
	p->name = arena_printf(arena, "%.*sUSec", (int)(len - 3), p->name);
	return p->name != NULL;
}

static bool is_name(const char *name)
{
	for (const char *at = name; *at; at++)
		if (!isascii(*at) || !isalpha((unsigned char)*at))
			return false;
	return strlen(name) >= NAME_MIN;
}

static int take_one(const struct oci_pair *pair, struct arena *arena, struct cgroup_prop *p,
		    struct rsm_error *err)
{
	const char *name = pair->key + strlen(CGROUP_PROPS_ANNOTATION);
	struct text t = {.at = pair->value, .arena = arena};

	*p = (struct cgroup_prop){.name = name};
	if (!is_name(name))
		return rsm_fail(err, EINVAL, "annotations.%s: '%s' is no name of a property",
				pair->key, name);
	for (size_t i = 0; i < RSM_ARRAY_SIZE(fixed); i++)
		if (strcmp(name, fixed[i]) == 0)
			return rsm_fail(err, EOPNOTSUPP, "annotations.%s: %s of the unit is given",
					pair->key, name);
	if (take_value(&t, p)) {
		skip_space(&t);
		if (!*t.at && seconds_to_us(p, arena))
			return 0;
	}
	if (arena->failed)
		return rsm_fail(err, ENOMEM, "out of memory");
	return rsm_fail(err, EINVAL,
			"annotations.%s: cannot read '%s': expected true, 'text', uint64 5 or "
			"['a', 'b'], a number if the name ends in Sec",
			pair->key, pair->value);
}

int cgroup_props_annotations(const struct oci_pair *v, size_t n, struct arena *arena,
			     struct cgroup_props *to, struct rsm_error *err)
{
	for (size_t i = 0; i < n; i++) {
		int ret;

		if (strncmp(v[i].key, CGROUP_PROPS_ANNOTATION,
			    strlen(CGROUP_PROPS_ANNOTATION)) != 0)
			continue;
		if (to->n == CGROUP_PROPS_MAX)
			return rsm_fail(err, E2BIG, "annotations.%s: too many properties",
					v[i].key);
		ret = take_one(&v[i], arena, &to->v[to->n], err);
		if (ret < 0)
			return ret;
		to->n++;
	}
	return 0;
}
