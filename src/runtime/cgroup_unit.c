// SPDX-License-Identifier: Apache-2.0
/* Names of units: systemd.unit(5), systemd.slice(5). */
#include "runtime/cgroup_unit.h"

#include "base/io.h"

#include <ctype.h>
#include <string.h>

#define FIELD        "linux.cgroupsPath: "
#define SLICE_SUFFIX ".slice"
#define ROOT_SLICE   "-.slice"

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && strcmp(text + n - m, end) == 0;
}

static bool is_unit_char(char c)
{
	return isascii(c) && (isalnum((unsigned char)c) || strchr(":-_.\\", c)) && c;
}

/* Any text as part of a unit's name: what may not be in one becomes \xNN. */
static int escape(const char *text, char *to, size_t size)
{
	size_t n = 0;

	for (; *text; text++) {
		if (n + sizeof("\\xNN") > size)
			return -ENAMETOOLONG;
		if (is_unit_char(*text) && *text != '\\')
			to[n++] = *text;
		else
			n += (size_t)snprintf(to + n, size - n, "\\x%02x", (unsigned char)*text);
	}
	to[n] = '\0';
	return 0;
}

/* "a-b.slice": no part between dashes is empty */
static bool is_slice(const char *slice)
{
	size_t len = strlen(slice);
	bool dash = true;

	if (strcmp(slice, ROOT_SLICE) == 0)
		return true;
	if (!ends_with(slice, SLICE_SUFFIX))
		return false;
	len -= sizeof(SLICE_SUFFIX) - 1;
	for (size_t i = 0; i < len; i++) {
		if (!is_unit_char(slice[i]) || (dash && slice[i] == '-'))
			return false;
		dash = slice[i] == '-';
	}
	return !dash;
}

static int take_slice(const char *path, size_t len, bool user, char *to, struct rsm_error *err)
{
	const char *none = user ? "user.slice" : "system.slice";
	int ret = len ? rsm_format(to, CGROUP_UNIT_MAX, "%.*s", (int)len, path)
		      : rsm_format(to, CGROUP_UNIT_MAX, "%s", none);

	if (ret < 0)
		return rsm_fail(err, ENAMETOOLONG,
				FIELD "the slice's name is too long for systemd");
	if (strcmp(to, "-") == 0)
		(void)strcpy(to, ROOT_SLICE);
	if (!is_slice(to))
		return rsm_fail(err, EINVAL,
				FIELD "'%s' is no slice: expected a name like 'system.slice' or "
				"'a-b.slice'",
				to);
	return 0;
}

static int take_name(const char *prefix, size_t len, const char *name, char *to,
		     struct rsm_error *err)
{
	int ret;

	if (!name[0])
		return rsm_fail(err, EINVAL, FIELD "the name behind the second colon is empty");
	if (ends_with(name, SLICE_SUFFIX))
		return rsm_fail(err, EOPNOTSUPP,
				FIELD "'%s': a container is a scope, and processes have no place in "
				      "a slice: give the slice before the first colon",
				name);
	ret = rsm_format(to, CGROUP_UNIT_MAX, "%.*s%s%s.scope", (int)len, prefix,
			 len ? "-" : "", name);
	if (ret < 0)
		return rsm_fail(err, ENAMETOOLONG, FIELD "the unit's name is too long for systemd");
	for (const char *at = to; *at; at++)
		if (!is_unit_char(*at))
			return rsm_fail(err, EINVAL,
					FIELD "'%s' is no name for a unit: it has letters, digits "
					      "and :-_.\\ only",
					to);
	return 0;
}

static int default_unit(const struct cgroup_where *where, bool user, struct cgroup_unit *ret,
			struct rsm_error *err)
{
	char id[CGROUP_UNIT_MAX], root[16] = "";
	int r = escape(where->id, id, sizeof(id));

	if (strcmp(where->root, CGROUP_DEFAULT_ROOT) != 0)
		(void)rsm_format(root, sizeof(root), "-%08x", cgroup_hash(where->root));
	if (r == 0)
		r = rsm_format(ret->name, sizeof(ret->name), "runsm-%s%s.scope", id, root);
	if (r < 0)
		return rsm_fail(err, ENAMETOOLONG,
				"the container's id is too long for the name of systemd's unit: "
				"give one in linux.cgroupsPath");
	return take_slice("", 0, user, ret->slice, err);
}

int cgroup_unit_of(const struct cgroup_where *where, bool user, struct cgroup_unit *ret,
		   struct rsm_error *err)
{
	const char *path = where->cgroups_path, *prefix, *name;
	int r;

	if (!path || !path[0])
		return default_unit(where, user, ret, err);
	prefix = strchr(path, ':');
	name = prefix ? strchr(prefix + 1, ':') : NULL;
	if (!name || strchr(name + 1, ':'))
		return rsm_fail(err, EINVAL,
				FIELD "with --systemd-cgroup expected 'slice:prefix:name', "
				      "found '%s'",
				path);
	r = take_slice(path, (size_t)(prefix - path), user, ret->slice, err);
	prefix++;
	name++;
	return r < 0 ? r : take_name(prefix, (size_t)(name - 1 - prefix), name, ret->name, err);
}
