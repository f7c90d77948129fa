#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# ps, as runc has it

load helpers

@test "ps lists the processes of the container, and no others" {
	bundle
	sh_args 'sleep 1001 & sleep 1002 & echo up; wait'
	ctr_up
	wait_for 20 grep -q up "$T/out"
	rtx 0 ps "$ID"
	matches 'UID +PID +PPID .*CMD' "${lines[0]}"
	is 4 "${#lines[@]}"
	matches 'sleep 1001' "$output"
	matches 'sleep 1002' "$output"
	hasnt 'bats|agent|kthread' "$output"

	rt exec --detach "$ID" sleep 1003 </dev/null >/dev/null 2>&1
	rtx 0 ps "$ID"
	matches 'sleep 1003' "$output"
	fails 1 'invalid format option' ps --format yaml "$ID"
}

@test "ps in JSON lists pids of the host: with runsm the one that stands for the container" {
	bundle
	ctr_up
	rtx 0 ps --format json "$ID"
	is "[$(ctr_pid)]" "$output"
	rt pause "$ID"
	rtx 0 ps -f json "$ID"
	is "[$(ctr_pid)]" "$output"
	rt resume "$ID"
}

@test "ps of a paused container works, of an unknown one does not" {
	fails 1 "container does not exist" ps "$ID"
	bundle
	ctr_up
	rt pause "$ID"
	rtx 0 ps "$ID"
	matches 'sleep 1000' "$output"
	rt resume "$ID"
}
