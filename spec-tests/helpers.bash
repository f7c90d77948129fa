#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What every spec-test stands on. A file loads it and needs no setup() or teardown() of its own.
#
# Each test has one directory $T, which holds its bundle ($BUNDLE), the runtime's --root ($ROOT) and
# whatever else it writes. Containers are named $ID or $ID plus a suffix, unique on the machine. At
# the end everything is deleted and then searched for: a process, mount, socket, cgroup or state
# directory that is left behind fails the test, whatever the test itself said.
#
# The runtime is taken from RUNSM_RUNTIME (default: the runsm of the build tree), so that every
# test of behaviour that runsm promises to share with runc can be held against runc:
#	RUNSM_RUNTIME=runc bats spec-tests
# Tests of what only runsm does call runsm_only. Tags (once, tcg, kvm, client, smp) say what is run on
# which machine: spec-tests/on-kvm.
#
#	RUNSM_BUILD		build tree (default: build/ beside this directory)
#	RUNSM_TEST_CACHE	root file systems and the guest image, made once
#	RUNSM_TEST_ACCEL	machine to test: tcg (default) or kvm
#	RUNSM_TEST_SLOW		factor on every time limit, for slow machines (default: 1)
#	RUNSM_TEST_STRICT=1	a missing prerequisite is a failure, not a skip

bats_require_minimum_version 1.7.0

SPEC_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
RUNSM_BUILD=${RUNSM_BUILD:-$(cd "$SPEC_DIR/.." && pwd)/build}
RUNTIME=${RUNSM_RUNTIME:-$RUNSM_BUILD/runsm}
CACHE=${RUNSM_TEST_CACHE:-${XDG_CACHE_HOME:-/var/cache}/runsm-test}
SLOW=${RUNSM_TEST_SLOW:-1}
export BATS_TEST_TIMEOUT=${RUNSM_TEST_TIMEOUT:-$((240 * SLOW))}
export RUNSM_ACCEL=${RUNSM_TEST_ACCEL:-tcg}
[ "$SLOW" = 1 ] || export RUNSM_BOOT_TIMEOUT=$((60 * SLOW))

# shellcheck source=spec-tests/rootfs.bash
source "$SPEC_DIR/rootfs.bash"
# shellcheck source=spec-tests/leftovers.bash
source "$SPEC_DIR/leftovers.bash"

# ---------------------------------------------------------------- what can run here

is_runsm() { [[ ${RUNTIME##*/} == runsm ]]; }

runsm_only() { is_runsm || skip "runsm only"; }

# need CONDITION-COMMAND… -- REASON: skip when it fails; in strict mode fail
need() {
	local cmd=()
	while [ "$1" != -- ]; do
		cmd+=("$1")
		shift
	done
	"${cmd[@]}" >/dev/null 2>&1 && return
	[ "${RUNSM_TEST_STRICT:-0}" = 1 ] || skip "$2"
	echo "missing: $2" >&2
	return 1
}

is_root() { [ "$(id -u)" = 0 ]; }

# ---------------------------------------------------------------- set-up of a test or a file

# ctr_setup DIR: everything below goes to DIR
ctr_setup() {
	need is_root -- "needs root"
	command -v "$RUNTIME" >/dev/null || { echo "no runtime at $RUNTIME: build first" >&2; return 1; }
	T=$1
	ROOT=$T/root
	BUNDLE=$T/bundle
	ID=rsmt-$$-${BATS_TEST_NUMBER:-f}
	OUR_MOUNTS=()
	OUR_PIDS=()
	export RSM_TEST_TAG=$ID
	mkdir -p "$ROOT"
	if is_runsm; then
		guest_image
	fi
}

setup() { ctr_setup "$BATS_TEST_TMPDIR"; }

teardown() { ctr_teardown; }

# ---------------------------------------------------------------- bundles

# bundle [busybox|debian|tools] [copy]: make $BUNDLE with its own writable root file system.
# busybox is always a copy; the Debian ones are an overlay over the cached tree, unless "copy".
bundle() {
	local kind=${1:-busybox}
	rm -rf "$BUNDLE"
	mkdir -p "$BUNDLE"
	rootfs_into "$kind" "$BUNDLE/rootfs" "${2:-}"
	[ -e "$BATS_RUN_TMPDIR/config.json" ] || first_config
	cp "$BATS_RUN_TMPDIR/config.json" "$BUNDLE"
}

# What every bundle begins with: made once in a run, as that takes some processes
first_config() {
	(cd "$BUNDLE" && "$RUNTIME" spec)
	cfg '.process.terminal = false | .root.readonly = false'
	args sleep 1000
	mv "$BUNDLE/config.json" "$BATS_RUN_TMPDIR/config.json"
}

# cfg FILTER [JQ-OPTION…]: edit config.json
cfg() {
	local filter=$1
	shift
	jq "$@" "$filter" "$BUNDLE/config.json" >"$BUNDLE/config.json.new"
	mv "$BUNDLE/config.json.new" "$BUNDLE/config.json"
}

# args ARG…: what the container runs
args() {
	jq '.process.args = $ARGS.positional' "$BUNDLE/config.json" --args -- "$@" \
		>"$BUNDLE/config.json.new"
	mv "$BUNDLE/config.json.new" "$BUNDLE/config.json"
}

# sh_args SCRIPT: likewise, a shell script
sh_args() { args /bin/sh -c "$1"; }

# ---------------------------------------------------------------- calling the runtime

# rt ARG…: the runtime, against a time limit, without the fds of bats
rt() {
	timeout --foreground -k 5 $((${RT_TIMEOUT:-60} * SLOW)) "$RUNTIME" --root "$ROOT" "$@" 3>&- 4>&-
}

# rtx STATUS ARG…: rt with stdin empty must exit with STATUS; sets $output and $stderr
rtx() {
	local want=$1
	shift
	run --separate-stderr "-$want" rt "$@" </dev/null || :
	[ "$status" = "$want" ] && return
	echo "$RUNTIME $*: exit status $status, expected $want" >&2
	printf 'stdout: %s\nstderr: %s\n' "$output" "$stderr" >&2
	return 1
}

# ctr_run STATUS [OPTION…]: run the bundle as $ID in the foreground
ctr_run() {
	local want=$1
	shift
	rtx "$want" run --bundle "$BUNDLE" "$@" "$ID"
}

# ctr_create [OPTION…]: create $ID; its output goes to $T/out and $T/err, its input is $STDIN
ctr_create() {
	rt create --bundle "$BUNDLE" "$@" "$ID" <"${STDIN:-/dev/null}" >"$T/out" 2>"$T/err" || {
		local rc=$?
		cat "$T/err" >&2
		return $rc
	}
}

# ctr_up [OPTION…]: create and start $ID
ctr_up() {
	ctr_create "$@"
	rt start "$ID"
}

# in_ctr ARG…: exec in $ID, must succeed; sets $output and $stderr
in_ctr() { rtx 0 exec "$ID" "$@"; }

ctr_status() { rt state "${1:-$ID}" | jq -r .status; }
ctr_pid() { rt state "${1:-$ID}" | jq -r .pid; }

status_is() { [ "$(ctr_status "${2:-$ID}" 2>/dev/null)" = "$1" ]; }

# wait_for SECONDS COMMAND…: until it succeeds; so many seconds on an ordinary machine
wait_for() {
	local end=$((SECONDS + $1 * SLOW))
	shift
	until "$@"; do
		if [ $SECONDS -ge $end ]; then
			echo "gave up waiting for: $*" >&2
			return 1
		fi
		sleep 0.05
	done
}

wait_status() { wait_for "${3:-20}" status_is "$1" "${2:-$ID}"; }

# fails STATUS REGEX ARG…: the runtime refuses, with STATUS (A/B: A by runsm, B by runc), one line
# of stderr that matches REGEX, and the same as the last record of a JSON log.
fails() {
	local want=$1 re=$2 log=$T/log.json msg
	shift 2
	if is_runsm; then want=${want%/*}; else want=${want#*/}; fi
	rm -f "$log"
	rtx "$want" --log "$log" --log-format json "$@"
	jq -es . "$log" >/dev/null || { echo "not JSON lines: $(cat "$log")" >&2; return 1; }
	is error "$(tail -n 1 "$log" | jq -r .level)" "level of the last log record"
	msg=$(tail -n 1 "$log" | jq -r .msg)
	matches "$re" "$msg"
	matches "$re" "$(tail -n 1 <<<"$stderr")"
}

# ---------------------------------------------------------------- asserts

# is EXPECTED ACTUAL [WHAT]
is() {
	[ "$1" = "$2" ] && return
	printf '%s\nexpected: %s\n     got: %s\n' "${3:-}" "$1" "$2" >&2
	return 1
}

# matches REGEX TEXT, in any case
matches() {
	local rc=0
	shopt -s nocasematch
	[[ $2 =~ $1 ]] || rc=1
	shopt -u nocasematch
	[ $rc = 0 ] && return
	printf 'expected to match: %s\n              got: %s\n' "$1" "$2" >&2
	return 1
}

# has LINE TEXT: TEXT contains that line
has() {
	grep -qxF -e "$1" <<<"$2" && return
	printf 'expected a line: %s\n            got: %s\n' "$1" "$2" >&2
	return 1
}

# hasnt REGEX TEXT: no line of TEXT matches
hasnt() {
	! grep -qE -e "$1" <<<"$2" && return
	printf 'expected no line: %s\n             got: %s\n' "$1" "$2" >&2
	return 1
}

# background COMMAND…: started now with the caller's stdin, killed at the end of the test; pid in $!
background() {
	"$@" <&0 3>&- &
	OUR_PIDS+=($!)
}
