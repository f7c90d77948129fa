// SPDX-License-Identifier: Apache-2.0
/* Requests that left their worker: helper threads, and replies the session gives later. */
#include "virtiofs/virtiofs_priv.h"

#include "base/loop.h"

#include <errno.h>
#include <string.h>

static void unlist(struct vfs *fs, struct vfs_job *job)
{
	for (struct vfs_job **at = &fs->out; *at; at = &(*at)->next) {
		if (*at == job) {
			*at = job->next;
			return;
		}
	}
}

static void push(struct vfs_queue *q, uint16_t head, size_t len)
{
	pthread_mutex_lock(&q->used_lock);
	virtq_push(vfs_vq(q), head, (uint32_t)len);
	virtq_notify(vfs_vq(q));
	pthread_mutex_unlock(&q->used_lock);
	atomic_fetch_sub_explicit(&q->others, 1, memory_order_release);
}

/* Push a parked request's late reply and free it; vfs.lock held, the queue runs. */
static void finish_parked(struct vfs *fs, struct vfs_job *job)
{
	struct virtq_req req = {.iov = calloc(VIRTQ_SEGS_MAX, sizeof(*req.iov))};
	struct vfs_queue *q = job->q;
	size_t len = 0;

	unlist(fs, job);
	if (req.iov && virtq_get(vfs_vq(q), job->req.head, &req) == 0)
		len = virtq_iov_write(virtq_in(&req), req.nin, 0, job->reply, job->reply_len);
	push(q, job->req.head, len);
	free(req.iov);
	free(job);
}

/* A helper is done with @job; vfs.lock held. */
static void finish(struct vfs *fs, struct vfs_job *job, ssize_t len)
{
	struct vfs_queue *q = job->q;

	if (len == -EINPROGRESS) {
		job->parked = true;
		if (job->replied)
			finish_parked(fs, job);
	} else {
		unlist(fs, job);
		push(q, job->req.head, len < 0 ? 0 : (size_t)len);
		free(job);
	}
	if (--q->jobs == 0)
		pthread_cond_broadcast(&fs->done);
}

static void *helper(void *arg)
{
	struct vfs *fs = arg;

	pthread_mutex_lock(&fs->lock);
	for (;;) {
		struct vfs_job *job;
		uint64_t begin;
		ssize_t len;

		while (!fs->todo && !fs->quit) {
			fs->helpers_idle++;
			pthread_cond_wait(&fs->work, &fs->lock);
			fs->helpers_idle--;
		}
		if (!fs->todo)
			break;
		job = fs->todo;
		fs->todo = job->next;
		if (!fs->todo)
			fs->todo_tail = &fs->todo;
		job->next = fs->out;
		fs->out = job;
		pthread_mutex_unlock(&fs->lock);
		begin = rsm_now_ns();
		len = vfs_serve(job->q, &job->req, job->id);
		if (!job->slow)
			vfs_account(job->q, rsm_now_ns() - begin);
		pthread_mutex_lock(&fs->lock);
		finish(fs, job, len);
	}
	pthread_mutex_unlock(&fs->lock);
	return NULL;
}

/* One more helper if none is idle; vfs.lock held. */
static void want_helper(struct vfs *fs)
{
	if (!fs->helpers_idle && fs->helpers < fs->helpers_max &&
	    vfs_thread(&fs->helper[fs->helpers], helper, fs) == 0)
		fs->helpers++;
}

int vfs_job_new(struct vfs_queue *q, const struct virtq_req *req, bool slow)
{
	unsigned n = req->nout + req->nin;
	struct vfs *fs = q->fs;
	struct vfs_job *job = malloc(sizeof(*job) + n * sizeof(job->iov[0]));
	int ret = 0;

	if (!job)
		return -ENOMEM;
	*job = (struct vfs_job){.q = q, .slow = slow, .req = *req};
	memcpy(job->iov, req->iov, n * sizeof(job->iov[0]));
	job->req.iov = job->iov;
	pthread_mutex_lock(&fs->lock);
	want_helper(fs);
	if (fs->helpers) {
		job->id = ++fs->next_id;
		q->jobs++;
		atomic_fetch_add_explicit(&q->others, 1, memory_order_relaxed);
		*fs->todo_tail = job;
		fs->todo_tail = &job->next;
		pthread_cond_signal(&fs->work);
	} else {
		ret = -EAGAIN;
	}
	pthread_mutex_unlock(&fs->lock);
	if (ret < 0)
		free(job);
	return ret;
}

void vfs_jobs_drain(struct vfs_queue *q)
{
	struct vfs *fs = q->fs;

	pthread_mutex_lock(&fs->lock);
	while (q->jobs)
		pthread_cond_wait(&fs->done, &fs->lock);
	q->running = false; /* from here on late replies wait */
	pthread_mutex_unlock(&fs->lock);
}

void vfs_jobs_deliver(struct vfs_queue *q)
{
	struct vfs *fs = q->fs;
	struct vfs_job *next;

	pthread_mutex_lock(&fs->lock);
	q->running = true;
	for (struct vfs_job *job = fs->out; job; job = next) {
		next = job->next;
		if (job->q == q && job->parked && job->replied)
			finish_parked(fs, job);
	}
	pthread_mutex_unlock(&fs->lock);
}

void vfs_jobs_deferred(void *cookie, void *tag, const void *reply, size_t len)
{
	struct vfs *fs = cookie;
	struct vfs_job *job;

	pthread_mutex_lock(&fs->lock);
	for (job = fs->out; job && job->id != (uintptr_t)tag; job = job->next)
		;
	if (job && !job->replied && len <= sizeof(job->reply)) {
		memcpy(job->reply, reply, len);
		job->reply_len = len;
		job->replied = true;
		if (job->parked && job->q->running)
			finish_parked(fs, job);
	}
	pthread_mutex_unlock(&fs->lock);
}

void vfs_jobs_forget(struct vfs *fs)
{
	pthread_mutex_lock(&fs->lock);
	while (fs->out) {
		struct vfs_job *job = fs->out;

		rsm_assert(job->parked); /* helpers were drained when the queues stopped */
		fs->out = job->next;
		atomic_fetch_sub_explicit(&job->q->others, 1, memory_order_release);
		free(job);
	}
	pthread_mutex_unlock(&fs->lock);
}

void vfs_jobs_quit(struct vfs *fs)
{
	pthread_mutex_lock(&fs->lock);
	fs->quit = true;
	pthread_cond_broadcast(&fs->work);
	pthread_mutex_unlock(&fs->lock);
	for (unsigned i = 0; i < fs->helpers; i++)
		pthread_join(fs->helper[i], NULL);
	vfs_jobs_forget(fs);
}
