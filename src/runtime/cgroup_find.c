// SPDX-License-Identifier: Apache-2.0
/*
 * Which hierarchies a host has and where the container's directory is in each. Parsing alone: the
 * texts are given.
 *
 * /proc/self/cgroup has one line per hierarchy: "4:cpu,cpuacct:/own/path", for version 2
 * "0::/own/path". A version 1 hierarchy is found among the mounts by the name of its controllers,
 * which are among its super options. The paths in /proc/self/cgroup count from the hierarchy's
 * root, which need not be what is mounted (a container's own cgroup may be).
 */
#include "runtime/cgroup.h"

#include "base/io.h"
#include "base/math.h"
#include "runtime/systemd.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>

/* One line of mountinfo, taken apart. */
struct mount_line {
	char root[PATH_MAX], point[PATH_MAX], type[32], super[512];
};

/* Fields are separated by spaces; \ooo stands for a character. */
static const char *next_field(const char *at, char *to, size_t size)
{
	size_t n = 0;

	while (*at == ' ')
		at++;
	while (*at && *at != ' ' && *at != '\n') {
		char c = *at++;

		if (c == '\\' && isdigit((unsigned char)at[0]) && isdigit((unsigned char)at[1]) &&
		    isdigit((unsigned char)at[2])) {
			c = (char)((at[0] - '0') * 64 + (at[1] - '0') * 8 + (at[2] - '0'));
			at += 3;
		}
		if (n + 1 < size)
			to[n++] = c;
	}
	to[n] = '\0';
	return at;
}

/* Return: true if the line at @at is a mount of cgroups */
static bool parse_mount(const char *at, struct mount_line *m)
{
	const char *end = strchrnul(at, '\n'), *dash = memmem(at, (size_t)(end - at), " - cgroup", 9);
	char skip[512];

	if (!dash)
		return false;
	for (int i = 0; i < 3; i++)
		at = next_field(at, skip, sizeof(skip));
	at = next_field(at, m->root, sizeof(m->root));
	(void)next_field(at, m->point, sizeof(m->point));
	at = next_field(dash + 3, m->type, sizeof(m->type));
	at = next_field(at, skip, sizeof(skip));
	(void)next_field(at, m->super, sizeof(m->super));
	return m->root[0] == '/' && m->point[0] == '/';
}

/* Is @name (of @len bytes) an element of the comma-separated @list? */
static bool in_list(const char *list, const char *name, size_t len)
{
	for (const char *at = list; *at;) {
		size_t n = strcspn(at, ",");

		if (n == len && strncmp(at, name, n) == 0)
			return true;
		at += n + (at[n] == ',');
	}
	return false;
}

/* The mount of the hierarchy with these controllers; "" for version 2. */
static bool find_mount(const char *mountinfo, const char *names, struct mount_line *m)
{
	const char *next;

	for (const char *at = mountinfo; *at; at = next) {
		next = strchrnul(at, '\n');
		next += *next == '\n';
		if (!parse_mount(at, m))
			continue;
		if (names[0] ? strcmp(m->type, "cgroup") == 0 &&
				       in_list(m->super, names, strcspn(names, ","))
			     : strcmp(m->type, "cgroup2") == 0)
			return true;
	}
	return false;
}

/* FNV-1a */
uint32_t cgroup_hash(const char *text)
{
	uint32_t h = 2166136261U;

	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 16777619U;
	return h;
}

/* Return: 0, or -EINVAL for ".." */
static int check_path(const char *path, struct rsm_error *err)
{
	for (const char *at = path; *at;) {
		size_t n = strcspn(at, "/");

		if (n == 2 && strncmp(at, "..", 2) == 0)
			return rsm_fail(err, EINVAL, "linux.cgroupsPath: '%s' contains '..'", path);
		if (n > NAME_MAX)
			return rsm_fail(err, ENAMETOOLONG,
					"linux.cgroupsPath: a name is longer than %d bytes",
					NAME_MAX);
		at += n + (at[n] == '/');
	}
	return 0;
}

/*
 * @own: the caller's own cgroup in this hierarchy; @root: what of it is mounted.
 * Return: 0 or -ENAMETOOLONG
 */
static int place_below(const struct cgroup_where *where, const char *own, const char *root,
		       char *to, size_t size)
{
	const char *path = where->cgroups_path;
	size_t len = strlen(root);

	if (!path || !path[0]) {
		if (strcmp(where->root, CGROUP_DEFAULT_ROOT) == 0)
			return rsm_format(to, size, "/runsm/%s", where->id);
		return rsm_format(to, size, "/runsm@%08x/%s", cgroup_hash(where->root), where->id);
	}
	if (path[0] == '/')
		return rsm_format(to, size, "%s", path);
	if (strcmp(root, "/") == 0)
		len = 0;
	if (strncmp(own, root, len) == 0 && (own[len] == '/' || own[len] == '\0'))
		own += len;
	else
		own = "";
	return rsm_format(to, size, "%s/%s", strcmp(own, "/") == 0 ? "" : own, path);
}

static int add_dir(struct cgroup *cg, const char *names, const char *mount, const char *path,
		   struct rsm_error *err)
{
	struct cgroup_dir *d = &cg->dirs[cg->ndirs];

	if (cg->ndirs == CGROUP_DIRS_MAX || strlen(names) >= sizeof(d->names))
		return rsm_fail(err, E2BIG, "this host has too many cgroup hierarchies");
	(void)strcpy(d->names, names);
	d->mount = strdup(mount);
	d->path = strdup(path);
	d->fd = -1;
	cg->ndirs++;
	return d->mount && d->path ? 0 : rsm_fail(err, ENOMEM, "out of memory");
}

/* One line "ID:NAMES:PATH". */
static int add_hierarchy(struct cgroup *cg, const char *line, const char *mountinfo,
			 const char *v2_root, const struct cgroup_where *where,
			 struct rsm_error *err)
{
	const char *names = strchr(line, ':'), *own = names ? strchr(names + 1, ':') : NULL;
	char text[512], path[PATH_MAX], own_path[PATH_MAX];
	struct mount_line m = {.root = "/"};
	int ret;

	if (!own || rsm_format(text, sizeof(text), "%.*s", (int)(own - names - 1), names + 1) < 0 ||
	    rsm_format(own_path, sizeof(own_path), "%.*s", (int)strcspn(own + 1, "\n"), own + 1) <
		    0)
		return 0;
	if (v2_root && text[0])
		return 0;
	if (!find_mount(mountinfo, text, &m)) {
		if (!v2_root)
			return 0; /* a hierarchy that is mounted nowhere: nothing to join */
		(void)strcpy(m.root, "/");
	}
	ret = place_below(where, own_path, m.root, path, sizeof(path));
	if (ret < 0)
		return rsm_fail_errno(err, ret, "linux.cgroupsPath");
	return add_dir(cg, text, v2_root ? v2_root : m.point, path, err);
}

int cgroup_find(const char *mountinfo, const char *own, const char *v2_root,
		const struct cgroup_where *where, struct cgroup **ret, struct rsm_error *err)
{
	_cleanup_cgroup_ struct cgroup *cg = NULL;
	const char *next;
	int r = check_path(where->cgroups_path ? where->cgroups_path : "", err);

	if (r < 0)
		return r;
	cg = calloc(1, sizeof(*cg));
	if (!cg)
		return rsm_fail(err, ENOMEM, "out of memory");
	cg->own_parent = !where->cgroups_path || !where->cgroups_path[0];
	cg->v2 = v2_root != NULL;
	for (const char *line = own; *line; line = next) {
		next = strchrnul(line, '\n');
		next += *next == '\n';
		r = add_hierarchy(cg, line, mountinfo, v2_root, where, err);
		if (r < 0)
			return r;
	}
	*ret = rsm_steal_ptr(cg);
	return 0;
}

void cgroup_free(struct cgroup *cg)
{
	if (!cg)
		return;
	for (size_t i = 0; i < cg->ndirs; i++) {
		rsm_close(&cg->dirs[i].fd);
		free(cg->dirs[i].mount);
		free(cg->dirs[i].path);
	}
	free(cg->unit);
	free(cg->unit_slice);
	free(cg->unit_text);
	systemd_close(cg->systemd);
	free(cg);
}

const struct cgroup_dir *cgroup_controller(const struct cgroup *cg, const char *name)
{
	if (cg->v2)
		return cg->ndirs ? &cg->dirs[0] : NULL;
	for (size_t i = 0; i < cg->ndirs; i++)
		if (in_list(cg->dirs[i].names, name, strlen(name)))
			return &cg->dirs[i];
	return NULL;
}

int cgroup_dir_path(const struct cgroup_dir *d, char *buf, size_t size)
{
	return rsm_format(buf, size, "%s%s", d->mount, d->path);
}
