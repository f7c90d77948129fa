/* SPDX-License-Identifier: Apache-2.0 */
/* A connection to a manager. Private to systemd*.c. */
#ifndef RSM_RUNTIME_SYSTEMD_PRIVATE_H
#define RSM_RUNTIME_SYSTEMD_PRIVATE_H

#include "runtime/sdbus.h"
#include "runtime/systemd.h"

#define SYSTEMD_NAME    "org.freedesktop.systemd1"
#define SYSTEMD_PATH    "/org/freedesktop/systemd1"
#define SYSTEMD_MANAGER "org.freedesktop.systemd1.Manager"
#define SYSTEMD_UNIT    "org.freedesktop.systemd1.Unit"

/**
 * struct systemd - A connection
 * @lib:	functions of the library
 * @job:	the job that is waited for; its result, once it ended
 */
struct systemd {
	struct sdbus lib;
	sd_bus *bus;
	struct {
		const char *path;
		char result[32];
		bool watched;
	} job;
};

/* A message to the manager, to be filled. */
int systemd_new_call(struct systemd *s, const char *method, sd_bus_message **ret,
		     struct rsm_error *err);

/**
 * systemd_call() - Send it, and wait for the answer
 * @unit:	for the error
 * @ret_error:	its D-Bus error, if one came; freed by the caller
 */
int systemd_call(struct systemd *s, sd_bus_message *m, const char *unit, sd_bus_error *ret_error,
		 sd_bus_message **ret, struct rsm_error *err);

/* Hear of jobs that end; before the call that makes one. */
int systemd_watch_jobs(struct systemd *s, struct rsm_error *err);

/* Wait until the job that @reply names ended, as it should: "done". */
int systemd_wait_job(struct systemd *s, sd_bus_message *reply, const char *unit,
		     struct rsm_error *err);

#endif
