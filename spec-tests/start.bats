#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# spec: runtime.md#start

load helpers

# spec: runtime.md#start
@test "start runs the program of a created container, once" {
	bundle
	sh_args 'echo run >>/runs; echo ran; sleep 1000'
	ctr_create
	rtx 0 start "$ID"
	is "" "$output"
	is running "$(ctr_status)"
	wait_for 20 grep -q ran "$T/out"

	# spec: runtime.md#start ("MUST generate an error … MUST have no effect on the container")
	fails 1 "cannot start an already running container" start "$ID"
	is running "$(ctr_status)"
	is run "$(cat "$BUNDLE/rootfs/runs")"

	rt kill "$ID" KILL
	wait_status stopped
	fails 1 "cannot start a container that has (stopped|run)" start "$ID"
	is stopped "$(ctr_status)"
}

# spec: runtime.md#start
# bats test_tags=once
@test "start of an unknown container fails" {
	fails 1 "container does not exist" start "$ID"
}

# spec: runtime.md#start
@test "start returns while the program runs, and a program may end at once" {
	bundle
	args true
	ctr_create
	rt start "$ID"
	wait_status stopped
	rt delete "$ID"
	args sleep 1000
	ctr_up
	is running "$(ctr_status)"
}
