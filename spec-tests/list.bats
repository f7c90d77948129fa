#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# list, as runc has it

load helpers

# bats test_tags=once
@test "list of nothing is empty" {
	rtx 0 list
	matches '^ID +PID +STATUS +BUNDLE +CREATED +OWNER$' "$output"
	rtx 0 list --quiet
	is "" "$output"
	rtx 0 list --format json
	is null "$(jq -c . <<<"$output")"
	ROOT=$T/nowhere
	rtx 0 list -q
	is "" "$output"
}

@test "list shows each container with its status" {
	bundle
	ctr_up
	rt create --bundle "$BUNDLE" "${ID}b" </dev/null >/dev/null 2>&1
	rtx 0 list
	is 3 "${#lines[@]}"
	matches "^$ID +$(ctr_pid) +running +$BUNDLE +[0-9-]{10}T[0-9:.]+Z +root" "${lines[1]}"
	matches "^${ID}b +$(ctr_pid "${ID}b") +created +$BUNDLE " "${lines[2]}"
	rtx 0 list -q
	is "$ID
${ID}b" "$output"
	rt kill "$ID" KILL
	wait_status stopped
	rt list --format json >"$T/json"
	jq -e --arg id "$ID" --arg b "$BUNDLE" 'length == 2 and
		(.[0] | .id == $id and .status == "stopped" and .pid == 0 and .bundle == $b and
			.owner == "root" and .rootfs == $b + "/rootfs") and
		(.[1] | .id == $id + "b" and .status == "created" and .pid > 1)' "$T/json"
	fails 1 'invalid format option' list --format yaml
}
