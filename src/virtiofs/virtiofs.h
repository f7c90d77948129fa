/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtio-fs device: carries FUSE requests from a guest's queues to a fsrv_session.
 *
 * Queue 0 is the high-priority queue (FORGET, INTERRUPT), queues 1…n carry requests.
 * Spec: virtio 1.2, 5.11
 */
#ifndef RSM_VIRTIOFS_VIRTIOFS_H
#define RSM_VIRTIOFS_VIRTIOFS_H

#include "base/cleanup.h"
#include "base/error.h"
#include "vmm/vdev.h"

struct fsrv_session;

/**
 * struct virtiofs_options - How the device is made
 * @tag:	what the guest mounts; at most 36 bytes
 * @request_queues: 1 … VDEV_QUEUES_MAX - 1; 0 means 1
 * @helpers:	most threads beside the queues' own, started only when needed; 0 means the default
 */
struct virtiofs_options {
	const char *tag;
	unsigned request_queues;
	unsigned helpers;
};

/**
 * virtiofs_new() - Make the device
 * @session:	stays the caller's, must outlive the device; the device takes its deferred replies
 *		and resets it with itself
 * Return: 0 or -errno with @err
 */
int virtiofs_new(const struct virtiofs_options *options, struct fsrv_session *session,
		 struct vdev **ret, struct rsm_error *err);

/* All queues are stopped: the transport is gone or has reset the device. */
void virtiofs_free(struct vdev *d);
RSM_DEFINE_CLEANUP(struct vdev *, virtiofs_free, NULL);

#endif
