#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The FUSE server on /dev/fuse: runsm-fuse, and the differential test. Needs root.


bats_require_minimum_version 1.5.0
FUSE=$RUNSM_BUILD/runsm-fuse

need() { # what, why
	eval "$1" && return
	[ "${RUNSM_TEST_STRICT:-0}" != 1 ] || { echo "strict: $2"; return 1; }
	skip "$2"
}

setup() {
	need '[ "$(id -u)" = 0 ]' "mounting needs root"
	need '[ -c /dev/fuse ]' "there is no /dev/fuse"
	T=$(mktemp -d)
	mkdir "$T/mnt" "$T/src" "$T/ref"
}

teardown() {
	[ -n "${T:-}" ] || return 0
	umount "$T/mnt" 2>/dev/null || true
	[ -z "${PID:-}" ] || ended "$PID"
	rm -rf "$T"
}

# Mount src on mnt; PID is the server's.
serve() {
	"$FUSE" "$T/mnt" --source "$T/src" "$@" 3>&-
	PID=$(pgrep -f "^$FUSE $T/mnt " | head -1)
	[ -n "$PID" ]
}

ended() { # pid
	for _ in $(seq 600); do
		kill -0 "$1" 2>/dev/null || return 0
		sleep 0.05
	done
	return 1
}

differential() { # seed, options…
	local seed=$1
	shift
	need 'command -v python3 >/dev/null' "there is no python3"
	serve "$@"
	# as the reference is mounted
	mount -i -o remount,dev,suid "$T/mnt"
	python3 "$BATS_TEST_DIRNAME/fuse/differential.py" "$seed" 4000 "$T/mnt" "$T/ref"
	umount "$T/mnt"
	ended "$PID"
	# what was behind it is the same tree
	python3 "$BATS_TEST_DIRNAME/fuse/differential.py" --compare "$T/src" "$T/ref"
}

@test "random operations leave the same tree as without it, cache auto" {
	differential 11
	rm -rf "$T/src" "$T/ref"
	mkdir "$T/src" "$T/ref"
	differential 12 --threads 4
}

@test "random operations leave the same tree as without it, cache never" {
	differential 13 --cache never
}

@test "random operations leave the same tree as without it, cache always" {
	differential 14 --cache always
	rm -rf "$T/src" "$T/ref"
	mkdir "$T/src" "$T/ref"
	differential 15 --cache always --threads 4
}

@test "SIGTERM unmounts and ends the server" {
	serve
	echo text >"$T/mnt/file"
	kill "$PID"
	ended "$PID"
	! mountpoint -q "$T/mnt"
	[ "$(cat "$T/src/file")" = text ]
}

@test "umount ends the server" {
	serve
	umount "$T/mnt"
	ended "$PID"
}

@test "readonly refuses changes and shows the rest" {
	echo text >"$T/src/file"
	serve --readonly
	# the server itself, not only the mount
	mount -i -o remount,rw "$T/mnt"
	run ! sh -c "echo more >>'$T/mnt/file'"
	run ! touch "$T/mnt/new"
	run ! rm "$T/mnt/file"
	run ! chmod 600 "$T/mnt/file"
	[ "$(cat "$T/mnt/file")" = text ]
}

@test "trace has a line for each request" {
	serve --trace "$T/trace"
	ls "$T/mnt" >/dev/null
	run ! cat "$T/mnt/nothing-of-that-name"
	grep -q "INIT(26)" "$T/trace"
	grep -q 'LOOKUP(1) node=1 .*"nothing-of-that-name" = -2$' "$T/trace"
}

@test "a device in the tree is not opened by the server" {
	mknod "$T/src/null" c 1 3 || skip "no CAP_MKNOD"
	serve --trace "$T/trace"
	stat "$T/mnt/null" >/dev/null
	run ! cat "$T/mnt/null"
	! grep -q " OPEN(14)" "$T/trace"
}

@test "a lock on one open file holds another's back until it is given back" {
	serve
	exec 8>"$T/mnt/lock"
	flock 8
	run ! flock -n "$T/mnt/lock" true
	flock "$T/mnt/lock" touch "$T/got" 8>&- &
	waiter=$!
	sleep 0.3
	[ ! -e "$T/got" ]
	exec 8>&-
	wait "$waiter"
	[ -e "$T/got" ]
}

@test "a signal ends waiting for a lock" {
	serve
	exec 8>"$T/mnt/lock"
	flock 8
	run -124 timeout 1 flock "$T/mnt/lock" true 8>&-
	exec 8>&-
	flock -n "$T/mnt/lock" true
}

@test "what it cannot do it says in one line" {
	run -1 "$FUSE"
	[ "${#lines[@]}" = 1 ]
	run -1 "$FUSE" "$T/mnt"
	[ "${#lines[@]}" = 1 ]
	run -1 "$FUSE" "$T/mnt" --source "$T/none" --foreground
	[[ $output == *"open '$T/none': No such file or directory" ]]
	run -1 "$FUSE" "$T/none" --source "$T/src" --foreground
	[[ $output == *"mount on '$T/none': No such file or directory" ]]
	run -1 "$FUSE" "$T/mnt" --source "$T/src" --cache sometimes
	[[ $output == *"--cache sometimes: not never, auto, mostly or always" ]]
	run -1 "$FUSE" "$T/mnt" --source "$T/src" --threads 0
	[[ $output == *"--threads 0: not 1 to 64" ]]
	run -0 "$FUSE" --help
}
