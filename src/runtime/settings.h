/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is not in config.json or on the command line. Environment first, then the optional
 * /etc/runsm/config.json, then defaults:
 *
 *	environment		file		default
 *	RUNSM_ACCEL		accel		auto
 *	RUNSM_GUEST_DIR		guest_dir	/var/lib/runsm/guest
 *	RUNSM_BOOT_TIMEOUT	boot_timeout	60 (seconds)
 *	RUNSM_FUSE_TRACE	fuse_trace	"" (off)
 *	RUNSM_SCRATCH_DIR	scratch_dir	/var/lib/runsm/scratch
 */
#ifndef RSM_RUNTIME_SETTINGS_H
#define RSM_RUNTIME_SETTINGS_H

#include "base/error.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

enum accel {
	ACCEL_AUTO,
	ACCEL_KVM,
	ACCEL_TCG,
};

struct settings {
	enum accel accel;
	char guest_dir[PATH_MAX];
	uint32_t boot_timeout_ms;
	char fuse_trace[PATH_MAX];
	char scratch_dir[PATH_MAX];
};

/**
 * settings_load() - Collect the settings
 * @file:	the configuration file; not being there is fine
 * Return: 0; -EINVAL naming the variable or the file's member
 */
int settings_load(const char *file, struct settings *ret, struct rsm_error *err);

#define SETTINGS_FILE RUNSM_SYSCONFDIR "/runsm/config.json"

const char *accel_name(enum accel accel);

#define ACCEL_REASON_MAX 320

/**
 * accel_choose() - Decide which machine runs containers
 * @wanted:	auto takes kvm if it is usable
 * @ret:	ACCEL_KVM or ACCEL_TCG
 * @reason:	one line: why
 *
 * Return: 0; -ENODEV if kvm was asked for and cannot be had
 */
int accel_choose(enum accel wanted, enum accel *ret, char reason[ACCEL_REASON_MAX],
		 struct rsm_error *err);

/**
 * find_helper() - Path of one of our own programs: beside this executable, else in RUNSM_LIBEXECDIR
 */
int find_helper(const char *name, char ret[PATH_MAX], struct rsm_error *err);

/* Path of QEMU, from PATH. */
int find_qemu(char ret[PATH_MAX], struct rsm_error *err);

#endif
