#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# bats file_tags=smp
# VMs with several vCPUs: as many as linux.resources.cpu says, all of them work, stop and go on, with
# Debian's kernel and with the minimal one. As many as the host has, four at most.
# spec: config-linux.md#cpu

load helpers

setup() {
	ctr_setup "$BATS_TEST_TMPDIR"
	runsm_only
	N=$(nproc)
	[ "$N" -le 4 ] || N=4
	need test "$N" -ge 2 -- "the host has one CPU"
	bundle
}

# cpus N: the container may use N CPUs' time
cpus() {
	cfg '.linux.resources.cpu = {quota: ($n * 50000), period: 50000}' --argjson n "$1"
}

# on_each SCRIPT: a script that runs SCRIPT on each CPU at once, with its number in $c
on_each() {
	local c
	for ((c = 0; c < N; c++)); do
		printf 'c=%d taskset %x sh -c %q & ' $c $((1 << c)) "$1"
	done
}

work='n=0; while [ $n -lt 2000 ]; do n=$((n + 1)); done; cut -d " " -f 39 /proc/self/stat'

# all_work: the guest has N CPUs, each of which runs what was pinned to it and keeps time
all_work() {
	cpus "$N"
	sh_args "nproc; $(on_each "$work") wait; sleep 0.1; echo slept; exit 7"
	ctr_run 7
	is "$N slept" "${lines[0]} ${lines[-1]}"
	is "$(seq 0 $((N - 1)))" "$(sed '1d;$d' <<<"$output" | sort -n)" "CPUs that worked"
}

# minimal_kernel: a guest image with the kernel of contrib/guest-kernel, if that was built
minimal_kernel() {
	local kernel
	for kernel in "${RUNSM_TEST_MINIMAL_KERNEL:-}" {/var/cache,~/.cache}/runsm/guest-kernel/vmlinux; do
		[ ! -r "$kernel" ] || break
	done
	[ -r "$kernel" ] || skip "no minimal kernel: contrib/guest-kernel builds it"
	"$RUNTIME" guest build --kernel "$kernel" --output "$T/minimal" >/dev/null
	export RUNSM_GUEST_DIR=$T/minimal
}

@test "one vCPU without a quota, one for a part of one, two for a little more" {
	local quota
	sh_args nproc
	ctr_run 0
	is 1 "$output"
	for quota in 10000:1 50000:1 50001:2; do
		cfg ".linux.resources.cpu = {quota: ${quota%:*}, period: 50000}"
		ctr_run 0
		is "${quota#*:}" "$output" "quota ${quota%:*}"
	done
}

@test "all vCPUs work" {
	all_work
}

@test "all vCPUs work with the minimal kernel, and so does one" {
	minimal_kernel
	all_work
	cfg 'del(.linux.resources.cpu)'
	sh_args 'nproc; exit 3'
	ctr_run 3
	is 1 "$output"
}

@test "a kernel without ACPI finds its CPUs and devices" {
	minimal_kernel
	# it has ACPI, and takes the parameters of one that has not
	jq '.acpi = false' "$T/minimal/manifest.json" >"$T/manifest"
	cp "$T/manifest" "$T/minimal/manifest.json"
	all_work
	sh_args 'cat /proc/cmdline'
	ctr_run 0
	matches 'acpi=off' "$output"
}

@test "no more vCPUs than the host has CPUs" {
	cpus 1000
	sh_args nproc
	ctr_run 0
	is "$(nproc)" "$output"
}

beats() { wc -l "$BUNDLE"/rootfs/beats.* | sed '$d'; }

# each_beat: every one of them went on since $before
each_beat() {
	local c
	for ((c = 0; c < N; c++)); do
		[ "$(wc -l <"$BUNDLE/rootfs/beats.$c")" -gt \
			"$(awk -v f="beats.$c" '$2 ~ f"$" { print $1 }' <<<"$before")" ] || return
	done
}

@test "pause stops all vCPUs, resume lets all go on" {
	local c round
	cpus "$N"
	for ((c = 0; c < N; c++)); do : >"$BUNDLE/rootfs/beats.$c"; done
	sh_args "$(on_each 'while :; do n=0; while [ $n -lt 500 ]; do n=$((n + 1)); done
		echo >>/beats.$c; done') wait"
	ctr_up
	before=$(beats)
	wait_for 60 each_beat
	for round in 1 2 3; do
		rtx 0 pause "$ID"
		sleep 0.3 # what was under way on the host may still end
		before=$(beats)
		sleep 1
		is "$before" "$(beats)" "round $round"
		rtx 0 resume "$ID"
		wait_for 60 each_beat
	done
	in_ctr nproc
	is "$N" "$output"
	# and all of them end while they are busy
	rt kill "$ID" KILL
	wait_status stopped
}

@test "a VM whose vCPUs are all busy can be killed from outside" {
	cpus "$N"
	sh_args "$(on_each 'while :; do :; done') wait"
	ctr_up
	kill -9 "$(ctr_pid)"
	wait_status stopped
}
