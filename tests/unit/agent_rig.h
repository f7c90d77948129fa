/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A runsm-agent as a process of this machine, for tests that need no VM: unix sockets stand in for
 * vsock, directories for exports. Containers are real: namespaces, mounts, cgroup v2. Needs root.
 */
#ifndef TESTS_UNIT_AGENT_RIG_H
#define TESTS_UNIT_AGENT_RIG_H

#include "base/buf.h"
#include "base/loop.h"
#include "ttrpc/agent.pb-c.h"
#include "ttrpc/ttrpc.h"

#define RIG_PORTS 16
#define RIG_MAX   16

/* The host's end of one stream. */
struct rig_port {
	struct rig *rig;
	struct rsm_source *source;
	int listener, conn;
	bool ended;   /* the agent closed it */
	bool stalled; /* do not read */
	struct rsm_buf got;
};

struct rig {
	struct rsm_loop *loop;
	struct ttrpc_conn *agent;
	char dir[64];
	char cgroup[256];
	pid_t pid;
	int ports_fd;
	struct rig_port ports[RIG_PORTS];
	struct rsm_error err; /* of the last call */
};

/* Why there can be no rig on this machine; NULL if there can. */
const char *rig_missing(void);

int rig_setup(void **state);
int rig_teardown(void **state);

/* Absolute path below the rig's directory; static buffer. */
const char *rig_path(struct rig *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void rig_write_file(struct rig *r, const char *path, const char *text, int mode);

/* Listen on a port for the next stream; what came before on it is forgotten. */
void rig_listen(struct rig *r, unsigned port);
/* Run the loop until @port has been connected to, until it has @text, until it has ended. */
void rig_wait_connected(struct rig *r, unsigned port);
void rig_wait_text(struct rig *r, unsigned port, const char *text);
void rig_wait_end(struct rig *r, unsigned port);

/**
 * struct rig_spec - A container to be, with everything the protobuf messages point to
 *
 * rig_spec() makes it a shell command line, with /proc, /dev, /dev/pts, /sys and /sys/fs/cgroup
 * mounted, Docker's default capabilities, and streams on ports 1 to 3.
 */
struct rig_spec {
	Runsm__CreateContainerRequest request;
	Runsm__Process process;
	Runsm__User user;
	Runsm__Capabilities caps;
	Runsm__Stdio io;
	Runsm__Mount mount[RIG_MAX], *mounts[RIG_MAX];
	char *args[RIG_MAX], *env[RIG_MAX];
};

void rig_spec(struct rig_spec *s, const char *id, const char *script);
Runsm__Mount *rig_add_mount(struct rig_spec *s, const char *type, const char *destination);

/* Each: 0 or -errno with r->err. */
int rig_create(struct rig *r, struct rig_spec *s);
/* Nobody listens on its ports yet, or already does. */
int rig_create_only(struct rig *r, struct rig_spec *s);
int rig_start(struct rig *r, const char *id);
int rig_exec(struct rig *r, const char *id, const char *exec_id, Runsm__Process *process);
int rig_signal(struct rig *r, const char *id, const char *exec_id, int sig, bool all);
int rig_resize(struct rig *r, const char *id, unsigned rows, unsigned cols);
int rig_wait(struct rig *r, const char *id, const char *exec_id, Runsm__WaitResponse *ret);

/* Create, start, wait; @ret_out: what it wrote to stdout, valid until the next use of port 2.
 * Return: exit status, or -errno with r->err. */
int rig_run(struct rig *r, struct rig_spec *s, const char **ret_out);

#endif
