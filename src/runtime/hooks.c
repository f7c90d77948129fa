// SPDX-License-Identifier: Apache-2.0
#include "runtime/hooks.h"

#include "base/io.h"
#include "base/log.h"
#include "base/math.h"
#include "base/proc.h"
#include "base/run.h"
#include "runtime/ctr_client.h"

#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

/* ---- what a hook is told */

char *hooks_state(const char *oci_version, const char *id, const char *bundle,
		  const struct rsm_json *annotations, enum ctr_status status, pid_t pid)
{
	_cleanup_jsongen_ struct rsm_jsongen *g = NULL;
	const char *text;

	if (rsm_jsongen_new(false, &g) < 0)
		return NULL;
	rsm_jsongen_object(g);
	rsm_jsongen_kstring(g, "ociVersion", oci_version);
	rsm_jsongen_kstring(g, "id", id);
	rsm_jsongen_kstring(g, "status", ctr_status_name(status));
	if (pid > 0)
		rsm_jsongen_kint(g, "pid", pid);
	rsm_jsongen_kstring(g, "bundle", bundle);
	if (annotations && rsm_json_len(annotations) > 0) {
		rsm_jsongen_key(g, "annotations");
		rsm_jsongen_value(g, annotations);
	}
	rsm_jsongen_end_object(g);
	return rsm_jsongen_finish(g, &text, NULL) < 0 ? NULL : strdup(text);
}

/* ---- running one */

/**
 * struct place - Where a hook runs
 * @flags:	namespaces to join, of the process whose pidfd is the child's fd 3; 0: none
 */
struct place {
	const char *cwd;
	int flags;
};

/* In the child: async-signal-safe calls only. */
static int enter(void *cookie)
{
	const struct place *place = cookie;
	const int vmm = STDERR_FILENO + 1;

	if (place->flags && (setns(vmm, place->flags) < 0 || close(vmm) < 0))
		return -errno;
	if (chdir(place->cwd) < 0 && chdir("/") < 0) /* poststop: the bundle may be gone */
		return -errno;
	return 0;
}

/* NULL-terminated; points into @v, and is freed with free() */
static const char **terminated(const struct oci_strv *v, const char *only)
{
	const char **list = calloc(v->n + 2, sizeof(*list));

	if (!list)
		return NULL;
	for (size_t i = 0; i < v->n; i++)
		list[i] = v->v[i];
	if (v->n == 0)
		list[0] = only;
	return list;
}

static int interrupted(const struct hooks_watch *watch, struct rsm_error *err)
{
	struct signalfd_siginfo si = {0};
	struct pollfd p = {.fd = watch->signals, .events = POLLIN};

	if (watch->signals < 0 || poll(&p, 1, 0) != 1 ||
	    rsm_read_full(watch->signals, &si, sizeof(si)) != sizeof(si))
		return rsm_fail(err, ESRCH, "the VMM was killed");
	if (err)
		err->exit_status = 128 + (int)si.ssi_signo;
	return rsm_fail(err, EINTR, "interrupted by signal %u", si.ssi_signo);
}

static int run_one(const struct oci_hook *hook, const struct place *place, int join,
		   const struct hooks_watch *watch, const char *state, struct rsm_error *err)
{
	_cleanup_free_ const char **argv = terminated(&hook->args, hook->path);
	_cleanup_free_ const char **env = terminated(&hook->env, NULL);
	const struct rsm_run run = {
		.spawn = {.path = hook->path,
			  .argv = argv,
			  .envp = hook->has_env ? env : NULL,
			  .fds = (const int[]){-1, -1, -1, join},
			  .nfds = place->flags ? 4 : 3,
			  .before_exec = enter,
			  .cookie = (void *)place},
		.input = state,
		.timeout = hook->timeout,
		.watch = {watch->signals, watch->vmm},
	};
	int ret;

	if (!argv || !env)
		return rsm_fail(err, ENOMEM, "out of memory");
	ret = rsm_run(&run, err);
	return ret == -ECANCELED ? interrupted(watch, err) : ret;
}

/* ---- running a kind */

/* Namespaces of @pid that are not ours, as CLONE_NEW* */
static int foreign_namespaces(pid_t pid)
{
	static const struct {
		const char *name;
		int flag;
	} kinds[] = {{"user", CLONE_NEWUSER}, {"mnt", CLONE_NEWNS},  {"net", CLONE_NEWNET},
		     {"ipc", CLONE_NEWIPC},   {"uts", CLONE_NEWUTS}, {"cgroup", CLONE_NEWCGROUP}};
	int flags = 0;

	for (size_t i = 0; i < RSM_ARRAY_SIZE(kinds); i++) {
		char path[64];
		struct stat its, ours;

		(void)rsm_format(path, sizeof(path), "/proc/self/ns/%s", kinds[i].name);
		if (stat(path, &ours) < 0)
			continue;
		(void)rsm_format(path, sizeof(path), "/proc/%d/ns/%s", pid, kinds[i].name);
		if (stat(path, &its) == 0 && its.st_ino != ours.st_ino)
			flags |= kinds[i].flag;
	}
	return flags;
}

/* @keep_going: a failure is logged, and the rest run nevertheless */
static int run_kind(const struct oci_spec *spec, enum oci_hook_kind kind, const struct ctr *c,
		    enum ctr_status status, bool keep_going, const struct hooks_watch *watch,
		    struct rsm_error *err)
{
	const struct oci_hook_list *list = &spec->hooks[kind];
	_cleanup_free_ char *state = NULL;
	_cleanup_close_ int join = -1;
	struct place place = {.cwd = c->state.bundle};

	if (list->n == 0)
		return 0;
	state = hooks_state(c->state.oci_version, c->id, c->state.bundle, c->state.annotations,
			    status, status == CTR_STOPPED ? 0 : c->state.pid);
	if (!state)
		return rsm_fail(err, ENOMEM, "out of memory");
	if (kind == OCI_CREATE_CONTAINER) {
		place.cwd = c->state.rootfs;
		place.flags = foreign_namespaces(c->state.pid);
	}
	if (place.flags) {
		join = rsm_pidfd_open(c->state.pid);
		if (join < 0)
			return rsm_fail_errno(err, rsm_steal_fd(join), "find the VMM");
	}
	for (size_t i = 0; i < list->n; i++) {
		struct rsm_error why = RSM_ERROR_INIT;

		rsm_log_debug("running %s hook #%zu: %s", oci_hook_kind_name(kind), i,
			      list->v[i].path);
		if (run_one(&list->v[i], &place, join, watch, state, &why) == 0)
			continue;
		(void)rsm_error_prefix(&why, "error running hook: error running %s hook #%zu ('%s')",
				       oci_hook_kind_name(kind), i, list->v[i].path);
		if (!keep_going) {
			*err = why;
			return -why.code;
		}
		rsm_log_warn("%s", why.message);
	}
	return 0;
}

bool hooks_any(const struct oci_spec *spec)
{
	for (size_t i = 0; i < OCI_HOOK_KINDS; i++)
		if (spec->hooks[i].n > 0)
			return true;
	return false;
}

bool hooks_any_at_create(const struct oci_spec *spec)
{
	return spec->hooks[OCI_PRESTART].n || spec->hooks[OCI_CREATE_RUNTIME].n ||
	       spec->hooks[OCI_CREATE_CONTAINER].n;
}

int hooks_at_create(const struct oci_spec *spec, const struct ctr *c,
		    const struct hooks_watch *watch, struct rsm_error *err)
{
	int ret = 0;

	for (int kind = OCI_PRESTART; ret == 0 && kind <= OCI_CREATE_CONTAINER; kind++)
		ret = run_kind(spec, (enum oci_hook_kind)kind, c, CTR_CREATING, false, watch, err);
	return ret;
}

int hooks_load(const struct ctr *c, struct oci_spec **ret, struct rsm_error *err)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r;

	*ret = NULL;
	if (!c->state.hooks)
		return 0;
	r = rsm_read_file_at(c->dirfd, "config.json", RSM_JSON_MAX_BYTES, &text, &len);
	if (r < 0)
		return rsm_fail_errno(err, r, "read config.json of container '%s'", c->id);
	r = oci_spec_parse_hooks(text, len, ret, err);
	return r < 0 ? rsm_error_prefix(err, "config.json of container '%s'", c->id) : 0;
}

int hooks_start_timeout(const struct oci_spec *hooks)
{
	int64_t ms = CTR_CALL_TIMEOUT_MS;

	for (size_t i = 0; hooks && i < hooks->hooks[OCI_START_CONTAINER].n; i++) {
		uint32_t timeout = hooks->hooks[OCI_START_CONTAINER].v[i].timeout;

		if (timeout == 0)
			return -1;
		ms += (int64_t)timeout * 1000;
	}
	return ms > INT32_MAX ? -1 : (int)ms;
}

void hooks_poststart(const struct oci_spec *hooks, const struct ctr *c)
{
	struct rsm_error err = RSM_ERROR_INIT;

	if (hooks &&
	    run_kind(hooks, OCI_POSTSTART, c, CTR_RUNNING, true, &HOOKS_WATCH_NONE, &err) < 0)
		rsm_log_warn("poststart hooks: %s", err.message);
}

int hooks_remove(struct ctr *c, struct rsm_error *err)
{
	_cleanup_spec_ struct oci_spec *hooks = NULL;
	struct rsm_error why = RSM_ERROR_INIT;
	int ret = hooks_load(c, &hooks, &why);

	if (ret < 0) /* its files may be damaged: it must go all the same */
		rsm_log_warn("the poststop hooks cannot be run: %s", why.message);
	ret = ctr_remove(c, err);
	if (ret == 0 && hooks &&
	    run_kind(hooks, OCI_POSTSTOP, c, CTR_STOPPED, true, &HOOKS_WATCH_NONE, &why) < 0)
		rsm_log_warn("poststop hooks: %s", why.message);
	return ret;
}
