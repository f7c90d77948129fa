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
qemu() { pgrep -P "$(vmm)" -f qemu || :; }

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

# spec: config-linux.md#namespaces
@test "runsm-vmm is in namespaces of its own, and QEMU with it" {
	ctr_up
	local ns pid
	for pid in $(vmm) $(qemu); do
		for ns in net ipc uts pid; do
			[ "$(readlink "/proc/$pid/ns/$ns")" != "$(readlink "/proc/self/ns/$ns")" ]
			is "$(readlink "/proc/$(vmm)/ns/$ns")" "$(readlink "/proc/$pid/ns/$ns")" $ns
		done
	done
	# the pid is the host's, and 1 inside
	is "$(vmm) 1" "$(awk '$1 == "NSpid:" { print $2, $3 }' "/proc/$(vmm)/status")"
	matches 'lo: <LOOPBACK,UP' "$(nsenter -t "$(vmm)" -n ip -o link)"
}

@test "wait status and signals of runsm-vmm are as of any process, although it is PID 1" {
	sh_args 'trap "exit 7" TERM; echo up; while :; do sleep 0.1; done'
	"$RUNTIME" --root "$ROOT" run --bundle "$BUNDLE" "$ID" </dev/null >"$T/out" 3>&- &
	local pid=$! rc=0
	wait_for 30 grep -q up "$T/out"
	kill -TERM "$(vmm)"
	wait $pid || rc=$?
	is 7 $rc
}

# a network namespace held by a process; its path in $NETNS
netns() {
	background unshare -n sleep 1000
	NETNS=/proc/$!/ns/net
	wait_for 5 eval '[ "$(readlink $NETNS)" != "$(readlink /proc/self/ns/net)" ]'
	cfg '.linux.namespaces |= map(if .type == "network" then .path = $p else . end)' --arg p "$NETNS"
}

@test "a network namespace given by path is the one runsm-vmm runs in" {
	netns
	ctr_up
	is "$(readlink "$NETNS")" "$(readlink "/proc/$(vmm)/ns/net")"
	in_ctr true
}

@test "a path that is no network namespace is refused" {
	local path
	for path in /proc/self/ns/ipc /etc/passwd; do
		cfg '.linux.namespaces |= map(if .type == "network" then .path = $p else . end)' \
			--arg p "$path"
		fails 1 "linux.namespaces: '$path' is not a network namespace" \
			run --bundle "$BUNDLE" "$ID"
	done
	cfg '.linux.namespaces |= map(if .type == "network" then .path = "/nonexistent" else . end)'
	fails 1 "linux.namespaces: open '/nonexistent'" run --bundle "$BUNDLE" "$ID"
	nothing_left
}

@test "an interface in the network namespace is refused, with the way to do without" {
	netns
	nsenter --net="$NETNS" ip tuntap add dev eth0 mode tap
	fails 1 "network interface 'eth0'.*--network none" run --bundle "$BUNDLE" "$ID"
	nothing_left
}

# mount ids of the host's namespace
host_mounts() { awk '{ print $1 }' /proc/self/mountinfo; }

@test "the root of runsm-vmm has nothing in it, and no directory it has open leads out" {
	mkdir -p "$T/vol/below"
	mount -t tmpfs tmpfs "$T/vol/below"
	OUR_MOUNTS+=("$T/vol/below")
	cfg '.mounts += [{"destination": "/mnt", "type": "bind", "source": $s, "options": ["rbind"]}]' \
		--arg s "$T/vol"
	ctr_up
	local pid fd id
	pid=$(vmm)
	is proc "$(ls "/proc/$pid/root/")"
	is 0 "$(wc -l <"/proc/$pid/mountinfo")" "mounts below its root that have a name"
	for fd in /proc/"$pid"/fd/*; do
		[ -d "$fd" ] || continue
		id=$(awk '$1 == "mnt_id:" { print $2 }' "/proc/$pid/fdinfo/${fd##*/}")
		hasnt "^$id\$" "$(host_mounts)"
	done
	# what is exported is all there, with the mounts below it
	in_ctr sh -c 'echo a >/mnt/x && echo b >/mnt/below/x && ls -i /mnt/below && ln -s x /tmp/l && ln /tmp/l /tmp/m'
	is b "$(cat "$T/vol/below/x")"
}

joined() { python3 "$SPEC_DIR/joined.py" "$(vmm)" "$@"; }

@test "those who join the mount namespace of runsm-vmm find the container's files, and no others" {
	mkdir -p "$T/vol" "$T/ro"
	echo file >"$T/one"
	echo read only >"$T/ro/f"
	ln -s /etc "$BUNDLE/rootfs/esc"
	ln -s ../../../../../.. "$BUNDLE/rootfs/up"
	cfg '.mounts += [
		{"destination": "/mnt/new/vol", "type": "bind", "source": ($t + "/vol"), "options": ["rbind"]},
		{"destination": "/ro", "type": "bind", "source": ($t + "/ro"), "options": ["bind", "ro"]},
		{"destination": "/esc/one", "type": "bind", "source": ($t + "/one"), "options": ["bind"]},
		{"destination": "/up/two", "type": "bind", "source": ($t + "/one"), "options": ["bind"]},
		{"destination": "/scratch", "type": "tmpfs", "source": "tmpfs"}]' --arg t "$T"
	ctr_up
	is "$(ls "$BUNDLE/rootfs")" "$(joined ls /)"
	in_ctr sh -c 'echo guest >/mnt/new/vol/g; echo tmp >/scratch/t; echo root >/r'
	is guest "$(joined cat /mnt/new/vol/g)"
	is root "$(joined cat /r)"
	is "read only" "$(joined cat /ro/f)"
	is file "$(joined cat /etc/one)"
	is file "$(joined cat /two)"
	is "" "$(joined ls /scratch)"
	is "" "$(joined ls /proc)"
	[ ! -e /etc/one ] && [ ! -e /two ]
	# one mount for each, and none of the host's
	is "/
/dev
/etc/one
/mnt/new/vol
/proc
/ro
/scratch
/sys
/two" "$(joined mounts | cut -d' ' -f1 | sort)"
	hasnt . "$(joined mounts | grep -v nosuid,nodev,noexec)"
	joined write /mnt/new/vol/h host
	is host "$(cat "$T/vol/h")"
	local path
	for path in /ro/x /scratch/x /dev/x; do
		run joined write "$path" x
		matches 'read-only file system' "$output"
	done
}

@test "a read-only root is read-only for those who join runsm-vmm, too" {
	cfg '.root.readonly = true'
	ctr_up
	run joined write /x x
	matches 'read-only file system' "$output"
	[ ! -e "$BUNDLE/rootfs/x" ]
}

@test "what cannot be shown in the mount namespace is logged, and the container runs" {
	ln -s nowhere "$BUNDLE/rootfs/dangling"
	cfg '.mounts += [{"destination": "/dangling", "type": "bind", "source": $s, "options": ["bind"]}]' \
		--arg s "$T"
	rt --log "$T/log" create --bundle "$BUNDLE" "$ID" </dev/null >/dev/null 2>&1
	rt start "$ID"
	in_ctr test -d /nowhere/bundle
	matches "'/dangling' is missing" "$(cat "$T/log")"
}

@test "of attributes that only root may set the guest has security.capability, and no trusted ones" {
	cfg '.process.capabilities[] += ["CAP_SYS_ADMIN", "CAP_SETFCAP"]'
	ctr_up
	in_ctr sh -c 'touch /f && probe setxattr /f user.x'
	rtx 255 exec "$ID" probe setxattr /f trusted.x
	matches 'operation not permitted' "$output"
	# the value is not one, and the host's kernel has looked at it
	rtx 255 exec "$ID" probe setxattr /f security.capability
	matches 'invalid argument' "$output"
}

@test "a mount point stays when the container has unmounted what was on it" {
	cfg '.mounts += [{"destination": "/scratch", "type": "tmpfs", "source": "tmpfs"}] |
		.process.capabilities[] += ["CAP_SYS_ADMIN"]'
	ctr_up
	in_ctr umount /scratch
	rtx 1 exec "$ID" rmdir /scratch
	matches 'resource busy' "$stderr"
	in_ctr sh -c 'echo a >/scratch/a; mkdir /d && rmdir /d'
}

@test "runsm-vmm is under a seccomp filter, in all its threads" {
	ctr_up
	local task
	for task in /proc/"$(vmm)"/task/*; do
		is 2 "$(awk '$1 == "Seccomp:" { print $2 }' "$task/status")" "$task"
	done
	in_ctr sh -c 'echo a >/tmp/f && cat /tmp/f'
}

@test "every thread of runsm-vmm but the first is under one more filter, of what it may do" {
	ctr_up
	in_ctr sh -c 'ls -lR /bin >/dev/null; echo a >/tmp/f && rm /tmp/f'
	local task pid one
	pid=$(vmm)
	one=$(status "$pid" Seccomp_filters)
	[ -n "$one" ] || skip "this kernel does not count filters"
	for task in /proc/"$pid"/task/*; do
		[ "${task##*/}" != "$pid" ] || continue
		is $((one + 1)) "$(awk '$1 == "Seccomp_filters:" { print $2 }' "$task/status")" "$task"
	done
	[ "$(find "/proc/$pid/task" -mindepth 1 -maxdepth 1 | wc -l)" -gt 1 ]
}
