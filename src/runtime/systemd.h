/* SPDX-License-Identifier: Apache-2.0 */
/*
 * systemd's manager over D-Bus: a scope unit for the container, its properties, its end
 * (org.freedesktop.systemd1(5)).
 *
 * The manager is that of the system, or for a caller without root's rights the user's own. It
 * listens on a private socket, which is tried first, as systemctl does: that needs no message bus,
 * and no process in between. Else the system's or the user's bus leads to it.
 *
 * Starting and stopping are jobs: the manager answers with a job's name, and says at its end how it
 * went. Every wait has an end (SYSTEMD_TIMEOUT_S).
 */
#ifndef RSM_RUNTIME_SYSTEMD_H
#define RSM_RUNTIME_SYSTEMD_H

#include "base/cleanup.h"
#include "base/error.h"

#include <stdbool.h>
#include <sys/types.h>

#define SYSTEMD_TIMEOUT_S 30 /* runc's */

struct cgroup_props;
struct systemd;

/**
 * systemd_open() - Connect to a manager
 * @user:	the caller's own, not the system's
 *
 * Return: 0; -ENOPKG without the library; else what the socket or the bus says, with what to do
 */
int systemd_open(bool user, struct systemd **ret, struct rsm_error *err);

/* NULL is fine */
void systemd_close(struct systemd *s);
RSM_DEFINE_CLEANUP(struct systemd *, systemd_close, NULL);
#define _cleanup_systemd_ _cleanup_(systemd_closep)

/* Could there be one? The library is there. */
bool systemd_available(void);

/**
 * struct systemd_scope - A scope to start
 * @text:	its description
 * @pid:	the process that it begins with
 */
struct systemd_scope {
	const char *name, *slice, *text;
	pid_t pid;
	const struct cgroup_props *props;
};

/**
 * systemd_start_scope() - Start a transient scope, and wait until it is there
 *
 * A unit of that name that failed before is forgotten; one that is there is left alone.
 * Return: 0, -EEXIST, -ETIMEDOUT, or what the manager said
 */
int systemd_start_scope(struct systemd *s, const struct systemd_scope *scope,
			struct rsm_error *err);

/* Change properties of a unit, until it ends. */
int systemd_set(struct systemd *s, const char *unit, const struct cgroup_props *props,
		struct rsm_error *err);

/**
 * systemd_stop() - Kill what is in a unit, and wait until the unit is gone
 * @text:	the unit is this one only if its description is that
 *
 * @err:	not NULL
 *
 * Return: 0, also if there is none; 1 if there is one with another description, which is left alone
 */
int systemd_stop(struct systemd *s, const char *unit, const char *text, struct rsm_error *err);

#endif
