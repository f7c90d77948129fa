#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# spec: a new config.json, as runc has it

load helpers

@test "spec writes a config.json that runs" {
	mkdir "$BUNDLE"
	rootfs_into busybox "$BUNDLE/rootfs"
	cd "$BUNDLE"
	rtx 0 spec
	jq -e '(.ociVersion | test("^1\\.")) and .process.args == ["sh"] and .process.terminal and
		.process.cwd == "/" and .root.path == "rootfs" and .root.readonly and
		(.mounts | map(.destination) | index("/proc") != null and index("/sys") != null) and
		(.linux.namespaces | map(.type) | sort) ==
			(["ipc", "mount", "network", "pid", "uts"] + (if any(. == "cgroup") then ["cgroup"] else [] end) | sort) and
		(.linux.maskedPaths | length) > 5 and .process.noNewPrivileges' config.json
	cfg '.process.terminal = false | .process.args = ["echo", "runs"]'
	ctr_run 0
	is runs "$output"
}

# bats test_tags=once
@test "spec does not overwrite, and takes --bundle" {
	mkdir "$BUNDLE"
	rtx 0 spec --bundle "$BUNDLE"
	local before
	before=$(stat -c %i:%Y "$BUNDLE/config.json")
	fails 1 'config.json exists' spec -b "$BUNDLE"
	is "$before" "$(stat -c %i:%Y "$BUNDLE/config.json")"
	fails 1 'no such file or directory' spec --bundle "$T/nowhere"
}

@test "spec --rootless maps the caller to root in a user namespace, and runs" {
	mkdir "$BUNDLE"
	rootfs_into busybox "$BUNDLE/rootfs"
	cd "$BUNDLE"
	rtx 0 spec --rootless
	jq -e '(.linux.namespaces | map(.type) | index("user") != null) and
		(.linux.uidMappings == [{containerID: 0, hostID: 0, size: 1}]) and
		(.linux.gidMappings == [{containerID: 0, hostID: 0, size: 1}]) and
		(.linux.resources == null) and
		(.mounts | map(select(.type == "devpts").options[]) | index("gid=5") == null)' config.json
	cfg '.process.terminal = false | .process.args = ["sh", "-c", "id -u; cat /proc/self/uid_map"]'
	runsm_only # runc leaves the network and /sys the host's
	ctr_run 0
	is "0 0 0 1" "$(xargs <<<"$output")"
	rm config.json
	chown 1234:4321 .
	rtx 0 spec
	mv config.json plain.json
	chmod 755 "$T"
	run -0 setpriv --reuid 1234 --regid 4321 --clear-groups "$RUNTIME" --root "$T/r" spec --rootless
	jq -e '.linux.uidMappings[0].hostID == 1234 and .linux.gidMappings[0].hostID == 4321' config.json
	# the rest is what spec writes
	is "$(jq -cS 'del(.linux.uidMappings, .linux.gidMappings) |
			.linux.namespaces |= map(select(.type != "user"))' config.json)" \
		"$(jq -cS 'del(.linux.resources) | (.mounts[] | select(.type == "devpts").options) -= ["gid=5"]' plain.json)"
}
