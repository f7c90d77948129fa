#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# runsm-vmm and QEMU have given up what they do not need: docs/security.md, "The jail".

load helpers

setup() {
	ctr_setup "$BATS_TEST_TMPDIR"
	runsm_only
	bundle
}

vmm() { ctr_pid; }
qemu() { pgrep -P "$(vmm)" -f qemu; }

# status PID FIELD: of /proc/PID/status
status() { awk -v f="$2:" '$1 == f { print $2 }' "/proc/$1/status"; }


@test "runsm-vmm keeps the capabilities of the file server, and no way to get others" {
	ctr_up
	local pid cap
	pid=$(vmm)
	for cap in CapPrm CapEff; do
		is "$(printf %016x $((1 << 0 | 1 << 1 | 1 << 3 | 1 << 4 | 1 << 27 | 1 << 31)))" \
			"$(status "$pid" $cap)" $cap
	done
	for cap in CapInh CapBnd CapAmb; do
		is 0000000000000000 "$(status "$pid" $cap)" $cap
	done
	is 1 "$(status "$pid" NoNewPrivs)"
	# of all threads
	local task
	for task in /proc/"$pid"/task/*; do
		is "$(status "$pid" CapEff)" "$(awk '/^CapEff/ { print $2 }' "$task/status")" "$task"
	done
}

# bats test_tags=tcg
@test "QEMU has no capability at all" {
	ctr_up
	local pid cap
	pid=$(qemu)
	for cap in CapPrm CapEff CapInh CapBnd CapAmb; do
		is 0000000000000000 "$(status "$pid" $cap)" $cap
	done
	is 1 "$(status "$pid" NoNewPrivs)"
	is 2 "$(status "$pid" Seccomp)"
}

@test "neither leaves a core file" {
	ctr_up
	local pid
	for pid in $(vmm) $(qemu); do
		matches 'core file size +0 +0 ' "$(cat "/proc/$pid/limits")"
	done
}

@test "another process of the same user cannot look into runsm-vmm" {
	need command -v setpriv -- "needs setpriv"
	ctr_up
	local pid
	pid=$(vmm)
	local file
	for file in maps mem environ; do
		run setpriv --bounding-set -all --inh-caps -all head -c 1 "/proc/$pid/$file"
		matches 'permission denied' "$output"
	done
	run setpriv --bounding-set -all --inh-caps -all readlink "/proc/$pid/fd/0"
	is 1 "$status"
}
