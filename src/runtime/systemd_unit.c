// SPDX-License-Identifier: Apache-2.0
/* A scope's life: started, changed, stopped (theory of operation in systemd.h). */
#include "runtime/systemd_private.h"

#include "base/log.h"
#include "runtime/cgroup_props.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ERROR_EXISTS  "org.freedesktop.systemd1.UnitExists"
#define ERROR_NO_UNIT "org.freedesktop.systemd1.NoSuchUnit"

/* ---- properties */

static int append_array(const struct sdbus *lib, sd_bus_message *m, const struct cgroup_prop *p)
{
	bool strings = p->kind == CGROUP_PROP_STRINGS;
	int ret;

	if ((ret = lib->sd_bus_message_open_container(m, 'r', "sv")) < 0 ||
	    (ret = lib->sd_bus_message_append(m, "s", p->name)) < 0 ||
	    (ret = lib->sd_bus_message_open_container(m, 'v', strings ? "as" : "ay")) < 0)
		return ret;
	ret = strings ? lib->sd_bus_message_append_strv(m, (char **)(uintptr_t)p->text)
		      : lib->sd_bus_message_append_array(m, 'y', p->text, p->value);
	if (ret < 0 || (ret = lib->sd_bus_message_close_container(m)) < 0)
		return ret;
	return lib->sd_bus_message_close_container(m);
}

static int append_one(const struct sdbus *lib, sd_bus_message *m, const struct cgroup_prop *p)
{
	switch (p->kind) {
	case CGROUP_PROP_U64:
		return lib->sd_bus_message_append(m, "(sv)", p->name, "t", p->value);
	case CGROUP_PROP_I64:
		return lib->sd_bus_message_append(m, "(sv)", p->name, "x", (int64_t)p->value);
	case CGROUP_PROP_U32:
		return lib->sd_bus_message_append(m, "(sv)", p->name, "u", (uint32_t)p->value);
	case CGROUP_PROP_I32:
		return lib->sd_bus_message_append(m, "(sv)", p->name, "i", (int32_t)p->value);
	case CGROUP_PROP_DOUBLE:
		return lib->sd_bus_message_append(m, "(sv)", p->name, "d", p->number);
	case CGROUP_PROP_BOOL:
		return lib->sd_bus_message_append(m, "(sv)", p->name, "b", (int)p->value);
	case CGROUP_PROP_TEXT:
		return lib->sd_bus_message_append(m, "(sv)", p->name, "s", (const char *)p->text);
	case CGROUP_PROP_STRINGS:
	case CGROUP_PROP_BYTES:
		return append_array(lib, m, p);
	}
	rsm_assert(false);
}

/* "252.39-1~deb12u2", "v252", "252"; 0: unknown */
static unsigned version_of(struct systemd *s)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;
	char *text = NULL;
	unsigned version = 0;
	int ret = s->lib.sd_bus_get_property_string(s->bus, SYSTEMD_NAME, SYSTEMD_PATH,
						    SYSTEMD_MANAGER, "Version", &e, &text);

	if (ret >= 0)
		version = (unsigned)strtoul(text + (text[0] == 'v'), NULL, 10);
	s->lib.sd_bus_error_free(&e);
	free(text);
	return version;
}

/* An open array of a(sv) is filled. */
static int append_props(struct systemd *s, sd_bus_message *m, const struct cgroup_props *props)
{
	unsigned version = cgroup_props_need_version(props) ? version_of(s) : 0;
	int ret = 0;

	for (size_t i = 0; ret >= 0 && i < props->n; i++) {
		const struct cgroup_prop *p = &props->v[i];

		if (p->since > version)
			rsm_log_debug("systemd %u has no %s: the cgroup alone has it", version,
				      p->name);
		else
			ret = append_one(&s->lib, m, p);
	}
	return ret;
}

/* ---- starting */

/*
 * KillSignal: the processes are a VM's, and none of them passes SIGTERM on to the container. One dies
 * of it, another takes no notice, and systemctl stop would wait for that a minute and a half.
 */
static int new_start(struct systemd *s, const struct systemd_scope *scope, sd_bus_message **ret,
		     struct rsm_error *err)
{
	const struct sdbus *lib = &s->lib;
	int r = systemd_new_call(s, "StartTransientUnit", ret, err);

	if (r < 0)
		return r;
	if ((r = lib->sd_bus_message_append(*ret, "ss", scope->name, "replace")) < 0 ||
	    (r = lib->sd_bus_message_open_container(*ret, 'a', "(sv)")) < 0 ||
	    (r = lib->sd_bus_message_append(*ret, "(sv)(sv)(sv)(sv)(sv)(sv)", "Description", "s",
					    scope->text, "Slice", "s", scope->slice, "Delegate",
					    "b", 1, "DefaultDependencies", "b", 0, "KillSignal",
					    "i", SIGKILL, "PIDs", "au", 1,
					    (uint32_t)scope->pid)) < 0 ||
	    (r = append_props(s, *ret, scope->props)) < 0 ||
	    (r = lib->sd_bus_message_close_container(*ret)) < 0 ||
	    (r = lib->sd_bus_message_append(*ret, "a(sa(sv))", 0)) < 0)
		return rsm_fail_errno(err, r, "systemd's unit '%s'", scope->name);
	return 0;
}

/* A call whose one argument is the unit. What it is for has been reached if there is none. */
static int call_unit(struct systemd *s, const char *method, const char *unit, const char *more,
		     sd_bus_message **ret, struct rsm_error *err)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;
	sd_bus_message *m = NULL;
	int r = systemd_new_call(s, method, &m, err);

	if (r == 0) {
		r = s->lib.sd_bus_message_append(m, "s", unit);
		if (r >= 0 && more)
			r = s->lib.sd_bus_message_append(m, "s", more);
		if (r < 0)
			r = rsm_fail_errno(err, r, "systemd's unit '%s'", unit);
	}
	if (r >= 0)
		r = systemd_call(s, m, unit, &e, ret, err);
	if (r < 0 && s->lib.sd_bus_error_has_name(&e, ERROR_NO_UNIT))
		r = -ENOENT;
	s->lib.sd_bus_error_free(&e);
	s->lib.sd_bus_message_unref(m);
	return r;
}

static int start_once(struct systemd *s, const struct systemd_scope *scope, struct rsm_error *err)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;
	sd_bus_message *m = NULL, *reply = NULL;
	int ret = new_start(s, scope, &m, err);

	if (ret == 0)
		ret = systemd_call(s, m, scope->name, &e, &reply, err);
	if (ret == 0)
		ret = systemd_wait_job(s, reply, scope->name, err);
	if (ret < 0 && s->lib.sd_bus_error_has_name(&e, ERROR_EXISTS))
		ret = -EEXIST;
	s->lib.sd_bus_error_free(&e);
	s->lib.sd_bus_message_unref(m);
	s->lib.sd_bus_message_unref(reply);
	return ret;
}

int systemd_start_scope(struct systemd *s, const struct systemd_scope *scope, struct rsm_error *err)
{
	struct rsm_error why = RSM_ERROR_INIT;
	int ret = systemd_watch_jobs(s, &why);

	if (ret == 0)
		ret = start_once(s, scope, &why);
	if (ret == -EEXIST && call_unit(s, "ResetFailedUnit", scope->name, NULL, NULL, NULL) == 0)
		ret = start_once(s, scope, &why);
	if (ret == -EEXIST)
		return rsm_fail(
			err, EEXIST,
			"systemd has a unit '%s' already: stop it, or choose another name in "
			"linux.cgroupsPath",
			scope->name);
	if (ret < 0 && err)
		*err = why;
	return ret;
}

/* ---- changing */

int systemd_set(struct systemd *s, const char *unit, const struct cgroup_props *props,
		struct rsm_error *err)
{
	const struct sdbus *lib = &s->lib;
	sd_bus_error e = SD_BUS_ERROR_NULL;
	sd_bus_message *m = NULL;
	int ret = systemd_new_call(s, "SetUnitProperties", &m, err);

	if (ret < 0)
		return ret;
	if ((ret = lib->sd_bus_message_append(m, "sb", unit, 1)) < 0 || /* until it ends */
	    (ret = lib->sd_bus_message_open_container(m, 'a', "(sv)")) < 0 ||
	    (ret = append_props(s, m, props)) < 0 ||
	    (ret = lib->sd_bus_message_close_container(m)) < 0)
		ret = rsm_fail_errno(err, ret, "systemd's unit '%s'", unit);
	else
		ret = systemd_call(s, m, unit, &e, NULL, err);
	lib->sd_bus_error_free(&e);
	lib->sd_bus_message_unref(m);
	return ret;
}

/* ---- stopping */

/* Return: 1 if the unit has the description; 0 if it has another; -ENOENT if there is no unit */
static int has_text(struct systemd *s, const char *unit, const char *text, struct rsm_error *err)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	const char *path = NULL;
	char *found = NULL;
	int ret = call_unit(s, "GetUnit", unit, NULL, &reply, err);

	if (ret < 0)
		return ret;
	ret = s->lib.sd_bus_message_read(reply, "o", &path);
	if (ret >= 0)
		ret = s->lib.sd_bus_get_property_string(s->bus, SYSTEMD_NAME, path, SYSTEMD_UNIT,
							"Description", &e, &found);
	if (ret >= 0)
		ret = strcmp(found, text) == 0;
	else if (s->lib.sd_bus_error_has_name(&e, "org.freedesktop.DBus.Error.UnknownObject"))
		ret = -ENOENT; /* it has just gone */
	else
		ret = rsm_fail_errno(err, ret, "ask systemd for the unit '%s'", unit);
	free(found);
	s->lib.sd_bus_error_free(&e);
	s->lib.sd_bus_message_unref(reply);
	return ret;
}

/* SIGKILL for all that is in it: stopping it would ask them to end, and wait. */
static void kill_all(struct systemd *s, const char *unit)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;
	sd_bus_message *m = NULL;

	if (systemd_new_call(s, "KillUnit", &m, NULL) == 0 &&
	    s->lib.sd_bus_message_append(m, "ssi", unit, "all", SIGKILL) >= 0)
		(void)systemd_call(s, m, unit, &e, NULL, NULL);
	s->lib.sd_bus_error_free(&e);
	s->lib.sd_bus_message_unref(m);
}

int systemd_stop(struct systemd *s, const char *unit, const char *text, struct rsm_error *err)
{
	struct rsm_error why = RSM_ERROR_INIT;
	sd_bus_message *reply = NULL;
	int ret = has_text(s, unit, text, &why);

	if (ret == 0)
		return 1;
	if (ret > 0)
		ret = systemd_watch_jobs(s, &why);
	if (ret == 0) {
		kill_all(s, unit);
		ret = call_unit(s, "StopUnit", unit, "replace", &reply, &why);
	}
	if (ret == 0)
		ret = systemd_wait_job(s, reply, unit, &why);
	s->lib.sd_bus_message_unref(reply);
	if (ret < 0 && ret != -ENOENT) {
		*err = why;
		return ret;
	}
	/* of one that failed, as when the host was out of memory, systemd keeps the name */
	(void)call_unit(s, "ResetFailedUnit", unit, NULL, NULL, NULL);
	return 0;
}
