#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What docker and podman have in common, as one function per test: docker.bats and podman.bats call
# them. See clients.bash for `cl` and `clx`; `fg STATUS ARG…` and `up ARG…` here are
# "run --network none", in the foreground with an expected status, and detached as $ID.

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
	clx 127 exec "$ID" nosuchprogram
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
