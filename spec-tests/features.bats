#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# spec: features.md

load helpers

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
			IN("bind", "rbind", "mand", "nomand", "copy-up", "tmpcopyup", "rro", "rrw", "idmap", "ridmap") | not)]')"
	args true
	ctr_run 0
}
