#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# spec: config.md#root

load helpers

@test "root.readonly makes the root read-only and nothing else" {
	bundle
	mkdir "$T/vol"
	cfg '.root.readonly = true | .mounts +=
		[{destination: "/tmp", type: "tmpfs", source: "tmpfs"},
		 {destination: "/home", type: "bind", source: $s, options: ["rbind", "rw"]}]' --arg s "$T/vol"
	sh_args 'touch /x; mkdir /y; rm /etc/passwd; echo >>/etc/group; chmod 777 /etc; ln /etc/passwd /z
		touch /tmp/ok /home/ok && echo wrote; awk "\$5 == \"/\" {print \$6}" /proc/self/mountinfo'
	ctr_run 0
	is wrote "${lines[0]}"
	matches '^ro(,|$)' "${lines[1]}"
	is 6 "$(grep -ci 'read-only file system' <<<"$stderr")"
	[ -e "$T/vol/ok" ] && [ ! -e "$BUNDLE/rootfs/x" ] && [ -s "$BUNDLE/rootfs/etc/passwd" ]
}

# The host enforces it: no guest, however privileged, gets round it.
@test "a privileged container cannot make a read-only root writable" {
	runsm_only
	bundle
	cfg '.root.readonly = true | .process.capabilities |= with_entries(.value += ["CAP_SYS_ADMIN"])'
	sh_args 'mount -o remount,rw /; touch /x; echo y >>/etc/passwd; :'
	ctr_run 0
	[ ! -e "$BUNDLE/rootfs/x" ]
	hasnt '^y$' "$(cat "$BUNDLE/rootfs/etc/passwd")"
}

@test "root.path may be absolute and outside of the bundle" {
	bundle
	mv "$BUNDLE/rootfs" "$T/elsewhere"
	sh_args 'echo in it; touch /was-here'
	cfg '.root.path = $p' --arg p "$T/elsewhere"
	ctr_run 0
	is "in it" "$output"
	[ -e "$T/elsewhere/was-here" ]
}

@test "the root is the root: nothing above it, .. stays" {
	bundle
	touch "$BUNDLE/outside"
	sh_args 'ls -a /.. | grep -c outside; cd /; cd ../../..; pwd; stat -c %i / /..; cat /../outside'
	ctr_run 1
	is 0 "${lines[0]}"
	is / "${lines[1]}"
	is "${lines[2]}" "${lines[3]}"
}

@test "symlinks in the root that point out of it stay inside" {
	bundle
	echo secret >"$T/secret"
	ln -s "$T/secret" "$BUNDLE/rootfs/leak"
	ln -s ../../../../../../../../../../../../../etc "$BUNDLE/rootfs/up"
	sh_args 'cat /leak; cat /up/passwd | head -n1'
	ctr_run 0
	is root:x:0:0:root:/root:/bin/sh "$output"
}
