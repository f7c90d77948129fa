/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Machines: what gives the guest CPUs, memory and a board.
 *
 *	kvm	our own: vCPU threads, virtio-mmio in this process
 *	tcg	QEMU's microvm as a child process, our devices over vhost-user
 *
 * The devices (struct vdev) are the same objects with either; the machine connects them to the
 * guest's driver. Each machine is one row of machine_table[] in machine.c.
 *
 * Context: everything on the main loop's thread.
 */
#ifndef RSM_VMM_MACHINE_H
#define RSM_VMM_MACHINE_H

#include "base/cleanup.h"
#include "base/error.h"
#include "base/loop.h"
#include "vmm/vdev.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MACHINE_GENERATION_BYTES 16

struct machine;

/**
 * struct machine_config - A guest to boot; strings are copied
 * @kernel, @initrd: paths; @initrd may be NULL
 * @cmdline:	added to what the machine itself needs; may be NULL
 * @memory:	bytes
 * @vcpus:	at least 1
 * @qemu:	path of QEMU, NULL for the one in PATH; tcg only
 * @console_fd:	what the guest's serial console prints is written here; stays the caller's, who
 *		closes it after machine_start()
 * @devices:	@ndevices of them, in the order the guest finds them; must outlive the machine
 */
struct machine_config {
	const char *kernel;
	const char *initrd;
	const char *cmdline;
	uint64_t memory;
	uint32_t vcpus;
	const char *qemu;
	int console_fd;
	struct vdev *const *devices;
	size_t ndevices;
};

/**
 * machine_exited_fn - The guest is gone: it reset or powered off, or the machine failed
 * @why:	code 0: the guest's own doing, otherwise what broke
 *
 * Called once, never after machine_free() and never from inside machine_start(). May call
 * machine_free().
 */
typedef void (*machine_exited_fn)(void *cookie, const struct rsm_error *why);

/* The end of machine_pause() or machine_resume(); @err: code 0 on success */
typedef void (*machine_done_fn)(void *cookie, const struct rsm_error *err);

/**
 * struct machine_ops - One kind of machine; the functions below, with the same contracts
 * @name:	as in VmConfig.accel
 * @set_generation: NULL if the machine cannot
 * @spawns:	start() executes a program, which needs rights that the guest must not have
 */
struct machine_ops {
	const char *name;
	bool spawns;
	int (*create)(struct rsm_loop *loop, const struct machine_config *config,
		      machine_exited_fn exited, void *cookie, struct machine **ret,
		      struct rsm_error *err);
	int (*start)(struct machine *m, struct rsm_error *err);
	int (*pause)(struct machine *m, machine_done_fn done, void *cookie);
	int (*resume)(struct machine *m, machine_done_fn done, void *cookie);
	int (*set_generation)(struct machine *m, const uint8_t id[MACHINE_GENERATION_BYTES]);
	void (*free)(struct machine *m);
};

/* Common part, embedded first in each machine's own struct; filled in by machine_create(). */
struct machine {
	const struct machine_ops *ops;
};

/* NULL if there is no machine of that name. */
const struct machine_ops *machine_find(const char *name);

/**
 * machine_create() - Check the configuration and get ready; the guest does not run yet
 * Return: 0 or -errno with @err
 */
int machine_create(const struct machine_ops *ops, struct rsm_loop *loop,
		   const struct machine_config *config, machine_exited_fn exited, void *cookie,
		   struct machine **ret, struct rsm_error *err);

/* Boot. Return: 0 once the guest is about to run its first instruction, or -errno with @err */
int machine_start(struct machine *m, struct rsm_error *err);

/**
 * machine_pause() / machine_resume() - Stop all vCPUs and devices, or let them go on
 * @done:	called from the loop once that is so, never from inside the call, never after
 *		machine_free()
 *
 * On the kvm machine this is the quiesce point for snapshots: from the return of machine_pause() to
 * machine_resume() no vCPU is inside an instruction, every request that a device took is answered in
 * full, and nothing of the machine changes guest memory.
 *
 * Return: 0, or -errno: @done will not be called
 */
int machine_pause(struct machine *m, machine_done_fn done, void *cookie);
int machine_resume(struct machine *m, machine_done_fn done, void *cookie);

/**
 * machine_set_generation() - Tell the guest that it is another VM now than the one it was
 * @id:		random, never given to any VM before
 *
 * For VMs that go on from another one's memory: a kernel that knows the VM generation id re-seeds
 * its random numbers before anybody asks for the next one. Each VM starts with an id of its own.
 * Debian's cloud kernel has no driver for it: there it is for the agent to do the same.
 *
 * Spec: Microsoft, "Virtual Machine Generation ID"
 * Return: 0; -EOPNOTSUPP if the machine or its guest (without ACPI) has none; -errno
 */
int machine_set_generation(struct machine *m, const uint8_t id[MACHINE_GENERATION_BYTES]);

/* Kill the guest, if it runs, and free everything. Does not wait for anything slow. */
void machine_free(struct machine *m);
RSM_DEFINE_CLEANUP(struct machine *, machine_free, NULL);

extern const struct machine_ops machine_kvm, machine_tcg;

/* What the kernel is always told on the kvm machine; for benchmarks, whose peers get the same. */
extern const char machine_kvm_cmdline[];

#endif
