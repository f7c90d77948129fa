// SPDX-License-Identifier: Apache-2.0
/*
 * A queue's worker.
 *
 * At depth 1 most of a request's time is the two wake-ups, not the file system. Two things are
 * learned while running, both forgotten quickly:
 *
 * How long to look before sleeping (linger_ns). The worker looks for the next request a little
 * longer, giving up its CPU each time: a driver on the same CPU runs at once and needs no kick, one
 * on another CPU finds us awake. As in KVM's halt polling the time grows while sleeps turn out
 * shorter than the longest linger, and is cut to nothing by a longer one, so that an idle guest
 * costs nothing. When sched_yield() comes back late, others need the CPU and a wake-up would have
 * been faster: no lingering for fifty times what was lost, so that at most 2 % can be.
 *
 * Whether the driver shares our CPU (batch). If it does, interrupting it makes it run at once, so
 * replies are collected and it is interrupted once; if not, it is interrupted at the first reply
 * and works while we do. A driver on our CPU is known by having new requests ready when the write
 * that interrupts it returns.
 */
#include "virtiofs/virtiofs_priv.h"

#include "base/loop.h"
#include "base/math.h"

#include <errno.h>
#include <linux/fuse.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#define LINGER_FIRST_NS   10000ULL
#define LINGER_MAX_NS     100000ULL
#define YIELD_LATE_NS     50000ULL
#define LINGER_OFF_FACTOR 50
#define BATCH_SCORE_MAX   4
/* Interrupt the driver at the latest after so long in a batch. */
#define BATCH_NS          50000ULL
/* Requests that take longer on average are handed to helpers while others wait behind them. */
#define SLOW_NS           60000ULL

ssize_t vfs_serve(struct vfs_queue *q, const struct virtq_req *req, uint64_t id)
{
	return fsrv_handle(q->fs->session, virtq_out(req), req->nout, virtq_in(req), req->nin,
			   (void *)(uintptr_t)id);
}

void vfs_account(struct vfs_queue *q, uint64_t took_ns)
{
	uint64_t mean = atomic_load_explicit(&q->service_ns, memory_order_relaxed);

	mean = mean - mean / 8 + took_ns / 8;
	atomic_store_explicit(&q->service_ns, mean, memory_order_relaxed);
}

/* Give @req to a helper if it is of the kind; Return: true if one has it */
static bool hand_over(struct vfs_queue *q, const struct virtq_req *req)
{
	struct fuse_in_header h;
	bool slow;

	/* Only to schedule: fsrv_handle() takes its own copy, and checks that one. */
	slow = virtq_iov_read(virtq_out(req), req->nout, 0, &h, 8) == 8 && fsrv_is_slow(h.opcode);
	if (!slow && (atomic_load_explicit(&q->service_ns, memory_order_relaxed) <= SLOW_NS ||
		      !virtq_pending(vfs_vq(q))))
		return false;
	return vfs_job_new(q, req, slow) == 0;
}

/*
 * Refuse a request that will be answered later, but has no job to hold its reply: memory ran out, or
 * the guest changed the opcode after we looked. An empty reply would read as success.
 */
static ssize_t refuse(const struct virtq_req *req)
{
	struct fuse_out_header out = {.len = sizeof(out), .error = -ENOLCK};
	struct fuse_in_header in = {0};

	(void)virtq_iov_read(virtq_out(req), req->nout, 0, &in, sizeof(in));
	out.unique = in.unique;
	return (ssize_t)virtq_iov_write(virtq_in(req), req->nin, 0, &out, sizeof(out));
}

static void push(struct vfs_queue *q, uint16_t head, ssize_t len)
{
	bool shared = atomic_load_explicit(&q->others, memory_order_acquire) > 0;

	if (shared)
		pthread_mutex_lock(&q->used_lock);
	virtq_push(vfs_vq(q), head, len < 0 ? 0 : (uint32_t)len);
	if (shared)
		pthread_mutex_unlock(&q->used_lock);
}

/* Interrupt the driver if it waits; learn from what it did meanwhile. */
static void notify(struct vfs_queue *q)
{
	bool shared = atomic_load_explicit(&q->others, memory_order_acquire) > 0, before, sent;

	before = virtq_pending(vfs_vq(q));
	if (shared)
		pthread_mutex_lock(&q->used_lock);
	sent = virtq_notify(vfs_vq(q));
	if (shared)
		pthread_mutex_unlock(&q->used_lock);
	if (!sent || before)
		return;
	if (!virtq_pending(vfs_vq(q)))
		q->batch_score -= q->batch_score > 0;
	else if (q->batch_score < BATCH_SCORE_MAX)
		q->batch_score++;
}

/* Serve what is available. Return: 0, or -EBADMSG for a malformed ring */
static int serve_available(struct vfs_queue *q)
{
	struct virtq_req req = {.iov = q->iov};
	struct virtq *vq = vfs_vq(q);
	uint64_t batch_begin = rsm_now_ns(), now = batch_begin, begin;
	int n = 0;

	while (!atomic_load_explicit(&q->stop, memory_order_relaxed) &&
	       (n = virtq_pop(vq, &req)) > 0) {
		ssize_t len;

		if (hand_over(q, &req))
			continue;
		begin = now;
		len = vfs_serve(q, &req, 0);
		if (len == -EINPROGRESS)
			len = refuse(&req);
		push(q, req.head, len);
		now = rsm_now_ns();
		vfs_account(q, now - begin);
		if (!q->batch_score || now - batch_begin > BATCH_NS) {
			notify(q);
			batch_begin = now;
		}
	}
	notify(q);
	return n < 0 ? n : 0;
}

/* Look for more, if it has paid lately. Return: true if there is something to pop */
static bool linger(struct vfs_queue *q, uint64_t begin)
{
	uint64_t last = begin, now;

	/* the driver may have run already, when the notification woke it */
	if (virtq_pending(vfs_vq(q)))
		return true;
	if (!q->linger_ns || begin < q->linger_off_until)
		return false;
	do {
		sched_yield();
		if (virtq_pending(vfs_vq(q)))
			return true;
		now = rsm_now_ns();
		if (now - last > YIELD_LATE_NS) {
			q->linger_off_until = now + LINGER_OFF_FACTOR * (now - last);
			return false;
		}
		last = now;
	} while (now - begin < q->linger_ns &&
		 !atomic_load_explicit(&q->stop, memory_order_relaxed));
	return false;
}

/* Sleep, and learn from how long there was nothing to do since @begin. */
static void sleep_until_kicked(struct vfs_queue *q, uint64_t begin)
{
	struct epoll_event ev;
	uint64_t idle;

	/* edge-triggered: one system call, and the eventfd need not be read */
	(void)epoll_wait(q->wait_fd, &ev, 1, -1);
	idle = rsm_now_ns() - begin;
	if (idle > LINGER_MAX_NS)
		q->linger_ns = 0;
	else if (idle > q->linger_ns)
		q->linger_ns =
			q->linger_ns ? rsm_min(2 * q->linger_ns, LINGER_MAX_NS) : LINGER_FIRST_NS;
}

/* Threads of the device take no signals: those are the main thread's. */
int vfs_thread(pthread_t *ret, void *(*fn)(void *), void *arg)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(ret, NULL, fn, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -rc;
}

static void *worker(void *arg)
{
	struct vfs_queue *q = arg;
	struct virtq *vq = vfs_vq(q);

	/* helpers and the thread that waits for locks are made by us, and inherit it */
	if (vdev_jail(&q->fs->d, JAIL_FILES) < 0)
		return NULL;
	virtq_disable_kicks(vq);
	while (!atomic_load_explicit(&q->stop, memory_order_acquire)) {
		uint64_t begin;

		if (serve_available(q) < 0) {
			vdev_fail(&q->fs->d, "malformed request ring");
			break;
		}
		begin = rsm_now_ns();
		if (linger(q, begin))
			continue;
		if (!virtq_enable_kicks(vq))
			sleep_until_kicked(q, begin);
		virtq_disable_kicks(vq);
	}
	/* whoever has the queue next may be kicked */
	(void)virtq_enable_kicks(vq);
	return NULL;
}

static int open_wait_fd(struct vfs_queue *q)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
	_cleanup_close_ int wait_fd = epoll_create1(EPOLL_CLOEXEC);
	_cleanup_close_ int stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (wait_fd < 0 || stop_fd < 0 || epoll_ctl(wait_fd, EPOLL_CTL_ADD, stop_fd, &ev) < 0 ||
	    epoll_ctl(wait_fd, EPOLL_CTL_ADD, vfs_vq(q)->kick_fd, &ev) < 0)
		return -errno;
	q->wait_fd = rsm_steal_fd(wait_fd);
	q->stop_fd = rsm_steal_fd(stop_fd);
	return 0;
}

int vfs_queue_start(struct vfs_queue *q)
{
	int ret = open_wait_fd(q);

	if (ret < 0)
		return ret;
	atomic_store(&q->stop, false);
	vfs_jobs_deliver(q);
	ret = vfs_thread(&q->thread, worker, q);
	if (ret < 0) {
		vfs_jobs_drain(q);
		rsm_close(&q->wait_fd);
		rsm_close(&q->stop_fd);
	}
	return ret;
}

void vfs_queue_stop(struct vfs_queue *q)
{
	if (!q->running)
		return;
	atomic_store(&q->stop, true);
	(void)eventfd_write(q->stop_fd, 1);
	pthread_join(q->thread, NULL);
	vfs_jobs_drain(q);
	rsm_close(&q->wait_fd);
	rsm_close(&q->stop_fd);
}
