/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The container's cgroup on the host: everything of the VM (runsm-vmm, its threads, QEMU) lives in
 * it from its first instruction on, so that the host accounts for and limits the container as it
 * would any other.
 *
 * Hosts differ in their hierarchies:
 *
 *	v1	one mount per controller or group of controllers; the container gets a directory in
 *		each of them. A version 2 hierarchy beside them without controllers ("hybrid") is
 *		joined as well.
 *	v2	one mount at /sys/fs/cgroup with all controllers
 *
 * Two drivers make it (cgroup_driver.h): cgroupfs makes the directories itself; systemd makes them
 * for a scope unit, and what it does not know of is made beside them.
 *
 * Life: cgroup_plan() decides on the directories and writes them to the state directory,
 * cgroup_make() makes them, cgroup_place() moves the VMM in before it runs, cgroup_remove_saved()
 * removes whatever is there. As the plan is on disk before the first directory is made, a create
 * that is killed leaves nothing that delete does not find.
 */
#ifndef RSM_RUNTIME_CGROUP_H
#define RSM_RUNTIME_CGROUP_H

#include "base/cleanup.h"
#include "base/error.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CGROUP_DEFAULT_ROOT "/run/runsm"
#define CGROUP_DIRS_MAX  24
#define CGROUP_NAMES_MAX 96

/**
 * struct cgroup_dir - The container's directory in one hierarchy
 * @names:	controllers, separated by commas; "" is the version 2 hierarchy, "name=x" has none
 * @mount:	where the hierarchy is mounted
 * @path:	below that; starts with a slash
 * @shared:	processes of others were in it when it was made
 * @fd:		of the directory (O_PATH) once it is made, -1 before
 */
struct cgroup_dir {
	char names[CGROUP_NAMES_MAX];
	char *mount, *path;
	bool shared;
	int fd;
};

/**
 * struct cgroup - The container's directories
 * @v2:		the first directory is of a pure version 2 host
 * @own_parent:	the directory above is runsm's as well, and goes when it is empty
 * @unit:	systemd's unit that they belong to; NULL: the driver is cgroupfs
 * @unit_slice:	the slice it is in; not saved
 * @unit_text:	its description, by which it is known to be this container's
 * @unit_user:	it is one of the user's own manager
 * @systemd:	connection to that, once there is one
 */
struct cgroup {
	bool v2, own_parent, unit_user;
	char *unit, *unit_slice, *unit_text;
	struct systemd *systemd;
	struct cgroup_dir dirs[CGROUP_DIRS_MAX];
	size_t ndirs;
};

/**
 * struct cgroup_where - What decides about the directories
 * @cgroups_path: linux.cgroupsPath, or NULL: /runsm/ID
 * @root:	directory of the state directories: containers of one id in two of them do not meet,
 *		as another than the default makes it /runsm@HASH/ID
 * @systemd:	the driver is systemd, else cgroupfs
 */
struct cgroup_where {
	const char *id, *cgroups_path, *root;
	bool systemd;
};

/* Of a state root, to keep containers of one id in two of them apart */
uint32_t cgroup_hash(const char *text);

/**
 * cgroup_find() - The hierarchies of a host, and the container's directory in each
 * @mountinfo:	text of /proc/self/mountinfo
 * @own:	text of /proc/self/cgroup: relative paths are below the caller's own cgroups
 * @v2_root:	mount point of a pure version 2 host, NULL on others
 *
 * A host without cgroups gives none.
 * Return: 0; -EINVAL naming linux.cgroupsPath; -E2BIG; -ENOMEM
 */
int cgroup_find(const char *mountinfo, const char *own, const char *v2_root,
		const struct cgroup_where *where, struct cgroup **ret, struct rsm_error *err);

/* cgroup_find() on this host */
int cgroup_here(const struct cgroup_where *where, struct cgroup **ret, struct rsm_error *err);

/**
 * cgroup_plan() - Decide, and write the result to the state directory
 * @statefd:	the state directory
 */
int cgroup_plan(int statefd, const struct cgroup_where *where, struct cgroup **ret,
		struct rsm_error *err);

/**
 * cgroup_make() - Make the directories
 *
 * A caller without privileges who did not ask for a cgroup does without it: @cg has no directories
 * then. On failure some may be there: cgroup_remove_saved() finds them.
 */
int cgroup_make(struct cgroup *cg, int statefd, bool asked_for, struct rsm_error *err);

/* Move a process into all of them. */
int cgroup_place(const struct cgroup *cg, pid_t pid, struct rsm_error *err);

/* The cgroup written to the state directory, with its directories open; @ret NULL: there is none */
int cgroup_load(int statefd, struct cgroup **ret, struct rsm_error *err);

/**
 * cgroup_remove_saved() - Remove the cgroup that the state directory tells of
 *
 * The VMM is gone; whatever is left of it in the cgroup is killed, but for directories that are shared.
 * Return: 0, also if there is none
 */
int cgroup_remove_saved(int statefd, struct rsm_error *err);

/* The directory that has controller @name ("memory"); NULL if the host has no such controller */
const struct cgroup_dir *cgroup_controller(const struct cgroup *cg, const char *name);

/* Absolute path of the directory in the hierarchy of @d; for messages and mounts. */
int cgroup_dir_path(const struct cgroup_dir *d, char *buf, size_t size);

void cgroup_free(struct cgroup *cg);
RSM_DEFINE_CLEANUP(struct cgroup *, cgroup_free, NULL);
#define _cleanup_cgroup_ _cleanup_(cgroup_freep)

#endif
