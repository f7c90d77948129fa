#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# spec: runtime.md#kill

load helpers

# The container notes each signal that it gets.
trap_args() {
	sh_args 'for s in HUP INT QUIT USR1 USR2 TERM WINCH CONT; do trap "echo got $s" $s; done
		echo ready; while :; do sleep 1 & wait $!; done'
}

got() { grep -qx "got $1" "$T/out"; }

# spec: runtime.md#kill
@test "kill sends the signal by name, with SIG, in lower case, and by number" {
	bundle
	trap_args
	ctr_up
	wait_for 20 grep -qx ready "$T/out"
	rt kill "$ID" USR1
	wait_for 20 got USR1
	rt kill "$ID" SIGUSR2
	wait_for 20 got USR2
	rt kill "$ID" hup
	wait_for 20 got HUP
	rt kill "$ID" 2
	wait_for 20 got INT
	rt kill "$ID"
	wait_for 20 got TERM
	rt kill "$ID" WINCH
	wait_for 20 got WINCH
	is running "$(ctr_status)"
	rt kill "$ID" KILL
	wait_status stopped
}

# spec: runtime.md#kill ("Attempting to send a signal to a container that is neither created nor
# running MUST have no effect on the container and MUST generate an error")
@test "kill of a stopped or unknown container and of a bad signal fails" {
	fails 1 "container does not exist" kill "$ID" TERM
	bundle
	ctr_up
	fails 1 'unknown signal "?BOGUS"?' kill "$ID" BOGUS
	fails 1 'unknown signal|invalid argument' kill "$ID" 1000
	fails 1 'unknown signal' kill "$ID" SIG
	is running "$(ctr_status)"
	rt kill "$ID" 9
	wait_status stopped
	fails 1 "container not running" kill "$ID" KILL
	is stopped "$(ctr_status)"
}

# spec: runtime.md#kill
@test "a created container can be killed" {
	bundle
	ctr_create
	rt kill "$ID" KILL
	wait_status stopped
	fails 1 "cannot start a container that has (stopped|run)" start "$ID"
	rt delete "$ID"
	nothing_left
}

# pid_namespaces(7): a signal that init has no handler for is not delivered, from inside; from the
# parent namespace only KILL and STOP are forced. So it is under runc, and so Docker's users know it.
@test "TERM to a pid 1 without a handler is ignored, KILL is not" {
	bundle
	ctr_up
	rt kill "$ID" TERM
	sleep 0.5
	is running "$(ctr_status)"
	in_ctr true
	rt kill "$ID" KILL
	wait_status stopped
}

@test "kill --all reaches every process of the container" {
	bundle
	sh_args 'trap "echo init got it" USR1
		(trap "echo child got it" USR1; echo up; while :; do sleep 1 & wait $!; done) &
		echo up; while :; do sleep 1 & wait $!; done'
	ctr_up
	wait_for 20 eval '[ "$(grep -c up "$T/out")" = 2 ]'
	rt kill "$ID" USR1
	wait_for 20 grep -q "init got it" "$T/out"
	run grep "child got it" "$T/out"
	is 1 "$status" "kill without --all reached a child"
	rt kill --all "$ID" USR1
	wait_for 20 grep -q "child got it" "$T/out"
	rt kill -a "$ID" KILL
	wait_status stopped
	# and is no error afterwards: containerd sends it after the exit too
	rtx 0 kill --all "$ID" KILL
}

# spec: runtime.md#lifecycle: the end of init is the end of the container
@test "the end of init ends its children" {
	bundle
	sh_args '(while :; do echo beat >>/beats; sleep 0.1; done) & sleep 0.5; exit 3'
	ctr_run 3
	local n
	n=$(wc -l <"$BUNDLE/rootfs/beats")
	sleep 0.5
	is "$n" "$(wc -l <"$BUNDLE/rootfs/beats")"
}

# Stopped by a signal, as any process can be: it is there, signals to it wait, and KILL ends it.
@test "a container that hangs is running; TERM waits, KILL ends it" {
	bundle
	sh_args 'trap "echo got; sleep 1000" TERM; echo ready; while :; do sleep 0.1; done'
	ctr_up
	wait_for 20 grep -qx ready "$T/out"
	local pid
	pid=$(ctr_pid)
	kill -STOP "$pid"
	rtx 0 state "$ID"
	is running "$(jq -r .status <<<"$output")"
	rtx 0 kill "$ID" TERM
	! grep -qx got "$T/out"
	kill -CONT "$pid"
	wait_for 20 grep -qx got "$T/out"
	kill -STOP "$pid"
	rtx 0 kill "$ID" KILL
	wait_status stopped
}
