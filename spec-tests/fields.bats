#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The less common fields of config.json, looked at from inside the container.
# spec: config.md#linux-process, config-linux.md

load helpers

# with_user_ns [FIRST-HOST-ID]: 65536 ids from there on, and the root file system belongs to them
with_user_ns() {
	local first=${1:-100000}
	cfg '.linux.namespaces += [{type: "user"}] |
		.linux.uidMappings = [{containerID: 0, hostID: $first, size: 65536}] |
		.linux.gidMappings = .linux.uidMappings' --argjson first "$first"
	chown -hR "$first:$first" "$BUNDLE/rootfs"
}

# mount_with DESTINATION TYPE SOURCE [OPTION…]
mount_with() {
	cfg '.mounts += [{destination: $d, type: $t, source: $s, options: ($o | split(" "))}]' \
		--arg d "$1" --arg t "$2" --arg s "$3" --arg o "${*:4}"
}

# ---------------------------------------------------------------- scheduling

@test "process.scheduler and ioPriority are the container's, and exec's" {
	runsm_only
	bundle debian
	cfg '.process.scheduler = {policy: "SCHED_FIFO", priority: 7} |
		.process.ioPriority = {class: "IOPRIO_CLASS_RT", priority: 3}'
	ctr_up
	in_ctr sh -c 'chrt -p 1; ionice -p 1; chrt -p $$; ionice -p $$'
	is 2 "$(grep -c 'policy: SCHED_FIFO' <<<"$output")"
	is 2 "$(grep -c 'priority: 7$' <<<"$output")"
	is 2 "$(grep -c '^realtime: prio 3$' <<<"$output")"
	jq '.process | .args = ["sh", "-c", "chrt -p $$; ionice -p $$; nice"] |
		.scheduler = {policy: "SCHED_BATCH", nice: 5, flags: ["SCHED_FLAG_RESET_ON_FORK"]} |
		.ioPriority = {class: "IOPRIO_CLASS_IDLE"}' "$BUNDLE/config.json" >"$T/process.json"
	rtx 0 exec --process "$T/process.json" "$ID"
	matches 'SCHED_BATCH\|SCHED_RESET_ON_FORK' "$output"
	has idle "$output"
}

# bats test_tags=once
@test "process.scheduler: SCHED_DEADLINE" {
	runsm_only
	bundle debian
	cfg '.process.scheduler = {policy: "SCHED_DEADLINE", nice: 19, flags: ["SCHED_FLAG_RESET_ON_FORK"],
		runtime: 420000, deadline: 10000000, period: 10000000}'
	ctr_up
	# in_ctr would have the same policy
	jq '.process | del(.scheduler) | .args = ["chrt", "-p", "1"]' "$BUNDLE/config.json" >"$T/p.json"
	rtx 0 exec --process "$T/p.json" "$ID"
	matches 'SCHED_DEADLINE' "$output"
	matches 'runtime/deadline/period parameters: 420000/10000000/10000000' "$output"
}

@test "process.execCPUAffinity is for exec, and names CPUs of the VM" {
	runsm_only
	bundle debian
	cfg '.process.execCPUAffinity = {initial: "0", final: "0"}'
	ctr_up
	in_ctr taskset -cp 1
	matches 'list: 0$' "$output"
	jq '.process | .args = ["true"] | .execCPUAffinity = {final: "900-1000"}' \
		"$BUNDLE/config.json" >"$T/process.json"
	rtx 255 exec --process "$T/process.json" "$ID"
	matches 'process\.execCPUAffinity\.final: the VM has none of these CPUs' "$stderr"
}

# bats test_tags=once
@test "linux.personality: a 32-bit machine" {
	runsm_only
	bundle
	cfg '.linux.personality = {domain: "LINUX32"}'
	ctr_up
	in_ctr uname -m
	is i686 "$output"
	in_ctr cat /proc/1/personality
	is 00000008 "$output"
}

# bats test_tags=once
@test "oomScoreAdj below zero, though the caller may not" {
	runsm_only
	bundle
	cfg '.process.oomScoreAdj = -1000'
	sh_args 'cat /proc/self/oom_score_adj'
	ctr_run 0
	is -1000 "$output"
}

# ---------------------------------------------------------------- namespaces

@test "a user namespace: ids inside, owners outside, rights within" {
	bundle
	with_user_ns
	cfg '.process.capabilities |= with_entries(.value += ["CAP_SYS_ADMIN", "CAP_NET_ADMIN"]) |
		.hostname = "mapped"'
	ctr_up
	in_ctr sh -c 'id -u; cat /proc/1/uid_map /proc/1/gid_map; touch /by-root; hostname
		mount -t tmpfs none /tmp && echo mounted; ip link add dummy type veth 2>&1; :'
	is 0 "${lines[0]}"
	is "0 100000 65536" "$(awk 'NR == 1 {print $1, $2, $3}' <<<"${lines[1]}")"
	is "0 100000 65536" "$(awk 'NR == 1 {print $1, $2, $3}' <<<"${lines[2]}")"
	has mapped "$output"
	has mounted "$output"
	is 100000:100000 "$(stat -c %u:%g "$BUNDLE/rootfs/by-root")"
	# no right outside of it: the guest's clock, kernel and disks are not its own
	run rt exec "$ID" sh -c 'echo b >/proc/sysrq-trigger' </dev/null
	[ "$status" != 0 ]
	run rt exec "$ID" mknod /tmp/x c 1 3 </dev/null
	[ "$status" != 0 ]
	rtx 0 exec --user 1000:1000 "$ID" sh -c 'id -u; cat >/tmp/f; echo x >/dev/stdout; stat -c %u /proc/self/'
	is "1000
x
1000" "$output"
}

@test "a user namespace has the default devices, listed ones, and a terminal" {
	bundle
	with_user_ns
	cfg '.linux.devices = [{path: "/dev/mine", type: "c", major: 1, minor: 5, fileMode: 384}]'
	ctr_up
	in_ctr sh -c 'cd /dev; stat -c "%n %t:%T %a" null zero full random urandom tty mine
		head -c 3 mine | wc -c; echo x >null && echo written'
	has "null 1:3 666" "$output"
	has "urandom 1:9 666" "$output"
	has "mine 1:5 600" "$output"
	has 3 "$output"
	has written "$output"
	run script -qec "'$RUNTIME' --root '$ROOT' exec -t $ID tty" /dev/null
	is 0 "$status"
	matches '/dev/pts/' "$output"
}

# bats test_tags=once
@test "a user namespace does not stand in the way of limits and priorities" {
	runsm_only
	bundle debian
	with_user_ns
	cfg '.process.rlimits = [{type: "RLIMIT_NOFILE", soft: 4096, hard: 1048576}] |
		.process.oomScoreAdj = -700 | .process.scheduler = {policy: "SCHED_RR", priority: 2} |
		.linux.sysctl = {"net.ipv4.ip_forward": "1", "kernel.panic": "7"}'
	ctr_up
	in_ctr sh -c 'ulimit -Sn; ulimit -Hn; cat /proc/1/oom_score_adj; chrt -p 1
		cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/panic'
	is "4096 1048576 -700" "${lines[*]:0:3}"
	matches 'SCHED_RR' "$output"
	is "1 7" "${lines[*]: -2}"
}

@test "a time namespace with its offsets, which exec shares" {
	runsm_only
	bundle
	cfg '.linux.namespaces += [{type: "time"}] |
		.linux.timeOffsets = {boottime: {secs: 1000000000}, monotonic: {secs: 5000, nanosecs: 5}}'
	ctr_up
	in_ctr sh -c 'cut -d. -f1 /proc/uptime; cat /proc/1/timens_offsets
		test "$(readlink /proc/1/ns/time)" = "$(readlink /proc/self/ns/time)" && echo same'
	[ "${lines[0]}" -ge 1000000000 ]
	matches 'monotonic +5000 +5' "$output"
	has same "$output"
}

@test "a time offset that turns a clock of the VM negative is refused" {
	runsm_only
	bundle
	cfg '.linux.namespaces += [{type: "time"}] | .linux.timeOffsets = {monotonic: {secs: -100000}}'
	fails 1 'linux\.timeOffsets' create --bundle "$BUNDLE" "$ID"
	nothing_left
}

@test "a cgroup namespace shows the container's cgroup as the root" {
	bundle
	cfg '.linux.namespaces += [{type: "cgroup"}]'
	sh_args 'cat /proc/self/cgroup'
	ctr_run 0
	hasnt ':/[^ ]+' "$output"
}

# ---------------------------------------------------------------- mounts

# propagation PATH: what /proc/self/mountinfo, in $output, says of it
propagation() { awk -v d="$1" '$5 == d {print $7}' <<<"$output" | tail -n 1; }

# bats test_tags=once
@test "linux.rootfsPropagation" {
	bundle
	local want value
	for value in shared:shared: slave:- private:- unbindable:unbindable; do
		want=${value#*:}
		cfg '.linux.rootfsPropagation = $p' --arg p "${value%%:*}"
		args cat /proc/self/mountinfo
		ctr_run 0
		matches "^$want" "$(propagation /)"
	done
}

# bats test_tags=once
@test "propagation options of mounts" {
	bundle
	mkdir "$T/vol"
	mount_with /shared tmpfs tmpfs shared
	mount_with /unbindable tmpfs tmpfs runbindable
	mount_with /private bind "$T/vol" rbind rprivate
	mount_with /rshared bind "$T/vol" rbind rshared
	args cat /proc/self/mountinfo
	ctr_run 0
	matches '^shared:' "$(propagation /shared)"
	is unbindable "$(propagation /unbindable)"
	is - "$(propagation /private)"
	matches '^shared:' "$(propagation /rshared)"
}

# bats test_tags=once
@test "rro, rnoexec and the like hold for what is mounted below, too" {
	bundle
	mkdir -p "$T/vol/sub"
	mount -t tmpfs tmpfs "$T/vol/sub"
	OUR_MOUNTS+=("$T/vol/sub")
	mount_with /ro bind "$T/vol" rbind rro
	mount_with /noexec bind "$T/vol" rbind rnoexec rnosuid rnoatime
	ctr_up
	run rt exec "$ID" sh -c 'touch /ro/x /ro/sub/x' </dev/null
	is 2 "$(grep -ci 'read-only' <<<"$output")"
	in_ctr sh -c 'cp /bin/busybox /noexec/b; cp /bin/busybox /noexec/sub/b; ls /noexec/sub >/dev/null
		grep -c " /noexec.* rw,nosuid,noexec,noatime" /proc/self/mountinfo
		for b in /noexec/b /noexec/sub/b; do $b true 2>&1; done; :'
	is 2 "${lines[0]}"
	is 2 "$(grep -c 'Permission denied' <<<"$output")"
}

# bats test_tags=once
@test "tmpcopyup: a tmpfs begins with what the image has there" {
	bundle
	mkdir -p "$BUNDLE/rootfs/data/deep"
	echo image >"$BUNDLE/rootfs/data/deep/file"
	chmod 2750 "$BUNDLE/rootfs/data/deep"
	chown 12:34 "$BUNDLE/rootfs/data/deep/file"
	ln -s deep/file "$BUNDLE/rootfs/data/link"
	mount_with /data tmpfs tmpfs rw tmpcopyup size=1m
	sh_args 'cat /data/link; stat -c "%a %u:%g" /data/deep /data/deep/file
		echo changed >/data/deep/file; stat -f -c %T /data'
	ctr_run 0
	is "image
2750 0:0
644 12:34
tmpfs" "$output"
	is image "$(cat "$BUNDLE/rootfs/data/deep/file")"
}

# bats test_tags=once
@test "remount changes what an earlier entry mounted" {
	bundle
	mount_with /t tmpfs tmpfs size=1m
	mount_with /t tmpfs tmpfs remount ro
	mount_with /u tmpfs tmpfs
	mount_with /u none none remount bind noexec nosuid
	sh_args 'touch /t/x 2>&1; grep -o " /u .*tmpfs" /proc/self/mountinfo; touch /u/x && echo wrote'
	ctr_run 0
	matches 'read-only' "${lines[0]}"
	matches 'nosuid,noexec' "${lines[1]}"
	has wrote "$output"
}

# bats test_tags=once
@test "z and Z are the caller's business" {
	bundle
	mkdir "$T/vol"
	echo f >"$T/vol/f"
	mount_with /z bind "$T/vol" bind z
	mount_with /Z bind "$T/vol" bind ro Z
	sh_args 'cat /z/f /Z/f'
	ctr_run 0
	is "f
f" "$output"
}

# bats test_tags=once
@test "ID-mapped mounts are refused, with what to do instead" {
	runsm_only
	bundle
	mkdir "$T/vol"
	mount_with /vol bind "$T/vol" bind idmap
	fails 1 'mounts\[[0-9]+\]\.options\[1\]: .*idmap.*user namespace' create --bundle "$BUNDLE" "$ID"
	cfg '.mounts[-1] |= (.options = ["bind"] |
		.uidMappings = [{containerID: 0, hostID: 1000, size: 1}] | .gidMappings = .uidMappings)'
	fails 1 'mounts\[[0-9]+\]\.uidMappings: ID-mapped' create --bundle "$BUNDLE" "$ID"
	nothing_left
}

# ---------------------------------------------------------------- devices

# bats test_tags=once
@test "devices of the host are refused by name and number" {
	runsm_only
	bundle
	local device
	for device in '"b", major: 8, minor: 0' '"c", major: 10, minor: 232' '"c", major: 4, minor: 64' \
		'"b", major: 259, minor: 1' '"c", major: 1, minor: 1'; do
		cfg ".linux.devices = [{path: \"/dev/x\", type: $device}]"
		fails 1 'linux\.devices\[0\]: /dev/x \([bc] [0-9]+:[0-9]+\): a device of the host' \
			create --bundle "$BUNDLE" "$ID"
	done
	nothing_left
}

@test "a device that the guest's kernel has no driver for is refused" {
	runsm_only
	bundle
	cfg '.linux.devices = [{path: "/dev/kmsg", type: "c", major: 1, minor: 11},
		{path: "/dev/ram0", type: "b", major: 1, minor: 0}]'
	fails 1 'linux\.devices\[1\]: /dev/ram0 \(b 1:0\): the guest.s kernel has no driver' \
		create --bundle "$BUNDLE" "$ID"
	nothing_left
}

@test "the guest's own kernel messages can be had" {
	runsm_only
	bundle
	cfg '.linux.devices = [{path: "/dev/kmsg", type: "c", major: 1, minor: 11, fileMode: 384}] |
		.linux.resources.devices += [{allow: true, type: "c", major: 1, minor: 11, access: "r"}] |
		.process.capabilities |= with_entries(.value += ["CAP_SYSLOG"])'
	sh_args 'dd if=/dev/kmsg bs=8192 count=1 2>/dev/null'
	ctr_run 0
	matches 'Linux version' "$output"
}

# ---------------------------------------------------------------- sysctl, seccomp, the rest

# bats test_tags=once
@test "linux.sysctl, with dots or slashes" {
	bundle
	cfg '.linux.sysctl = {"net.ipv4.ip_forward": "1", "net/ipv4/ip_default_ttl": "33",
		"kernel.msgmax": "9000"}'
	sh_args 'cd /proc/sys; cat net/ipv4/ip_forward net/ipv4/ip_default_ttl kernel/msgmax'
	ctr_run 0
	is "1
33
9000" "$output"
}

@test "linux.sysctl: parameters of the whole kernel, which is the container's own" {
	runsm_only
	bundle
	cfg '.linux.sysctl = {"kernel.panic": "11", "vm.swappiness": "17"}'
	sh_args 'cat /proc/sys/kernel/panic /proc/sys/vm/swappiness'
	ctr_run 0
	is "11
17" "$output"
	cfg '.linux.sysctl = {"net.nonesuch": "1"}'
	fails 1 'linux\.sysctl\.net\.nonesuch' create --bundle "$BUNDLE" "$ID"
	nothing_left
}

@test "seccomp: error numbers, arguments, alternatives, other architectures" {
	bundle
	cfg '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW",
		architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_AARCH64"],
		flags: ["SECCOMP_FILTER_FLAG_LOG"],
		syscalls: [
			{names: ["mkdir", "mkdirat", "no_such_call"], action: "SCMP_ACT_ERRNO", errnoRet: 28},
			{names: ["rmdir"], action: "SCMP_ACT_ERRNO"},
			{names: ["socket"], action: "SCMP_ACT_ERRNO", errnoRet: 97, args: [
				{index: 0, value: 2, op: "SCMP_CMP_EQ"},
				{index: 0, value: 10, op: "SCMP_CMP_EQ"}]},
			{names: ["kill"], action: "SCMP_ACT_KILL_PROCESS", args: [
				{index: 1, value: 255, valueTwo: 10, op: "SCMP_CMP_MASKED_EQ"}]}]}'
	sh_args 'mkdir /x 2>&1; rmdir /tmp 2>&1; ping -c 1 127.0.0.1 2>&1; ping -6 -c 1 ::1 2>&1
		(kill -USR1 $$); echo $?; kill -0 $$; echo $?; grep Seccomp: /proc/self/status'
	ctr_run 0
	matches 'no space left' "${lines[0]}"
	matches 'not permitted' "${lines[1]}"
	is 2 "$(grep -ci 'address family not supported' <<<"$output")"
	has 159 "$output"
	has 0 "$output"
	has "Seccomp:	2" "$output"
}

@test "seccomp: a default that forbids, with its error number, in exec too" {
	runsm_only
	bundle
	cfg '.process.noNewPrivileges = false | .linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW",
		syscalls: [{names: ["sethostname"], action: "SCMP_ACT_ERRNO", errnoRet: 71}]} |
		.process.capabilities |= with_entries(.value += ["CAP_SYS_ADMIN"])'
	ctr_up
	run rt exec "$ID" hostname x </dev/null
	matches 'protocol error' "$output"
	rt delete --force "$ID"
	# so that it comes last: nothing but the program needs to be let through
	cfg '.process.noNewPrivileges = true | .linux.seccomp = {defaultAction: "SCMP_ACT_ERRNO",
		defaultErrnoRet: 38, syscalls: [
		{names: ["execve", "exit", "exit_group", "write", "brk", "mmap", "arch_prctl",
			"set_tid_address", "set_robust_list", "rseq", "prlimit64", "mprotect", "readlink",
			"readlinkat", "getrandom", "uname", "getuid", "getpid", "getppid", "rt_sigaction",
			"rt_sigprocmask", "rt_sigreturn", "ioctl", "fcntl", "prctl", "fstat", "newfstatat",
			"stat", "read", "close", "munmap", "futex", "openat", "open"],
		 action: "SCMP_ACT_ALLOW"}]}'
	args mkdir /x
	ctr_run 1
	matches 'function not implemented' "$stderr"
	cfg '.linux.seccomp.listenerPath = "/run/x"'
	fails 1 'linux\.seccomp\.listenerPath: there is no seccomp agent' create --bundle "$BUNDLE" "$ID"
	nothing_left
}

# bats test_tags=once
@test "apparmorProfile, selinuxLabel and mountLabel are for processes of the host" {
	runsm_only
	bundle
	cfg '.process.apparmorProfile = "docker-default" | .linux.mountLabel = "a:b:c" |
		.process.selinuxLabel = "system_u:system_r:container_t:s0:c1,c2"'
	args echo ran
	ctr_run 0
	is ran "$output"
}

# bats test_tags=once
@test "annotations are in the state" {
	bundle
	cfg '.annotations = {"com.example.one": "1", "org.example/two": "zwei \u00e9"}'
	ctr_create
	rtx 0 state "$ID"
	is '{"com.example.one":"1","org.example/two":"zwei é"}' \
		"$(jq -cS .annotations <<<"$output")"
}
