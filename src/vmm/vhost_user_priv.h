/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the vhost-user back end: connection state, and the table of messages. */
#ifndef RSM_VMM_VHOST_USER_PRIV_H
#define RSM_VMM_VHOST_USER_PRIV_H

#include "base/io.h"
#include "vmm/vhost_user.h"
#include "vmm/vhost_user_proto.h"

/**
 * struct vhu_queue - What the master said of one queue; the ring itself is dev->vq[i]
 * @num:	entries, 0 until SET_VRING_NUM
 * @addr:	ring addresses in the master's address space, kept to resolve them again after
 *		SET_MEM_TABLE
 * @running:	between queue_start() and queue_stop()
 */
struct vhu_queue {
	uint16_t num;
	bool has_addr;
	bool enabled;
	bool running;
	struct vhu_vring_addr addr;
	int err_fd;
};

/**
 * struct vhost_user - One back end; everything is owned by the loop's thread
 * @rx, @rx_payload: message being assembled, @rx_len bytes of it so far, and the fds that came
 *		along with it
 */
struct vhost_user {
	struct rsm_loop *loop;
	struct vdev *dev;
	struct gmem mem;
	int conn_fd, listen_fd;
	struct rsm_source *conn_source, *listen_source;
	vhost_user_closed_fn closed;
	void *cookie;
	uint64_t protocol_features;
	struct vhu_queue queues[VDEV_QUEUES_MAX];
	struct vhu_header rx;
	union vhu_payload rx_payload;
	size_t rx_len;
	int rx_fds[RSM_FDS_MAX];
	size_t rx_nfds;
};

/**
 * vhu_fn - Handle one message
 * @p:		payload, checked to be of the table's size; also where a reply's payload is put
 * @len:	bytes of it
 *
 * Return: bytes of reply payload (for messages with a reply), 0, or a negative errno with @err:
 * EPROTO ends the connection always, others only when the master did not ask for an acknowledgement
 */
typedef int (*vhu_fn)(struct vhost_user *vu, union vhu_payload *p, uint32_t len,
		      struct rsm_error *err);

/**
 * struct vhu_handler - A row of the message table
 * @stops_all:	no queue may run while the handler does
 * @replies:	the message has a reply of its own
 */
struct vhu_handler {
	const char *name;
	uint32_t min_size, max_size;
	unsigned max_fds;
	bool stops_all;
	bool replies;
	vhu_fn fn;
};

/* NULL for a request that is not served. */
const struct vhu_handler *vhu_handler(uint32_t request);

void vhu_stop_queue(struct vhost_user *vu, unsigned i);
void vhu_stop_queues(struct vhost_user *vu);
void vhu_reset_device(struct vhost_user *vu);
/* A queue goes on elsewhere than it stopped: the guest was reset and has a new driver. */
void vhu_driver_is_new(struct vhost_user *vu);

#endif
