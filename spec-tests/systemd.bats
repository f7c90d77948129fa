#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# --systemd-cgroup: the container's cgroup is a unit of systemd. Each test has runsm run where a real
# systemd is PID 1 (systemd-box), with the hierarchies of this host or with version 2 alone.

load helpers

BOX_SCRIPT=$SPEC_DIR/systemd-box
GAMES=5 # the user whose manager a box can start

setup_file() {
	local kind
	need test -x /lib/systemd/systemd -- "needs systemd: apt-get install systemd"
	# the user's manager reads its units there
	chmod 755 "$BATS_RUN_TMPDIR" "$BATS_RUN_TMPDIR/file" "$BATS_FILE_TMPDIR"
	for kind in host v2; do
		"$BOX_SCRIPT" start "$BATS_FILE_TMPDIR/$kind" "$kind"
	done
}

teardown_file() {
	local kind
	for kind in host v2; do
		"$BOX_SCRIPT" stop "$BATS_FILE_TMPDIR/$kind"
	done
}

setup() {
	ctr_setup "$BATS_TEST_TMPDIR"
	runsm_only
	REAL=$RUNTIME
	UNIT=pre-$ID.scope
}

# systemd HOST|V2: from now on rt is runsm --systemd-cgroup in that box; the bundle is for UNIT
systemd() {
	BOX=$BATS_FILE_TMPDIR/$1
	mkdir -p "$T/bin"
	printf '#!/bin/sh\nexec "%s" enter "%s" "%s" --systemd-cgroup "$@"\n' \
		"$BOX_SCRIPT" "$BOX" "$REAL" >"$T/bin/runsm"
	chmod +x "$T/bin/runsm"
	RUNTIME=$T/bin/runsm
	bundle
	cfg '.linux.cgroupsPath = $p' --arg p "rsm-test.slice:pre:$ID"
}

in_box() { "$BOX_SCRIPT" enter "$BOX" "$@"; }

# property NAME [UNIT]
property() { in_box systemctl show --value -p "$1" "${2:-$UNIT}"; }

unit_is() { is "$1" "$(property LoadState "${2:-$UNIT}")" "LoadState of ${2:-$UNIT}"; }

# cg: the directories of UNIT, seen from outside
cg() { find /sys/fs/cgroup -type d -name "${1:-$UNIT}"; }

# nothing_of UNIT: no unit, no cgroup, none of systemd's files
nothing_of() {
	unit_is not-found "$1"
	is "" "$(cg "$1")"
	is "" "$(in_box find /run/systemd/transient -name "$1*")"
}

# value V1-CONTROLLER V1-FILE V2-FILE: of the unit's cgroup in the box
value() {
	in_box sh -c 'cd /sys/fs/cgroup; [ -d "$2" ] && cd "$2" || set -- "$1" "$2" "$4"
		cat "rsm.slice/rsm-test.slice/$1/$3"' - "$UNIT" "$1" "$2" "$3"
}

version2() { in_box test -e /sys/fs/cgroup/cgroup.controllers; }

# The unit holds the VMM and what it started, in every hierarchy that the box has.
in_unit() {
	local pid vmm which=.
	vmm=$(ctr_pid)
	! version2 || which='^0::'
	for pid in "$vmm" $(in_box pgrep -P "$vmm"); do
		is "" "$(in_box cat "/proc/$pid/cgroup" | grep "$which" |
			grep -vxE "[^:]*:[^:]*:/rsm.slice/rsm-test.slice/$UNIT")" "cgroups of $pid"
	done
}

@test "systemd: a scope in its slice while the container lives, nothing after delete" {
	# spec: config-linux.md#cgroups-path
	local kind
	for kind in host v2; do
		systemd "$kind"
		ctr_up
		in_unit
		is active "$(property ActiveState)"
		is rsm-test.slice "$(property Slice)"
		is yes "$(property Delegate)"
		is no "$(property DefaultDependencies)"
		is yes "$(property TasksAccounting)"
		is "runsm container $ID ($ROOT)" "$(property Description)"
		in_ctr true
		rt kill "$ID" KILL
		wait_status stopped
		rt delete "$ID"
		nothing_of "$UNIT"
	done
}

@test "systemd: linux.resources are properties and values in files, and a reload keeps them" {
	# spec: config-linux.md#control-groups
	local memory
	systemd host
	cfg '.linux.resources = {memory: {limit: 268435456}, pids: {limit: 100},
		cpu: {shares: 512, cpus: "0", mems: "0", quota: 33333, period: 50000}}'
	ctr_up
	in_unit
	for _ in once again; do
		memory=$(value memory memory.limit_in_bytes memory.max)
		[ "$memory" -gt 268435456 ]
		is 0 "$(value cpuset cpuset.cpus cpuset.cpus)"
		is 670ms "$(property CPUQuotaPerSecUSec)"
		is 50ms "$(property CPUQuotaPeriodUSec)"
		is 0 "$(property AllowedCPUs)"
		is 0 "$(property AllowedMemoryNodes)"
		is "$(value pids pids.max pids.max)" "$(property TasksMax)"
		if version2; then
			is "$memory" "$(property MemoryMax)"
			is "$(value - - cpu.weight)" "$(property CPUWeight)"
		else
			is "$memory" "$(property MemoryLimit)"
			is 512 "$(property CPUShares)"
			is 512 "$(value cpu cpu.shares -)"
		fi
		in_box systemctl daemon-reload
	done
	matches '^(33333|33500) ' "$(value cpu cpu.cfs_quota_us cpu.max) "
	in_ctr true
}

@test "systemd: update changes properties and files, and what is not named stays" {
	local before
	systemd host
	cfg '.linux.resources = {pids: {limit: 2000}, cpu: {quota: 50000, period: 100000}}'
	ctr_up
	before=$(property TasksMax)
	rt update --cpu-quota 20000 --cpu-share 256 "$ID"
	is 200ms "$(property CPUQuotaPerSecUSec)"
	is 100ms "$(property CPUQuotaPeriodUSec)"
	matches '^20000( |$)' "$(value cpu cpu.cfs_quota_us cpu.max)"
	if version2; then
		is "$(value - - cpu.weight)" "$(property CPUWeight)"
	else
		is 256 "$(property CPUShares)"
	fi
	is "$before" "$(property TasksMax)"
	rt update --pids-limit 1000 "$ID"
	is 1000 "$(property TasksMax)"
	is "$(property TasksMax)" "$(value pids pids.max pids.max)"
	is 200ms "$(property CPUQuotaPerSecUSec)"
	rt update --cpu-quota -1 "$ID"
	is infinity "$(property CPUQuotaPerSecUSec)"
}

# bats test_tags=once
@test "systemd: annotations org.systemd.property are properties, and win" {
	systemd v2
	cfg '.annotations = {
		"org.systemd.property.TimeoutStopUSec": "uint64 123456789",
		"org.systemd.property.CollectMode": "\u0027inactive-or-failed\u0027",
		"org.systemd.property.SendSIGHUP": "true",
		"org.systemd.property.TasksMax": "uint64 4000",
		"org.systemd.property.After": "[\u0027a.service\u0027, \u0027b.service\u0027]"} |
		.linux.resources.pids.limit = 100'
	ctr_create
	is "2min 3.456789s" "$(property TimeoutStopUSec)"
	is inactive-or-failed "$(property CollectMode)"
	is yes "$(property SendSIGHUP)"
	is 4000 "$(property TasksMax)"
	has a.service "$(property After | tr ' ' '\n')"
	has b.service "$(property After | tr ' ' '\n')"
	rt delete -f "$ID"
	cfg '.annotations = {"org.systemd.property.TasksMax": "many"}'
	fails 1 "annotations.org.systemd.property.TasksMax: cannot read 'many'" \
		create --bundle "$BUNDLE" "$ID"
	cfg '.annotations = {"org.systemd.property.NoSuchThing": "true"}'
	fails 1 "systemd's unit '$UNIT': .*NoSuchThing" create --bundle "$BUNDLE" "$ID"
	nothing_of "$UNIT"
}

# bats test_tags=once
@test "systemd: without cgroupsPath a scope runsm-ID in system.slice" {
	local unit
	systemd v2
	cfg 'del(.linux.cgroupsPath)'
	ctr_create
	unit=$(jq -r .unit "$ROOT/$ID/cgroup.json")
	matches "^runsm-$ID-[0-9a-f]{8}\\.scope\$" "$unit"
	is system.slice "$(property Slice "$unit")"
	rt delete -f "$ID"
	nothing_of "$unit"
}

# bats test_tags=once
@test "systemd: a malformed cgroupsPath is refused by name, and nothing is left" {
	# spec: config-linux.md#cgroups-path
	local path
	systemd v2
	for path in /a/b system.slice:x a:b:c a/b.slice:p:x a--b.slice:p:x a.slice:p: a.slice:p:x.slice; do
		cfg '.linux.cgroupsPath = $p' --arg p "$path"
		fails 1 "linux\.cgroupsPath: " create --bundle "$BUNDLE" "$ID"
		fails 1 'does not exist' state "$ID"
	done
}

# bats test_tags=once
@test "systemd: where there is none, create says so and what to do" {
	systemd v2
	mkdir "$T/none"
	printf '#!/bin/sh\nexec unshare -m sh -c '\''mount -t tmpfs none /run; exec "$0" "$@"'\'' "%s" --systemd-cgroup "$@"\n' \
		"$REAL" >"$T/none/runsm"
	chmod +x "$T/none/runsm"
	RUNTIME=$T/none/runsm
	fails 1 '--systemd-cgroup: cannot connect to systemd.*without the option the driver is cgroupfs' \
		create --bundle "$BUNDLE" "$ID"
	fails 1 'does not exist' state "$ID"
}

# bats test_tags=once
@test "systemd: one that does not answer fails create, not for ever" {
	systemd v2
	kill -STOP "$(cat "$BOX/pid")"
	fails 1 '--systemd-cgroup: systemd did not answer in 30 s' create --bundle "$BUNDLE" "$ID"
	kill -CONT "$(cat "$BOX/pid")"
	fails 1 'does not exist' state "$ID"
	nothing_of "$UNIT"
}

# bats test_tags=once
@test "systemd: features says whether there is a driver, create why there is none" {
	local lib
	systemd v2
	is true "$(rt features | jq '.linux.cgroup | .systemd and .systemdUser')"
	lib=$(realpath "$(ldconfig -p | awk '$1 == "libsystemd.so.0" { print $NF; exit }')")
	mkdir "$T/none"
	printf '#!/bin/sh\nexec "%s" enter "%s" unshare -m sh -c '\''mount -o bind /dev/null %s
		exec "$0" "$@"'\'' "%s" --systemd-cgroup "$@"\n' "$BOX_SCRIPT" "$BOX" "$lib" "$REAL" \
		>"$T/none/runsm"
	chmod +x "$T/none/runsm"
	RUNTIME=$T/none/runsm
	is false "$(rt features | jq '.linux.cgroup | .systemd or .systemdUser')"
	fails 1 '--systemd-cgroup: .*libsystemd.so.0: .*install libsystemd0' create --bundle "$BUNDLE" "$ID"
}

@test "systemd: kill -9 of the VMM: stopped, delete removes the unit" {
	systemd host
	ctr_up
	in_box kill -9 "$(ctr_pid)"
	wait_status stopped
	rt delete "$ID"
	nothing_of "$UNIT"
}

@test "systemd: systemctl stop ends the container at once" {
	local vmm
	systemd host
	ctr_up
	vmm=$(ctr_pid)
	in_box systemctl stop "$UNIT"
	run in_box kill -0 "$vmm"
	is 1 "$status"
	is stopped "$(ctr_status)"
	rt delete "$ID"
	nothing_of "$UNIT"
}

# bats test_tags=once
@test "systemd: what is left in the unit is killed by delete" {
	local pid
	systemd host
	ctr_up
	# shellcheck disable=SC2016 # the inner shell's
	background in_box sh -c 'for dir; do echo 0 >"$dir/cgroup.procs"; done; : >"$0"; exec sleep 1000' \
		"$T/there" $(in_box find /sys/fs/cgroup -name "$UNIT")
	pid=$!
	wait_for 5 test -e "$T/there"
	rt delete -f "$ID"
	nothing_of "$UNIT"
	run wait "$pid"
	is 137 "$status"
}

# bats test_tags=once
@test "systemd: kill -9 of create at each of its words with systemd: delete -f leaves nothing" {
	local n=0 rc=1 kinds=0 calls=sendmsg,recvmsg,renameat,mkdirat
	need command -v strace -- "needs strace"
	systemd host
	while [ "$rc" != 0 ]; do
		n=$((n + 1)) rc=0
		in_box strace -qq -o /dev/null -e trace=$calls -e "inject=$calls:signal=KILL:when=$n" \
			"$REAL" --root "$ROOT" --systemd-cgroup create --bundle "$BUNDLE" "$ID" \
			</dev/null >/dev/null 2>&1 3>&- || rc=$?
		[ "$rc" = 0 ] || is 137 "$rc" "when $n"
		[ -z "$(cg)" ] || kinds=$((kinds + 1))
		rt delete -f "$ID"
		[ ! -e "$ROOT/$ID" ]
		nothing_of "$UNIT"
	done
	[ "$n" -gt 10 ]
	[ "$kinds" -gt 0 ]
}

# bats test_tags=once
@test "systemd: a unit of that name of somebody else's is left alone" {
	systemd v2
	in_box systemd-run -q --scope --unit="$UNIT" sleep 1000 </dev/null >/dev/null 2>&1 3>&- &
	OUR_PIDS+=($!)
	wait_for 10 unit_is loaded
	fails 1 "--systemd-cgroup: systemd has a unit '$UNIT' already.*linux\.cgroupsPath" \
		create --bundle "$BUNDLE" "$ID"
	is active "$(property ActiveState)"
	rtx 0 delete -f "$ID"
	is active "$(property ActiveState)"
	in_box systemctl kill -s KILL "$UNIT"
	wait_for 10 unit_is not-found
}

# bats test_tags=once
@test "systemd: a unit of that name that failed does not stand in the way" {
	systemd v2
	in_box sh -c 'sleep 1000 & systemd-run -q --scope --unit="$0" -p RuntimeMaxSec=1 sleep 1000 || :
		kill $!' "$UNIT" </dev/null >/dev/null 2>&1 3>&-
	is failed "$(property ActiveState)"
	ctr_create
	is active "$(property ActiveState)"
	rt delete -f "$ID"
	nothing_of "$UNIT"
}

# bats test_tags=once
@test "systemd: over the message bus, where there is no private socket" {
	systemd v2
	in_box systemctl start bus.target
	in_box mv /run/systemd/private /run/systemd/private.away
	ctr_up
	in_unit
	rt update --pids-limit 1500 "$ID"
	is 1500 "$(in_box busctl get-property org.freedesktop.systemd1 \
		"$(in_box busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 \
			org.freedesktop.systemd1.Manager GetUnit s "$UNIT" | cut -d '"' -f 2)" \
		org.freedesktop.systemd1.Scope TasksMax | cut -d ' ' -f 2)"
	rt delete -f "$ID"
	in_box mv /run/systemd/private.away /run/systemd/private
	nothing_of "$UNIT"
}

# as_games COMMAND…: as a user, in the cgroup of the user's own manager
as_games() {
	# shellcheck disable=SC2016 # the inner shell's
	in_box sh -c 'echo 0 >/sys/fs/cgroup/system.slice/user-manager.service/init.scope/cgroup.procs
		exec setpriv --reuid=$0 --regid=60 --clear-groups env XDG_RUNTIME_DIR=/run/user/$0 "$@"' \
		$GAMES "$@" </dev/null 3>&- 4>&-
}

@test "systemd: an ordinary user's container is a unit of the user's own manager" {
	local root
	systemd v2
	in_box systemctl start user-manager.service
	# a device that everybody may use
	[ "$RUNSM_ACCEL" != kvm ] ||
		in_box sh -c 'mknod -m 666 /run/kvm c 10 232; mount -o bind /run/kvm /dev/kvm'
	(cd "$BUNDLE" && rm config.json && "$REAL" spec --rootless &&
		jq '.process.terminal = false | .root.readonly = false | .process.args = ["sleep", "1000"] |
			.linux.uidMappings[0].hostID = 5 | .linux.gidMappings[0].hostID = 60 |
			.linux.cgroupsPath = $p | .linux.resources.pids.limit = 1200' \
			--arg p ":pre:$ID" config.json >new && mv new config.json)
	chown -R $GAMES:60 "$BUNDLE"
	chmod 755 "$BATS_RUN_TMPDIR" "$BATS_RUN_TMPDIR/test" "$T"
	for root in "" "unshare -U --map-root-user"; do # as rootless Podman calls
		as_games $root "$REAL" --systemd-cgroup create --bundle "$BUNDLE" "$ID" >"$T/out" 2>&1 ||
			{ cat "$T/out"; false; }
		in_box find /sys/fs/cgroup -name "$UNIT" >"$T/cg"
		matches '/system.slice/user-manager.service/user.slice/pre-[^/]*$' "$(cat "$T/cg")"
		[ -n "$(in_box cat "$(cat "$T/cg")/cgroup.procs")" ]
		is 1200 "$(as_games systemctl --user show --value -p TasksMax "$UNIT")"
		as_games "$REAL" delete -f "$ID"
		is "" "$(cg)"
	done
	in_box systemctl stop user-manager.service
}
