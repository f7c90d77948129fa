#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# bats file_tags=tcg
# Without the machine's root: as another user, and as uid 0 of that user's own user namespace.

load helpers

USER_ID=54321

# as_user COMMAND…: nothing of root's but the files that everybody may read
as_user() {
	timeout --foreground -k 5 60 setpriv --reuid=$USER_ID --regid=$USER_ID --clear-groups \
		env XDG_RUNTIME_DIR="$T/xdg" "$@" </dev/null 3>&- 4>&-
}

rootless_bundle() {
	runsm_only
	bundle
	(cd "$BUNDLE" && rm config.json && rootless_spec)
	mkdir "$T/xdg"
	chown -R $USER_ID:$USER_ID "$BUNDLE" "$T/xdg"
	chmod 755 "$BATS_RUN_TMPDIR" "$BATS_RUN_TMPDIR/test" "$T"
	chmod 700 "$T/xdg"
}

rootless_spec() {
	"$RUNTIME" spec --rootless
	jq --argjson id $USER_ID '.process.terminal = false | .root.readonly = false |
		.linux.uidMappings[0].hostID = $id | .linux.gidMappings[0].hostID = $id' config.json >new
	mv new config.json
}

@test "an ordinary user runs a container, as its uid 0" {
	rootless_bundle
	sh_args 'id -u; echo written >/f; mkdir /d; exit 3'
	run as_user "$RUNTIME" run --bundle "$BUNDLE" "$ID"
	is 3 "$status"
	is 0 "$output"
	is written "$(cat "$BUNDLE/rootfs/f")"
	is $USER_ID "$(stat -c %u "$BUNDLE/rootfs/f")"
	is $USER_ID "$(stat -c %u "$BUNDLE/rootfs/d")"
}

# As rootless Podman calls: state goes to XDG_RUNTIME_DIR, there is no cgroup to write to.
@test "uid 0 of a user namespace: create, start, exec, kill, delete, without root's directories" {
	rootless_bundle
	cfg 'del(.linux.uidMappings, .linux.gidMappings) | .linux.namespaces |= map(select(.type != "user"))'
	sh_args 'echo written >/f; while :; do sleep 0.1; done'
	as_user unshare -U --map-root-user -m -n sh -ec '
		"$0" create --bundle "$1" "$2" >/dev/null 2>&1
		test -d "$XDG_RUNTIME_DIR/runsm/$2"
		"$0" start "$2"
		"$0" exec "$2" id -u
		"$0" kill "$2" KILL
		while "$0" state "$2" | grep -q running; do sleep 0.1; done
		"$0" delete "$2"' "$RUNTIME" "$BUNDLE" "$ID" >"$T/out"
	is 0 "$(cat "$T/out")"
	is $USER_ID "$(stat -c %u "$BUNDLE/rootfs/f")"
	[ ! -e "$T/xdg/runsm/$ID" ]
}
