#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# The container's cgroup on the host.

load helpers.bash

CG=/sys/fs/cgroup

# Every hierarchy of this host as "MOUNT", one line each
# other files of tests may be at work in it
teardown() {
	ctr_teardown
	rmdir "$CG"/rsm-test "$CG"/*/rsm-test 2>/dev/null || :
}

hierarchies() { awk '$(NF-2) ~ /^cgroup2?$/ { print $5 }' /proc/self/mountinfo; }

# of CONTROLLER: the hierarchy that has it, of version 1 or 2
of() { if [ -d "$CG/$1" ]; then echo "$CG/$1"; else echo "$CG"; fi; }

# path_of PID|self: its cgroup in the hierarchy of the memory controller
path_of() {
	if [ -d "$CG/memory" ]; then
		sed -n 's/^[0-9]*:memory://p' "/proc/$1/cgroup"
	else
		sed -n 's/^0:://p' "/proc/$1/cgroup"
	fi
}

# in_cgroup PID PATH: the process is in PATH of every hierarchy
in_cgroup() {
	hasnt '^[^:]*:[^:]*:.*' "$(grep -vxE "[^:]*:[^:]*:$2" "/proc/$1/cgroup")"
}

tree_of() {
	echo "$1"
	local child
	for child in $(pgrep -P "$1"); do tree_of "$child"; done
}

no_cgroup() {
	local dir
	for dir in $(hierarchies); do
		[ ! -e "$dir$1" ] || { echo "$dir$1 is there" >&2; return 1; }
	done
}

@test "cgroupsPath: everything of the container is in it, in each hierarchy; delete removes it" {
	# spec: config-linux.md#cgroups-path
	local pid
	bundle
	cfg '.linux.cgroupsPath = $p' --arg p "/rsm-test/$ID"
	ctr_up
	for pid in $(tree_of "$(ctr_pid)"); do
		in_cgroup "$pid" "/rsm-test/$ID"
	done
	rt kill "$ID" KILL
	wait_status stopped
	rt delete "$ID"
	no_cgroup "/rsm-test/$ID"
}

@test "cgroupsPath: a relative path is below the caller's own cgroups" {
	# spec: config-linux.md#cgroups-path
	local own
	own=$(path_of self)
	bundle
	cfg '.linux.cgroupsPath = $p' --arg p "$ID-rel"
	ctr_create
	is "${own%/}/$ID-rel" "$(path_of "$(ctr_pid)")"
	rt delete -f "$ID"
	[ ! -e "$(of memory)${own%/}/$ID-rel" ]
}

@test "cgroupsPath: without one the container is below one of runsm's, by its id" {
	# spec: config-linux.md#cgroups-path
	runsm_only
	bundle
	cfg 'del(.linux.cgroupsPath)'
	ctr_create
	matches "^/runsm@[0-9a-f]{8}/$ID\$" "$(path_of "$(ctr_pid)")"
	rt delete -f "$ID"
	[ -z "$(find $CG -maxdepth 3 -name "$ID*")" ]
}

@test "cgroup: goes with delete although the VMM was killed" {
	bundle
	cfg '.linux.cgroupsPath = $p' --arg p "/$ID"
	ctr_up
	kill -9 "$(ctr_pid)"
	wait_status stopped
	[ -d "$(of memory)/$ID" ]
	rt delete "$ID"
	no_cgroup "/$ID"
}

@test "cgroup: processes left in it are killed by delete" {
	local pid
	runsm_only
	bundle
	cfg '.linux.cgroupsPath = $p' --arg p "/$ID"
	ctr_up
	background sleep 1000
	pid=$!
	mkdir "$(of pids)/$ID/below"
	echo "$pid" >"$(of pids)/$ID/below/cgroup.procs"
	rt delete -f "$ID"
	no_cgroup "/$ID"
}

@test "cgroup: one that others use is left to them" {
	local pid
	runsm_only
	bundle
	cfg '.linux.cgroupsPath = $p' --arg p "/$ID"
	mkdir "$(of pids)/$ID"
	background sleep 1000
	pid=$!
	echo "$pid" >"$(of pids)/$ID/cgroup.procs"
	ctr_create
	rt delete -f "$ID"
	kill -0 "$pid"
	# in version 2 there is one hierarchy only
	[ "$(of memory)" = "$(of pids)" ] || [ ! -e "$(of memory)/$ID" ]
	kill "$pid"
	wait_for 5 rmdir "$(of pids)/$ID"
}

@test "cgroup: one that cannot be made fails create, and nothing is left" {
	bundle
	cfg '.linux.cgroupsPath = "/cgroup.procs/x"' # a file of every hierarchy
	fails 1 'cgroup' create --bundle "$BUNDLE" "$ID"
	fails 1 'does not exist' state "$ID"
}

@test "cgroupsPath: '..' is refused" {
	runsm_only
	bundle
	cfg '.linux.cgroupsPath = "/a/../../b"'
	fails 1 "linux.cgroupsPath: .*'\.\.'" create --bundle "$BUNDLE" "$ID"
}

# Nothing that is placed in it would run: create must not wait for that.
@test "cgroup: one that is frozen is refused" {
	local dir freeze frozen thawed
	bundle
	cfg '.linux.cgroupsPath = $p' --arg p "/rsm-test/$ID"
	if [ -d $CG/freezer ]; then
		dir=$CG/freezer/rsm-test/$ID freeze=freezer.state frozen=FROZEN thawed=THAWED
	else
		dir=$CG/rsm-test/$ID freeze=cgroup.freeze frozen=1 thawed=0
	fi
	mkdir -p "$dir"
	echo $frozen >"$dir/$freeze"
	fails 1 "container's cgroup unexpectedly frozen" create --bundle "$BUNDLE" "$ID"
	# it is somebody else's, and stays as it is
	matches "$frozen|FREEZING" "$(cat "$dir/$freeze")"
	echo $thawed >"$dir/$freeze"
	ctr_create
	rt delete -f "$ID"
	no_cgroup "/rsm-test/$ID"
}
