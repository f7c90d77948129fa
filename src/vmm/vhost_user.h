/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost-user back end: serves one virtio device to a master (QEMU, Cloud Hypervisor) that has the
 * board, the guest's memory and the driver.
 *
 * The peer is trusted with its own memory and nothing else: a malformed message closes the
 * connection, never the program.
 */
#ifndef RSM_VMM_VHOST_USER_H
#define RSM_VMM_VHOST_USER_H

#include "base/cleanup.h"
#include "base/error.h"
#include "base/loop.h"
#include "vmm/vdev.h"

struct vhost_user;

/**
 * vhost_user_closed_fn - The connection is over
 * @err:	code 0: the master hung up; otherwise what was wrong
 *
 * The device is stopped and reset, its memory unmapped, the socket closed. The callback may call
 * vhost_user_free(). A listening back end waits for the next master by itself.
 */
typedef void (*vhost_user_closed_fn)(void *cookie, const struct rsm_error *err);

/**
 * vhost_user_new() - Serve @dev on a socket
 * @loop:	everything but the queues' own work happens on it
 * @dev:	stays the caller's and must outlive the back end
 * @fd:		a connected or listening unix stream socket; taken over on success. A listening one
 *		serves one master at a time, one after the other.
 * @closed:	may be NULL
 *
 * Return: 0 or -errno with @err
 */
int vhost_user_new(struct rsm_loop *loop, struct vdev *dev, int fd, vhost_user_closed_fn closed,
		   void *cookie, struct vhost_user **ret, struct rsm_error *err);

/* Stop and reset the device, close everything; @closed is not called. */
void vhost_user_free(struct vhost_user *vu);
RSM_DEFINE_CLEANUP(struct vhost_user *, vhost_user_free, NULL);

#endif
