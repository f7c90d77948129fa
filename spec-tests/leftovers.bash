#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The end of a test: stop what it started, delete its containers, and look for anything left behind.
#
# Processes are recognised by RSM_TEST_TAG in the environment they were started with, or by the
# container's id or the test's directory on their command line. A container's process under runc
# has neither, but it has a cgroup named after the container.

# Print what is left of this test; nothing when all is well.
leftovers() {
	local pid path m dir
	# grep itself must not carry the tag, nor name what it looks for on its command line
	for pid in $(printf 'RSM_TEST_TAG=%s\n' "$RSM_TEST_TAG" |
		env -u RSM_TEST_TAG grep -lazsxFf - /proc/[0-9]*/environ | tr -dc '0-9\n'); do
		is_ours "$pid" || echo "process $pid: $(tr '\0' ' ' <"/proc/$pid/cmdline")"
	done 2>/dev/null
	for pid in $(printf '%s\n%s\n' "$ID" "$T/" |
		env -u RSM_TEST_TAG grep -lazsFf - /proc/[0-9]*/cmdline | tr -dc '0-9\n'); do
		is_ours "$pid" || echo "process $pid: $(tr '\0' ' ' <"/proc/$pid/cmdline")"
	done 2>/dev/null
	while read -r _ _ _ _ path _; do
		[[ $path == "$T"/* ]] || continue
		for m in "${OUR_MOUNTS[@]}"; do
			[ "$m" = "$path" ] && continue 2
		done
		echo "mount: $path"
	done </proc/self/mountinfo
	find "$ROOT" -mindepth 1 -maxdepth 1 -printf 'state: %p\n' 2>/dev/null
	find /run /dev/shm /tmp -xdev -maxdepth 3 -name "*$ID*" -not -path "$T/*" \
		-printf 'file: %p\n' 2>/dev/null
	for dir in /sys/fs/cgroup{,/runsm*,/rsm-test} /sys/fs/cgroup/*{,/runsm*,/rsm-test}; do
		compgen -G "$dir/$ID*"
	done | sed 's/^/cgroup: /'
}

# Is pid this test itself (or a subshell of it), or in its background list?
is_ours() {
	local pid=$1 p
	[ "$pid" = $$ ] || [ "$pid" = "$BASHPID" ] && return
	[ -r "/proc/$pid/stat" ] || return 0
	for p in "${OUR_PIDS[@]}"; do
		[ "$p" = "$pid" ] && return
	done
	# a subshell has the command line and environment of the shell it was forked from
	cmp -s "/proc/$pid/cmdline" /proc/$$/cmdline
}

nothing_left() {
	local left end=$((SECONDS + ${1:-5} * SLOW))
	while left=$(leftovers); [ -n "$left" ]; do
		if [ $SECONDS -ge $end ]; then
			printf 'left behind:\n%s\n' "$left" >&2
			return 1
		fi
		sleep 0.1
	done
}

ctr_teardown() {
	local rc=0 pid dir m left
	[ -n "${ROOT:-}" ] || return 0
	for dir in "$ROOT"/*/; do
		[ -d "$dir" ] || continue
		rt delete --force "$(basename "$dir")" </dev/null >/dev/null || rc=1
	done
	for pid in "${OUR_PIDS[@]}"; do
		kill -9 "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null
	done
	OUR_PIDS=()
	nothing_left || rc=1
	left=$(leftovers)
	while read -r pid; do
		kill -9 "$pid"
	done < <(sed -n 's/^process \([0-9]*\):.*/\1/p' <<<"$left")
	for m in "${OUR_MOUNTS[@]}"; do
		umount "$m" || { umount -l "$m"; rc=1; }
	done
	OUR_MOUNTS=()
	if [ -n "$(find "$T" -xdev -type d -name rootfs -prune -o -type s -print 2>/dev/null)" ]; then
		find "$T" -xdev -type s -printf 'socket left behind: %p\n' >&2
		rc=1
	fi
	return $rc
}
