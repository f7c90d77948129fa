// SPDX-License-Identifier: Apache-2.0
/* Connecting to a manager, calling it, waiting for its jobs (theory of operation in systemd.h). */
#include "runtime/systemd_private.h"

#include "base/io.h"
#include "base/log.h"

#include <limits.h>
#include <string.h>
#include <time.h>

#define SECOND         1000000ULL /* µs */
#define SYSTEM_PRIVATE "/run/systemd/private"
#define USER_PRIVATE   "/systemd/private" /* in XDG_RUNTIME_DIR */

/* ---- waiting */

static uint64_t now_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec / 1000;
}

/* Work off what comes until @done says so, which may fail. Return: 0, -ETIMEDOUT, other errors */
static int wait_until(struct systemd *s, int (*done)(struct systemd *s))
{
	uint64_t end = now_us() + SYSTEMD_TIMEOUT_S * SECOND;
	int ret;

	while ((ret = done(s)) == 0) {
		uint64_t now = now_us();

		if (now >= end)
			return -ETIMEDOUT;
		ret = s->lib.sd_bus_process(s->bus, NULL);
		if (ret == 0)
			ret = s->lib.sd_bus_wait(s->bus, end - now);
		if (ret < 0 && ret != -EINTR)
			return ret;
	}
	return ret < 0 ? ret : 0;
}

/* ---- connecting */

/* Authenticated, and known to the bus, if it is one; sd-bus itself would wait 90 s for either. */
static int is_ready(struct systemd *s)
{
	return s->lib.sd_bus_is_ready(s->bus);
}

/* The manager itself, without a bus. */
static int connect_private(struct systemd *s, bool user)
{
	const char *dir = getenv("XDG_RUNTIME_DIR");
	char address[PATH_MAX];
	int ret;

	if (user && (!dir || dir[0] != '/'))
		return -ENOENT;
	ret = rsm_format(address, sizeof(address), "unix:path=%s%s", user ? dir : "",
			 user ? USER_PRIVATE : SYSTEM_PRIVATE);
	if (ret == 0)
		ret = s->lib.sd_bus_new(&s->bus);
	if (ret >= 0)
		ret = s->lib.sd_bus_set_address(s->bus, address);
	if (ret >= 0)
		ret = s->lib.sd_bus_start(s->bus);
	if (ret >= 0)
		ret = wait_until(s, is_ready);
	if (ret < 0)
		s->bus = s->bus ? s->lib.sd_bus_close_unref(s->bus) : NULL;
	return ret;
}

int systemd_open(bool user, struct systemd **ret, struct rsm_error *err)
{
	_cleanup_systemd_ struct systemd *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return rsm_fail(err, ENOMEM, "out of memory");
	r = sdbus_load(&s->lib, err);
	if (r < 0)
		return r;
	r = connect_private(s, user);
	if (r < 0 && r != -ETIMEDOUT) {
		rsm_log_debug("systemd's private socket: %s", strerror(-r));
		r = user ? s->lib.sd_bus_open_user(&s->bus) : s->lib.sd_bus_open_system(&s->bus);
		if (r >= 0)
			r = wait_until(s, is_ready);
	}
	if (r == -ENOMEDIUM)
		return rsm_fail(err, ENOMEDIUM,
				"cannot find the user's systemd: set XDG_RUNTIME_DIR");
	if (r == -ETIMEDOUT)
		return rsm_fail(err, ETIMEDOUT, "systemd did not answer in %d s",
				SYSTEMD_TIMEOUT_S);
	if (r < 0)
		return rsm_fail_errno(err, r, "cannot connect to %s",
				      user ? "the user's systemd" : "systemd");
	*ret = rsm_steal_ptr(s);
	return 0;
}

void systemd_close(struct systemd *s)
{
	if (s && s->bus)
		(void)s->lib.sd_bus_close_unref(s->bus);
	free(s);
}

bool systemd_available(void)
{
	struct sdbus lib;

	return sdbus_load(&lib, NULL) == 0;
}

/* ---- calling */

int systemd_new_call(struct systemd *s, const char *method, sd_bus_message **ret,
		     struct rsm_error *err)
{
	int r = s->lib.sd_bus_message_new_method_call(s->bus, ret, SYSTEMD_NAME, SYSTEMD_PATH,
						      SYSTEMD_MANAGER, method);

	return r < 0 ? rsm_fail_errno(err, r, "call systemd") : 0;
}

int systemd_call(struct systemd *s, sd_bus_message *m, const char *unit, sd_bus_error *ret_error,
		 sd_bus_message **ret, struct rsm_error *err)
{
	int r = s->lib.sd_bus_call(s->bus, m, SYSTEMD_TIMEOUT_S * SECOND, ret_error, ret);

	if (r == -ETIMEDOUT)
		return rsm_fail(err, ETIMEDOUT, "systemd did not answer about '%s' in %d s", unit,
				SYSTEMD_TIMEOUT_S);
	if (r < 0 && ret_error->message)
		return rsm_fail(err, -r, "systemd's unit '%s': %s", unit, ret_error->message);
	return r < 0 ? rsm_fail_errno(err, r, "systemd's unit '%s'", unit) : 0;
}

/* ---- jobs */

/* JobRemoved: id, path, unit, result */
static int job_removed(sd_bus_message *m, void *cookie, sd_bus_error *error)
{
	const char *path = NULL, *unit = NULL, *result = NULL;
	struct systemd *s = cookie;
	uint32_t id;

	if (s->lib.sd_bus_message_read(m, "uoss", &id, &path, &unit, &result) >= 0 && s->job.path &&
	    strcmp(path, s->job.path) == 0)
		(void)rsm_format(s->job.result, sizeof(s->job.result), "%s", result);
	return 0;
}

int systemd_watch_jobs(struct systemd *s, struct rsm_error *err)
{
	const char *sender = s->lib.sd_bus_is_bus_client(s->bus) > 0 ? SYSTEMD_NAME : NULL;
	int ret;

	if (s->job.watched)
		return 0;
	ret = s->lib.sd_bus_match_signal(s->bus, NULL, sender, SYSTEMD_PATH, SYSTEMD_MANAGER,
					 "JobRemoved", job_removed, s);
	if (ret < 0)
		return rsm_fail_errno(err, ret, "hear of systemd's jobs");
	s->job.watched = true;
	return 0;
}

static int has_result(struct systemd *s)
{
	return s->job.result[0] != '\0';
}

int systemd_wait_job(struct systemd *s, sd_bus_message *reply, const char *unit,
		     struct rsm_error *err)
{
	int ret = s->lib.sd_bus_message_read(reply, "o", &s->job.path);

	s->job.result[0] = '\0';
	if (ret >= 0)
		ret = wait_until(s, has_result);
	s->job.path = NULL; /* of the reply, which its owner frees */
	if (ret == -ETIMEDOUT)
		return rsm_fail(err, ETIMEDOUT, "systemd was not done with the unit '%s' in %d s",
				unit, SYSTEMD_TIMEOUT_S);
	if (ret < 0)
		return rsm_fail_errno(err, ret, "wait for systemd's unit '%s'", unit);
	if (strcmp(s->job.result, "done") != 0)
		return rsm_fail(err, EIO,
				"systemd's job for the unit '%s' ended with '%s': see 'systemctl "
				"status %s'",
				unit, s->job.result, unit);
	return 0;
}
