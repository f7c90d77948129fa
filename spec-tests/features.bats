#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# spec: features.md

load helpers

# bats test_tags=once
@test "features tells what the runtime can do" {
	rt features >"$T/f"
	jq -e '(.ociVersionMin | test("^1\\.0")) and (.ociVersionMax | test("^1\\.")) and
		(.hooks | sort == (["prestart", "createRuntime", "createContainer", "startContainer",
			"poststart", "poststop"] | sort)) and
		(.mountOptions | index("ro") != null and index("rbind") != null and index("nosuid") != null) and
		(.linux.namespaces | index("pid") != null and index("mount") != null) and
		(.linux.capabilities | index("CAP_CHOWN") != null and index("CAP_SYS_ADMIN") != null)' "$T/f"
}

# Every option it names is one it takes.
@test "each mount option that features names is accepted" {
	runsm_only
	bundle
	local opt
	cfg '.mounts += [{destination: "/t", type: "tmpfs", source: "t", options: $o}]' \
		--argjson o "$(rt features | jq '[.mountOptions[] | select(
			IN("remount", "bind", "rbind", "mand", "nomand", "copy-up", "tmpcopyup", "rro", "rrw", "idmap", "ridmap") | not)]')"
	args true
	ctr_run 0
}

# Every member it has is one of the specification, but for "commands".
# bats test_tags=once
@test "features has the members of features.md" {
	runsm_only
	rt features >"$T/f"
	is "annotations commands hooks linux mountOptions ociVersionMax ociVersionMin potentiallyUnsafeConfigAnnotations" \
		"$(jq -r 'keys[]' "$T/f" | xargs)"
	is "apparmor capabilities cgroup intelRdt mountExtensions namespaces netDevices seccomp selinux" \
		"$(jq -r '.linux | keys[]' "$T/f" | xargs)"
	is "rdma systemd systemdUser v1 v2" "$(jq -r '.linux.cgroup | keys[]' "$T/f" | xargs)"
	is "actions archs enabled knownFlags operators supportedFlags" \
		"$(jq -r '.linux.seccomp | keys[]' "$T/f" | xargs)"
}

# What it says of a thing, and what becomes of a container that asks for the thing.
@test "what features names is accepted, what it leaves out is refused" {
	runsm_only
	local name filter want rc
	bundle
	args true
	rt features >"$T/f"
	cp "$BUNDLE/config.json" "$T/plain.json"
	while IFS=@ read -r name filter; do
		jq "$filter" "$T/plain.json" >"$BUNDLE/config.json"
		want=$(jq "if $name then 0 else 1 end" "$T/f")
		rc=0
		rt create --bundle "$BUNDLE" "$ID" </dev/null >"$T/out" 2>"$T/err" || rc=$?
		is "$want" "$rc" "$name: $(cat "$T/err")"
		rt delete --force "$ID"
	done <<-'END'
		(.linux.namespaces | index("cgroup") != null)@.linux.namespaces += [{type: "cgroup"}] | .linux.namespaces |= unique
		(.linux.namespaces | index("user") != null)@.linux += {namespaces: (.linux.namespaces + [{type: "user"}]), uidMappings: [{containerID: 0, hostID: 0, size: 65536}], gidMappings: [{containerID: 0, hostID: 0, size: 65536}]}
		(.linux.namespaces | index("time") != null)@.linux.namespaces += [{type: "time"}]
		.linux.intelRdt.enabled@.linux.intelRdt = {closID: "x"}
		.linux.netDevices.enabled@.linux.netDevices = {eth0: {name: "e"}}
		.linux.mountExtensions.idmap.enabled@.mounts += [{destination: "/m", type: "bind", source: "/tmp", options: ["bind"], uidMappings: [{containerID: 0, hostID: 1000, size: 1}], gidMappings: [{containerID: 0, hostID: 1000, size: 1}]}]
	END
	jq '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", architectures: $f[0].linux.seccomp.archs,
		flags: $f[0].linux.seccomp.supportedFlags,
		syscalls: ([["swapon", "swapoff", "acct", "reboot", "sethostname", "setdomainname",
			"syslog", "vhangup", "quotactl"], $f[0].linux.seccomp.actions] | transpose |
			map(select(.[1]) | {names: [.[0]], action: .[1]}))}' \
		--slurpfile f "$T/f" "$T/plain.json" >"$BUNDLE/config.json"
	ctr_run 0
}
