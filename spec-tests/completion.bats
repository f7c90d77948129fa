#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# bats file_tags=once
# Completions for bash, zsh and fish know every command and option that the program knows.

load helpers

setup() {
	ctr_setup "$BATS_TEST_TMPDIR"
	runsm_only
	COMPLETIONS=$SPEC_DIR/../contrib/completions
	export PATH=${RUNTIME%/*}:$PATH
}

commands() { rt --help | awk '/^COMMANDS:/ { on = 1; next } /^$/ { on = 0 } on { print $1 }'; }
options() { rt "$@" --help | awk '/^   --/ { print $1 }' | tr -d ,; }

# all_known COMPLETE: COMPLETE WORD… prints what the last word may become, one per line
all_known() {
	local verb opt known
	known=$("$1" '')
	for verb in $(commands); do
		has "$verb" "$known"
		known_options=$("$1" "$verb" --)
		for opt in $(options "$verb"); do
			has "$opt" "$known_options"
		done
	done
	known=$("$1" --)
	for opt in $(options); do
		has "$opt" "$known"
	done
	has build "$("$1" guest '')"
	has info "$("$1" guest '')"
	bundle
	ctr_create
	for verb in start kill exec state pause resume ps events update delete; do
		has "$ID" "$("$1" --root "$ROOT" "$verb" '')"
	done
}

@test "bash completes every command, option and container id" {
	# shellcheck source=contrib/completions/runsm.bash
	source "$COMPLETIONS/runsm.bash"
	with_bash() {
		COMP_WORDS=(runsm "$@")
		COMP_CWORD=$#
		_runsm
		printf '%s\n' "${COMPREPLY[@]}"
	}
	all_known with_bash
	is "table json" "$(with_bash list --format '' | xargs)"
	is "text json" "$(with_bash check --format '' | xargs)"
}

@test "zsh completes every command, option and container id" {
	need command -v zsh -- "no zsh"
	with_zsh() {
		zsh -f -c '
			compadd() { [[ $1 == -- ]] && shift; print -l -- "$@" }
			_files() { print files }
			words=(runsm "$@") CURRENT=$#words
			eval "_file() { $(<$0) }"
			_file' "$COMPLETIONS/_runsm" "$@"
	}
	all_known with_zsh
}

@test "fish completes every command, option and container id" {
	need command -v fish -- "no fish"
	with_fish() {
		HOME=$T fish --no-config -c "source $COMPLETIONS/runsm.fish
			complete -C \"runsm $*\"" | cut -f 1
	}
	all_known with_fish
}
