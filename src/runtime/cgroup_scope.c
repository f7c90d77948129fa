// SPDX-License-Identifier: Apache-2.0
/* systemd's driver (theory of operation in cgroup_scope.h). */
#include "runtime/cgroup_scope.h"

#include "base/io.h"
#include "base/log.h"
#include "base/proc.h"
#include "runtime/cgroup_file.h"
#include "runtime/cgroup_props.h"
#include "runtime/systemd.h"

#include <fcntl.h>
#include <string.h>

#define OPTION        "--systemd-cgroup"
#define PROC_FILE_MAX (1U << 20)

static int scope_connect(struct cgroup *cg, struct rsm_error *err)
{
	if (cg->systemd || systemd_open(cg->unit_user, &cg->systemd, err) == 0)
		return 0;
	(void)rsm_error_prefix(err, OPTION);
	return rsm_error_advise(err, "without the option the driver is cgroupfs (Docker: "
				     "native.cgroupdriver, Podman: --cgroup-manager)");
}

int cgroup_scope_plan(struct cgroup *cg, const struct cgroup_where *where, struct rsm_error *err)
{
	struct cgroup_unit unit;
	int ret;

	cg->unit_user = rsm_rootless();
	if (cg->unit_user && !cg->v2)
		return rsm_fail(err, EOPNOTSUPP,
				OPTION " without root's rights needs a host of cgroup version 2: "
				       "leave the option out");
	ret = cgroup_unit_of(where, cg->unit_user, &unit, err);
	if (ret < 0)
		return ret;
	cg->unit = strdup(unit.name);
	cg->unit_slice = strdup(unit.slice);
	if (asprintf(&cg->unit_text, "runsm container %s (%s)", where->id, where->root) < 0)
		cg->unit_text = NULL;
	if (!cg->unit || !cg->unit_slice || !cg->unit_text)
		return rsm_fail(err, ENOMEM, "out of memory");
	return scope_connect(cg, err);
}

/* ---- starting */

/* The path in the hierarchy that systemd keeps its units in: 0:: or N:name=systemd: */
static int path_of(pid_t pid, bool v2, char **ret)
{
	_cleanup_free_ char *text = NULL;
	const char *key = v2 ? "0::" : ":name=systemd:", *at;
	char name[64];
	int r;

	(void)rsm_format(name, sizeof(name), "/proc/%d/cgroup", pid);
	r = rsm_read_file_at(AT_FDCWD, name, PROC_FILE_MAX, &text, NULL);
	if (r < 0)
		return r;
	at = strstr(text, key);
	if (!at)
		return -ENOENT;
	at += strlen(key);
	*ret = strndup(at, strcspn(at, "\n"));
	return *ret ? 0 : -ENOMEM;
}

/* Fill in the directories of a unit that runs. */
static int find_dirs(struct cgroup *cg, pid_t vmm, struct rsm_error *err)
{
	_cleanup_cgroup_ struct cgroup *found = NULL;
	_cleanup_free_ char *path = NULL;
	struct cgroup_where where = {.id = "", .root = ""};
	const char *last;
	int ret = path_of(vmm, cg->v2, &path);

	if (ret < 0)
		return rsm_fail_errno(err, ret, "look for the cgroup of systemd's unit '%s'",
				      cg->unit);
	last = strrchr(path, '/');
	if (!last || strcmp(last + 1, cg->unit) != 0)
		return rsm_fail(err, EXDEV,
				OPTION ": systemd started the unit '%s', but the VMM is in the "
				       "cgroup '%s': this systemd is not that of this host",
				cg->unit, path);
	where.cgroups_path = path;
	ret = cgroup_here(&where, &found, err);
	if (ret < 0)
		return ret;
	memcpy(cg->dirs, found->dirs, sizeof(cg->dirs));
	cg->ndirs = found->ndirs;
	found->ndirs = 0; /* handed over */
	return 0;
}

/* Annotations are the last, and win. */
static int all_props(const struct cgroup *cg, const struct cgroup_use *use, struct arena *arena,
		     struct cgroup_props *to, struct rsm_error *err)
{
	cgroup_props_accounting(cg->v2, to);
	cgroup_props_limits(cg->v2, use->limits, &use->vm, to);
	return cgroup_props_annotations(use->annotations, use->n_annotations, arena, to, err);
}

int cgroup_scope_prepare(struct cgroup *cg, const struct cgroup_use *use, struct rsm_error *err)
{
	_cleanup_(arena_free) struct arena arena = {0};
	struct cgroup_props props = {.n = 0};

	return all_props(cg, use, &arena, &props, err);
}

int cgroup_scope_start(struct cgroup *cg, const struct cgroup_use *use, pid_t vmm,
		       struct rsm_error *err)
{
	_cleanup_(arena_free) struct arena arena = {0};
	struct cgroup_props props = {.n = 0};
	const struct systemd_scope scope = {
		.name = cg->unit,
		.slice = cg->unit_slice,
		.text = cg->unit_text,
		.pid = vmm,
		.props = &props,
	};
	int ret = all_props(cg, use, &arena, &props, err);

	if (ret == 0)
		ret = scope_connect(cg, err);
	if (ret < 0)
		return ret;
	ret = systemd_start_scope(cg->systemd, &scope, err);
	/* while the VM boots systemd may execute itself anew, and end its connections */
	systemd_close(rsm_steal_ptr(cg->systemd));
	if (ret < 0)
		return rsm_error_prefix(err, OPTION);
	ret = find_dirs(cg, vmm, err);
	return ret < 0 ? ret : cgroup_save(cg, use->statefd, err);
}

/* ---- changing */

static int set(struct cgroup *cg, const struct cgroup_props *props, struct rsm_error *err)
{
	int ret = props->n == 0 ? 0 : scope_connect(cg, err);

	if (ret < 0 || props->n == 0)
		return ret;
	ret = systemd_set(cg->systemd, cg->unit, props, err);
	return ret < 0 ? rsm_error_prefix(err, OPTION) : 0;
}

int cgroup_scope_limits(struct cgroup *cg, const struct cgroup_use *use, struct rsm_error *err)
{
	struct cgroup_props props = {.n = 0};

	cgroup_props_limits(cg->v2, use->limits, &use->vm, &props);
	return set(cg, &props, err);
}

/* What the files say where nothing new is given: both make up the one property. */
static void complete(const struct cgroup *cg, int64_t *quota, uint64_t *period)
{
	const struct cgroup_dir *d = cgroup_controller(cg, "cpu");
	_cleanup_free_ char *text = NULL;
	const char *at;
	uint64_t n;

	if (!d)
		return;
	if (!cg->v2) {
		if (!*quota && cgroup_read_u64(d->fd, "cpu.cfs_quota_us", &n) == 0)
			*quota = (int64_t)n;
		if (!*period && cgroup_read_u64(d->fd, "cpu.cfs_period_us", &n) == 0)
			*period = n;
		return;
	}
	if (rsm_read_file_at(d->fd, "cpu.max", CGROUP_FILE_MAX, &text, NULL) < 0)
		return;
	if (!*quota)
		*quota = strtoll(text, NULL, 10); /* "max" is 0: none */
	at = strchr(text, ' ');
	if (!*period && at)
		*period = strtoull(at, NULL, 10);
}

int cgroup_scope_rates(struct cgroup *cg, const struct cgroup_use *use, struct rsm_error *err)
{
	struct cgroup_props props = {.n = 0};
	int64_t quota = use->limits->cpu_quota;
	uint64_t period = use->limits->cpu_period;

	if (!quota && !period)
		return 0;
	complete(cg, &quota, &period);
	cgroup_props_rates(quota, period, &props);
	return set(cg, &props, err);
}

/* ---- stopping */

int cgroup_scope_stop(struct cgroup *cg, struct rsm_error *err)
{
	struct rsm_error why = RSM_ERROR_INIT;

	if (scope_connect(cg, &why) < 0) {
		/* without a systemd there is no unit, but there may be directories */
		rsm_log_warn("%s", why.message);
		return 0;
	}
	return systemd_stop(cg->systemd, cg->unit, cg->unit_text, err);
}
