#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# bats file_tags=client
# podman cp, which joins the mount namespace of the container's pid and looks for its files there.

load helpers
load clients
load docker_cli

setup_file() { client_up podman; }
teardown_file() { client_down; }

# $T/d/f and $T/one on the host
host_files() {
	mkdir -p "$T/d/sub"
	echo from host >"$T/d/f"
	echo deep >"$T/d/sub/g"
	echo one >"$T/one"
}

# The file server's attributes and names are kept for a second: what is new is seen after that.
guest_sees() { wait_for 20 guest_has "$@"; }
guest_has() { [ "$(sh_ctr "cat $1" 2>/dev/null)" = "$2" ]; }

@test "podman cp of a stopped container" {
	host_files
	cl create --name "$ID" --network none box sh -c 'cat /tmp/d/f; echo from guest >/tmp/g' >/dev/null
	cl cp "$T/d" "$ID:/tmp/d"
	cl start -a "$ID" >"$T/out"
	is "from host" "$(cat "$T/out")"
	cl cp "$ID:/tmp/g" "$T/g"
	is "from guest" "$(cat "$T/g")"
}

@test "podman cp to a running container: files, directories, their contents, over what is there" {
	host_files
	up box sleep 1000
	cl cp "$T/one" "$ID:/tmp/new"
	guest_sees /tmp/new one
	cl cp "$T/one" "$ID:/tmp"
	guest_sees /tmp/one one
	cl cp "$T/d" "$ID:/tmp"
	guest_sees /tmp/d/f "from host"
	guest_sees /tmp/d/sub/g deep
	cl cp "$T/d/." "$ID:/tmp/d2"
	guest_sees /tmp/d2/sub/g deep
	# what the guest has read and written itself
	sh_ctr 'echo old and longer >/tmp/new; cat /tmp/new; echo own >/tmp/d/own'
	cl cp "$T/one" "$ID:/tmp/new"
	guest_sees /tmp/new one
	echo two >"$T/one"
	cl cp "$T/one" "$ID:/tmp/new"
	guest_sees /tmp/new two
	# of the same size and time
	touch -d '2020-01-01 00:00:00' "$T/one"
	cl cp "$T/one" "$ID:/tmp/new"
	guest_sees /tmp/new two
	echo six >"$T/one"
	touch -d '2020-01-01 00:00:00' "$T/one"
	cl cp "$T/one" "$ID:/tmp/new"
	guest_sees /tmp/new six
	cl cp "$T/d" "$ID:/tmp"
	guest_sees /tmp/d/own own
	is "0 0" "$(sh_ctr 'stat -c "%u %g" /tmp/new')"
	run cl cp "$T/one" "$ID:/no/such/dir"
	[ "$status" != 0 ]
	run cl cp "$T/one" "$ID:/tmp/new/"
	[ "$status" != 0 ]
}

@test "podman cp from a running container: what it has just written, a directory, to stdout" {
	up box sleep 1000
	sh_ctr 'mkdir -p /tmp/out/sub; echo a >/tmp/out/a; echo b >/tmp/out/sub/b; ln -s a /tmp/out/l'
	cl cp "$ID:/tmp/out" "$T"
	is a "$(cat "$T/out/a")"
	is b "$(cat "$T/out/sub/b")"
	is a "$(readlink "$T/out/l")"
	sh_ctr 'echo more >>/tmp/out/a'
	cl cp "$ID:/tmp/out/a" "$T/a"
	is "a
more" "$(cat "$T/a")"
	cl cp "$ID:/tmp/out" - >"$T/out.tar"
	is b "$(tar -xOf "$T/out.tar" out/sub/b)"
	run cl cp "$ID:/tmp/nothing" "$T/nothing"
	[ "$status" != 0 ]
	matches 'could not be found|no such file' "$output"
}

@test "podman cp - unpacks a tar archive in a running container" {
	host_files
	up box sleep 1000
	tar -C "$T/d" -c . | cl cp - "$ID:/tmp"
	guest_sees /tmp/f "from host"
	guest_sees /tmp/sub/g deep
}

@test "podman cp to and from volumes of a running container: new mount points, nested, a file" {
	mkdir "$T/a" "$T/b"
	host_files
	cl volume create "$ID-v" >/dev/null
	up -v "$T/a:/mnt/new/a" -v "$T/b:/mnt/new/a/b" -v "$T/one:/tmp/x/one" -v "$ID-v:/vol" \
		box sleep 1000
	cl cp "$T/d" "$ID:/mnt/new/a"
	is deep "$(cat "$T/a/d/sub/g")"
	cl cp "$T/one" "$ID:/mnt/new/a/b/one"
	is one "$(cat "$T/b/one")"
	guest_sees /mnt/new/a/b/one one
	sh_ctr 'echo guest >/mnt/new/a/b/g; echo changed >/tmp/x/one; echo named >/vol/n'
	cl cp "$ID:/mnt/new/a/b/g" "$T/g"
	is guest "$(cat "$T/g")"
	cl cp "$ID:/tmp/x/one" "$T/copy"
	is changed "$(cat "$T/copy")"
	cl cp "$ID:/vol/n" "$T/n"
	is named "$(cat "$T/n")"
	cl rm -f -t 0 "$ID"
	cl volume rm "$ID-v"
	# nothing of it went below the volumes
	[ ! -e "$T/a/b/one" ]
}

@test "podman cp to a running container: read-only volumes and root stay as they are" {
	mkdir "$T/ro"
	host_files
	echo there >"$T/ro/f"
	up --read-only --read-only-tmpfs=false -v "$T/ro:/ro:ro" -v "$T/d:/rw" box sleep 1000
	run cl cp "$T/one" "$ID:/ro/one"
	[ "$status" != 0 ]
	[ ! -e "$T/ro/one" ]
	cl cp "$ID:/ro/f" "$T/f"
	is there "$(cat "$T/f")"
	run cl cp "$T/one" "$ID:/one"
	[ "$status" != 0 ]
	cl cp "$T/one" "$ID:/rw/one"
	is one "$(cat "$T/d/one")"
}

@test "podman cp: links of a running container never lead to the host" {
	host_files
	local secret=/run/rsm-secret
	in_ns sh -c "echo host >$secret; echo host >/run/rsm-target"
	up box sleep 1000
	sh_ctr "mkdir -p /tmp/real; ln -s $secret /tmp/l; ln -s ../../../../../..$secret /tmp/up
		ln -s /run/rsm-target /tmp/target; ln -s /run /tmp/run; ln -s /tmp/real /tmp/dir
		ln -s /etc/passwd /tmp/passwd; ln -s /proc/self/root /tmp/proc; ln -s /run /esc"
	local path
	for path in /tmp/l /tmp/up /tmp/run/rsm-secret "/tmp/proc$secret"; do
		run cl cp "$ID:$path" "$T/copy"
		[ ! -e "$T/copy" ] || hasnt host "$(cat "$T/copy")"
	done
	cl cp "$ID:/tmp/passwd" "$T/passwd"
	is "$(sh_ctr 'cat /etc/passwd')" "$(cat "$T/passwd")"
	for path in /tmp/target /tmp/run/rsm-target "/tmp/proc/run/rsm-target"; do
		cl cp "$T/one" "$ID:$path" || :
		is host "$(in_ns cat /run/rsm-target)"
	done
	cl cp "$T/one" "$ID:/tmp/dir/"
	guest_sees /tmp/real/one one
	# nor the destination of a volume
	cl commit -q "$ID" "$ID-image" >/dev/null
	cl rm -f -t 0 "$ID"
	up -v "$T/d:/esc/volume" "$ID-image" sleep 1000
	cl cp "$T/one" "$ID:/esc/volume/one"
	is one "$(cat "$T/d/one")"
	in_ns test ! -e /run/volume
	is one "$(sh_ctr 'cat /run/volume/one')"
	cl rm -f -t 0 "$ID"
	cl rmi "$ID-image"
}

# The guest's own file systems are not on the host.
@test "podman cp to a tmpfs of a running container is refused" {
	runsm_only
	host_files
	up --tmpfs /scratch -v "$T/d:/scratch/vol" box sleep 1000
	local path
	for path in /scratch/one /dev/one /proc/one /sys/one; do
		run cl cp "$T/one" "$ID:$path"
		[ "$status" != 0 ]
		matches 'read-only file system' "$output"
	done
	cl cp "$T/one" "$ID:/scratch/vol/one"
	is one "$(cat "$T/d/one")"
}

@test "podman cp between running containers, and of a paused one" {
	host_files
	up box sleep 1000
	sh_ctr 'echo a >/tmp/a'
	cl run -d --name "$ID-2" --network none box sleep 1000 >/dev/null
	cl cp "$ID:/tmp/a" "$ID-2:/tmp/a"
	wait_for 20 cl exec "$ID-2" grep -qx a /tmp/a
	cl pause "$ID"
	cl cp "$T/one" "$ID:/tmp/one"
	cl cp "$ID:/tmp/a" "$T/a"
	is a "$(cat "$T/a")"
	cl unpause "$ID"
	guest_sees /tmp/one one
}
