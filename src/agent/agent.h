/* SPDX-License-Identifier: Apache-2.0 */
/*
 * runsm-agent: PID 1 of the guest. Private to src/agent.
 *
 * One thread, one event loop. It owns a table of containers; each has its processes: init and those
 * of exec. A process is a child of the agent, made by clone3() straight into the container's pid
 * namespace and cgroup, which sets itself up (setup_*.c) and reports over a socket before it
 * executes the program. Everything that happens to a process afterwards arrives as an event: its
 * report, the end of that socket at exec, SIGCHLD, its streams.
 *
 * The host is trusted. What runs in a container is not, and can at most ruin its guest: names
 * inside a container are resolved by a process that is already confined to its root.
 */
#ifndef RSM_AGENT_AGENT_H
#define RSM_AGENT_AGENT_H

#include "agent/flow.h"
#include "base/error.h"
#include "base/loop.h"
#include "ttrpc/agent.pb-c.h"
#include "ttrpc/ttrpc.h"

#include <sys/types.h>

#define AGENT_PORT    1024
#define AGENT_TAG     "runsm"
#define AGENT_RUN_DIR "/run/runsm"
#define AGENT_EXPORTS AGENT_RUN_DIR "/fs"
#define AGENT_STAGING AGENT_RUN_DIR "/root" /* where a root is attached before pivot_root() */
#define AGENT_CGROUP  "/sys/fs/cgroup"

/**
 * struct agent - The program's state
 * @exports_fd:	directory of the exports: the virtio-fs root
 * @cgroup_fd:	cgroup v2 directory below which each container gets one
 * @staging:	an empty directory
 * @ports_fd:	-1: streams are vsock; else a directory of unix sockets named by port (tests)
 * @pidns_fd:	the agent's own pid namespace
 */
struct agent {
	struct rsm_loop *loop;
	struct ttrpc_conn *conn;
	int exports_fd;
	int cgroup_fd;
	const char *staging;
	int ports_fd;
	int pidns_fd;
	int signal_fd;
	bool test;
	bool sync_at_exit;
	struct container *containers;
};

/* ---- boot.c: from kernel to served connection */

/* Mounts, modules, loopback, virtio-fs. */
int boot_guest(struct agent *a, struct rsm_error *err);
/* Say it on the console and end the VM. */
_Noreturn void boot_failed(const struct rsm_error *err);
int loopback_up(struct rsm_error *err);

/* ---- modules.c: kernel modules of the initramfs */

/* What every guest needs, and what its devices need. */
int modules_load(struct rsm_error *err);
/* Let the loop load what can wait until containers have been started. */
void modules_load_late(struct agent *a);

/* ---- transport.c */

/* Start to connect to a host port; Return: non-blocking socket, connected or about to be, -errno */
int transport_connect(const struct agent *a, uint32_t port);
/* The same, but wait for the outcome; blocking socket. */
int transport_connect_wait(const struct agent *a, uint32_t port);

/* ---- cgroup.c: cgroup v2 directories */

int cgroup_new(const struct agent *a, const char *id, uint64_t pids_limit, int *ret_fd,
	       struct rsm_error *err);
/* Attach a program of type BPF_PROG_TYPE_CGROUP_DEVICE, @len bytes of struct bpf_insn; 0: nothing */
int cgroup_filter_devices(int cgroup_fd, const void *program, size_t len, struct rsm_error *err);
/* The cgroup at @path below a container's, "/" being that itself; Return: fd or -errno */
int cgroup_open_below(int cgroup_fd, const char *path);
/* The one that a process of container @id is in; Return: fd or -errno */
int cgroup_open_of(int cgroup_fd, const char *id, pid_t pid);
/* rmdir; busy while something runs in it */
int cgroup_remove(const struct agent *a, const char *id);
/* Value of a line "NAME VALUE" of a file like memory.events; false if there is none. */
bool cgroup_flat_value(const char *text, const char *name, uint64_t *ret);
/* Write a limit to the file @name; 0: leave it as it is, UINT64_MAX: none. */
int cgroup_limit(int cgroup_fd, const char *name, uint64_t limit, struct rsm_error *err);
/* Signal everything in it, cgroups below included. */
int cgroup_signal(int cgroup_fd, int sig);
/* Every pid in it and below; @ret malloc'ed. Return: count or -errno */
ssize_t cgroup_pids(int cgroup_fd, pid_t **ret);

/* ---- oom.c: processes that the kernel ended for want of memory */

/**
 * struct oom - Watch of one container's memory.events
 * @fd:		of that file; -1 without the memory controller
 * @kills:	how many there have been when last looked at
 * @waiter:	call of WaitOom not answered yet, or NULL; @seen: what it knows of
 */
struct oom {
	int fd;
	struct rsm_source *source;
	uint64_t kills, seen;
	struct ttrpc_call *waiter;
};

/* Without the memory controller there is nothing to watch, and no kill is ever counted. */
int oom_open(struct oom *o, struct rsm_loop *loop, int cgroup_fd);
/* Look now, and answer whoever waits. Return: how many kills there have been */
uint64_t oom_look(struct oom *o);
void oom_wait(struct oom *o, uint64_t seen, struct ttrpc_call *call);
/* The container is over, and its cgroup about to go. */
void oom_close(struct oom *o);

/* ---- process.c */

enum process_state {
	PROCESS_SETUP,   /* cloned, has not reported */
	PROCESS_CREATED, /* init: waits for StartContainer */
	PROCESS_EXECING, /* told to, has not executed yet */
	PROCESS_RUNNING,
	PROCESS_EXITED, /* reaped; output not yet all on its streams */
	PROCESS_DONE,   /* may be reported */
};

enum stream_kind {
	STREAM_STDIN,
	STREAM_STDOUT,
	STREAM_STDERR,
	STREAM_TTY,
	STREAM_EXTRA, /* and on, in the order of Stdio.extra */
};

/**
 * struct stream - One vsock stream of a process and where its bytes go
 * @sock:	until the flows own it
 * @connecting:	watched for the outcome of connect()
 * @ours:	agent's end of the pipe; the master of a terminal
 * @theirs:	the process's end, closed once it was cloned
 * @in, @out:	flow to the process, flow from it; a terminal has both
 * @both_ways:	of a terminal: the stream carries its input, too
 */
struct stream {
	struct process *process;
	enum stream_kind kind;
	uint32_t port; /* 0: not there */
	bool output;   /* what the process writes; of a terminal: that, and perhaps its input */
	int sock;
	struct rsm_source *connecting;
	int ours, theirs;
	struct flow *in, *out;
	bool both_ways;
};

/**
 * struct process - init of a container or an exec session
 * @sync:	socket to the child until it executes (setup.h)
 * @reply_to:	CreateContainer or Exec call not answered yet
 * @start_reply_to: StartContainer call not answered yet
 * @failure:	code != 0: setting up failed; @reply_to gets this once the child is reaped
 * @slave:	of its terminal, kept open so that the master hangs up only after the exit
 * @streams:	one of each kind, by number, then those of the extra fds
 * @extra_bytes: of the latter, for the answer to Wait
 * @waited:	an answer to Wait was sent
 */
struct process {
	struct process *next;
	struct container *container;
	char *exec_id; /* "" is init */
	enum process_state state;
	pid_t pid;
	int pidfd;
	int sync;
	struct rsm_source *sync_source;
	struct ttrpc_call *reply_to, *start_reply_to;
	struct rsm_error failure;
	struct stream *streams;
	size_t nstreams;
	uint64_t *extra_bytes;
	bool terminal;
	int slave;
	int status;
	uint64_t oom_kills_before;
	bool oom_killed;
	bool waited;
	struct ttrpc_call **waiters;
	size_t nwaiters;
};

/**
 * process_new() - Make a process and start its child
 * @c:		container it joins, or, when it is the first, becomes
 * @request:	of init; NULL for exec
 * @spec:	what to run
 * @cgroup:	of exec: the one below the container's to run it in, or "" (agent.proto)
 * @call:	answered when the outcome is known; consumed on success only
 *
 * Context: blocks for the look-up of exports on the host, when @request is given.
 */
int process_new(struct container *c, const char *exec_id,
		const Runsm__CreateContainerRequest *request, const Runsm__Process *spec,
		const char *cgroup, struct ttrpc_call *call, struct rsm_error *err);
void process_start(struct process *p, struct ttrpc_call *call);
/* The kernel says it ended. */
void process_reaped(struct process *p, int wstatus);
void process_wait(struct process *p, struct ttrpc_call *call);
int process_resize(struct process *p, uint32_t rows, uint32_t cols);
void process_free(struct process *p);

/* ---- stream.c */

/* Room for them, none of them open; 0 or -ENOMEM */
int streams_new(struct process *p, const Runsm__Process *spec);
/* Make pipes and start connecting; 0 or -errno with everything left for streams_free(). */
int streams_open(struct process *p, const Runsm__Process *spec, struct rsm_error *err);
void streams_close_theirs(struct process *p);
/* The child's terminal has arrived. */
void streams_set_terminal(struct process *p, int master);
/* Every stream is connected. */
bool streams_connected(const struct process *p);
/* The process has ended; Return: true if everything it wrote is on its streams. */
bool streams_drain(struct process *p, bool nobody_left);
/* Somebody in the container still holds its stdout, stderr or an extra fd to write to. */
bool streams_alive(const struct process *p);
uint64_t streams_bytes(const struct process *p, enum stream_kind kind);
/* Fill @p->extra_bytes; Return: how many */
size_t streams_count_extra(struct process *p);
void streams_free(struct process *p);
/* Called by stream.c. */
void process_stream_connected(struct process *p, int error, uint32_t port);
void process_stream_drained(struct process *p);

/* ---- container.c */

/**
 * struct container - Named group of processes with one root
 * @namespaces:	CLONE_NEW* it asked for
 * @oom:	closed once its init is done
 * @nodes:	directory of the device nodes that are mounted in its user namespace, or NULL
 * @processes:	init is the last of the list; NULL after a failed creation
 */
struct container {
	struct container *next;
	struct agent *agent;
	char *id;
	int cgroup_fd;
	struct oom oom;
	uint64_t namespaces;
	char *nodes;
	struct process *processes;
};

struct container *container_find(struct agent *a, const char *id);
struct process *container_process(struct container *c, const char *exec_id);
struct process *container_init(struct container *c);
int container_new(struct agent *a, const char *id, uint64_t pids_limit, struct container **ret,
		  struct rsm_error *err);
void container_free(struct container *c);
/* Drop exec sessions that nobody needs any more. */
void container_forget_ended(struct container *c);
/* Reap every child that has ended. */
void containers_reap(struct agent *a);

/* ---- drivers.c */

/* Is there a driver for each of @request's devices? Takes out the optional ones without. */
int drivers_check(Runsm__CreateContainerRequest *request, struct rsm_error *err);

/* ---- userns.c */

struct setup;
/* What only the agent may do to a child in a user namespace, which waits for it. */
int userns_prepare(struct process *p, const struct setup *s, struct rsm_error *err);
/* What an ID of the container is called in the guest; false: nothing */
bool userns_map(Runsm__IdMapping *const *map, size_t n, uint32_t id, uint32_t *ret);

/* ---- nic.c */

/* The guest's network interface goes to the network namespace of @pid. */
int nic_give(pid_t pid, struct rsm_error *err);

/* ---- rpc.c, ps.c, stats.c */

extern const struct ttrpc_server rpc_server;
void ps_reply(struct container *c, struct ttrpc_call *call);
void stats_reply(struct container *c, struct ttrpc_call *call);

#endif
