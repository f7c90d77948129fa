#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# spec: config-linux.md#default-devices, config-linux.md#devices, runtime-linux.md#dev-symbolic-links

load helpers

@test "the default devices exist, work and belong to root" {
	bundle
	ctr_up
	in_ctr sh -c 'cd /dev; stat -c "%n %F %t:%T %a %u:%g" null zero full random urandom tty'
	is "null character special file 1:3 666 0:0
zero character special file 1:5 666 0:0
full character special file 1:7 666 0:0
random character special file 1:8 666 0:0
urandom character special file 1:9 666 0:0
tty character special file 5:0 666 0:0" "$output"
	in_ctr sh -c 'echo x >/dev/null; cat /dev/null | wc -c; head -c 5 /dev/zero | tr "\0" z; echo
		head -c 7 /dev/urandom | wc -c; head -c 3 /dev/random | wc -c'
	is "0
zzzzz
7
3" "$output"
	run rt exec "$ID" sh -c 'echo x >/dev/full' </dev/null
	matches 'No space left' "$output"
	# and as another user
	rtx 0 exec --user 1000 "$ID" sh -c 'echo x >/dev/null; head -c 1 /dev/zero | wc -c'
	is 1 "$output"
}

@test "the links of /dev" {
	bundle
	sh_args 'cd /dev; for l in fd stdin stdout stderr ptmx; do echo "$l $(readlink $l)"; done'
	ctr_run 0
	is "fd /proc/self/fd
stdin /proc/self/fd/0
stdout /proc/self/fd/1
stderr /proc/self/fd/2
ptmx pts/ptmx" "$output"
}

@test "the container can open terminals of its own" {
	bundle debian
	sh_args 'script -q -c "tty; test -t 1 && echo yes" /dev/null'
	ctr_run 0
	matches '/dev/pts/0' "$output"
	matches yes "$output"
}

@test "linux.devices adds devices with their mode and owner" {
	bundle
	cfg '.linux.devices = [
		{path: "/dev/mynull", type: "c", major: 1, minor: 3, fileMode: 432, uid: 12, gid: 34},
		{path: "/dev/sub/zero", type: "c", major: 1, minor: 5, fileMode: 438, uid: 0, gid: 0},
		{path: "/dev/pipe", type: "p", fileMode: 420, uid: 0, gid: 0}] |
		.linux.resources.devices = [{allow: true, access: "rwm"}]'
	ctr_up
	in_ctr stat -c '%n %F %t:%T %a %u:%g' /dev/mynull /dev/sub/zero /dev/pipe
	is "/dev/mynull character special file 1:3 660 12:34
/dev/sub/zero character special file 1:5 666 0:0
/dev/pipe fifo 0:0 644 0:0" "$output"
	in_ctr sh -c 'head -c 4 /dev/sub/zero | wc -c; ls /dev | wc -l'
	is 4 "${lines[0]}"
}

# spec: config-linux.md#allowed-device-list
@test "linux.resources.devices: what no rule allows cannot be opened, default devices can" {
	bundle
	cfg '.linux.devices = [{path: "/dev/kmsg", type: "c", major: 1, minor: 11}] |
		.linux.resources.devices = [{allow: false, access: "rwm"}] |
		.process.capabilities |= with_entries(.value += ["CAP_SYSLOG", "CAP_MKNOD"])'
	sh_args 'head -c 1 /dev/kmsg; echo x >/dev/kmsg; head -c 1 /dev/zero | wc -c; echo x >/dev/null
		mknod /dev/fuse c 10 229 && cat /dev/fuse; true'
	ctr_run 0
	is 1 "$output"
	is 3 "$(grep -c 'Operation not permitted' <<<"$stderr")"
}

@test "linux.resources.devices: the last rule about a device and an access decides" {
	bundle
	cfg '.linux.devices = [{path: "/dev/kmsg", type: "c", major: 1, minor: 11}] |
		.linux.resources.devices = [{allow: false, access: "rwm"},
			{allow: true, type: "c", major: 1, minor: 11, access: "rw"},
			{allow: false, type: "c", major: 1, minor: 11, access: "w"}] |
		.process.capabilities |= with_entries(.value += ["CAP_SYSLOG"])'
	ctr_up
	in_ctr sh -c 'dd if=/dev/kmsg bs=8192 count=1 2>/dev/null | wc -l'
	is 1 "$output"
	rtx 1 exec "$ID" sh -c 'echo x >/dev/kmsg'
	matches 'Operation not permitted' "$stderr"
	# an update of other limits leaves them alone
	rt update --pids-limit 50 "$ID"
	rtx 1 exec "$ID" sh -c 'echo x >/dev/kmsg'
	matches 'Operation not permitted' "$stderr"
}
