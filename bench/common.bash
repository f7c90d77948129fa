# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the benchmarks share. Peers are run in turns within one run, because absolute times mean
# nothing on a shared machine; what is reported is a ratio, and its spread over the turns.
set -euo pipefail

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck disable=SC2034 # rootfs.bash's
SPEC_DIR=$TOP/spec-tests
RUNSM_BUILD=${RUNSM_BUILD:-$TOP/build}
RUNTIME=$RUNSM_BUILD/runsm
CACHE=${RUNSM_TEST_CACHE:-${XDG_CACHE_HOME:-/var/cache}/runsm-test}
ROUNDS=${ROUNDS:-15}
export RUNSM_ACCEL=${RUNSM_ACCEL:-tcg}

# shellcheck source=spec-tests/rootfs.bash
source "$SPEC_DIR/rootfs.bash"

die() {
	echo "${0##*/}: $*" >&2
	exit 1
}

# bench_setup: $W to work in, the guest image, a bundle at $W/bundle with a Debian root file system
bench_setup() {
	[ "$(id -u)" = 0 ] || die "needs root"
	W=$(mktemp -d)
	OUR_MOUNTS=()
	trap bench_cleanup EXIT
	guest_image
	mkdir "$W/bundle" "$W/root"
	rootfs_into debian "$W/bundle/rootfs"
	"$RUNTIME" spec --bundle "$W/bundle"
	bundle_runs /bin/true
}

bench_cleanup() {
	local id m
	for id in $("$RUNTIME" --root "$W/root" list -q); do
		"$RUNTIME" --root "$W/root" delete --force "$id"
	done
	for m in "${OUR_MOUNTS[@]}"; do
		umount "$m"
	done
	rm -rf "$W"
}

# bundle_runs ARG…
bundle_runs() {
	jq '.process.terminal = false | .root.readonly = false | .process.args = $ARGS.positional' \
		"$W/bundle/config.json" --args -- "$@" >"$W/config.json"
	mv "$W/config.json" "$W/bundle/config.json"
}

# timed COMMAND…: milliseconds it took, which must succeed
timed() {
	local start=$EPOCHREALTIME end
	"$@" </dev/null >"$W/timed.log" 2>&1 || {
		cat "$W/timed.log" >&2
		die "failed: $*"
	}
	end=$EPOCHREALTIME
	awk -v a="$start" -v b="$end" 'BEGIN { printf "%.1f\n", (b - a) * 1000 }'
}

# quartiles: of the numbers on stdin: first quartile, median, third quartile
quartiles() {
	sort -n | awk '{ v[NR] = $1 }
		function at(p,  x, i) { x = 1 + p * (NR - 1); i = int(x)
			return v[i] + (x - i) * ((i < NR ? v[i + 1] : v[i]) - v[i]) }
		END { print at(.25), at(.5), at(.75) }'
}

# row NAME VALUE SPREAD TARGET REMARK
row() { printf '%-46s %10s  %-17s %-9s %s\n' "$@"; }
