#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# pause and resume, as runc has them

load helpers

beats() { wc -l <"$BUNDLE/rootfs/beats"; }

@test "a paused container does nothing until it is resumed" {
	bundle
	sh_args 'while :; do echo >>/beats; sleep 0.05; done'
	ctr_up
	wait_for 20 test -s "$BUNDLE/rootfs/beats"
	rtx 0 pause "$ID"
	is paused "$(ctr_status)"
	is paused "$(rt list -f json | jq -r '.[0].status')"
	# what was under way on the host may still end
	sleep 0.3
	local n
	n=$(beats)
	sleep 1
	is "$n" "$(beats)"
	rtx 0 resume "$ID"
	is running "$(ctr_status)"
	wait_for 20 eval '[ "$(beats)" -gt '"$n"' ]'
}

# Of the guest's own time only the part after resume counts, however long these commands take.
@test "the clock of a container is right after a pause" {
	bundle
	ctr_up
	rt pause "$ID"
	sleep 6
	local before
	before=$(date +%s)
	rt resume "$ID"
	in_ctr date +%s
	[ "$output" -ge $((before - 2)) ]
	[ "$output" -le $(($(date +%s) + 2)) ]
}

@test "pause and resume in the wrong state are refused" {
	fails 1 "container does not exist" pause "$ID"
	fails 1 "container does not exist" resume "$ID"
	bundle
	ctr_up
	fails 1 "container not paused" resume "$ID"
	rt pause "$ID"
	fails 1 "container not running" pause "$ID"
	fails 1 "cannot start a container in the paused state" start "$ID"
	fails 1 "cannot delete container $ID that is not stopped: paused" delete "$ID"
	is paused "$(ctr_status)"
	rt resume "$ID"
	rt kill "$ID" KILL
	wait_status stopped
	fails 1 "container not running" pause "$ID"
	fails 1 "container not paused" resume "$ID"
}

@test "KILL ends a paused container" {
	bundle
	ctr_up
	rt pause "$ID"
	rt kill "$ID" KILL
	wait_status stopped
}

@test "a signal sent to a paused container arrives after resume" {
	bundle
	sh_args 'trap "echo got" USR1; echo up; while :; do sleep 0.1; done'
	ctr_up
	wait_for 20 grep -q up "$T/out"
	rt pause "$ID"
	rt kill "$ID" USR1
	sleep 0.5
	run grep got "$T/out"
	is 1 "$status"
	rt resume "$ID"
	wait_for 20 grep -q got "$T/out"
}

@test "exec in a paused container is refused; with --ignore-paused it waits for resume" {
	local pid
	bundle
	ctr_up
	rt pause "$ID"
	fails 255 "cannot exec in a paused container" exec "$ID" true
	rt exec --ignore-paused "$ID" echo resumed </dev/null >"$T/out" 2>&1 &
	pid=$!
	OUR_PIDS+=("$pid")
	sleep 0.5
	[ ! -s "$T/out" ]
	kill -0 "$pid"
	rt resume "$ID"
	wait "$pid"
	is resumed "$(cat "$T/out")"
}
