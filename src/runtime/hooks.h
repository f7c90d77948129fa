/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hooks on the host (runtime-spec, config.md and runtime.md): all but startContainer's, which the
 * agent runs inside the guest.
 *
 *	kind		moment						status
 *	prestart	create: runsm-vmm has its namespaces and has	creating
 *	createRuntime	opened nothing of the bundle yet
 *	createContainer	the same, inside those namespaces
 *	poststart	start: the program was executed			running
 *	poststop	delete, or a create that failed: all is gone	stopped
 *
 * A hook has the container's state as JSON on stdin, its working directory is the bundle, and its
 * environment is ours unless it brings one, which are runc's rules.
 *
 * Which hooks there are is known from the copy of config.json in the state directory. It is not
 * even read unless state.json says that there are some.
 */
#ifndef RSM_RUNTIME_HOOKS_H
#define RSM_RUNTIME_HOOKS_H

#include "runtime/ctr.h"
#include "runtime/oci.h"

/**
 * struct hooks_watch - What ends a hook early
 * @signals:	signalfd; a signal that arrives kills the hook. -1: none
 * @vmm:	pidfd of the VMM: hooks of a container that is gone are killed. -1: none
 */
struct hooks_watch {
	int signals, vmm;
};

#define HOOKS_WATCH_NONE ((struct hooks_watch){-1, -1})

/* Are there any, of any kind? */
bool hooks_any(const struct oci_spec *spec);

/* Those that hold up create: prestart, createRuntime, createContainer. */
bool hooks_any_at_create(const struct oci_spec *spec);

/* Run those. Stops at the first that fails. */
int hooks_at_create(const struct oci_spec *spec, const struct ctr *c,
		    const struct hooks_watch *watch, struct rsm_error *err);

/* The state that a hook gets; @pid 0 leaves it out. Return: malloc'ed, NULL if out of memory */
char *hooks_state(const char *oci_version, const char *id, const char *bundle,
		  const struct rsm_json *annotations, enum ctr_status status, pid_t pid);

/* What the state directory's config.json has; NULL in @ret if there are no hooks. */
int hooks_load(const struct ctr *c, struct oci_spec **ret, struct rsm_error *err);

/* Time limit of the VMM's Start call, in ms, -1: none: startContainer hooks run meanwhile.
 * @hooks: NULL for none, here and below */
int hooks_start_timeout(const struct oci_spec *hooks);

/* Run the poststart hooks. One that fails is logged. */
void hooks_poststart(const struct oci_spec *hooks, const struct ctr *c);

/* ctr_remove(), then the poststop hooks. One that fails is logged. */
int hooks_remove(struct ctr *c, struct rsm_error *err);

#endif
