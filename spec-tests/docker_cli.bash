#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What docker and podman have in common, as one function per test: docker.bats and podman.bats call
# them. See clients.bash for `cl` and `clx`; `fg STATUS ARG…` and `up ARG…` here are
# "run --network none", in the foreground with an expected status, and detached as $ID.

# docker's exec has no 127 of its own
NOT_FOUND=127
[ "${CLIENT:-}" != docker ] || NOT_FOUND=126

fg() {
	local want=$1
	shift
	clx "$want" run --rm --network none "$@"
}

up() { cl run -d --name "$ID" --network none "$@" >/dev/null; }

inside() { clx 0 exec "$ID" "$@"; }

inspect() { cl inspect -f "$1" "${2:-$ID}"; }

ctr_is() { [ "$(inspect '{{.State.Status}}' 2>/dev/null)" = "$1" ]; }

logs_have() { cl logs "$ID" 2>&1 | grep -qxF -e "$1"; }

# ---------------------------------------------------------------- run and what comes out of it

check_run() {
	fg 0 box sh -c 'echo out; echo err >&2'
	is out "$output"
	is err "$stderr"
	fg 7 box sh -c 'exit 7'
	is "" "$(cl ps -aq)"
}

check_exit_codes() {
	fg 127 box /no/such/program
	matches 'no such file or directory' "$stderr"
	fg 127 box nosuchprogram
	matches 'executable file not found in' "$stderr"
	fg 126 box /etc/passwd
	matches 'permission denied' "$stderr"
	fg 125 --no-such-option box true
	fg 137 box sh -c "sh -c 'kill -9 \$\$'; exit \$?"
}

check_run_d_logs() {
	up box sh -c 'echo one; echo two >&2; echo three; trap "exit 3" TERM; while :; do sleep 0.1; done'
	wait_for 20 logs_have three
	is "one
three" "$(cl logs "$ID" 2>/dev/null)"
	is two "$(cl logs "$ID" 2>&1 >/dev/null)"
	cl stop -t 10 "$ID" >/dev/null
	is 3 "$(inspect '{{.State.ExitCode}}')"
	is exited "$(inspect '{{.State.Status}}')"
	is "one
three" "$(cl logs "$ID" 2>/dev/null)"
	is two "$(cl logs "$ID" 2>&1 >/dev/null)"
	cl rm "$ID" >/dev/null
	is "" "$(cl ps -aq)"
}

check_exec() {
	up box sleep 1000
	inside sh -c 'echo out; echo err >&2; id -u; pwd; hostname'
	is "out
0
/
$(inspect '{{.Config.Hostname}}')" "$output"
	is err "$stderr"
	clx 9 exec "$ID" sh -c 'exit 9'
	clx "$NOT_FOUND" exec "$ID" nosuchprogram
	matches 'executable file not found in' "$output$stderr"
	clx 126 exec "$ID" /etc/passwd
	clx 0 exec -u 1000:1000 -w /tmp -e FOO='a b' "$ID" sh -c 'id -u; id -g; pwd; echo "$FOO"'
	is "1000
1000
/tmp
a b" "$output"
	is "to cat" "$(echo "to cat" | cl exec -i "$ID" cat)"
	clx 0 exec -d "$ID" sh -c 'sleep 0.1; echo detached >/tmp/d'
	wait_for 20 sh_ctr 'grep -qx detached /tmp/d'
}

sh_ctr() { cl exec "$ID" sh -c "$1"; }

# ---------------------------------------------------------------- the end

check_stop_rm() {
	# SIGTERM means nothing to a PID 1 that does not handle it, and so the timeout ends
	up --stop-timeout 1 box sleep 1000
	cl stop -t 1 "$ID" >/dev/null
	is 137 "$(inspect '{{.State.ExitCode}}')"
	cl start "$ID" >/dev/null
	is running "$(inspect '{{.State.Status}}')"
	run cl rm "$ID"
	[ "$status" != 0 ]
	cl rm -f "$ID" >/dev/null
	is "" "$(cl ps -aq)"
}

check_kill() {
	up --stop-signal USR2 box sh -c 'for s in HUP USR1 INT; do trap "echo got $s" $s; done
		trap "echo stopping; exit 4" USR2; echo ready; while :; do sleep 0.05; done'
	wait_for 20 logs_have ready
	cl kill -s HUP "$ID"
	wait_for 20 logs_have "got HUP"
	cl kill --signal SIGUSR1 "$ID"
	wait_for 20 logs_have "got USR1"
	cl kill -s 2 "$ID"
	wait_for 20 logs_have "got INT"
	cl stop -t 20 "$ID"
	logs_have stopping
	is 4 "$(inspect '{{.State.ExitCode}}')"
	cl start "$ID"
	cl kill "$ID"
	is 137 "$(cl wait "$ID")"
	run cl kill "$ID"
	[ "$status" != 0 ]
}

# With an init in front, SIGTERM ends the program: 128 + 15
check_init() {
	up --init box sh -c '[ $$ != 1 ] && echo "not 1"; sleep 1000 & wait'
	wait_for 20 logs_have "not 1"
	cl stop -t 20 "$ID"
	is 143 "$(inspect '{{.State.ExitCode}}')"
}

check_pause() {
	up box sh -c 'while :; do echo beat; sleep 0.05; done'
	wait_for 20 logs_have beat
	cl pause "$ID"
	is paused "$(inspect '{{.State.Status}}')"
	run cl exec "$ID" true
	[ "$status" != 0 ]
	sleep 0.3
	local n
	n=$(cl logs "$ID" | wc -l)
	sleep 0.5
	is "$n" "$(cl logs "$ID" | wc -l)"
	cl unpause "$ID"
	is running "$(inspect '{{.State.Status}}')"
	wait_for 20 eval '[ "$(cl logs '"$ID"' | wc -l)" -gt '"$n"' ]'
}

check_wait() {
	up box sh -c 'while [ ! -e /tmp/go ]; do sleep 0.05; done; exit 42'
	background cl wait "$ID" >"$T/waited"
	sh_ctr 'touch /tmp/go'
	wait_for 20 test -s "$T/waited"
	is 42 "$(cat "$T/waited")"
	# of a container that is done
	is 42 "$(cl wait "$ID")"
}

# What the client itself gets as a signal, it passes on; and ends as the container does.
check_signal_proxy() {
	background by_hand run --name "$ID" --network none box sh -c 'trap "echo got it; exit 21" INT
		echo ready; while :; do sleep 0.05; done' >"$T/out" 2>&1
	local pid=$! rc=0
	wait_for 20 grep -qx ready "$T/out"
	kill -INT "$(client_pid "$pid")"
	wait "$pid" || rc=$?
	is 21 "$rc"
	grep -qx "got it" "$T/out"
}

# The client without a time limit
by_hand() { in_ns "${CLIENT_CMD[@]}" "$@"; }

# client_pid PID: of the client's command line, which a subshell with PID has as its child
client_pid() {
	while [ "$(readlink "/proc/$1/exe")" = "$(readlink /proc/$$/exe)" ]; do
		set -- "$(pgrep -P "$1" | head -n 1)"
	done
	echo "$1"
}

# The machine itself is killed: the client notices, and cleans up.
check_killed_vm() {
	local pid
	up --stop-timeout 1 box sleep 1000
	pid=$(inspect '{{.State.Pid}}')
	[ "$pid" -gt 1 ]
	kill -9 "$pid"
	is 137 "$(cl wait "$ID")"
	wait_for 20 ctr_is exited
	is 137 "$(inspect '{{.State.ExitCode}}')"
	cl start "$ID"
	is hello "$(cl exec "$ID" echo hello)"
	# hung rather than dead
	pid=$(inspect '{{.State.Pid}}')
	kill -STOP "$pid"
	cl rm -f "$ID"
	is "" "$(cl ps -aq)"
}

check_restart() {
	up --restart on-failure:2 box sh -c 'echo again; exit 5'
	wait_for 40 eval 'ctr_is exited && [ "$(inspect "{{.RestartCount}}")" = 2 ]'
	is 5 "$(inspect '{{.State.ExitCode}}')"
	is 3 "$(cl logs "$ID" | grep -cx again)"
	cl rm "$ID"
	# and by hand
	up box sh -c 'trap "exit 0" TERM; echo up; while :; do sleep 0.05; done'
	wait_for 20 logs_have up
	cl restart -t 10 "$ID"
	wait_for 20 eval '[ "$(cl logs '"$ID"' | grep -cx up)" = 2 ]'
	is running "$(inspect '{{.State.Status}}')"
}

# ---------------------------------------------------------------- streams and terminals

check_attach() {
	up -i box sh -c 'while read l; do echo "got $l"; done; echo end'
	# docker's attach does not end with its stdin
	mkfifo "$T/stdin"
	exec 8<>"$T/stdin"
	background cl attach "$ID" <&8 >"$T/out"
	echo one >&8
	wait_for 20 logs_have "got one"
	wait_for 20 grep -qx "got one" "$T/out"
	exec 8>&-
}

check_big_streams() {
	head -c $((20 << 20)) /dev/urandom >"$T/big"
	is "$(sha256sum <"$T/big")" "$(cl run --rm -i --network none box cat <"$T/big" | sha256sum)"
	is "$(sha256sum <"$T/big")" \
		"$(cl run --rm -i --network none box sha256sum <"$T/big")"
	# what ends at once loses nothing
	is "$(seq 10000 | md5sum)" "$(cl run --rm --network none box seq 10000 | md5sum)"
	is end "$(cl run --rm -i --network none box sh -c 'cat; echo end' </dev/null)"
}

# terminal ARG…: the client on a terminal of console.py: say() types, $T/tty has what it shows
terminal() {
	rm -f "$T/ctl"
	mkfifo "$T/ctl"
	exec 8<>"$T/ctl"
	: >"$T/tty"
	background python3 "$SPEC_DIR/console.py" --spawn "$T/tty" -- \
		nsenter -t "$CLIENT_NS" -m -n -- "${CLIENT_CMD[@]}" "$@" <&8
	TERMINAL=$!
}

say() { echo "$*" >&8; }
shows() { tr -d '\r' <"$T/tty" | grep -qE -e "$1"; }
wait_shows() { wait_for 20 shows "$1" || { cat -v "$T/tty" >&2; return 1; }; }

terminal_ends() {
	local rc=0
	wait "$TERMINAL" || rc=$?
	is "$1" "$rc"
}

check_tty() {
	terminal run -it --name "$ID" --network none box sh
	wait_shows '/ #'
	say size 41 111
	say type 'tty; until stty size | grep "41 111"; do sleep 0.1; done' # it has a long way to go
	wait_shows '^/dev/(pts/0|console)'
	wait_shows '^41 111$'
	# ^C goes to the program in front, not to the shell
	say type 'sleep 1000; echo "slept $?"'
	wait_shows 'sleep 1000'
	wait_for 20 sh_ctr 'ps -o comm | grep -qx sleep'
	say hex 03
	say type 'echo "after $((20 + 3))"'
	wait_shows '^after 23$'
	# detach, attach again
	say hex 10
	sleep 0.3 # the client looks for one key per read
	say hex 11
	terminal_ends 0
	ctr_is running
	terminal attach "$ID"
	sleep 0.5
	say type 'echo "again $((30 + 3))"'
	wait_shows '^again 33$'
	say type 'exit 6'
	wait "$TERMINAL" || : # podman's attach ends with 0 whatever the container does
	wait_for 20 ctr_is exited
	is 6 "$(inspect '{{.State.ExitCode}}')"
}

check_exec_tty() {
	up box sleep 1000
	terminal exec -it "$ID" sh -c 'test -t 0 && test -t 2 && echo "all ttys"; tty; stty size
		read l; echo "read <$l>"; exit 5'
	wait_shows '^all ttys'
	say type hello
	wait_shows 'read <hello>'
	terminal_ends 5
	terminal exec -it "$ID" sh
	wait_shows '/ #'
	say size 37 101
	sleep 0.3
	say type 'stty size'
	wait_shows '^37 101$'
	say hex 04
	terminal_ends 0
	is running "$(inspect '{{.State.Status}}')"
}

# ---------------------------------------------------------------- the container's files

check_cp() {
	mkdir "$T/dir"
	echo from host >"$T/dir/f"
	up box sh -c 'echo from guest >/tmp/g; mkdir /tmp/out; echo deep >/tmp/out/deep; echo ready
		while :; do sleep 0.1; done'
	wait_for 20 logs_have ready
	# what the guest wrote a moment ago
	cl cp "$ID:/tmp/g" "$T/g"
	is "from guest" "$(cat "$T/g")"
	cl cp "$ID:/tmp/out" "$T/"
	is deep "$(cat "$T/out/deep")"
	cl exec "$ID" sh -c 'echo more >>/tmp/g'
	cl cp "$ID:/tmp/g" "$T/g2"
	is "from guest
more" "$(cat "$T/g2")"
	# in, also where the guest has just looked in vain
	run cl exec "$ID" cat /tmp/dir/f
	[ "$status" != 0 ]
	cl cp "$T/dir" "$ID:/tmp/dir"
	wait_for 10 sh_ctr 'grep -qx "from host" /tmp/dir/f 2>/dev/null'
	echo changed it >"$T/dir/f"
	cl cp "$T/dir/f" "$ID:/tmp/dir/f"
	wait_for 10 sh_ctr 'grep -qx "changed it" /tmp/dir/f'
	cl kill "$ID"
	cl wait "$ID" >/dev/null
	cl cp "$ID:/tmp/g" "$T/g3"
	cmp "$T/g2" "$T/g3"
	cl cp "$T/dir/f" "$ID:/etc/f"
	cl start "$ID"
	is "changed it" "$(cl exec "$ID" cat /etc/f)"
}

check_diff_commit() {
	up box sh -c 'echo new >/new; rm /etc/group; echo ready; while :; do sleep 0.1; done'
	wait_for 20 logs_have ready
	has "A /new" "$(cl diff "$ID")"
	has "D /etc/group" "$(cl diff "$ID")"
	cl commit "$ID" box2 >/dev/null
	is new "$(cl run --rm --network none box2 cat /new)"
	cl rmi box2 >/dev/null
}

# ---------------------------------------------------------------- watching

# The client reads the host's cgroup of the container's pid: all of the VM is in there.
check_stats() {
	up box sleep 1000
	clx 0 stats --no-stream --format '{{.MemUsage}} {{.PIDs}}' "$ID"
	matches '^[1-9][0-9.]*[kMG]i?B / .* [1-9][0-9]*$' "$output"
}

# A container that asks for a network is told, not given a dead one.
check_no_nic() {
	runsm_only
	clx "$1" run --rm box true
	matches "network interface 'eth0': a VM cannot be given network interfaces yet" "$stderr"
	clx "$1" run --rm --network host box true
	# docker joins the host's by path
	matches "network interface|host's network namespace cannot be shared with a VM" "$stderr"
}
