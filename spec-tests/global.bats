#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Version, help, global options, as runc has them

load helpers

# bats test_tags=once
@test "--version names the program and the specification" {
	run -0 "$RUNTIME" --version
	matches "^${RUNTIME##*/} version [0-9]+\.[0-9]+" "${lines[0]}"
	grep -qE '^spec: 1\.[0-9]+' <<<"$output"
	run -0 "$RUNTIME" -v
}

# bats test_tags=once
@test "help lists the commands, of the program and of each" {
	run -0 "$RUNTIME" --help
	local verb
	for verb in create delete exec kill list pause ps resume run spec start state features; do
		grep -qE "^ +$verb " <<<"$output" || { echo "no $verb" >&2; false; }
		"$RUNTIME" $verb --help | grep -q "^USAGE\|Usage"
	done
}

# bats test_tags=once
@test "an unknown command or option, or too few arguments, is an error" {
	local -a bad
	run "$RUNTIME" --root "$ROOT" nonesuch
	[ "$status" != 0 ]
	run "$RUNTIME" --root "$ROOT" --nonesuch list
	[ "$status" != 0 ]
	for bad in create start state kill delete run exec ps pause resume; do
		run "$RUNTIME" --root "$ROOT" $bad
		[ "$status" != 0 ]
		matches 'requires|required|needs|argument' "$output"
	done
	run "$RUNTIME" --root "$ROOT" list --nonesuch
	[ "$status" != 0 ]
	run "$RUNTIME" --root
	[ "$status" != 0 ]
}

# bats test_tags=once
@test "--log takes the log, as text or JSON, appended; stderr says it too" {
	fails 1 "container does not exist" state nope
	run --separate-stderr rt --log "$T/log" state nope
	run --separate-stderr rt --log "$T/log" state nope
	is 2 "$(grep -c 'container does not exist' "$T/log")"
	run --separate-stderr rt --log-format json state nope
	is error "$(jq -r .level <<<"$stderr")"
	jq -e '.time | test("^[0-9-]{10}T")' <<<"$stderr"
	run rt --log-format yaml state nope
	[ "$status" != 0 ]
	matches 'log-format' "$output"
	run rt --log "$T/no/such/dir/log" list
	[ "$status" != 0 ]
}

# bats test_tags=once
@test "a JSON log survives what a name may hold" {
	fails 1 '.' create --bundle "$T/quo\"te
newline" "$ID"
}

@test "--debug logs more and changes nothing" {
	bundle
	sh_args 'echo out; exit 3'
	rtx 3 --debug --log "$T/log" run --bundle "$BUNDLE" "$ID"
	is out "$output"
	grep -q debug "$T/log"
}

@test "--root is made when missing, and is private" {
	bundle
	ROOT=$T/new/root
	ctr_up
	is running "$(ctr_status)"
	is 711 "$(stat -c %a "$ROOT/$ID")" || is 700 "$(stat -c %a "$ROOT/$ID")"
	rt delete -f "$ID"
}
