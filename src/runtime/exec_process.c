// SPDX-License-Identifier: Apache-2.0
#include "runtime/exec_process.h"

#include "base/io.h"
#include "base/log.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

static int parse_id(const char *text, size_t len, const char *what, uint32_t *ret,
		    struct rsm_error *err)
{
	unsigned long long n = 0;

	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9' || n > UINT32_MAX)
			len = 0;
		else
			n = n * 10 + (unsigned)(text[i] - '0');
	}
	if (len == 0 || n >= UINT32_MAX)
		return rsm_fail(err, EINVAL, "parsing %s as int for %s failed", text, what);
	*ret = (uint32_t)n;
	return 0;
}

static int apply_user(struct oci_spec *spec, const struct exec_opts *o, struct rsm_error *err)
{
	struct oci_user *u = &spec->process.user;
	size_t n = u->n_additional_gids;
	uint32_t *gids;
	int ret = 0;

	if (o->user && o->user[0]) {
		size_t len = strcspn(o->user, ":");

		if (o->user[len] == ':')
			ret = parse_id(o->user + len + 1, strlen(o->user + len + 1), "gid", &u->gid,
				       err);
		if (ret == 0)
			ret = parse_id(o->user, len, "uid", &u->uid, err);
	}
	if (ret < 0 || o->additional_gids.n == 0)
		return ret;
	gids = arena_alloc(&spec->arena, n + o->additional_gids.n, sizeof(*gids));
	if (!gids)
		return rsm_fail(err, ENOMEM, "out of memory");
	if (n > 0)
		memcpy(gids, u->additional_gids, n * sizeof(*gids));
	for (size_t i = 0; i < o->additional_gids.n; i++) {
		const char *text = o->additional_gids.v[i];

		ret = parse_id(text, strlen(text), "additional gid", &gids[n + i], err);
		if (ret < 0)
			return ret;
	}
	u->additional_gids = gids;
	u->n_additional_gids = n + o->additional_gids.n;
	return 0;
}

static int append_env(struct oci_spec *spec, const struct cmd_list *more, struct rsm_error *err)
{
	struct oci_strv *env = &spec->process.env;
	const char **v = arena_alloc(&spec->arena, env->n + more->n, sizeof(*v));

	if (!v)
		return rsm_fail(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < env->n; i++)
		v[i] = env->v[i];
	for (size_t i = 0; i < more->n; i++)
		v[env->n + i] = more->v[i];
	env->v = v;
	env->n += more->n;
	return 0;
}

static void add_caps(struct oci_process *p, const struct cmd_list *names)
{
	for (size_t i = 0; i < names->n; i++) {
		int n = oci_cap_number(names->v[i]);

		if (n < 0) {
			rsm_log_warn("ignoring unknown capability %s", names->v[i]);
			continue;
		}
		p->caps.bounding |= 1ULL << n;
		p->caps.effective |= 1ULL << n;
		p->caps.permitted |= 1ULL << n;
		p->has_caps = true;
	}
}

static int apply(struct oci_spec *spec, const struct exec_opts *o, int argc, char **argv,
		 struct rsm_error *err)
{
	struct oci_process *p = &spec->process;
	int ret;

	if (argc == 0)
		return rsm_fail(err, EINVAL, "process args cannot be empty");
	p->args.v = (const char **)argv;
	p->args.n = (size_t)argc;
	p->terminal = o->tty;
	p->console_rows = p->console_cols = 0;
	if (o->cwd && o->cwd[0]) {
		if (o->cwd[0] != '/')
			return rsm_fail(err, EINVAL, "--cwd: '%s' is not an absolute path", o->cwd);
		p->cwd = o->cwd;
	}
	if (o->no_new_privs)
		p->no_new_privileges = true;
	add_caps(p, &o->cap);
	ret = append_env(spec, &o->env, err);
	return ret < 0 ? ret : apply_user(spec, o, err);
}

/* Put the process of --process FILE into the container's spec, which owns it from then on. */
static int load_file(const char *file, struct oci_spec *spec, struct oci_spec **ret_process,
		     struct rsm_error *err)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = rsm_read_file_at(AT_FDCWD, file, RSM_JSON_MAX_BYTES, &text, &len);

	if (r < 0)
		return rsm_fail_errno(err, r, "read '%s'", file);
	r = oci_spec_parse_process(text, len, ret_process, err);
	if (r < 0)
		return rsm_error_prefix(err, "%s", file);
	spec->process = (*ret_process)->process;
	return 0;
}

int exec_process_load(const struct ctr *c, const struct exec_opts *o, int argc, char **argv,
		      struct oci_spec **ret, struct rsm_error *err)
{
	_cleanup_spec_ struct oci_spec *spec = NULL;
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = rsm_read_file_at(c->dirfd, "config.json", RSM_JSON_MAX_BYTES, &text, &len);

	if (r < 0)
		return rsm_fail_errno(err, r, "read config.json of container '%s'", c->id);
	r = oci_spec_parse(text, len, &spec, err);
	if (r < 0)
		return rsm_error_prefix(err, "config.json of container '%s'", c->id);
	r = o->process ? load_file(o->process, spec, &spec->process_owner, err)
		       : apply(spec, o, argc, argv, err);
	if (r < 0)
		return r;
	*ret = rsm_steal_ptr(spec);
	return 0;
}

/* Append the components of @path, without ".", ".." and doubled slashes; false: it leads out. */
static bool normalise(const char *path, char *ret)
{
	size_t len = 0;

	for (const char *at = path, *end; *at; at = end) {
		at += strspn(at, "/");
		end = at + strcspn(at, "/");
		if (end == at || (end - at == 1 && at[0] == '.'))
			continue;
		if (end - at == 2 && at[0] == '.' && at[1] == '.') {
			if (len == 0)
				return false;
			while (ret[--len] != '/')
				;
			continue;
		}
		ret[len++] = '/';
		memcpy(ret + len, at, (size_t)(end - at));
		len += (size_t)(end - at);
	}
	if (len == 0)
		ret[len++] = '/';
	ret[len] = '\0';
	return true;
}

int exec_cgroup(const struct cmd_list *args, char *ret, size_t size, struct rsm_error *err)
{
	ret[0] = '\0';
	for (size_t i = 0; i < args->n; i++) {
		const char *arg = args->v[i], *colon = strchr(arg, ':');

		if (colon && strchr(colon + 1, ':'))
			return rsm_fail(err, EINVAL, "invalid --cgroup argument: %s", arg);
		if (!colon && args->n > 1)
			return rsm_fail(err, EINVAL,
					"invalid --cgroup argument: %s (missing <controller>: prefix)",
					arg);
		if (colon)
			return rsm_fail(err, EINVAL,
					"unknown controller %.*s in --cgroup: the guest has cgroup v2, "
					"where one path is for all of them",
					(int)strcspn(arg, ",:"), arg);
		if (strlen(arg) + 2 > size)
			return rsm_fail(err, ENAMETOOLONG, "--cgroup: the path is too long");
		if (!normalise(arg, ret))
			return rsm_fail(err, EINVAL, "%s is not a sub cgroup path", arg);
	}
	return 0;
}
