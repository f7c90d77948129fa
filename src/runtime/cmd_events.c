// SPDX-License-Identifier: Apache-2.0
/*
 * events: records of a container's figures, one every interval, and of its lack of memory, until it
 * stops.
 *
 * All calls go over one connection, and none blocks: a guest that does not answer leaves out its
 * records, and nothing else. At each tick the VMM is asked for the state, which it knows by itself,
 * and then the guest for its figures, unless it is paused, or has not answered the last time. The
 * connection's end is the container's.
 */
#include "runtime/cmd.h"

#include "base/math.h"
#include "runtime/stats.h"

#include <stdio.h>
#include <string.h>

#define INTERVAL_NS 5000000000LL
/* --stats: so often it is looked whether the container was paused before it answered */
#define ONCE_NS     1000000000ULL
#define PATIENCE_NS (CTR_CALL_TIMEOUT_MS * 1000000ULL)

struct events_opts {
	struct cmd_duration interval;
	bool stats;
};

#define AT(member) offsetof(struct events_opts, member)
static const struct cmd_opt opts[] = {
	{"interval", 0, CMD_DURATION, AT(interval),
	 "set the stats collection interval (default: 5s)"},
	{"stats", 0, CMD_FLAG, AT(stats), "display the container's stats then exit"},
};
#undef AT

/**
 * struct watch - One run of the command
 * @oom_seen:	kills that are known; only later ones are told of
 * @listening:	WaitOom was called for the first time
 * @state_asked: State is not answered yet
 * @stats_asked: when Stats was called, 0 when it is not under way
 * @began:	for @once: when
 * @over:	what ends the command has happened; calls under way fail from here on
 */
struct watch {
	struct ctr *c;
	struct ctr_client *cl;
	struct cgroup *cg;
	bool once, listening, state_asked, over;
	uint64_t interval_ns, oom_seen, stats_asked, began;
	struct rsm_error *err;
};

static void stop(struct watch *w, int ret)
{
	w->over = true;
	rsm_loop_stop(w->cl->loop, ret);
}

static int not_running(struct watch *w)
{
	return rsm_fail(w->err, EINVAL, "container with id %s is not running", w->c->id);
}

static void call(struct watch *w, const char *method, const ProtobufCMessage *request,
		 ttrpc_done_fn done)
{
	int ret = ttrpc_call_async(w->cl->conn, &runsm__sandbox__descriptor, method, request, NULL,
				   0, done, w);

	if (ret < 0 && ret != -ENOTCONN)
		stop(w, rsm_fail_errno(w->err, ret, "ask the VMM of container '%s'", w->c->id));
}

/* Has a call failed with the connection? What that means is said when its end is noticed. */
static bool cut_off(const struct watch *w, const ProtobufCMessage *reply,
		    const struct rsm_error *err)
{
	return w->over || (!reply && (err->code == ECONNRESET || err->code == ECANCELED ||
				      err->code == EPIPE));
}

/* ---- records */

static void print(struct watch *w, struct rsm_jsongen *g)
{
	const char *text;
	size_t len;

	if (rsm_jsongen_finish(g, &text, &len) < 0)
		stop(w, rsm_fail(w->err, ENOMEM, "out of memory for a record"));
	else if (printf("%.*s\n", (int)len, text) < 0 || fflush(stdout) == EOF)
		stop(w, rsm_fail_errno(w->err, errno, "write to standard output"));
	else if (w->once)
		stop(w, 0);
}

static void print_stats(struct watch *w, const Runsm__StatsResponse *guest)
{
	_cleanup_jsongen_ struct rsm_jsongen *g = NULL;

	if (rsm_jsongen_new(false, &g) < 0) {
		stop(w, rsm_fail(w->err, ENOMEM, "out of memory for a record"));
		return;
	}
	stats_event(g, w->c->id, w->cg, guest);
	print(w, g);
}

static void print_oom(struct watch *w)
{
	_cleanup_jsongen_ struct rsm_jsongen *g = NULL;

	if (rsm_jsongen_new(false, &g) < 0) {
		stop(w, rsm_fail(w->err, ENOMEM, "out of memory for a record"));
		return;
	}
	rsm_jsongen_object(g);
	rsm_jsongen_kstring(g, "type", "oom");
	rsm_jsongen_kstring(g, "id", w->c->id);
	rsm_jsongen_end_object(g);
	print(w, g);
}

/* A record that cannot be had: the end of --stats, a line in the log of others. */
static void missed(struct watch *w, const struct rsm_error *why)
{
	if (w->once)
		stop(w, rsm_fail(w->err, why->code, "%s", why->message));
	else
		rsm_log_error("%s", why->message);
}

/* ---- lack of memory */

static void oom_done(void *cookie, const ProtobufCMessage *reply, const struct rsm_error *err);

static void listen_oom(struct watch *w)
{
	Runsm__OomRequest request = RUNSM__OOM_REQUEST__INIT;

	request.id = w->c->id;
	request.seen = w->oom_seen;
	call(w, "WaitOom", &request.base, oom_done);
}

static void oom_done(void *cookie, const ProtobufCMessage *reply, const struct rsm_error *err)
{
	struct watch *w = cookie;

	if (cut_off(w, reply, err))
		return;
	if (!reply) {
		rsm_log_error("the VMM does not tell of lack of memory: %s", err->message);
		return;
	}
	w->oom_seen = ((const Runsm__OomResponse *)reply)->kills;
	print_oom(w);
	listen_oom(w);
}

/* ---- figures */

static void stats_done(void *cookie, const ProtobufCMessage *reply, const struct rsm_error *err)
{
	struct watch *w = cookie;

	w->stats_asked = 0;
	if (cut_off(w, reply, err))
		return;
	if (reply)
		print_stats(w, (const Runsm__StatsResponse *)reply);
	else if (err->code != EBUSY) /* paused meanwhile: the next tick knows */
		missed(w, err);
}

static void ask_stats(struct watch *w)
{
	Runsm__ContainerRequest request = RUNSM__CONTAINER_REQUEST__INIT;

	if (w->stats_asked)
		return;
	w->stats_asked = rsm_now_ns();
	request.id = w->c->id;
	call(w, "Stats", &request.base, stats_done);
}

static void print_recalled(struct watch *w)
{
	struct rsm_error why = RSM_ERROR_INIT;
	Runsm__StatsResponse *guest = NULL;

	if (stats_recall(w->c, &guest, &why) < 0) {
		missed(w, &why);
		return;
	}
	print_stats(w, guest);
	runsm__stats_response__free_unpacked(guest, NULL);
}

static void state_done(void *cookie, const ProtobufCMessage *reply, const struct rsm_error *err)
{
	const Runsm__StateResponse *state = (const Runsm__StateResponse *)reply;
	struct watch *w = cookie;

	w->state_asked = false;
	if (cut_off(w, reply, err))
		return;
	if (!reply) {
		missed(w, err);
		return;
	}
	if (!w->listening && !w->once) {
		w->listening = true;
		w->oom_seen = state->oom_kills;
		listen_oom(w);
		return;
	}
	if (state->status == RUNSM__STATUS__PAUSED)
		print_recalled(w);
	else
		ask_stats(w);
}

static void ask_state(struct watch *w)
{
	Runsm__ContainerRequest request = RUNSM__CONTAINER_REQUEST__INIT;

	if (w->state_asked)
		return;
	w->state_asked = true;
	request.id = w->c->id;
	call(w, "State", &request.base, state_done);
}

static void tick(void *cookie)
{
	struct rsm_error silent = {.code = ETIMEDOUT};
	struct watch *w = cookie;
	uint64_t now = rsm_now_ns();
	int ret = rsm_loop_timer(w->cl->loop, w->interval_ns, tick, w, NULL);

	if (ret < 0) {
		stop(w, rsm_fail_errno(w->err, ret, "set a timer"));
		return;
	}
	(void)snprintf(silent.message, sizeof(silent.message),
		       "the guest of container '%s' has not answered for %d seconds", w->c->id,
		       CTR_CALL_TIMEOUT_MS / 1000);
	if (w->once ? now - w->began > PATIENCE_NS
		    : w->stats_asked && now - w->stats_asked > PATIENCE_NS) {
		if (w->stats_asked)
			w->stats_asked = now;
		missed(w, &silent);
	}
	ask_state(w);
}

/* ---- the command */

static void ended(void *cookie)
{
	struct watch *w = cookie;

	stop(w, w->once ? not_running(w) : 0);
}

static int watch(struct watch *w)
{
	struct rsm_error *err = w->err;
	int ret = ctr_connect(w->c, &w->cl, err);

	if (ret < 0) /* it may have ended since it was asked */
		return ctr_vmm_alive(w->c) ? ret : not_running(w);
	w->cl->on_closed = ended;
	w->cl->cookie = w;
	w->began = rsm_now_ns();
	if (w->once) {
		tick(w);
	} else {
		ask_state(w);
		ret = rsm_loop_timer(w->cl->loop, w->interval_ns, tick, w, NULL);
		if (ret < 0)
			return rsm_fail_errno(err, ret, "set a timer");
	}
	return rsm_loop_run(w->cl->loop);
}

static int run(const struct cmd_env *env, const void *o, int argc, char **argv,
	       struct rsm_error *err)
{
	const struct events_opts *eo = o;
	int64_t interval = eo->interval.given ? eo->interval.ns : INTERVAL_NS;
	_cleanup_cgroup_ struct cgroup *cg = NULL;
	_cleanup_client_ struct ctr_client *cl = NULL;
	_cleanup_ctr_ struct ctr *c = NULL;
	struct watch w = {.once = eo->stats, .err = err};
	int ret = ctr_open(env->root, argv[0], false, &c, err);

	if (ret < 0)
		return ret;
	if (interval <= 0)
		return rsm_fail(err, EINVAL, "duration interval must be greater than 0");
	w.c = c;
	w.interval_ns = w.once ? ONCE_NS : (uint64_t)interval;
	ret = ctr_status(c, err);
	if (ret < 0)
		return ret;
	if (ret == CTR_STOPPED || ret == CTR_CREATING)
		return not_running(&w);
	ret = cgroup_load(c->dirfd, &cg, err);
	if (ret < 0)
		return ret;
	w.cg = cg;
	ret = watch(&w);
	cl = w.cl;
	return ret;
}

const struct cmd_verb cmd_events = {
	.name = "events",
	.summary = "display container events such as OOM notifications, cpu, memory, and IO usage "
		   "statistics",
	.usage = "[command options] <container-id>",
	.description = "By default the information is displayed once every 5 seconds, until the "
		       "container stops.",
	.opts = opts,
	.nopts = RSM_ARRAY_SIZE(opts),
	.opts_size = sizeof(struct events_opts),
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
