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

@test "spec does not overwrite, and takes --bundle" {
	mkdir "$BUNDLE"
	rtx 0 spec --bundle "$BUNDLE"
	local before
	before=$(stat -c %i:%Y "$BUNDLE/config.json")
	fails 1 'config.json exists' spec -b "$BUNDLE"
	is "$before" "$(stat -c %i:%Y "$BUNDLE/config.json")"
	fails 1 'no such file or directory' spec --bundle "$T/nowhere"
}
