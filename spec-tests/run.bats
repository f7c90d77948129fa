#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# run = create + start + wait + delete.  spec: runtime.md#lifecycle

load helpers

@test "run prints what the program prints, exits with its status and leaves nothing" {
	bundle
	sh_args 'echo out; echo err >&2; exit 42'
	ctr_run 42
	is out "$output"
	is err "$stderr"
	nothing_left
}

@test "the Debian root file system runs" {
	bundle debian
	sh_args '. /etc/os-release; echo $ID $VERSION_CODENAME; /bin/true && cat /proc/1/comm'
	ctr_run 0
	has "debian bookworm" "$output"
	has sh "$output"
}

@test "NOTIFY_SOCKET is not passed on, with a warning" {
	runsm_only
	bundle
	sh_args 'echo "${NOTIFY_SOCKET:-none}"; ls /run/notify 2>&1'
	NOTIFY_SOCKET=$T/notify.sock ctr_run 1
	is none "${lines[0]}"
	matches "NOTIFY_SOCKET.*$T/notify.sock.*Type=exec" "$stderr"
	NOTIFY_SOCKET='' ctr_run 1
	is "" "$stderr"
}

@test "run --detach returns while the container runs and writes the pid file" {
	bundle
	sh_args 'echo up; sleep 1000'
	rt run --detach --pid-file "$T/pid" --bundle "$BUNDLE" "$ID" </dev/null >"$T/out" 2>&1
	is running "$(ctr_status)"
	is "$(ctr_pid)" "$(cat "$T/pid")"
	wait_for 20 grep -q up "$T/out"
	rt kill "$ID" KILL
	wait_status stopped
	# unlike in the foreground, the container stays until it is deleted
	rt delete "$ID"
}

@test "run --keep does not delete the container" {
	bundle
	args true
	ctr_run 0 --keep
	is stopped "$(ctr_status)"
	rt delete "$ID"
}

@test "run forwards the signals that it gets" {
	bundle
	sh_args 'trap "echo got TERM; exit 9" TERM; trap "echo got HUP" HUP
		echo ready; while :; do sleep 1 & wait $!; done'
	"$RUNTIME" --root "$ROOT" run --bundle "$BUNDLE" "$ID" </dev/null >"$T/out" 2>&1 3>&- &
	local pid=$! rc=0
	wait_for 30 grep -q ready "$T/out"
	kill -HUP $pid
	wait_for 20 grep -q "got HUP" "$T/out"
	kill -TERM $pid
	wait $pid || rc=$?
	is 9 $rc
	has "got TERM" "$(cat "$T/out")"
	nothing_left
}

@test "run in the foreground ends when the container is killed by somebody else" {
	bundle
	"$RUNTIME" --root "$ROOT" run --bundle "$BUNDLE" "$ID" </dev/null >"$T/out" 2>&1 3>&- &
	local pid=$! rc=0
	wait_status running
	rt kill "$ID" KILL
	wait $pid || rc=$?
	is 137 $rc
	nothing_left
}

@test "five containers one after the other leave nothing" {
	bundle
	local i
	sh_args 'exit $(($(cat /n) % 3))'
	for i in 1 2 3 4 5; do
		echo $i >"$BUNDLE/rootfs/n"
		ctr_run $((i % 3))
	done
	nothing_left
}
