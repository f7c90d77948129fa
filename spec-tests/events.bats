#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# events: figures of a container, and its lack of memory, as runc tells of them.
# spec: runc 1.1, man/runc-events.8.md, types/events.go, tests/integration/events.bats

load helpers

CG=/sys/fs/cgroup

# A hog that the kernel ends, and which it ends before anything else in the container
HOG='echo 1000 >/proc/self/oom_score_adj; exec tail /dev/zero'

# small: $ID gets as little memory as there is
small() {
	bundle
	cfg '.linux.resources.memory = {limit: $n, swap: $n}' \
		--argjson n $(($(is_runsm && echo 128 || echo 32) << 20))
}

# follow [OPTION…]: events of $ID in the background, its records in $T/events
follow() {
	background rt_events "$@"
	EVENTS=$!
}

rt_events() { RT_TIMEOUT=200 rt events "$@" "$ID" >"$T/events" 2>"$T/events.err"; }

records() { grep -c "^{\"type\":\"$1\",\"id\":\"$ID\"" "$T/events"; }

# has_records N TYPE
has_records() { [ "$(records "$2")" -ge "$1" ]; }

stats() { rtx 0 events --stats "$ID" && jq -r ".data.$1" <<<"$output"; }

# end_follow: $ID goes, and events with it, successfully
end_follow() {
	rt delete -f "$ID"
	wait "$EVENTS"
}

@test "events --stats: one record, with runc's members" {
	bundle
	ctr_up
	rtx 0 events --stats "$ID"
	is 1 "${#lines[@]}"
	[[ $output == "{\"type\":\"stats\",\"id\":\"$ID\",\"data\":{"* ]]
	is "blkio cpu cpuset hugetlb intel_rdt memory network_interfaces pids" \
		"$(jq -r '.data | keys | join(" ")' <<<"$output")"
	is "kernel percpu percpu_kernel percpu_user total user" "$(jq -r '.data.cpu.usage +
		{percpu: 0, percpu_kernel: 0, percpu_user: 0} | keys | join(" ")' <<<"$output")"
	jq -e '.data.cpu.usage.total > 0 and .data.cpu.usage.kernel >= 0' <<<"$output"
	jq -e '.data.memory | .usage.usage > 0 and .usage.max >= .usage.usage and .usage.limit > 0 and
		.usage.failcnt == 0 and (.swap | has("limit")) and (.kernel | has("limit")) and
		(.kernelTCP | has("failcnt")) and (.raw | length > 10)' <<<"$output"
	is 1 "$(jq .data.pids.current <<<"$output")"
}

@test "events --stats: a container that is created is enough" {
	bundle
	ctr_create
	[ "$(stats pids.current)" -ge 1 ] # runc's has threads
}

# bats test_tags=once
@test "events: a record every interval, until the container is gone" {
	bundle
	ctr_up
	follow --interval 100ms
	wait_for 20 has_records 3 stats
	jq -es 'all(.type == "stats")' "$T/events"
	end_follow
}

@test "events: the end of the container is the end, and a success" {
	runsm_only # runc goes on until it is deleted
	bundle
	ctr_up
	follow --interval 200ms
	wait_for 20 has_records 1 stats
	rt kill "$ID" KILL
	wait "$EVENTS"
	is "" "$(cat "$T/events.err")"
	wait_status stopped
	fails 1 "container with id $ID is not running" events --stats "$ID"
}

@test "events: what the container does is in the figures" {
	local before
	bundle
	cfg '.linux.resources.pids.limit = 50'
	ctr_up
	before=$(stats memory.usage.usage)
	rt exec --detach "$ID" sh -c 'x=$(head -c 30000000 /dev/zero | tr "\0" x); sleep 1000 & wait' \
		</dev/null >/dev/null 2>&1
	wait_for 60 eval '[ "$(stats memory.usage.usage)" -gt '$((before + 29000000))' ]'
	wait_for 20 eval '[ "$(stats pids.current)" = 3 ]'
	is 50 "$(stats pids.limit)"
	before=$(stats cpu.usage.total)
	in_ctr sh -c 'i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done'
	[ "$(stats cpu.usage.total)" -gt $((before + 10000000)) ]
}

@test "events: the limit of memory is the VM's, or what update has set" {
	runsm_only
	bundle
	cfg '.linux.resources.memory.limit = 200 * 1048576'
	ctr_up
	is $((200 << 20)) "$(stats memory.usage.limit)"
	rtx 0 update --memory 150m "$ID"
	is $((150 << 20)) "$(stats memory.usage.limit)"
	rtx 0 update --memory -1 "$ID"
	is $((200 << 20)) "$(stats memory.usage.limit)"
}

# cpu_time: of the container's cgroup on the host, in ns
cpu_time() {
	cat "$CG/cpuacct/rsm-test/$ID/cpuacct.usage" 2>/dev/null ||
		awk '$1 == "usage_usec" { print $2 * 1000 }' "$CG/rsm-test/$ID/cpu.stat"
}

# writes: I/O operations, as that cgroup counts them; nothing where it has none
writes() {
	awk '$2 == "Write" { print $3; exit }' "$CG/blkio/rsm-test/$ID/blkio.throttle.io_serviced" 2>/dev/null ||
		sed -n '1s/.* wios=\([0-9]*\).*/\1/p' "$CG/rsm-test/$ID/io.stat"
}

@test "events: CPU time and block I/O are those of the VM's cgroup" {
	runsm_only
	bundle
	cfg '.linux.cgroupsPath = $p' --arg p "/rsm-test/$ID"
	ctr_up
	local before after total
	before=$(cpu_time)
	total=$(stats cpu.usage.total)
	after=$(cpu_time)
	[ "$before" -gt 0 ]
	[ "$before" -le "$total" ] && [ "$total" -le "$after" ]
	# a device without any write may be left out
	total=$(writes)
	is "${total:-0}" "$(stats 'blkio.ioServicedRecursive // [] | map(select(.op == "Write"))[0].value // 0')"
	rt delete -f "$ID"
	rmdir $CG/rsm-test $CG/*/rsm-test 2>/dev/null || : # others may be at work in it
}

@test "events: a process that is ended for want of memory" {
	small
	ctr_up
	follow --interval 100ms
	wait_for 20 has_records 1 stats
	is 0 "$(records oom)"
	run rt exec "$ID" sh -c "$HOG" </dev/null
	is 137 "$status"
	wait_for 20 has_records 1 oom
	grep -qxF "{\"type\":\"oom\",\"id\":\"$ID\"}" "$T/events"
	is running "$(ctr_status)"
	in_ctr true
	end_follow
}

# bats test_tags=once
@test "events: who comes later hears of what happens then" {
	small
	ctr_up
	run rt exec "$ID" sh -c "$HOG" </dev/null
	is 137 "$status"
	follow --interval 100ms
	wait_for 20 has_records 5 stats
	is 0 "$(records oom)"
	run rt exec "$ID" sh -c "$HOG" </dev/null
	wait_for 20 has_records 1 oom
	end_follow
}

@test "events: init that is ended for want of memory: the record, then the end; 137" {
	small
	sh_args 'read x; exec tail /dev/zero'
	mkfifo "$T/in"
	sleep 1000 <>"$T/in" >"$T/in" 3>&- 4>&- &
	OUR_PIDS+=($!)
	background rt --log "$T/log" run --bundle "$BUNDLE" "$ID" <"$T/in"
	local ctr=$! rc=0
	wait_for 60 status_is running
	follow
	background rt events "$ID" >"$T/second"
	local second=$!
	sleep 1
	echo go >"$T/in"
	wait "$ctr" || rc=$?
	is 137 "$rc"
	is_runsm || return 0 # runc may be too late to see it
	wait "$EVENTS"
	wait "$second"
	# figures may come after it: the guest lives a little longer than the container
	has_records 1 oom
	grep -qxF "{\"type\":\"oom\",\"id\":\"$ID\"}" "$T/second"
	# and the log tells whoever reads it what to do
	matches 'the guest ran out of memory.*has 128 MiB, .*resources\.memory\.limit' "$(cat "$T/log")"
}

@test "events: a program that the kernel must not end, and no memory: the record, then the end; 137" {
	runsm_only # lack of rights on the host
	small
	cfg '.process.oomScoreAdj = -1000'
	sh_args 'until [ -e /go ]; do sleep 0.1; done; exec tail /dev/zero'
	background rt --log "$T/log" run --bundle "$BUNDLE" "$ID"
	local ctr=$! rc=0
	wait_for 60 status_is running
	follow --interval 100ms
	wait_for 20 has_records 1 stats
	in_ctr touch /go
	wait "$ctr" || rc=$?
	is 137 "$rc"
	wait "$EVENTS"
	has_records 1 oom
	matches 'ran out of memory, and its kernel found no process .*has 128 MiB' "$(cat "$T/log")"
}

@test "events: a limit that update has lowered, and how often it was hit" {
	runsm_only # with runc it depends on the host's version of cgroups
	bundle
	cfg '.linux.resources.memory.limit = 256 * 1048576'
	ctr_up
	rtx 0 update --memory 20m "$ID"
	follow --interval 100ms
	wait_for 20 has_records 1 stats
	run rt exec "$ID" sh -c "$HOG" </dev/null
	is 137 "$status"
	wait_for 20 has_records 1 oom
	[ "$(stats memory.usage.failcnt)" -gt 0 ]
	end_follow
}

@test "the agent outlives a guest that runs out of memory again and again" {
	runsm_only
	local i
	small
	# nobody in the container is spared, and something holds on to memory after its processes
	cfg '.mounts += [{destination: "/big", type: "tmpfs", options: ["size=1g"]}]'
	ctr_up
	follow --interval 100ms
	for i in 1 2 3; do
		run rt exec "$ID" sh -c 'dd if=/dev/zero of=/big/file bs=1M &
			tail /dev/zero & tail /dev/zero & wait' </dev/null
		run rt exec "$ID" rm -f /big/file </dev/null
		status_is running || break
	done
	wait_for 20 has_records 1 oom
	# either it goes on, or its init was a victim, which is told as any end
	if status_is running; then
		wait_for 60 rt exec "$ID" true
	else
		wait_status stopped
	fi
	rt delete -f "$ID"
	wait "$EVENTS"
}

@test "events: a paused container answers at once" {
	local usage
	bundle
	ctr_up
	follow --interval 100ms
	wait_for 20 has_records 1 stats
	rt pause "$ID"
	usage=$(stats memory.usage.usage)
	[ "$usage" -gt 0 ]
	is "$usage" "$(stats memory.usage.usage)"
	is 1 "$(stats pids.current)"
	: >"$T/events"
	wait_for 20 has_records 3 stats
	rt resume "$ID"
	in_ctr true
	: >"$T/events"
	wait_for 20 has_records 3 stats
	end_follow
}

# bats test_tags=once
@test "events: intervals, containers and arguments that are none" {
	fails 1 'container does not exist' events "$ID"
	bundle
	ctr_create
	fails 1 'invalid value "5" for flag -interval: parse error' events --interval 5 "$ID"
	fails 1 'invalid value "1d" for flag -interval: parse error' events --interval 1d "$ID"
	fails 1 'duration interval must be greater than 0' events --interval 0s "$ID"
	fails 1 'duration interval must be greater than 0' events --interval -1s --stats "$ID"
	fails 1 'requires exactly 1 argument' events
	fails 1 'flag provided but not defined: -nope' events --nope "$ID"
}

# bats test_tags=once
@test "events: a VMM that is killed ends it, and it can be killed itself" {
	runsm_only
	bundle
	ctr_up
	follow --interval 100ms
	wait_for 20 has_records 1 stats
	kill -9 "$(pgrep -P "$(pgrep -P "$EVENTS")")" # of the shell, of timeout
	wait "$EVENTS" || :
	is running "$(ctr_status)"
	follow --interval 100ms
	wait_for 20 has_records 1 stats
	kill -9 "$(ctr_pid)"
	wait "$EVENTS"
	wait_status stopped
}
