#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# spec: runtime.md#create, runtime.md#lifecycle

load helpers

# spec: runtime.md#create
@test "create makes the container but does not run its program" {
	bundle
	sh_args 'echo ran; touch /ran; sleep 1000'
	ctr_create --pid-file "$T/pid"
	is created "$(ctr_status)"
	is "" "$(cat "$T/out")"
	[ ! -e "$BUNDLE/rootfs/ran" ]

	# the pid file has the pid that state reports, of a live process, without a newline
	is "$(ctr_pid)" "$(cat "$T/pid")"
	kill -0 "$(cat "$T/pid")"
	is "$(wc -c <"$T/pid")" "$(printf %s "$(cat "$T/pid")" | wc -c)"
}

# spec: runtime.md#create ("any changes made to the config.json file after this operation will not
# have an effect on the container")
@test "config.json may change and vanish after create" {
	bundle
	sh_args 'echo first'
	ctr_create
	sh_args 'echo second'
	rm "$BUNDLE/config.json"
	rt start "$ID"
	wait_status stopped
	is first "$(cat "$T/out")"
}

# spec: runtime.md#create ("the ID must be unique")
@test "an id that is in use is refused and its container is left alone" {
	bundle
	ctr_create
	fails 1 "container with given ID already exists" create --bundle "$BUNDLE" "$ID"
	fails 1 "container with given ID already exists" run --bundle "$BUNDLE" "$ID"
	is created "$(ctr_status)"
	rt start "$ID"
	is running "$(ctr_status)"
}

# spec: runtime.md#create
@test "an id can be used again after delete" {
	bundle
	args true
	ctr_up
	wait_status stopped
	rt delete "$ID"
	sh_args 'echo again'
	ctr_run 0
	is again "$output"
}

@test "create takes the bundle from the current directory by default" {
	bundle
	sh_args 'echo here'
	cd "$BUNDLE"
	rtx 0 run "$ID"
	is here "$output"
}

@test "two containers from two bundles live side by side" {
	bundle
	sh_args 'echo one; sleep 1000'
	ctr_up
	BUNDLE=$T/second
	bundle
	sh_args 'echo two; sleep 1000'
	rt create --bundle "$BUNDLE" "${ID}b" </dev/null >"$T/out2" 2>&1
	rt start "${ID}b"
	wait_for 20 grep -q one "$T/out"
	wait_for 20 grep -q two "$T/out2"
	[ "$(ctr_pid)" != "$(ctr_pid "${ID}b")" ]
	rt kill "${ID}b" KILL
	wait_status stopped "${ID}b"
	is running "$(ctr_status)"
	rtx 0 exec "$ID" echo still here
}

# The state directory's path is no longer than anybody wants; a socket's address is 108 bytes.
@test "a --root too long for a socket address works" {
	bundle
	sh_args 'echo deep'
	ROOT=$T/$(printf 'd%.0s' {1..90})/$(printf 'e%.0s' {1..90})
	ctr_up
	in_ctr true 2>/dev/null || true
	wait_status stopped
	is deep "$(cat "$T/out")"
	rt delete "$ID"
}
