#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# linux.resources: what is in the files of the container's cgroup, and what comes of it.
# spec: config-linux.md#control-groups

load helpers

CG=/sys/fs/cgroup

v1() { [ -d "$CG/memory" ]; }

# file CONTROLLER V1-NAME V2-NAME: what is in that file of the container's cgroup
file() {
	if v1; then
		cat "$CG/$1/rsm-test/$ID/$2"
	else
		cat "$CG/rsm-test/$ID/$3"
	fi
}

# limited FILTER: a bundle with a cgroup of its own, and .linux.resources of that
limited() {
	bundle
	cfg ".linux.cgroupsPath = \$p | .linux.resources = $1" --arg p "/rsm-test/$ID"
}

# The block device of the bundle's file system, as MAJOR:MINOR of the whole disk
disk() {
	local dev
	dev=$(stat -c %Hd:%Ld "$BUNDLE")
	[ ! -e "/sys/dev/block/$dev/partition" ] || dev=$(cat "/sys/dev/block/$dev/../dev")
	need test -e "/sys/dev/block/$dev" -- "the tests' directory is on no disk"
	echo "$dev"
}

teardown() {
	ctr_teardown
	rmdir "$CG"/rsm-test "$CG"/*/rsm-test 2>/dev/null || :
}

@test "cpu: shares, quota and period" {
	limited '{cpu: {shares: 512, quota: 60000, period: 120000}}'
	ctr_create
	if v1; then
		is 512 "$(file cpu cpu.shares)"
		is "60000 120000" "$(file cpu cpu.cfs_quota_us) $(file cpu cpu.cfs_period_us)"
	else
		is 20 "$(file cpu - cpu.weight)"
		is "60000 120000" "$(file cpu - cpu.max)"
	fi
}

@test "cpu: burst and idle" {
	runsm_only # and newer versions of runc
	limited '{cpu: {quota: 60000, period: 120000, burst: 7000, idle: 1}}'
	ctr_create
	is 7000 "$(file cpu cpu.cfs_burst_us cpu.max.burst)"
	is 1 "$(file cpu cpu.idle cpu.idle)"
}

@test "cpu: a quota does not slow the boot" {
	runsm_only
	limited '{cpu: {quota: 50000, period: 1000000}}'
	# with a twentieth of a CPU this would not be time enough
	RUNSM_BOOT_TIMEOUT=$((15 * SLOW)) ctr_create
	is 50000 "$(file cpu cpu.cfs_quota_us cpu.max | cut -d ' ' -f 1)"
}

@test "cpu: cpus and mems" {
	limited '{cpu: {cpus: "0", mems: "0", quota: 400000, period: 100000}}'
	args nproc
	ctr_create
	is 0 "$(file cpuset cpuset.cpus cpuset.cpus)"
	is 0 "$(file cpuset cpuset.mems cpuset.mems)"
	rt start "$ID"
	wait_status stopped
	# the quota is worth four, but there is one to use
	is 1 "$(cat "$T/out")"
}

@test "cpu: every CPU of the set without a quota" {
	limited '{}'
	cfg '.linux.resources.cpu.cpus = "0-" + $last' --arg last "$(($(nproc) - 1))"
	args nproc
	ctr_run 0
	is "$(nproc)" "$output"
}

@test "memory: limit and reservation" {
	local limit
	limited '{memory: {limit: 268435456, reservation: 134217728}}'
	ctr_create
	is 134217728 "$(file memory memory.soft_limit_in_bytes memory.low)"
	limit=$(file memory memory.limit_in_bytes memory.max)
	if is_runsm; then
		# guest RAM, and what the VM takes beside it
		[ "$limit" -gt 268435456 ]
	else
		is 268435456 "$limit"
	fi
}

@test "memory: a guest that takes all it can get is ended inside, and the VMM lives" {
	runsm_only
	limited '{memory: {limit: 268435456}}'
	cfg '.mounts += [{destination: "/big", type: "tmpfs", options: ["size=1g"]}]'
	ctr_up
	run rt exec "$ID" sh -c 'dd if=/dev/zero of=/big/file bs=1M; tail /dev/zero' </dev/null
	[ "$status" != 0 ]
	if v1; then
		is 0 "$(file memory memory.failcnt -)"
	else
		is 0 "$(file memory - memory.events | awk '$1 == "oom" { print $2 }')"
	fi
	run rt exec "$ID" rm /big/file </dev/null
	wait_for 30 rt exec "$ID" true
	is running "$(ctr_status)"
}

# The container's memory in MiB
mem_total() { echo $(($(awk '/^MemTotal/ { print $2 }' "$T/out") >> 10)); }

@test "memory: 0, -1 and what version 1 shows for none are no limit" {
	local limit
	for limit in 0 -1 9223372036854771712; do
		limited '{}'
		args cat /proc/meminfo
		# not by jq, which has no integers of that size
		sed -i "s/\"resources\": {}/\"resources\": {\"memory\": {\"limit\": $limit}}/" \
			"$BUNDLE/config.json"
		grep -qF -e "$limit" "$BUNDLE/config.json"
		ctr_up
		wait_status stopped
		is_runsm || { rt delete "$ID"; continue; }
		[ "$(mem_total)" -gt 900 ] && [ "$(mem_total)" -lt 1024 ]
		rt delete "$ID"
	done
}

@test "memory: a limit below what a VM needs holds for the container" {
	limited '{memory: {limit: 33554432, swap: 33554432}}'
	sh_args 'cat /proc/meminfo; sleep 1000'
	ctr_up
	in_ctr sh -c 'x=$(head -c 5000000 /dev/zero | tr "\0" x); echo ${#x}'
	is 5000000 "$output"
	! is_runsm || [ "$(mem_total)" -le 128 ]
	run rt exec "$ID" sh -c 'echo 1000 >/proc/self/oom_score_adj
		x=$(head -c 40000000 /dev/zero | tr "\0" x); echo ${#x}' </dev/null
	is 137 "$status"
	is running "$(ctr_status)"
	if is_runsm; then
		in_ctr cat /sys/fs/cgroup/memory.max
		is 33554432 "$output"
		# and can be raised to what the VM has
		rtx 0 update --memory 128m --memory-swap 128m "$ID"
		in_ctr sh -c 'x=$(head -c 20000000 /dev/zero | tr "\0" x); echo ${#x}'
	fi
}

@test "memory: the least that Docker takes is enough to run in" {
	limited '{memory: {limit: 6291456, swap: 6291456}}'
	args echo hello
	ctr_run 0
	is hello "$output"
}

@test "memory: a limit that no process fits in fails create, and nothing is left" {
	limited '{memory: {limit: 1, swap: 1}}'
	# runc: the kernel refuses to limit what is used already, or ends its init
	fails 1 'memory' create --bundle "$BUNDLE" "$ID"
	! is_runsm || matches 'linux\.resources\.memory\.limit is too low' "$stderr"
	nothing_left
}

@test "pids: limit" {
	limited '{pids: {limit: 20}}'
	ctr_up
	if is_runsm; then
		is 257 "$(file pids pids.max pids.max)" # not 20: 256 of the VMM, 1 vCPU
	else
		is 20 "$(file pids pids.max pids.max)"
	fi
	run rt exec "$ID" sh -c 'i=0; while [ $i -lt 30 ]; do sleep 5 & i=$((i + 1)); done' </dev/null
	matches "can't fork" "$output"
}

@test "blockIO: rates" {
	local disk
	limited '{}'
	disk=$(disk)
	cfg '($d | split(":") | {major: (.[0] | tonumber), minor: (.[1] | tonumber)}) as $dev |
		.linux.resources = {blockIO: {
			throttleReadBpsDevice: [$dev + {rate: 1000001}],
			throttleWriteBpsDevice: [$dev + {rate: 1000002}],
			throttleReadIOPSDevice: [$dev + {rate: 1003}],
			throttleWriteIOPSDevice: [$dev + {rate: 1004}]}}' --arg d "$disk"
	ctr_create
	if v1; then
		is "$disk 1000001" "$(file blkio blkio.throttle.read_bps_device -)"
		is "$disk 1000002" "$(file blkio blkio.throttle.write_bps_device -)"
		is "$disk 1003" "$(file blkio blkio.throttle.read_iops_device -)"
		is "$disk 1004" "$(file blkio blkio.throttle.write_iops_device -)"
	else
		is "$disk rbps=1000001 wbps=1000002 riops=1003 wiops=1004" "$(file - - io.max)"
	fi
}

@test "unified: on a host of version 2 only" {
	limited '{unified: {"memory.high": "300000000"}}'
	if v1; then
		rtx 1 create --bundle "$BUNDLE" "$ID"
		matches 'unified' "$stderr"
		nothing_left
	else
		ctr_create
		matches '^(299999232|300000000)$' "$(file - - memory.high)"
	fi
}

@test "limits that the kernel refuses fail create by the name of the field, and nothing is left" {
	runsm_only
	local edit want
	limited '{}'
	cp "$BUNDLE/config.json" "$T/good"
	while read -r want edit; do
		cp "$T/good" "$BUNDLE/config.json"
		cfg ".linux.resources = $edit"
		fails 1 "linux\.resources\.$want: " create --bundle "$BUNDLE" "$ID"
	done <<-'EOT'
	cpu\.cpus {cpu: {cpus: "1000"}}
	cpu\.(quota|period) {cpu: {quota: 5000, period: 7}}
	blockIO\.throttleReadBpsDevice {blockIO: {throttleReadBpsDevice: [{major: 4000, minor: 0, rate: 1}]}}
	EOT
	nothing_left
}

# bats test_tags=once
@test "limits that no VM can have are refused by field" {
	runsm_only
	local edit want
	limited '{}'
	cp "$BUNDLE/config.json" "$T/good"
	while read -r want edit; do
		cp "$T/good" "$BUNDLE/config.json"
		cfg ".linux.resources = $edit"
		fails 1 "config\.json: linux\.resources\.$want: " create --bundle "$BUNDLE" "$ID"
	done <<-'EOT'
	memory\.disableOOMKiller {memory: {disableOOMKiller: true}}
	cpu\.realtimeRuntime {cpu: {realtimeRuntime: 1000}}
	cpu\.realtimePeriod {cpu: {realtimePeriod: 1000}}
	blockIO\.leafWeight {blockIO: {leafWeight: 100}}
	blockIO\.weightDevice\[0\]\.leafWeight {blockIO: {weightDevice: [{major: 8, minor: 0, weight: 10, leafWeight: 10}]}}
	network {network: {classID: 1}}
	unified\.memory\.max {unified: {"memory.max": "1000"}}
	unified\.pids\.max {unified: {"pids.max": "1000"}}
	EOT
	nothing_left
}

@test "hugepageLimits and rdma are kept by a VM that has neither" {
	runsm_only
	limited '{hugepageLimits: [{pageSize: "2MB", limit: 0}], rdma: {mlx5_0: {hcaHandles: 1}}}'
	sh_args 'grep HugePages_Total /proc/meminfo; ls /sys/class/infiniband 2>/dev/null; echo end'
	ctr_run 0
	matches 'HugePages_Total: +0' "${lines[0]}"
	is end "${lines[1]}"
}
