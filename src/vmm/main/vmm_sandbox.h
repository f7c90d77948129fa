/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to runsm-vmm: one sandbox, i.e. one VM and the container in it.
 *
 *	vmm_main.c	start-up, signals, exit status
 *	vmm_config.c	VmConfig from its fd, checked
 *	vmm_exports.c	host directories for virtio-fs
 *	vmm_overlay.c	an overlay file system of them
 *	vmm_sandbox.c	life of the VM: boot, agent, creation, end
 *	vmm_process.c	processes in it: stdio, exits
 *	vmm_oom.c	lack of memory in the guest
 *	vmm_control.c	service runsm.Sandbox on the control socket
 *	vmm_tty.c	host side of the container's terminal
 *	vmm_net.c	the container's network namespace
 *	vmm_jail.c	rights given up before the guest runs
 *
 *	booting ──agent connects──▶ creating ──▶ created ──Start──▶ running ──init's exit──▶ ended
 *	   └────────────── any failure: VmReport or one log line, exit 255 ────────────────────▶
 *
 * The VMM ends when init's exit was reported by the agent and everything the processes wrote is
 * relayed.
 *
 * Context: everything on the main loop's thread.
 */
#ifndef RSM_VMM_MAIN_SANDBOX_H
#define RSM_VMM_MAIN_SANDBOX_H

#include "base/error.h"
#include "base/log.h"
#include "base/loop.h"
#include "ttrpc/agent.pb-c.h"
#include "ttrpc/ttrpc.h"
#include "vmm/blk.h"
#include "vmm/console.h"
#include "vmm/machine.h"
#include "vmm/net.h"
#include "vmm/stdio.h"
#include "vmm/vsock.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#define AGENT_PORT     1024U
#define EXTRA_FDS_MAX  64U
#define RELAYS_MAX     (3U + EXTRA_FDS_MAX)
#define EXIT_VM_FAILED 255

/* The fds that runsm-vmm is started with. */
enum {
	FD_CONFIG = 3,
	FD_SYNC,
	FD_STATE_DIR,
	FD_LOG,
	FD_CONSOLE_SOCKET,
	FD_EXTRA,
};

struct sandbox;
struct client;

/* A call that waits for a process's end. */
struct waiter {
	SLIST_ENTRY(waiter) next;
	struct ttrpc_call *call;
};

/* A call that waits for the guest to run out of memory once more than @seen. */
struct oom_waiter {
	LIST_ENTRY(oom_waiter) entry;
	struct ttrpc_call *call;
	uint64_t seen;
};

/**
 * struct process - A process the agent runs; "" is the container's init
 * @owner:	control connection whose Exec started it; NULL: nobody's, it goes when it ends
 * @orphan:	that connection is gone: it is to be killed
 * @relays:	one per stdio stream; once @reported, those that others still write to
 * @result:	the agent's answer to Wait, valid once @ended
 * @extra:	of the extra fds, in their order; NULL once @reported
 * @extra_bytes: as many as the agent says it put on them, valid once @ended
 * @reported:	its waiters were answered
 * @progress:	relayed bytes when last looked at, @stalled_ns: since when they have not changed
 */
struct process {
	LIST_ENTRY(process) entry;
	struct sandbox *sandbox;
	struct client *owner;
	char *exec_id;
	struct stdio_relay *relays[RELAYS_MAX];
	size_t nrelays;
	/* Those that WaitResponse counts, and stdin; NULL if not there, or once @reported. */
	struct stdio_relay *in, *out, *err, *tty;
	struct stdio_relay *extra[EXTRA_FDS_MAX];
	uint64_t extra_bytes[EXTRA_FDS_MAX];
	Runsm__WaitResponse result;
	bool ended, reported, orphan;
	uint64_t progress, stalled_ns;
	SLIST_HEAD(, waiter) waiters;
	struct ttrpc_call *starting; /* the Exec call, until the agent has answered */
};

/* A connection to the control socket. */
struct client {
	LIST_ENTRY(client) entry;
	struct sandbox *sandbox;
	struct ttrpc_conn *conn;
};

/**
 * struct sandbox - Everything of runsm-vmm
 * @paused_from: status that resume goes back to
 * @pausing:	a pause or resume is under way
 * @scratch:	disk, NULL without one
 * @nic:	network interface, NULL without one
 * @sync_fd:	where VmReport goes; -1 once it was written. Its other end going away before that ends
 *		the VM: whoever creates the container was killed
 * @keep_stderr: fd 2 stays what it was: whoever started us stays too
 * @log_of_start: the log is the caller's stderr, who waits for its end: closed once created
 * @failure:	why the VM failed; code 0: it has not
 * @oom_kills:	processes that the guest says its kernel ended for want of memory
 * @settle:	timer that looks whether processes are done, NULL while there is nothing to look for
 */
struct sandbox {
	struct rsm_loop *loop;
	Runsm__VmConfig *config;
	int sync_fd, state_fd, listen_fd;
	Runsm__Status status, paused_from;
	uint32_t init_pid;
	bool pausing, keep_stderr, log_of_start;
	struct vsock *vsock;
	struct vdev *fs, *scratch, *nic;
	struct exports *exports;
	struct machine *machine;
	struct console *console;
	struct ttrpc_conn *agent;
	struct stdio_relay *agent_relay;
	struct rsm_source *sync_source, *listen_source, *boot_timer, *lost_timer, *call_timer,
		*kill_timer, *oom_timer, *settle;
	LIST_HEAD(, process) processes;
	LIST_HEAD(, client) clients;
	LIST_HEAD(, oom_waiter) oom_waiters;
	uint64_t oom_kills;
	struct rsm_ratelimit oom_log;
	struct process *init;
	int tty_fd; /* slave of the host pty; -1 if there is none */
	struct rsm_error failure, call_error;
	bool ended;
};

/* ---- vmm_config.c */
int vmm_config_read(int fd, Runsm__VmConfig **ret, struct rsm_error *err);

/* ---- vmm_exports.c */
struct exports;
/* Open what @config exports and make the virtio-fs device of it. */
int vmm_exports_open(const Runsm__VmConfig *config, struct exports **ret, struct vdev **ret_dev,
		     struct rsm_error *err);
/* A detached mount of export @i of the configuration, to be shown in the namespace; -1: none. */
int vmm_exports_shown(const struct exports *x, size_t i);
/* Close those: they are mounted, or will not be. */
void vmm_exports_hide(struct exports *x);
/* This process has changed its root. */
int vmm_exports_rerooted(struct exports *x);
void vmm_exports_free(struct exports *x, struct vdev *dev);

/* ---- vmm_overlay.c */
/* An fd of a mount that is nowhere attached: an overlay file system with @options of mount(2), whose
 * relative paths begin at @dir, any directory. */
int vmm_overlay_mount(const char *dir, const char *options, struct rsm_error *err);

/* ---- vmm_sandbox.c */
int sandbox_start(struct sandbox *s, struct rsm_error *err);
void sandbox_free(struct sandbox *s);

/* The VM cannot go on: report why and end. @err: as for a person */
void sandbox_fail(struct sandbox *s, const struct rsm_error *err);

/* A call that the sandbox depends on failed: that is the reason, unless it failed because the
 * connection broke, for which the machine has a better one. Decided when the loop comes round. */
void sandbox_call_failed(struct sandbox *s, const struct rsm_error *err);

/* Init has ended and was reported: end with its status. */
void sandbox_end(struct sandbox *s);

/* Write @ok or @err to the sync socket, if that has not been done yet. */
void sandbox_report(struct sandbox *s, const struct rsm_error *err);

/* Tell the guest what time it is; @backward: its clock may be put back */
void sandbox_tell_time(struct sandbox *s, bool backward);

/* Call a method of the agent's; -ENOTCONN while there is none. */
int sandbox_call_agent(struct sandbox *s, const char *method, const ProtobufCMessage *request,
		       ttrpc_done_fn done, void *cookie);

/* Init got SIGKILL: if the guest is too broken to end it, end the VM. */
void sandbox_killed(struct sandbox *s);

/* Send init a signal, not waiting for the answer. */
void sandbox_signal_init(struct sandbox *s, int sig);

/* ---- vmm_process.c */
int process_new(struct sandbox *s, const char *exec_id, struct process **ret);
void process_free(struct process *p);
struct process *process_find(struct sandbox *s, const char *exec_id);

/**
 * process_add_stdio() - Make relays for the fds a process gets
 * @stdio:	non-zero ports say which fds there are; they become real ports
 * @fds:	in the order stdin, stdout, stderr (or terminal), extra, those that there are; stay
 *		the caller's
 *
 * Return: 0, -EINVAL if there are fewer fds than ports, or -errno
 */
int process_add_stdio(struct process *p, Runsm__Stdio *stdio, const int *fds, size_t nfds,
		      struct rsm_error *err);

/* The agent has made it: wait for its end. */
void process_watch(struct process *p);

/* Kill it, not waiting for the answer. */
void process_kill(struct process *p);

/* Look, soon, which processes are done. */
void processes_settle(struct sandbox *s);

/* The VM ends: answer everybody who still waits. */
void processes_end(struct sandbox *s);

/* Answer @call when it has ended. */
void process_wait(struct process *p, struct ttrpc_call *call);

/* ---- vmm_oom.c */
/* The container is created: let the agent tell. */
void oom_watch(struct sandbox *s);
/* The guest has counted so many. */
void oom_take(struct sandbox *s, uint64_t kills);
/* Did the guest panic for want of memory, with no process to end? Then that is told, and in @err. */
bool oom_deadlock(struct sandbox *s, const char *panic, struct rsm_error *err);
/* Answer @call when there are more than @seen. */
void oom_wait(struct sandbox *s, uint64_t seen, struct ttrpc_call *call);
/* @conn is about to go, and its calls with it. */
void oom_forget(struct sandbox *s, const struct ttrpc_conn *conn);

/* ---- vmm_control.c */
int control_listen(struct sandbox *s, struct rsm_error *err);
void control_free(struct sandbox *s);

/* ---- vmm_net.c */
/* Be in the container's network namespace: join the one config.json names, or set up the new one. */
int network_enter(const struct sandbox *s, struct rsm_error *err);
/* Refuse interfaces that the guest cannot be given. When all who may make some have done so. */
int network_check(const struct sandbox *s, struct rsm_error *err);
/* Make @s->nic on the tap that the configuration names, if it does. */
int network_open(struct sandbox *s, struct rsm_error *err);

/* ---- vmm_jail.c */
/* Give up what is not needed once the guest runs; on an error it must not. */
int sandbox_jail(struct sandbox *s, struct rsm_error *err);

/* ---- vmm_tty.c */
/**
 * tty_open() - Terminal of the container's init, when there is a console socket
 *
 * A pty, whose master is sent there and whose slave becomes our controlling terminal. Fills in the
 * size when config.json gives none.
 */
int tty_open(struct sandbox *s, struct rsm_error *err);
/* Its size changed. */
void tty_resized(struct sandbox *s);

#endif
