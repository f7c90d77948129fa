#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# spec: config-linux.md#namespaces, config.md#hostname

load helpers

@test "the process is pid 1 and sees only its container's processes" {
	bundle
	sh_args 'echo $$; sleep 100 & ls /proc | grep -c "^[0-9]"; cat /proc/1/comm; :'
	ctr_run 0
	is 1 "${lines[0]}"
	# sh, sleep, ls, grep
	[ "${lines[1]}" -le 4 ]
	is sh "${lines[2]}"
}

# A shell as pid 1 reaps; so the end of an orphan leaves no zombie.
@test "orphans become children of pid 1" {
	bundle
	sh_args '(sleep 1000 & echo $! >/pid)
		cut -d" " -f4 /proc/$(cat /pid)/stat'
	ctr_run 0
	is 1 "$output"
}

@test "hostname and domainname are the container's, and stay inside" {
	bundle
	local host
	host=$(hostname)
	cfg '.hostname = "inside.example" | .process.capabilities |= with_entries(.value += ["CAP_SYS_ADMIN"])'
	sh_args 'hostname; uname -n; cat /proc/sys/kernel/hostname; hostname changed; hostname'
	ctr_run 0
	is "inside.example
inside.example
inside.example
changed" "$output"
	is "$host" "$(hostname)"
}

@test "mounts made inside stay inside" {
	bundle
	cfg '.process.capabilities |= with_entries(.value += ["CAP_SYS_ADMIN"])'
	sh_args 'mount -t tmpfs tmpfs /tmp && touch /tmp/inside && grep -c " /tmp " /proc/self/mountinfo'
	ctr_run 0
	is 1 "$output"
	is "" "$(ls "$BUNDLE/rootfs/tmp")"
	! grep -q "$BUNDLE" /proc/self/mountinfo
}

@test "each namespace differs from the host's" {
	bundle
	ctr_up
	local ns
	for ns in pid mnt uts ipc net; do
		in_ctr readlink "/proc/self/ns/$ns"
		[ "$output" != "$(readlink "/proc/self/ns/$ns")" ]
	done
}

@test "System V shared memory and message queues stay inside" {
	bundle debian
	ctr_up
	local id
	id=$(ipcmk -M 4096 | tr -dc '0-9')
	in_ctr ipcs -m
	hasnt '^0x[0-9a-f]+ ' "$output"
	ipcrm -m "$id"
}

@test "the network namespace has a loopback that is up, and nothing of the host" {
	bundle
	sh_args 'ip -o link; ip -o addr show lo; ping -c1 -w5 127.0.0.1 >/dev/null && echo pong'
	cfg '.process.capabilities |= with_entries(.value += ["CAP_NET_RAW"])'
	ctr_run 0
	matches 'lo: <LOOPBACK,UP' "$output"
	matches '127\.0\.0\.1/8' "$output"
	has pong "$output"
	hasnt '(eth|ens|enp|veth|docker)[0-9]' "$output"
}

# Only a VM has a kernel of its own.
@test "the kernel is the guest's" {
	runsm_only
	bundle
	# not uname: the host's may be of the same version
	sh_args 'cat /proc/sys/kernel/random/boot_id /proc/cmdline; nproc; grep MemTotal /proc/meminfo'
	ctr_run 0
	[ "${lines[0]}" != "$(cat /proc/sys/kernel/random/boot_id)" ]
	matches 'rdinit=/init' "${lines[1]}"
	is 1 "${lines[2]}"
	# 1 GiB less what the kernel takes for itself
	local kib
	kib=$(tr -dc 0-9 <<<"${lines[3]}")
	[ "$kib" -gt $((850 << 10)) ] && [ "$kib" -le $((1024 << 10)) ]
}

# bats test_tags=once
@test "joining a namespace other than network by path is refused by name" {
	runsm_only
	bundle
	local type
	for type in pid ipc uts mount; do
		cfg '.linux.namespaces |= map(if .type == $t then .path = "/proc/1/ns/" + $t else . end)' \
			--arg t $type
		fails 1 "linux\.namespaces.*$type" run --bundle "$BUNDLE" "$ID"
		cfg '.linux.namespaces |= map(del(.path))'
	done
	nothing_left
}
