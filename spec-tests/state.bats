#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# spec: runtime.md#state, runtime.md#query-state

load helpers

# spec: runtime.md#state
@test "state has every field of the specification, in each status" {
	bundle
	cfg '.annotations = {"org.example.key": "value \"quoted\" \u00e9"}'
	ctr_create
	rt state "$ID" >"$T/state"
	jq -e --arg id "$ID" --arg b "$BUNDLE" '
		.id == $id and .bundle == $b and .status == "created" and .pid > 1 and
		(.ociVersion | test("^1\\.[0-9]+\\.[0-9]+")) and
		.rootfs == $b + "/rootfs" and
		.annotations["org.example.key"] == "value \"quoted\" \u00e9" and
		(.created | test("^[0-9-]{10}T[0-9:]{8}(\\.[0-9]+)?Z$"))' "$T/state"
	local pid created
	pid=$(jq .pid "$T/state")
	created=$(jq -r .created "$T/state")
	# made just now
	[ $(($(date +%s) - $(date -d "$created" +%s))) -lt 60 ]

	rt start "$ID"
	rt state "$ID" >"$T/state"
	jq -e --argjson pid "$pid" '.status == "running" and .pid == $pid' "$T/state"

	rt kill "$ID" KILL
	wait_status stopped
	rt state "$ID" >"$T/state"
	jq -e --arg c "$created" --arg id "$ID" \
		'.status == "stopped" and .pid == 0 and .id == $id and .created == $c' "$T/state"
	rt delete "$ID"
	fails 1 "container does not exist" state "$ID"
}

# spec: runtime.md#query-state ("MUST generate an error if it is not provided the ID of a container")
# bats test_tags=once
@test "state of an unknown container fails" {
	fails 1 "container does not exist" state "$ID"
	rtx 1 state
	rtx 1 state "$ID" extra
}

@test "state names a relative bundle by its absolute path" {
	bundle
	cd "$T"
	rt create --bundle bundle "$ID" </dev/null >"$T/out" 2>&1
	is "$BUNDLE" "$(rt state "$ID" | jq -r .bundle)"
}
