/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the virtio-fs device.
 *
 * Theory of operation
 *
 * Each running queue has one thread, its worker: it alone pops. It serves requests inline, on the
 * spot, because handing one over costs more than serving it (see docs/adr). Two kinds go to helper
 * threads instead: those that may block for long (fsrv_is_slow()), and any request while more are
 * waiting behind it and requests have lately taken long, i.e. when the disk and not the CPU is the
 * limit.
 *
 *	worker ──pop──▶ fsrv_handle() ──▶ push ──▶ notify once per batch
 *	       └─slow─▶ vfs_job ──▶ helper ──▶ fsrv_handle() ──▶ push, notify
 *	                                  └─ -EINPROGRESS ──▶ parked until the session's reply
 *
 * A request that the session answers later (SETLKW) is parked as {queue, head, reply}; its segments
 * are found again in the ring when the reply comes, because the queue may have been stopped and
 * memory mapped anew in between. Replies that come while the queue is stopped wait for its start.
 *
 * Locks: vfs_queue.used_lock for pushes while somebody but the worker may push (others > 0); the
 * worker goes without it while others == 0, which only the worker itself changes from 0.
 * vfs.lock for the jobs. Order: vfs.lock, then used_lock.
 */
#ifndef RSM_VIRTIOFS_PRIV_H
#define RSM_VIRTIOFS_PRIV_H

#include "fuse/fsrv.h"
#include "virtiofs/virtiofs.h"

#include <linux/virtio_fs.h>
#include <pthread.h>
#include <stdatomic.h>

/* Longest reply the session may give later, bytes (see fsrv_set_deferred()). */
#define VFS_DEFERRED_MAX 256
#define VFS_HELPERS_MAX  64
#define VFS_HELPERS      8

struct vfs;

/**
 * struct vfs_queue - One queue and its worker
 * @others:	requests popped by the worker that somebody else pushes: jobs and parked ones
 * @jobs:	those of them that helpers have or will take; vfs.lock
 * @wait_fd:	epoll, edge-triggered over the kick eventfd and @stop_fd
 * @service_ns:	running mean of what a request takes
 * @linger_ns:	how long to look for more before going to sleep; 0: not at all
 * @linger_off_until: no lingering before this time
 * @batch_score: above 0 while the driver seems to share the worker's CPU
 */
struct vfs_queue {
	struct vfs *fs;
	unsigned index;
	pthread_t thread;
	bool running;
	atomic_bool stop;
	int wait_fd, stop_fd;
	atomic_uint others;
	unsigned jobs;
	pthread_mutex_t used_lock;
	atomic_ullong service_ns;
	uint64_t linger_ns, linger_off_until;
	unsigned batch_score;
	struct iovec iov[VIRTQ_SEGS_MAX];
};

/**
 * struct vfs_job - A request that left its worker
 * @id:		what the session knows it by; never used twice
 * @slow:	of a kind that may block, which says nothing about the others
 * @parked:	fsrv_handle() said -EINPROGRESS
 * @replied:	the session's reply is in @reply
 */
struct vfs_job {
	struct vfs_job *next;
	struct vfs_queue *q;
	uint64_t id;
	bool slow, parked, replied;
	uint8_t reply[VFS_DEFERRED_MAX];
	size_t reply_len;
	struct virtq_req req;
	struct iovec iov[];
};

/**
 * struct vfs - The device
 * @todo, @todo_tail: jobs no helper has taken yet
 * @out:	jobs taken by helpers, and parked ones
 */
struct vfs {
	struct vdev d;
	struct virtio_fs_config config;
	struct fsrv_session *session;
	pthread_mutex_t lock;
	pthread_cond_t work, done;
	struct vfs_job *todo, **todo_tail;
	struct vfs_job *out;
	uint64_t next_id;
	unsigned helpers, helpers_idle, helpers_max;
	bool quit;
	pthread_t helper[VFS_HELPERS_MAX];
	struct vfs_queue q[VDEV_QUEUES_MAX];
};

static inline struct virtq *vfs_vq(const struct vfs_queue *q)
{
	return &q->fs->d.vq[q->index];
}

/* ---- queue.c */
int vfs_queue_start(struct vfs_queue *q);
void vfs_queue_stop(struct vfs_queue *q);

/* Serve @req on this thread; Return: as fsrv_handle() */
ssize_t vfs_serve(struct vfs_queue *q, const struct virtq_req *req, uint64_t id);

/* Add what a request took to the queue's running mean. */
void vfs_account(struct vfs_queue *q, uint64_t took_ns);
int vfs_thread(pthread_t *ret, void *(*fn)(void *), void *arg);

/* ---- jobs.c */
/* Hand @req to a helper. Return: 0, or -errno: the caller serves it itself. */
int vfs_job_new(struct vfs_queue *q, const struct virtq_req *req, bool slow);
/* Wait until no helper has anything of @q. */
void vfs_jobs_drain(struct vfs_queue *q);
/* Push the replies that came while @q was stopped. */
void vfs_jobs_deliver(struct vfs_queue *q);
/* Forget parked requests: the guest does. */
void vfs_jobs_forget(struct vfs *fs);
void vfs_jobs_deferred(void *cookie, void *tag, const void *reply, size_t len);
void vfs_jobs_quit(struct vfs *fs);

#endif
