/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linux.resources.devices as a BPF program of type BPF_PROG_TYPE_CGROUP_DEVICE, which the agent
 * attaches to the container's cgroup in the guest: what version 1 has a controller for.
 *
 * Rules are applied in their order, the last one that is about a device and an access decides; the
 * devices that every container may use (runtime-spec config-linux.md, Default Devices, and what
 * runc adds) come after all of them, and what no rule is about is denied.
 */
#ifndef RSM_RUNTIME_DEVICE_FILTER_H
#define RSM_RUNTIME_DEVICE_FILTER_H

#include "runtime/arena.h"
#include "runtime/oci.h"

/**
 * device_filter_new() - Compile the rules
 * @rules:	@n of them, at most OCI_DEVICE_RULES_MAX
 * @ret, @ret_len: array of struct bpf_insn in @arena, its size in bytes
 *
 * Return: 0 or -ENOMEM
 */
int device_filter_new(struct arena *arena, const struct oci_device_rule *rules, size_t n,
		      void **ret, size_t *ret_len);

#endif
