// SPDX-License-Identifier: Apache-2.0
#include "runtime/stats.h"

#include "base/io.h"
#include "base/log.h"
#include "base/math.h"
#include "runtime/cgroup_stats.h"

#include <stdlib.h>
#include <string.h>

#define FILE_NAME    "stats"
#define RAW_NAME_MAX 64

/* ---- for a paused container */

int stats_remember(struct ctr *c, struct rsm_error *err)
{
	_cleanup_free_ uint8_t *packed = NULL;
	ProtobufCMessage *reply = NULL;
	size_t len;
	int r;

	(void)unlinkat(c->dirfd, FILE_NAME, 0);
	r = ctr_simple_call(c, "Stats", CTR_CALL_TIMEOUT_MS, &reply, err);
	if (r < 0)
		return r;
	len = protobuf_c_message_get_packed_size(reply);
	packed = malloc(len ? len : 1);
	if (packed)
		(void)protobuf_c_message_pack(reply, packed);
	protobuf_c_message_free_unpacked(reply, NULL);
	r = packed ? rsm_write_file_atomic_at(c->dirfd, FILE_NAME, packed, len, 0600) : -ENOMEM;
	return r < 0 ? rsm_fail_errno(err, r, "write down the figures of the guest") : 0;
}

int stats_recall(struct ctr *c, Runsm__StatsResponse **ret, struct rsm_error *err)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = rsm_read_file_at(c->dirfd, FILE_NAME, TTRPC_DATA_MAX, &text, &len);

	if (r < 0)
		return rsm_fail_errno(err, r,
				      "container is paused, and what its guest said before cannot "
				      "be read");
	*ret = runsm__stats_response__unpack(NULL, len, (const uint8_t *)text);
	return *ret ? 0 : rsm_fail(err, EBADMSG, "the figures of the guest are damaged");
}

/* ---- memory, as the guest says */

static bool name_ok(const char *s)
{
	size_t len = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_");

	return len > 0 && len <= RAW_NAME_MAX && s[len] == '\0';
}

static int by_name(const void *a, const void *b)
{
	return strcmp((*(Runsm__Stat *const *)a)->name, (*(Runsm__Stat *const *)b)->name);
}

/* Sorted, as in runc's output, and each name once. */
static void put_raw(struct rsm_jsongen *g, const Runsm__StatsResponse *guest)
{
	const Runsm__Stat *list[STATS_RAW_MAX];
	size_t n = 0, put = 0;

	for (size_t i = 0; i < guest->n_memory_stat && n < STATS_RAW_MAX; i++)
		if (name_ok(guest->memory_stat[i]->name))
			list[n++] = guest->memory_stat[i];
	qsort(list, n, sizeof(list[0]), by_name);
	if (n > 0) {
		rsm_jsongen_key(g, "raw");
		rsm_jsongen_object(g);
	}
	for (size_t i = 0; i < n; i++) {
		if (i > 0 && strcmp(list[i]->name, list[i - 1]->name) == 0)
			continue;
		rsm_jsongen_key(g, list[i]->name);
		rsm_jsongen_uint(g, list[i]->value);
		put++;
	}
	if (n > 0)
		rsm_jsongen_end_object(g);
	if (put < guest->n_memory_stat)
		rsm_log_warn("the guest's memory.stat has %zu entries that are none",
			     guest->n_memory_stat - put);
}

static uint64_t cache_of(const Runsm__StatsResponse *guest)
{
	for (size_t i = 0; i < guest->n_memory_stat; i++)
		if (strcmp(guest->memory_stat[i]->name, "file") == 0)
			return guest->memory_stat[i]->value;
	return 0;
}

static void put_entry(struct rsm_jsongen *g, const char *key, uint64_t limit, uint64_t usage,
		      uint64_t max, uint64_t failures)
{
	rsm_jsongen_key(g, key);
	rsm_jsongen_object(g);
	rsm_jsongen_key(g, "limit");
	rsm_jsongen_uint(g, limit);
	cgroup_stats_put(g, "usage", usage);
	cgroup_stats_put(g, "max", max);
	rsm_jsongen_key(g, "failcnt");
	rsm_jsongen_uint(g, failures);
	rsm_jsongen_end_object(g);
}

/* The container cannot have more than the VM. There is no swap: memory and swap is memory. */
static void put_memory(struct rsm_jsongen *g, const Runsm__StatsResponse *guest)
{
	uint64_t limit = rsm_min(guest->memory_limit ? guest->memory_limit : UINT64_MAX,
				 guest->vm_memory ? guest->vm_memory : UINT64_MAX);

	rsm_jsongen_key(g, "memory");
	rsm_jsongen_object(g);
	cgroup_stats_put(g, "cache", cache_of(guest));
	put_entry(g, "usage", limit, guest->memory_usage, guest->memory_max_usage,
		  guest->memory_failures);
	put_entry(g, "swap", limit, guest->memory_usage, guest->memory_max_usage, 0);
	put_entry(g, "kernel", 0, 0, 0, 0);
	put_entry(g, "kernelTCP", 0, 0, 0, 0);
	put_raw(g, guest);
	rsm_jsongen_end_object(g);
}

static void put_pids(struct rsm_jsongen *g, const Runsm__StatsResponse *guest)
{
	rsm_jsongen_key(g, "pids");
	rsm_jsongen_object(g);
	cgroup_stats_put(g, "current", guest->pids_current);
	cgroup_stats_put(g, "limit", guest->pids_limit == UINT64_MAX ? 0 : guest->pids_limit);
	rsm_jsongen_end_object(g);
}

void stats_event(struct rsm_jsongen *g, const char *id, const struct cgroup *cg,
		 const Runsm__StatsResponse *guest)
{
	static const struct cgroup none;
	const struct cgroup_cpu_time inside = {guest->cpu_usage, guest->cpu_user,
					       guest->cpu_system};

	if (!cg)
		cg = &none;
	rsm_jsongen_object(g);
	rsm_jsongen_kstring(g, "type", "stats");
	rsm_jsongen_kstring(g, "id", id);
	rsm_jsongen_key(g, "data");
	rsm_jsongen_object(g);
	cgroup_stats_cpu(g, cg, &inside);
	cgroup_stats_cpuset(g, cg);
	put_memory(g, guest);
	put_pids(g, guest);
	cgroup_stats_blkio(g, cg);
	cgroup_stats_hugetlb(g, cg);
	rsm_jsongen_key(g, "intel_rdt");
	rsm_jsongen_object(g);
	rsm_jsongen_end_object(g);
	rsm_jsongen_key(g, "network_interfaces");
	rsm_jsongen_null(g);
	rsm_jsongen_end_object(g);
	rsm_jsongen_end_object(g);
}
