// SPDX-License-Identifier: Apache-2.0
/* The device: configuration space and life. What happens on its queues is in queue.c, jobs.c. */
#include "virtiofs/virtiofs.h"

#include "virtiofs/virtiofs_priv.h"

#include <errno.h>
#include <linux/virtio_ids.h>
#include <string.h>

static void read_config(struct vdev *d, uint32_t offset, void *buf, uint32_t len)
{
	const struct vfs *fs = (const struct vfs *)d;

	memcpy(buf, (const char *)&fs->config + offset, len);
}

static int queue_start(struct vdev *d, unsigned i)
{
	return vfs_queue_start(&((struct vfs *)d)->q[i]);
}

static void queue_stop(struct vdev *d, unsigned i)
{
	vfs_queue_stop(&((struct vfs *)d)->q[i]);
}

static void reset(struct vdev *d)
{
	struct vfs *fs = (struct vfs *)d;

	vfs_jobs_forget(fs);
	fsrv_session_reset(fs->session);
}

static const struct vdev_ops virtiofs_ops = {
	.name = "virtio-fs",
	.device_id = VIRTIO_ID_FS,
	.nqueues = VDEV_QUEUES_MAX,
	.queue_size = VIRTQ_SIZE_MAX,
	.config_len = sizeof(struct virtio_fs_config),
	.board_config = true,
	.read_config = read_config,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
	.reset = reset,
};

int virtiofs_new(const struct virtiofs_options *options, struct fsrv_session *session,
		 struct vdev **ret, struct rsm_error *err)
{
	unsigned nrequest = options->request_queues ? options->request_queues : 1;
	struct vfs *fs;

	if (strlen(options->tag) > sizeof(fs->config.tag) || !options->tag[0])
		return rsm_fail(err, EINVAL, "virtio-fs: tag '%s' has not 1 to %zu bytes",
				options->tag, sizeof(fs->config.tag));
	if (nrequest > VDEV_QUEUES_MAX - 1)
		return rsm_fail(err, EINVAL,
				"virtio-fs: %u request queues, at most %u are possible", nrequest,
				VDEV_QUEUES_MAX - 1);
	if (options->helpers > VFS_HELPERS_MAX)
		return rsm_fail(err, EINVAL,
				"virtio-fs: %u helper threads, at most %u are possible",
				options->helpers, VFS_HELPERS_MAX);
	fs = calloc(1, sizeof(*fs));
	if (!fs)
		return rsm_fail_errno(err, ENOMEM, "virtio-fs");
	vdev_init(&fs->d, &virtiofs_ops, 0);
	fs->d.nqueues = 1 + nrequest;
	memcpy(fs->config.tag, options->tag, strlen(options->tag));
	fs->config.num_request_queues = nrequest;
	fs->session = session;
	fs->helpers_max = options->helpers ? options->helpers : VFS_HELPERS;
	fs->todo_tail = &fs->todo;
	pthread_mutex_init(&fs->lock, NULL);
	pthread_cond_init(&fs->work, NULL);
	pthread_cond_init(&fs->done, NULL);
	for (unsigned i = 0; i < VDEV_QUEUES_MAX; i++) {
		fs->q[i].fs = fs;
		fs->q[i].index = i;
		fs->q[i].wait_fd = fs->q[i].stop_fd = -1;
		pthread_mutex_init(&fs->q[i].used_lock, NULL);
	}
	fsrv_set_deferred(session, vfs_jobs_deferred, fs);
	*ret = &fs->d;
	return 0;
}

void virtiofs_free(struct vdev *d)
{
	struct vfs *fs = (struct vfs *)d;

	if (!d)
		return;
	for (unsigned i = 0; i < d->nqueues; i++)
		vfs_queue_stop(&fs->q[i]);
	fsrv_set_deferred(fs->session, NULL, NULL);
	vfs_jobs_quit(fs);
	for (unsigned i = 0; i < VDEV_QUEUES_MAX; i++)
		pthread_mutex_destroy(&fs->q[i].used_lock);
	pthread_cond_destroy(&fs->work);
	pthread_cond_destroy(&fs->done);
	pthread_mutex_destroy(&fs->lock);
	free(fs);
}
