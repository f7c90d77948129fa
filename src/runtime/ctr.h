/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containers on disk: $root/$id/, mode 0700.
 *
 *	lock		flock()ed by whoever changes the container; held by create until it is done
 *	config.json	the bundle's, as it was at creation: defaults of exec
 *	state.json	static facts, written atomically; struct ctr_state
 *	control.sock	runsm-vmm answers here while it lives
 *
 * Nothing here says whether the container runs: that is asked of its VMM, and a VMM that is gone
 * (its pid and start time) means stopped. So kill -9 of anything leaves a truthful state.
 *
 * Life of the directory: created under a lock of $root; state.json appears right after the VMM was
 * started, with "creating" until it reported success; removed by delete, or by the failed create.
 * A directory without state.json whose lock nobody holds was left by a killed create: the next
 * create of that id and delete --force remove it; everybody else sees no container.
 */
#ifndef RSM_RUNTIME_CTR_H
#define RSM_RUNTIME_CTR_H

#include "base/cleanup.h"
#include "base/error.h"
#include "base/json.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define CTR_ID_MAX 255

/* As ctr_status() and the agent protocol number them. */
enum ctr_status {
	CTR_CREATING,
	CTR_CREATED,
	CTR_RUNNING,
	CTR_PAUSED,
	CTR_STOPPED,
};

const char *ctr_status_name(enum ctr_status status);

/**
 * struct ctr_state - state.json
 * @pid:	of runsm-vmm
 * @pid_start:	its start time (rsm_proc_start_time()): tells it from a later process of that pid
 * @created:	RFC 3339, UTC, nanoseconds
 * @owner:	uid that created the container
 * @creating:	the VMM had not reported success when this was written
 * @hooks:	config.json has hooks, and they count from now on
 */
struct ctr_state {
	char *oci_version, *bundle, *rootfs, *created, *machine;
	pid_t pid;
	uint64_t pid_start;
	uid_t owner;
	bool terminal;
	bool creating;
	bool hooks;
	struct rsm_json *annotations; /* object or NULL */
	struct rsm_json *tree;        /* owns all of the above when loaded */
};

/**
 * struct ctr - One container
 * @dirfd:	its state directory
 * @lock_fd:	-1 while not locked by us
 */
struct ctr {
	char id[CTR_ID_MAX + 1];
	char *root;
	int dirfd;
	int lock_fd;
	struct ctr_state state;
};

/* runc's rule: [A-Za-z0-9_+.-]+, not "." or ".."; at most CTR_ID_MAX bytes. */
int ctr_check_id(const char *id, struct rsm_error *err);

/**
 * ctr_open() - An existing container
 * @lock:	take its lock, waiting for whoever has it
 * Return: 0; -ENOENT "container does not exist"
 */
int ctr_open(const char *root, const char *id, bool lock, struct ctr **ret, struct rsm_error *err);

/**
 * ctr_create() - Make the state directory, locked, without state.json
 *
 * Removes what a killed create left under that id.
 * Return: 0; -EEXIST "container with given ID already exists"
 */
int ctr_create(const char *root, const char *id, struct ctr **ret, struct rsm_error *err);

/* Write state.json. */
int ctr_save(struct ctr *c, struct rsm_error *err);

/* Remove the directory and everything in it. The container's processes are the caller's worry. */
int ctr_remove(struct ctr *c, struct rsm_error *err);

/**
 * ctr_remove_remains() - Remove a directory that a killed create left without state.json
 * @damaged:	also one whose state.json is there and cannot be read
 *
 * A VMM that listens on its control socket is killed first.
 * Return: 1 if it did, 0 if there was none, -EBUSY if a create is at work, or -errno
 */
int ctr_remove_remains(const char *root, const char *id, bool damaged, struct rsm_error *err);

/* Also unlocks. NULL is fine. */
void ctr_free(struct ctr *c);
RSM_DEFINE_CLEANUP(struct ctr *, ctr_free, NULL);
#define _cleanup_ctr_ _cleanup_(ctr_freep)

/* Is the VMM process still there? A zombie is not. */
bool ctr_vmm_alive(const struct ctr *c);

/* A pidfd of the VMM, checked to be it; -ESRCH if it is gone. */
int ctr_vmm_pidfd(const struct ctr *c);

/* SIGKILL to the VMM and wait until it is gone (at most @timeout_ms). Gone already: 0. */
int ctr_kill_vmm(const struct ctr *c, int timeout_ms);

/**
 * ctr_status() - Ask how the container is
 *
 * A VMM that lives and says nothing is taken for running, with a warning.
 *
 * Return: enum ctr_status, or -errno if its VMM answers, but not as it should
 */
int ctr_status(struct ctr *c, struct rsm_error *err);

/* Ids below @root, sorted; those without state.json are left out. @ret: freed with free(), one
 * block. Return: how many, or -errno */
int ctr_list(const char *root, char ***ret, struct rsm_error *err);

/* The members of the OCI state (runtime.md, State), inside an object that the caller opened.
 * @owner: NULL leaves the member empty, as runc's state does */
void ctr_state_json(struct rsm_jsongen *g, const struct ctr *c, enum ctr_status status,
		    const char *owner);

#endif
