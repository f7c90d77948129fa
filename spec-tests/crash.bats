#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Kill any process at any moment: state tells the truth, delete cleans up, nothing is leaked.

load helpers

setup() {
	ctr_setup "$BATS_TEST_TMPDIR"
	runsm_only
	bundle
}

vmm() { ctr_pid; }
# on the tcg machine
qemu() { pgrep -P "$(vmm)" -f qemu; }
gone() { ! kill -0 "$1" 2>/dev/null || [[ $(ps -o stat= -p "$1") == Z* ]]; }

@test "kill -9 of runsm-vmm: stopped, its children gone, delete cleans up" {
	ctr_up
	local child children
	children=$(pgrep -P "$(vmm)" || :)
	[ "$RUNSM_ACCEL" != tcg ] || matches '^[0-9]+$' "$children"
	kill -9 "$(vmm)"
	wait_status stopped
	is 0 "$(ctr_pid)"
	for child in $children; do
		wait_for 10 gone "$child"
	done
	fails 255 "cannot exec in a stopped container" exec "$ID" true
	fails 1 "container not running" kill "$ID" TERM
	rtx 0 list
	rtx 0 ps "$ID"
	rtx 0 delete "$ID"
	nothing_left
}

state_has_pid() { [ "$(jq -r '.pid // 0' "$ROOT/$ID/state.json" 2>/dev/null || echo 0)" -gt 0 ]; }

@test "SIGTERM of runsm-vmm as early as can be: no container, and create says why" {
	local n rc
	for n in 1 2 3; do
		rc=0
		"$RUNTIME" --root "$ROOT" create --bundle "$BUNDLE" "$ID" </dev/null >"$T/out" 2>"$T/err" 3>&- &
		wait_for 20 state_has_pid
		kill -TERM "$(jq .pid "$ROOT/$ID/state.json")"
		wait $! || rc=$?
		[ $rc != 0 ]
		matches 'killed by signal 15 while the container was being created' "$(cat "$T/err")"
		nothing_left
	done
}

# bats test_tags=tcg
@test "kill -9 of QEMU: stopped, runsm-vmm gone, delete cleans up" {
	ctr_up
	local v
	v=$(vmm)
	kill -9 "$(qemu)"
	wait_status stopped
	wait_for 10 gone "$v"
	rtx 0 delete "$ID"
	nothing_left
}

@test "kill -9 of runsm-vmm, or of QEMU, under run, exec and in a created container" {
	local pid rc what parts=vmm
	[ "$RUNSM_ACCEL" != tcg ] || parts="vmm qemu"
	for what in $parts; do
		"$RUNTIME" --root "$ROOT" run --bundle "$BUNDLE" "$ID" </dev/null >"$T/out" 2>"$T/err" 3>&- &
		pid=$! rc=0
		wait_status running
		"$RUNTIME" --root "$ROOT" exec "$ID" sleep 1000 </dev/null >/dev/null 2>&1 3>&- &
		local epid=$! erc=0
		wait_for 20 eval 'rt ps "$ID" | grep -c "sleep 1000" | grep -q 2'
		kill -9 "$($what)"
		wait $pid || rc=$?
		[ $rc != 0 ]
		wait $epid || erc=$?
		[ $erc != 0 ]
		nothing_left
	done
	ctr_create
	kill -9 "$(${parts##* })"
	wait_status stopped
	rt delete "$ID"
	ctr_up
	rt pause "$ID"
	kill -9 "$(vmm)"
	wait_status stopped
	rt delete "$ID"
	nothing_left
}

# interrupt DELAY VERB…: kill the command that long after its start
interrupt() {
	local delay=$1 pid
	shift
	"$RUNTIME" --root "$ROOT" "$@" </dev/null >/dev/null 2>&1 3>&- &
	pid=$!
	sleep "$delay"
	kill -9 $pid 2>/dev/null || :
	wait $pid 2>/dev/null || :
}

@test "kill -9 of runsm create, at nine moments" {
	local delay
	for delay in 0.005 0.02 0.05 0.1 0.3 0.6 1 1.6 2.5; do
		interrupt $delay create --bundle "$BUNDLE" "$ID"
		if status=$(ctr_status 2>/dev/null) && [ -n "$status" ]; then
			matches '^(creating|created|stopped)$' "$status"
		fi
		rt delete --force "$ID"
		nothing_left 8
	done
	# the id is free again
	sh_args 'echo fine'
	ctr_run 0
	is fine "$output"
}

@test "kill -9 of runsm run: the container can be deleted" {
	local delay
	for delay in 0.02 0.2 0.8 1.5 3; do
		interrupt $delay run --bundle "$BUNDLE" "$ID"
		rt delete --force "$ID"
		nothing_left 8
	done
}

@test "kill -9 of start, kill, pause, resume, exec, state, ps: the container goes on or can be deleted" {
	sh_args 'sleep 1001; :'
	ctr_create
	local delay verb
	for delay in 0.003 0.01; do
		interrupt $delay start "$ID"
		matches '^(created|running)$' "$(ctr_status)"
	done
	status_is running || rt start "$ID"
	for delay in 0.003 0.01 0.03; do
		for verb in pause resume state ps; do
			interrupt $delay $verb "$ID"
		done
		interrupt $delay kill "$ID" WINCH
		interrupt $delay exec "$ID" sleep 1000
		matches '^(running|paused)$' "$(ctr_status)"
	done
	rt resume "$ID" 2>/dev/null || :
	is running "$(ctr_status)"
	in_ctr echo alive
	is alive "$output"
	# the processes of the dead execs are gone
	wait_for 10 eval '! rt ps "$ID" | grep -q "sleep 1000"'
	rt kill "$ID" KILL
	wait_status stopped
	rt delete "$ID"
	nothing_left
}

@test "kill -9 of delete: delete again cleans up" {
	local delay
	for delay in 0.002 0.01 0.03; do
		ctr_up
		interrupt $delay delete --force "$ID"
		rtx 0 delete --force "$ID"
		nothing_left 8
	done
}

@test "two deletes, two starts, two creates at once: one wins, none hangs" {
	rt create --bundle "$BUNDLE" "$ID" </dev/null >/dev/null 2>&1 &
	local a=$! won=0
	rt create --bundle "$BUNDLE" "$ID" </dev/null >/dev/null 2>&1 &
	local b=$!
	if wait $a; then won=$((won + 1)); fi
	if wait $b; then won=$((won + 1)); fi
	is 1 $won creates
	is created "$(ctr_status)"
	rt start "$ID" </dev/null 2>/dev/null & a=$!
	rt start "$ID" </dev/null 2>/dev/null & b=$!
	won=0
	if wait $a; then won=$((won + 1)); fi
	if wait $b; then won=$((won + 1)); fi
	is 1 $won starts
	is running "$(ctr_status)"
	rt delete --force "$ID" </dev/null & a=$!
	rt delete --force "$ID" </dev/null & b=$!
	wait $a
	wait $b
	nothing_left
}
