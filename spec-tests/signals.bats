#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Signals, and what becomes of processes: as with runc, in the container's pid namespace
# (pid_namespaces(7)), and through the processes that stand for them on the host.

load helpers

setup() {
	ctr_setup "$BATS_TEST_TMPDIR"
	bundle
}

got() { grep -qx "got $1" "$T/out"; }

# up_with_probe: init says every signal it gets
up_with_probe() {
	args /bin/probe signals
	ctr_up
	wait_for 20 grep -qx ready "$T/out"
}

# started COMMAND…: in the background, its pid in STARTED, its output in $T/o
started() {
	rm -f "$T/o"
	"$RUNTIME" --root "$ROOT" "$@" </dev/null >"$T/o" 2>"$T/e" 3>&- 4>&- &
	STARTED=$!
}

# ended STATUS [WHAT]: it exits with that
ended() {
	local rc=0
	wait "$STARTED" || rc=$?
	is "$1" $rc "${2-}"
}

# script SIGNAL…: a shell that exits with 41 on any of them, after saying "up"
script() { echo "trap 'exit 41' $*; echo up; while :; do sleep 0.1; done"; }

# in_guest PATTERN: how many processes of the container have it on their command line
in_guest() { rt exec "$ID" ps -o args | grep -cE "$1"; }

@test "every signal arrives by its number" {
	local n
	up_with_probe
	for n in {1..64}; do
		case $n in 9 | 19) continue ;; esac
		rt kill "$ID" $n
		wait_for 20 got $n # one by one: a stop signal that waits and a CONT undo each other
	done
	is 62 "$(grep -c got "$T/out")"
	rt kill "$ID" 0
	status_is running
	fails 1 'unknown signal|invalid argument' kill "$ID" 65
}

@test "every signal arrives by its name" {
	local name
	up_with_probe
	for name in HUP INT QUIT ILL TRAP ABRT BUS FPE USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT \
		TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS; do
		: >"$T/out"
		rt kill "$ID" $name
		wait_for 20 got "$(kill -l $name)"
	done
	: >"$T/out"
	rt kill "$ID" sigUsr1
	wait_for 20 got 10
	: >"$T/out"
	rt kill "$ID" ''
	wait_for 20 got 15
}

@test "real-time signals and second names arrive too" {
	runsm_only # runc knows one name a signal
	local pair
	up_with_probe
	for pair in RTMIN:34 RTMIN+1:35 SIGRTMIN+3:37 RTMIN+30:64 RTMAX:64 RTMAX-1:63 rtmax-14:50 \
		IOT:6 CLD:17 POLL:29 SIGUNUSED:31; do
		: >"$T/out"
		rt kill "$ID" "${pair%:*}"
		wait_for 20 got "${pair#*:}"
	done
	for pair in RTMIN+31 RTMAX-31 RTMIN-1 RTMAX+1 RTMIN+ RT SIGSIGTERM; do
		fails 1 'unknown signal' kill "$ID" $pair
	done
}

@test "STOP stops and CONT continues, KILL ends what is stopped" {
	local before
	sh_args 'while :; do echo beat >>/beats; sleep 0.1; done'
	ctr_up
	wait_for 20 test -s "$BUNDLE/rootfs/beats"
	rt kill "$ID" STOP
	in_ctr sh -c 'until grep -q "^State:.T" /proc/1/status; do sleep 0.1; done'
	before=$(wc -l <"$BUNDLE/rootfs/beats")
	in_ctr sleep 1
	is "$before" "$(wc -l <"$BUNDLE/rootfs/beats")"
	status_is running
	rt kill "$ID" CONT
	wait_for 20 eval '[ $(wc -l <"$BUNDLE/rootfs/beats") -gt '"$before"' ]'
	rt kill "$ID" STOP
	rt kill "$ID" KILL
	wait_status stopped
}

# pid_namespaces(7): from inside only what it has a handler for reaches it
@test "pid 1 is safe from signals from inside, but for those it handles" {
	sh_args 'trap "echo handled; exit 5" USR1; echo up; while :; do sleep 0.1; done'
	started run --bundle "$BUNDLE" "$ID"
	wait_for 20 grep -q up "$T/o"
	rt exec "$ID" kill -KILL 1
	rt exec "$ID" kill -TERM 1
	rt exec "$ID" kill -STOP 1
	status_is running
	in_ctr true
	rt exec "$ID" kill -USR1 1 || : # it may end before the kill has
	ended 5
	has handled "$(cat "$T/o")"
}

@test "stop with a timeout: TERM that is handled ends it, TERM that is not needs KILL" {
	sh_args "$(script TERM)"
	started run --bundle "$BUNDLE" "$ID"
	wait_for 20 grep -q up "$T/o"
	rt kill "$ID" TERM
	ended 41
	sh_args "trap '' TERM; echo up; while :; do sleep 0.1; done"
	started run --bundle "$BUNDLE" "$ID"
	wait_for 20 grep -q up "$T/o"
	rt kill "$ID" TERM
	in_ctr sleep 1
	status_is running
	rt kill "$ID" KILL
	ended 137
}

@test "run and exec pass on the signals that they get" {
	local what sig
	for what in run exec; do
		args /bin/probe signals
		if [ $what = run ]; then
			started run --bundle "$BUNDLE" "$ID"
		else
			started exec "$ID" /bin/probe signals
		fi
		wait_for 20 grep -qx ready "$T/o"
		for sig in HUP INT QUIT USR1 USR2 ALRM TERM CONT TSTP IO PWR URG; do
			kill -$sig $STARTED
			wait_for 20 grep -qx "got $(kill -l $sig)" "$T/o"
		done
		if [ $what = run ]; then
			rt kill "$ID" KILL
			ended 137
			args sleep 1000
			ctr_up
		fi
	done
}

# A resized window is the terminal's, and httpd takes SIGWINCH for "stop".
@test "run without a terminal does not pass on SIGWINCH" {
	sh_args "$(script WINCH)"
	started run --bundle "$BUNDLE" "$ID"
	wait_for 20 grep -q up "$T/o"
	kill -WINCH $STARTED
	in_ctr sleep 1
	status_is running
	rt kill "$ID" WINCH
	ended 41
}

# Whoever knows the pid may signal it without asking the runtime.
@test "a signal to the pid in the state is init's" {
	local sig pid
	up_with_probe
	pid=$(ctr_pid)
	for sig in HUP INT QUIT TERM USR1 USR2 ALRM CONT TSTP URG 40 64; do
		kill -s $sig "$pid"
		[[ $sig == *[0-9] && $sig != USR* ]] || sig=$(kill -l $sig)
		wait_for 20 got $sig
	done
	status_is running
}

@test "exec'ed processes go with init, and their sessions end with 137" {
	sh_args 'trap "exit 0" TERM; echo ready; while :; do sleep 0.1; done'
	ctr_up
	wait_for 20 grep -q ready "$T/out"
	started exec "$ID" sh -c 'echo up; sleep 1001'
	wait_for 20 grep -q up "$T/o"
	rt exec --detach --pid-file "$T/pid" "$ID" sleep 1002 </dev/null >/dev/null 2>&1
	kill -0 "$(cat "$T/pid")"
	rt kill "$ID" TERM
	wait_status stopped
	ended 137
	wait_for 10 eval '! kill -0 "$(cat "$T/pid")" 2>/dev/null ||
		[[ $(ps -o stat= -p "$(cat "$T/pid")") == Z* ]]'
	rt delete "$ID"
	nothing_left
}

@test "exec reports death by signal, its own and from outside" {
	ctr_up
	rtx 143 exec "$ID" sh -c 'kill -TERM $$'
	rtx 137 exec "$ID" sh -c 'kill -KILL $$'
	rtx 139 exec "$ID" /bin/probe segv
	rt exec --detach --pid-file "$T/pid" "$ID" sleep 1002 </dev/null >/dev/null 2>&1
	wait_for 20 eval '[ "$(in_guest "^sleep 1002")" = 1 ]'
	kill -TERM "$(cat "$T/pid")"
	wait_for 20 eval '[ "$(in_guest "^sleep 1002")" = 0 ]'
	status_is running
}

@test "what an exec leaves in the background lives on, and what it writes arrives" {
	ctr_up
	is "early late" "$(rt exec "$ID" sh -c '(sleep 1; echo late) & echo early' </dev/null | xargs)"
	is "early late" "$(rt exec "$ID" sh -c '(sleep 1; echo late >&2) & echo early' 2>&1 </dev/null | xargs)"
	rt exec --detach "$ID" sh -c '(sleep 1; echo late) & echo early' </dev/null >"$T/o" 2>&1
	wait_for 20 grep -q late "$T/o"
	# and is no reason to keep the caller
	if ! is_runsm; then return; fi # runc waits for it
	rt exec "$ID" sh -c 'sleep 1003 & :' </dev/null >"$T/o" 2>&1
	is 1 "$(in_guest '^sleep 1003')"
	status_is running
}

@test "exec'ed processes and the orphans of pid 1 are reaped" {
	local i
	sh_args 'trap : CHLD; while :; do sleep 0.1; wait; done'
	ctr_up
	for i in 1 2 3 4 5; do
		rt exec "$ID" sh -c 'sleep 0.1 & exit 0'
		rt exec "$ID" true
	done
	in_ctr sleep 1
	is 0 "$(rt exec "$ID" ps -o stat,args | grep -c '^Z')"
}

@test "a detached exec that ended leaves no zombie in the container" {
	runsm_only # with runc its parent on the host has to reap it
	ctr_up
	rt exec --detach "$ID" true </dev/null >/dev/null 2>&1
	rt exec --detach "$ID" sh -c 'exit 3' </dev/null >/dev/null 2>&1
	in_ctr sleep 0.5
	is 0 "$(rt exec "$ID" ps -o stat,args | grep -c '^Z')"
}

# docs/limitations.md: with runc the process lives on
@test "kill -9 of a foreground exec ends its process" {
	runsm_only
	ctr_up
	started exec "$ID" sleep 1001
	wait_for 20 eval '[ "$(in_guest "^sleep 1001")" = 1 ]'
	kill -9 $STARTED
	wait_for 20 eval '[ "$(in_guest "^sleep 1001")" = 0 ]'
	status_is running
}

@test "kill --all with a signal that init ignores ends the others" {
	sh_args 'sleep 1001 & echo up; while :; do sleep 0.1; done'
	ctr_up
	wait_for 20 grep -q up "$T/out"
	rt exec --detach "$ID" sleep 1002 </dev/null >/dev/null 2>&1
	wait_for 20 eval '[ "$(in_guest "^sleep 100[12]")" = 2 ]'
	rt kill --all "$ID" TERM
	wait_for 20 eval '[ "$(in_guest "^sleep 100[12]")" = 0 ]'
	status_is running
}
