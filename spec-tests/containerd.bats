#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# bats file_tags=client
# containerd's runc shim, driven by ctr, with the runtime by path.

load helpers
load clients

setup_file() { client_up containerd; }
teardown_file() { client_down; }

BOX=localhost/box:latest

# run_box STATUS [OPTION…] -- ARG…: ctr run --rm
run_box() {
	local want=$1 opts=()
	shift
	while [ "$1" != -- ]; do
		opts+=("$1")
		shift
	done
	shift
	clx "$want" run --rm --runc-binary "$C/bin/runsm" "${opts[@]}" "$BOX" "$ID" "$@"
}

# up [OPTION…] -- ARG…: detached; both streams go to $T/log
up() {
	local opts=()
	while [ "$1" != -- ]; do
		opts+=("$1")
		shift
	done
	shift
	cl run -d --runc-binary "$C/bin/runsm" --log-uri "file://$T/log" "${opts[@]}" "$BOX" "$ID" "$@"
}

task_is() { [ "$(cl task ls | awk -v id="$ID" '$1 == id { print $3 }')" = "$1" ]; }
logs_have() { grep -qxF -e "$1" "$T/log"; }

# Each exec has an id of its own.
in_task() { cl task exec --exec-id "x$((++EXECS))" "$ID" "$@" >/dev/null 2>&1; }

@test "ctr run gives both streams and the exit code" {
	run_box 0 -- sh -c 'echo out; echo err >&2'
	is out "$output"
	is err "$stderr"
	run_box 7 -- sh -c 'exit 7'
	run_box 1 -- /no/such/program
	matches 'stat /no/such/program: no such file or directory' "$stderr"
	is "" "$(cl task ls -q)"
	is "" "$(cl container ls -q)"
}

@test "ctr run with stdin: every byte and its end" {
	head -c 5000000 /dev/urandom >"$T/big"
	is "$(sha256sum <"$T/big")" \
		"$(cl run --rm --runc-binary "$C/bin/runsm" "$BOX" "$ID" cat <"$T/big" | sha256sum)"
}

@test "ctr run -d, task exec, task kill, task delete" {
	up -- sh -c 'echo up; trap "echo got USR1" USR1; trap "exit 3" TERM; while :; do sleep 0.05; done'
	wait_for 20 logs_have up
	task_is RUNNING
	clx 0 task exec --exec-id e1 "$ID" sh -c 'echo out; echo err >&2; id -u'
	is "out
0" "$output"
	is err "$stderr"
	clx 9 task exec --exec-id e2 --user 1000 --cwd /tmp "$ID" sh -c '[ $(id -u) = 1000 ] && exit 9'
	is "to cat" "$(echo "to cat" | cl task exec --exec-id e3 "$ID" cat)"
	cl task exec -d --exec-id e4 "$ID" sh -c 'echo >/done; exec sleep 1000'
	wait_for 20 in_task test -e /done
	cl task kill -s KILL --exec-id e4 "$ID"
	cl task kill -s USR1 "$ID"
	wait_for 20 logs_have "got USR1"
	cl task kill "$ID"
	wait_for 20 task_is STOPPED
	cl task rm "$ID" 2>&1 | grep -q "exit code 3"
	cl container rm "$ID"
}

@test "ctr task exec -t: a terminal, its size, the exit code" {
	up -- sleep 1000
	run on_tty nsenter -t "$CLIENT_NS" -m -n -- "${CLIENT_CMD[@]}" task exec -t --exec-id e1 "$ID" \
		sh -c 'test -t 0 && test -t 2 && echo "all ttys"; exit 6'
	is 6 "$status"
	has "all ttys" "$output"
}

@test "ctr run -t: a terminal and the exit code" {
	run on_tty nsenter -t "$CLIENT_NS" -m -n -- "${CLIENT_CMD[@]}" run --rm -t \
		--runc-binary "$C/bin/runsm" "$BOX" "$ID" sh -c 'test -t 1 && tty; exit 5'
	is 5 "$status"
	matches '/dev/(pts/0|console)' "$output"
}

@test "ctr task pause and resume" {
	up -- sh -c 'while :; do echo beat; sleep 0.05; done'
	wait_for 20 logs_have beat
	cl task pause "$ID"
	task_is PAUSED
	sleep 0.3
	local n
	n=$(wc -l <"$T/log")
	sleep 0.5
	is "$n" "$(wc -l <"$T/log")"
	cl task resume "$ID"
	task_is RUNNING
	wait_for 20 eval '[ "$(wc -l <"$T/log")" -gt '"$n"' ]'
}

@test "ctr task ps lists the container's processes: with runsm the one on the host" {
	up -- sh -c 'sleep 1000 & wait'
	if is_runsm; then
		is "$(cl task ls | awk -v id="$ID" '$1 == id { print $2 }')" \
			"$(cl task ps "$ID" | awk 'NR > 1 { print $1 }')"
	else
		wait_for 20 eval '[ "$(cl task ps '"$ID"' | sed 1d | wc -l)" = 2 ]'
	fi
}

@test "ctr task kill -a ends all; a killed VM is noticed" {
	up -- sh -c 'sleep 1000 & sleep 1000'
	cl task kill -a -s KILL "$ID"
	wait_for 20 task_is STOPPED
	cl task rm "$ID" 2>&1 | grep -q "exit code 137"
	cl container rm "$ID"
	up -- sleep 1000
	kill -9 "$(cl task ls | awk -v id="$ID" '$1 == id { print $2 }')"
	wait_for 20 task_is STOPPED
	cl task rm "$ID" 2>&1 | grep -q "exit code 137"
	cl container rm "$ID"
}

@test "ctr run --env, --cwd, --mount, --read-only, --seccomp, limits" {
	mkdir "$T/d"
	echo in dir >"$T/d/f"
	run_box 1 --env FOO='a b' --cwd /tmp \
		--mount "type=bind,src=$T/d,dst=/d,options=rbind:ro" -- \
		sh -c 'echo "$FOO"; pwd; cat /d/f; touch /d/x'
	is "a b
/tmp
in dir" "$output"
	matches "read-only" "$stderr"
	run_box 1 --read-only -- touch /f
	run_box 0 --seccomp -- grep Seccomp: /proc/self/status
	matches '2$' "$output"
	run_box 0 --memory-limit $((300 << 20)) --cpu-quota 50000 --cpu-period 100000 -- true
}
