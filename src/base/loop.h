/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Event loop: one epoll loop per process (or thread) for everything slow.
 *
 * Sources are fds with a callback and one-shot timers. A callback may add, change and remove any
 * source, itself included; a removed source's callback is never called again, even when its event
 * was already fetched. The loop does not own the fds.
 *
 * Context: everything here is called on the loop's own thread, except rsm_loop_stop() from a
 * callback or signal handler.
 */
#ifndef RSM_BASE_LOOP_H
#define RSM_BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

struct rsm_loop;
struct rsm_source;

/* @events: EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR as reported by epoll_wait() */
typedef void (*rsm_io_fn)(void *cookie, int fd, uint32_t events);
typedef void (*rsm_timer_fn)(void *cookie);

int rsm_loop_new(struct rsm_loop **ret);
void rsm_loop_free(struct rsm_loop *loop);

/**
 * rsm_loop_add() - Watch a file descriptor
 * @fd:		pollable; regular files are refused by epoll with EPERM
 * @events:	EPOLLIN | EPOLLOUT, level-triggered; 0 watches for errors and hang-up only
 * @ret_source:	may be NULL when the source is never changed; removed with rsm_loop_remove()
 *
 * Return: 0 or -errno
 */
int rsm_loop_add(struct rsm_loop *loop, int fd, uint32_t events, rsm_io_fn fn, void *cookie,
		 struct rsm_source **ret_source);

/* Change what is watched; 0 leaves errors and hang-up, see rsm_source_pause() to leave nothing. */
int rsm_source_set_events(struct rsm_source *source, uint32_t events);

/* Take the fd out of the epoll set altogether, or put it back with rsm_source_set_events(). */
int rsm_source_pause(struct rsm_source *source);

/* Remove a source of either kind; NULL is fine. The fd may be closed right after. */
void rsm_loop_remove(struct rsm_source *source);

/**
 * rsm_loop_timer() - Call @fn once, @ns nanoseconds from now
 * @ret_source:	may be NULL. The source is freed when the timer fires, before @fn is called: set
 *		the stored pointer to NULL first thing in @fn.
 */
int rsm_loop_timer(struct rsm_loop *loop, uint64_t ns, rsm_timer_fn fn, void *cookie,
		   struct rsm_source **ret_source);

/* Run until rsm_loop_stop(). Return: the value given to rsm_loop_stop(), or -errno. */
int rsm_loop_run(struct rsm_loop *loop);

/* One round: wait at most @timeout_ms (-1 for ever), dispatch. Return: 0 or -errno. */
int rsm_loop_once(struct rsm_loop *loop, int timeout_ms);

void rsm_loop_stop(struct rsm_loop *loop, int value);

/* CLOCK_MONOTONIC in nanoseconds */
uint64_t rsm_now_ns(void);

#endif
