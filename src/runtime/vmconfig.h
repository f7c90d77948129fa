/* SPDX-License-Identifier: Apache-2.0 */
/* From config.json and the settings to the messages of agent.proto. */
#ifndef RSM_RUNTIME_VMCONFIG_H
#define RSM_RUNTIME_VMCONFIG_H

#include "base/error.h"
#include "runtime/arena.h"
#include "runtime/oci.h"
#include "runtime/settings.h"
#include "ttrpc/agent.pb-c.h"

#include <sys/types.h>

/* Without a limit in config.json. */
#define VM_DEFAULT_MEMORY (1ULL << 30)
/* Less than the guest's kernel can start in: the VM gets this, and the limit holds inside. */
#define VM_MIN_MEMORY     (128ULL << 20)
/* A larger limit is refused: no VM can have so much. */
#define VM_MAX_MEMORY     (1ULL << 42)

/* More vCPUs than this no VM has. */
#define VM_MAX_VCPUS      254

/* Of config.json: the name of a tap device in the container's network namespace. */
#define TAP_ANNOTATION "io.runsm.tap"

/**
 * struct vm_request - What a VmConfig is made of
 * @bundle, @rootfs: absolute
 * @extra_fds:	how many preserved fds follow stdio
 * @no_acpi:	the guest's kernel must be told of its devices in another way
 */
struct vm_request {
	const char *id;
	const struct oci_spec *spec;
	const struct settings *settings;
	const char *bundle, *rootfs, *qemu;
	enum accel accel;
	unsigned extra_fds;
	bool console_socket, no_acpi;
};

/**
 * vmconfig_new() - Build the message
 * @arena:	owns everything it refers to, together with what @req refers to
 * @ret:	message in @arena
 *
 * Return: 0; -ENOENT and the like naming the mount whose source is not usable
 */
int vmconfig_new(struct arena *arena, const struct vm_request *req, Runsm__VmConfig **ret,
		 struct rsm_error *err);

/**
 * vmconfig_process() - The message of a process
 * @l:		of the container: the seccomp filter and the personality hold for each process
 * @pty:	its terminal is a pty at hand, rather than the caller's stdin and stdout
 * @extra_fds:	how many follow the caller's fds 0, 1, 2, which say what streams are wanted
 * Return: message in @arena, NULL if out of memory
 */
Runsm__Process *vmconfig_process(struct arena *arena, const struct oci_process *p,
				 const struct oci_linux *l, bool pty, unsigned extra_fds);

/* Make the missing mount points in a read-only root file system, which the guest cannot.
 * Best effort: what fails here fails again in the guest, with the mount named. */
void vmconfig_make_mountpoints(const char *rootfs, const Runsm__CreateContainerRequest *c);

/* vCPUs of a quota and period in µs: as many as it takes to use the quota up, at most as many as the
 * @set of CPUs has (0: none is given); without a quota those of the set, or 1. */
uint32_t vmconfig_vcpus(int64_t quota, uint64_t period, long online, unsigned set);

/* Guest RAM in bytes for a memory limit (0: none) on a host that has @host bytes (0: unknown), of
 * which a guest never gets more. */
uint64_t vmconfig_memory(uint64_t limit, uint64_t host);

#endif
