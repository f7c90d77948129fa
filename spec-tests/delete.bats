#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# spec: runtime.md#delete

load helpers

# spec: runtime.md#delete ("Attempting to delete a container that is not stopped MUST have no effect
# on the container and MUST generate an error")
@test "a running container is not deleted, a stopped one is" {
	bundle
	ctr_up
	fails 1 "cannot delete container $ID that is not stopped: running" delete "$ID"
	is running "$(ctr_status)"
	rt kill "$ID" KILL
	wait_status stopped
	rtx 0 delete "$ID"
	nothing_left
	fails 1 "container does not exist" delete "$ID"
	# what the bundle holds is its owner's
	[ -e "$BUNDLE/config.json" ] && [ -x "$BUNDLE/rootfs/bin/busybox" ]
}

@test "a created container is deleted without force" {
	bundle
	ctr_create
	rtx 0 delete "$ID"
	nothing_left
}

@test "delete --force takes a created, a running and a paused container" {
	bundle
	ctr_create
	rtx 0 delete --force "$ID"
	nothing_left
	ctr_up
	rtx 0 delete -f "$ID"
	nothing_left
	ctr_up
	rt pause "$ID"
	rtx 0 delete --force "$ID"
	nothing_left
}

# bats test_tags=once
@test "delete --force of an unknown container succeeds" {
	rtx 0 delete --force "$ID"
}

# spec: runtime.md#delete ("resources … that were not created by this container MUST NOT be deleted")
@test "delete leaves the sources of bind mounts alone" {
	bundle
	mkdir "$T/vol"
	echo keep >"$T/vol/file"
	cfg '.mounts += [{destination: "/vol", type: "bind", source: $s, options: ["bind", "rw"]}]' \
		--arg s "$T/vol"
	ctr_up
	in_ctr sh -c 'echo more >>/vol/file'
	rt delete --force "$ID"
	is "keep more" "$(tr '\n' ' ' <"$T/vol/file" | sed 's/ $//')"
}
