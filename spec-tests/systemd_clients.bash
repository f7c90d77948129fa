#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A client (clients.bash, loaded before) whose cgroups are systemd's: what it has namespaces for there
# are those of a systemd-box here, with a message bus.

export CLIENT_CGROUPS=systemd

client_ns() {
	need test -x /lib/systemd/systemd -- "needs systemd: apt-get install systemd"
	"$SPEC_DIR/systemd-box" start "$C/box" host
	CLIENT_NS=$(cat "$C/box/pid")
	export CLIENT_NS
	in_ns systemctl start bus.target
}

client_ns_down() { "$SPEC_DIR/systemd-box" stop "$C/box"; }

in_ns() { "$SPEC_DIR/systemd-box" enter "$C/box" "$@" 3>&- 4>&-; }

client_daemon() {
	in_ns sh -c 'echo $$ >"$0"; exec "$@"' "$C/daemon.pid" "$@" </dev/null >"$C/daemon.log" 2>&1 &
	export CLIENT_DAEMON=$!
}

client_daemon_stop() {
	in_ns kill "$(cat "$C/daemon.pid")"
	wait "$CLIENT_DAEMON"
}

# property UNIT NAME
property() { in_ns systemctl show --value -p "$2" "$1"; }

# check_unit SLICE PREFIX: a container is a scope PREFIX-ID.scope in SLICE, as long as it lives
check_unit() {
	local unit
	up --memory 300m --pids-limit 40 --cpu-shares 512 box sleep 1000
	unit=$2-$(cl inspect --format '{{.Id}}' "$ID").scope
	is active "$(property "$unit" ActiveState)"
	is "$1" "$(property "$unit" Slice)"
	matches '^runsm container ' "$(property "$unit" Description)"
	[ "$(property "$unit" TasksMax)" -gt 256 ]
	[ "$(property "$unit" TasksMax)" -lt 512 ]
	has "--systemd-cgroup" "$(grep ' create ' "$C/calls" | tr ' ' '\n')"
	cl stop -t 0 "$ID" >/dev/null
	cl rm "$ID" >/dev/null
	is not-found "$(property "$unit" LoadState)"
	is "" "$(find /sys/fs/cgroup -name "$unit")"
}
