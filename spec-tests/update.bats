#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# update: other limits for a container that is there, by options and by JSON.

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

# limited FILTER: $ID runs with a cgroup of its own and .linux.resources of that
limited() {
	bundle
	cfg ".linux.cgroupsPath = \$p | .linux.resources = $1" --arg p "/rsm-test/$ID"
	ctr_up
}

quota() {
	if v1; then
		echo "$(file cpu cpu.cfs_quota_us) $(file cpu cpu.cfs_period_us)"
	else
		file cpu - cpu.max
	fi
}

shares() { if v1; then file cpu cpu.shares; else file cpu - cpu.weight; fi; }

teardown() {
	ctr_teardown
	rmdir "$CG"/rsm-test "$CG"/*/rsm-test 2>/dev/null || :
}

@test "update: cpu quota, period, shares and cpuset, the rest stays" {
	limited '{cpu: {shares: 512, quota: 60000, period: 120000}}'
	rtx 0 update --cpu-quota 50000 "$ID"
	is "50000 120000" "$(quota)"
	rtx 0 update --cpu-period 100000 "$ID"
	is "50000 100000" "$(quota)"
	is "$(if v1; then echo 512; else echo 20; fi)" "$(shares)"
	rtx 0 update --cpu-share 1024 --cpuset-cpus 0 --cpuset-mems 0 "$ID"
	is "$(if v1; then echo 1024; else echo 39; fi)" "$(shares)"
	is 0 "$(file cpuset cpuset.cpus cpuset.cpus)"
	is "50000 100000" "$(quota)"
	rtx 0 update --cpu-quota -1 "$ID"
	matches '^(-1|max) 100000$' "$(quota)"
}

@test "update: pids holds for what is started next" {
	limited '{pids: {limit: 200}}'
	local many='i=0; while [ $i -lt 40 ]; do sleep 3 & i=$((i + 1)); done; echo done'
	rtx 0 update --pids-limit 20 "$ID"
	run rt exec "$ID" sh -c "$many" </dev/null
	matches "can't fork" "$output"
	rtx 0 update --pids-limit -1 "$ID"
	is max "$(file pids pids.max pids.max)"
	wait_for 20 rt exec "$ID" true
	run rt exec "$ID" sh -c "$many" </dev/null
	matches "^done$" "${lines[-1]}"
}

@test "update: less memory, and up to the VM's again" {
	local mem
	limited '{memory: {limit: 268435456}}'
	rtx 0 update --memory 160m --memory-swap 160m "$ID"
	if is_runsm; then
		# the container sees its limit as it would under any runtime with cgroup version 2
		in_ctr sh -c 'cat /sys/fs/cgroup/memory.max'
		is 167772160 "$output"
		# 0 changes nothing, -1 and what version 1 shows for none lift it
		rtx 0 update --memory 0 "$ID"
		in_ctr cat /sys/fs/cgroup/memory.max
		is 167772160 "$output"
		rtx 0 update --memory 9223372036854771712 "$ID"
		in_ctr cat /sys/fs/cgroup/memory.max
		is max "$output"
		rtx 0 update --memory 160m --memory-swap 160m "$ID"
	else
		is 167772160 "$(file memory memory.limit_in_bytes memory.max)"
	fi
	run rt exec "$ID" tail /dev/zero </dev/null
	is 137 "$status"
	rtx 0 update --memory-swap 268435456 --memory 268435456 "$ID"
	is running "$(ctr_status)"
}

@test "update: more memory than the VM was made with is refused, and nothing changes" {
	runsm_only
	limited '{memory: {limit: 268435456}, cpu: {shares: 512}}'
	fails 1 'linux\.resources\.memory\.limit: the VM was made with 256 MiB' \
		update --memory 257m --cpu-share 100 "$ID"
	is "$(if v1; then echo 512; else echo 20; fi)" "$(shares)"
}

@test "update: resources as JSON, from a file and from standard input" {
	limited '{cpu: {shares: 512, quota: 60000, period: 120000}}'
	# what Docker sends: what does not change is 0 or empty
	echo '{"memory":{"limit":0,"reservation":67108864,"swap":0},"cpu":{"shares":256,"quota":0,
		"period":0,"realtimeRuntime":0,"cpus":"","mems":""},"blockIO":{"weight":0}}' >"$T/r.json"
	rtx 0 update --resources "$T/r.json" "$ID"
	is "$(if v1; then echo 256; else echo 10; fi)" "$(shares)"
	is "60000 120000" "$(quota)"
	is 67108864 "$(file memory memory.soft_limit_in_bytes memory.low)"
	rt update -r - "$ID" <<<'{"cpu":{"shares":1024}}'
	is "$(if v1; then echo 1024; else echo 39; fi)" "$(shares)"
}

@test "update: what cannot be is refused by name" {
	runsm_only
	limited '{}'
	fails 1 'memory: .1x. is not a size' update --memory 1x "$ID"
	fails 1 'pids-limit: .many. is not' update --pids-limit many "$ID"
	fails 1 'linux\.resources\.cpu\.cpus: ' update --cpuset-cpus zero "$ID"
	fails 1 'linux\.resources\.cpu\.realtimeRuntime: ' update --cpu-rt-runtime 1 "$ID"
	fails 1 'linux\.resources\.cpu\.cpus: ' update --cpuset-cpus 1000 "$ID"
	rtx 1 update --l3-cache-schema x "$ID"
	fails 1 '[Nn]o such file' update --resources "$T/none" "$ID"
	echo '[]' >"$T/r.json"
	fails 1 'linux\.resources: expected an object' update --resources "$T/r.json" "$ID"
	rtx 0 pause "$ID"
	rtx 0 update --cpu-share 300 "$ID"
	rtx 0 resume "$ID"
	rt kill "$ID" KILL
	wait_status stopped
	fails 1 'not running' update --cpu-share 300 "$ID"
	fails 1 'does not exist' update --cpu-share 300 "$ID-none"
}

@test "update: a paused container takes new limits, and keeps them once it goes on" {
	local many='i=0; while [ $i -lt 40 ]; do sleep 3 & i=$((i + 1)); done; echo done'
	limited '{pids: {limit: 200}}'
	rt pause "$ID"
	rtx 0 update --pids-limit 30 "$ID"
	is paused "$(ctr_status)"
	rt resume "$ID"
	run rt exec "$ID" sh -c "$many" </dev/null
	matches "can't fork|Resource temporarily unavailable" "$output"
}

# spec: runc sets the quota first where the cgroup above forbids the new period with the old quota
@test "update: a period that needs the new quota, because the cgroup above has a limit" {
	local up=/rsm-test/$ID
	bundle
	mkdir -p "$CG$(v1 && echo /cpu)$up"
	if v1; then
		echo 50000 >"$CG/cpu$up/cpu.cfs_period_us"
		echo 500000 >"$CG/cpu$up/cpu.cfs_quota_us"
	fi
	cfg '.linux.cgroupsPath = $p' --arg p "$up/c"
	ctr_up
	rtx 0 update --cpu-quota 400000 "$ID"
	rtx 0 update --cpu-period 10000 --cpu-quota 3000 "$ID"
	is "3000 10000" "$(ID=$ID/c quota)"
	rt delete -f "$ID"
	find $CG -depth -type d -path "*$up" -exec rmdir {} +
}
