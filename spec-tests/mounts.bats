#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# spec: config.md#mounts, config-linux.md#default-filesystems

load helpers

# add_mount DESTINATION TYPE SOURCE [OPTION…]
add_mount() {
	jq '.mounts += [{destination: $d, type: $t, source: $s, options: $ARGS.positional}]' \
		--arg d "$1" --arg t "$2" --arg s "$3" "$BUNDLE/config.json" --args -- "${@:4}" \
		>"$BUNDLE/config.json.new"
	mv "$BUNDLE/config.json.new" "$BUNDLE/config.json"
}

# options DESTINATION: per-mount and superblock options, from inside
mount_field() { awk -v d="$1" '$5 == d {line = $0} END {print line}' <<<"$MOUNTINFO"; }
options() { mount_field "$1" | awk '{print "," $6 "," $NF ","}'; }
fstype() { mount_field "$1" | sed 's/.* - //' | cut -d' ' -f1; }

@test "proc, sysfs, tmpfs, devpts, mqueue: type, options, and working" {
	bundle
	add_mount /small tmpfs tmpfs nosuid nodev noexec size=1m mode=0711 uid=7 gid=8
	add_mount /scratch tmpfs tmpfs
	ctr_up
	in_ctr cat /proc/self/mountinfo
	MOUNTINFO=$output
	is proc "$(fstype /proc)"
	is sysfs "$(fstype /sys)"
	is tmpfs "$(fstype /dev)"
	is devpts "$(fstype /dev/pts)"
	is tmpfs "$(fstype /dev/shm)"
	is mqueue "$(fstype /dev/mqueue)"
	is tmpfs "$(fstype /small)"
	matches ',ro,.*nosuid,nodev,noexec' "$(options /sys)"
	matches ',nosuid,noexec,.*mode=620' "$(options /dev/pts)"
	matches 'gid=5,' "$(options /dev/pts)"
	matches ',rw,nosuid,nodev,noexec,.*size=1024k' "$(options /small)"
	matches ',rw,nosuid' "$(options /dev)"
	hasnt ',(noexec|nodev)' "$(options /scratch)"

	in_ctr stat -c '%a %u %g' /small
	is "711 7 8" "$output"
	in_ctr stat -c '%a' /dev/shm
	is 1777 "$output"
	run rt exec "$ID" sh -c 'head -c 2M /dev/zero >/small/f' </dev/null
	[ "$status" != 0 ]
	run rt exec "$ID" sh -c 'cp /bin/busybox /dev/shm/; /dev/shm/busybox true' </dev/null
	matches '[Pp]ermission denied' "$output"
	in_ctr sh -c 'cp /bin/busybox /scratch/; /scratch/busybox echo runs'
	is runs "$output"
	run rt exec "$ID" touch /sys/x </dev/null
	[ "$status" != 0 ]
}

@test "mounts are made in order, on directories and files that are missing" {
	bundle
	mkdir -p "$T/a/sub" "$T/b"
	echo a >"$T/a/f"
	echo b >"$T/b/f"
	echo file >"$T/file"
	add_mount /new/place bind "$T/a" bind
	add_mount /new/place/sub bind "$T/b" bind
	add_mount /new/file bind "$T/file" bind
	add_mount /new/tmp tmpfs tmpfs
	add_mount /new/tmp/inside bind "$T/b" bind
	sh_args 'cat /new/place/f /new/place/sub/f /new/file /new/tmp/inside/f; stat -c %F /new/file'
	ctr_run 0
	is "a
b
file
b
regular file" "$output"
	# a mount over a mount hides it
	add_mount /new/place bind "$T/b" bind
	sh_args 'cat /new/place/f'
	ctr_run 0
	is b "$output"
}

@test "bind mounts of a directory: read-write and read-only, seen from both sides" {
	bundle
	mkdir "$T/vol" "$T/ro"
	echo host >"$T/vol/f"
	echo host >"$T/ro/f"
	chown 1000:1000 "$T/vol/f"
	chmod 666 "$T/vol/f"
	add_mount /vol bind "$T/vol" rbind rw nosuid nodev noexec
	add_mount /ro bind "$T/ro" bind ro
	ctr_up
	in_ctr cat /proc/self/mountinfo
	MOUNTINFO=$output
	matches ',rw,nosuid,nodev,noexec' "$(options /vol)"
	matches ',ro,' "$(options /ro)"

	in_ctr sh -c 'cat /vol/f /ro/f; stat -c "%u:%g" /vol/f; echo guest >/vol/new; echo more >>/vol/f'
	is "host
host
1000:1000" "$output"
	is guest "$(cat "$T/vol/new")"
	is "host more" "$(tr '\n' ' ' <"$T/vol/f" | sed 's/ $//')"
	run rt exec "$ID" sh -c 'echo x >/ro/x || echo x >>/ro/f || rm /ro/f' </dev/null
	[ "$status" != 0 ]
	is 3 "$(grep -ci 'read-only' <<<"$output")"
	is host "$(cat "$T/ro/f")"
	run rt exec "$ID" sh -c 'cp /bin/busybox /vol/b && chmod 755 /vol/b && /vol/b true' </dev/null
	matches '[Pp]ermission denied' "$output"

	# what the host changes while it runs is soon seen inside
	echo later >"$T/vol/later"
	echo changed >"$T/ro/f"
	wait_for 10 eval 'rt exec "$ID" cat /vol/later 2>/dev/null | grep -q later'
	wait_for 10 eval 'rt exec "$ID" cat /ro/f | grep -q changed'
	rm "$T/vol/later"
	wait_for 10 eval '! rt exec "$ID" test -e /vol/later'
	mv "$T/vol/new" "$T/vol/renamed"
	wait_for 10 eval 'rt exec "$ID" test -e /vol/renamed'
}

@test "a bind mount of a file shows that file only" {
	bundle
	mkdir "$T/dir"
	echo one >"$T/dir/one"
	echo secret >"$T/dir/secret"
	echo ro >"$T/dir/ro"
	touch "$BUNDLE/rootfs/etc/target"
	add_mount /etc/target bind "$T/dir/one" bind
	add_mount /etc/ro bind "$T/dir/ro" bind ro
	ctr_up
	in_ctr sh -c 'cat /etc/target; echo two >/etc/target; ls /etc | tr "\n" " "'
	is "one
group passwd ro target " "$output"
	is two "$(cat "$T/dir/one")"
	run rt exec "$ID" sh -c 'echo x >/etc/ro' </dev/null
	matches '[Rr]ead-only' "$output"
	# it can be neither removed nor replaced
	run rt exec "$ID" sh -c 'rm /etc/target || mv /etc/passwd /etc/target' </dev/null
	is 2 "$(grep -ci 'busy' <<<"$output")"
	echo three >"$T/dir/one"
	wait_for 10 eval 'rt exec "$ID" cat /etc/target | grep -q three'
	# nor does the way up from it lead to its siblings
	run rt exec "$ID" sh -c 'cat /etc/target/../secret /etc/secret' </dev/null
	hasnt '^secret$' "$output"
}

@test "rbind takes the mounts below along, bind does not" {
	bundle
	mkdir -p "$T/vol/sub"
	mount -t tmpfs tmpfs "$T/vol/sub"
	OUR_MOUNTS+=("$T/vol/sub")
	echo inner >"$T/vol/sub/f"
	echo outer >"$T/vol/f"
	add_mount /r bind "$T/vol" rbind
	add_mount /b bind "$T/vol" bind
	ctr_up
	in_ctr sh -c 'cat /r/f /r/sub/f /b/f; ls /b/sub | wc -l; echo w >/r/sub/w'
	is "outer
inner
outer
0" "$output"
	is w "$(cat "$T/vol/sub/w")"
	# two files of different file systems may have one inode number
	in_ctr sh -c 'test "$(stat -c %d:%i /r)" != "$(stat -c %d:%i /r/sub)" && echo differ'
	is differ "$output"
}

# spec: config.md#linux-mount-options
@test "ro of an rbind is the topmost mount's, rro is everything's" {
	bundle
	mkdir -p "$T/vol/sub"
	mount -t tmpfs tmpfs "$T/vol/sub"
	OUR_MOUNTS+=("$T/vol/sub")
	echo outer >"$T/vol/f"
	add_mount /ro bind "$T/vol" rbind ro
	add_mount /rro bind "$T/vol" rbind rro
	add_mount /both bind "$T/vol" rbind ro rro
	ctr_up
	in_ctr sh -c 'echo inner >/ro/sub/f; cat /ro/f /ro/sub/f /rro/sub/f'
	is "outer
inner
inner" "$output"
	is inner "$(cat "$T/vol/sub/f")"
	run rt exec "$ID" sh -c 'touch /ro/x; echo x >>/ro/f; rm /ro/f; mv /ro/f /ro/g; chmod 777 /ro
		touch /rro/x /rro/sub/x; echo x >>/rro/sub/f; touch /both/x /both/sub/x' </dev/null
	is 10 "$(grep -ci read-only <<<"$output")"
	is "f sub" "$(echo "$T"/vol/* | sed "s,$T/vol/,,g")"
	is inner "$(cat "$T/vol/sub/f")"
}

@test "a read-only rbind without mounts below is shown as read-only" {
	bundle
	mkdir -p "$T/vol/sub"
	add_mount /ro bind "$T/vol" rbind ro
	ctr_up
	in_ctr cat /proc/self/mountinfo
	MOUNTINFO=$output
	matches '^ro,|,ro,' "$(options /ro)"
	run -1 rt exec "$ID" touch /ro/sub/x </dev/null
	matches 'Read-only file system' "$output"
}

@test "a mount point cannot lead out of the root through a symlink" {
	bundle
	mkdir "$T/vol" "$T/victim"
	ln -s "$T/victim" "$BUNDLE/rootfs/link"
	ln -s ../../../../../../../../../../..$T/victim "$BUNDLE/rootfs/climb"
	add_mount /link/made bind "$T/vol" bind
	add_mount /climb/made2 bind "$T/vol" bind
	args true
	# whether it is refused or made inside of the root is the runtime's choice
	run rt run --bundle "$BUNDLE" "$ID" </dev/null
	is "" "$(ls "$T/victim")"
}

# bats test_tags=once
@test "a bind mount whose source is missing is refused by name" {
	bundle
	add_mount /vol bind "$T/nowhere" bind
	run rt run --bundle "$BUNDLE" "$ID" </dev/null
	[ "$status" != 0 ]
	matches "$T/nowhere" "$output"
	matches 'no such file or directory|does not exist' "${output,,}"
	nothing_left
}

# podman: -v DIR:DIR:O, --mount type=image
@test "overlay: the layers of the host are laid over each other, and written to on top" {
	bundle
	mkdir -p "$T"/{low,mid,up,work}
	echo low >"$T/low/f"
	echo low >"$T/low/gone"
	echo mid >"$T/mid/f"
	mknod "$T/mid/gone" c 0 0
	add_mount /over overlay overlay "lowerdir=$T/mid:$T/low" "upperdir=$T/up" "workdir=$T/work" nosuid
	add_mount /fixed overlay overlay "lowerdir=$T/low:$T/mid" ro
	sh_args 'cat /over/f && ls /over && echo up >>/over/f && cat /over/f /fixed/f
		touch /fixed/x || grep -c " /over .*nosuid" /proc/self/mountinfo'
	ctr_run 0
	is "mid
f
mid
up
low
1" "$output"
	is "mid up low" "$(cat "$T/mid/f" | tr '\n' ' ')$(tail -n 1 "$T/up/f") $(cat "$T/low/f")"
	! grep -q "$T.* overlay " /proc/self/mountinfo
}

@test "overlay: relative layers are so to the bundle; missing ones, or none, are refused" {
	runsm_only
	bundle
	mkdir -p "$T"/{low,mid}
	echo low >"$T/low/f"
	add_mount /over overlay overlay lowerdir=../mid:../low
	add_mount /b bind "$T/low" bind
	sh_args 'cat /over/f; grep -c " /over .* - virtiofs " /proc/self/mountinfo
		stat -c %d / /over /b | sort -u | wc -l'
	ctr_run 0
	is "low
1
3" "$output"
	cfg 'del(.mounts[-1,-2])'
	add_mount /over overlay overlay "lowerdir=$T/nowhere:$T"
	fails 1 "overlay.*$T/nowhere.*no such file" create --bundle "$BUNDLE" "$ID"
	nothing_left
	cfg '.mounts[-1].options = ["ro"]'
	fails 1 'mounts\[[0-9]+\]\.options.*lowerdir' create --bundle "$BUNDLE" "$ID"
	nothing_left
}

@test "cgroup: the container finds its hierarchy at /sys/fs/cgroup" {
	bundle
	ctr_up
	in_ctr sh -c 'ls /sys/fs/cgroup | wc -l'
	[ "$output" -gt 0 ]
}

@test "sockets in a bind mount are seen, and refuse connections" {
	runsm_only
	bundle debian
	mkdir "$T/vol"
	background perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0);
		bind(S, sockaddr_un($ARGV[0])) and listen(S, 1) and sleep 1000' "$T/vol/s" </dev/null
	wait_for 10 test -S "$T/vol/s"
	add_mount /vol bind "$T/vol" bind
	args perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0);
		print "socket\n" if -S "/vol/s"; connect(S, sockaddr_un("/vol/s")) or print "$!\n"'
	ctr_run 0
	is "socket
Connection refused" "$output"
	rm "$T/vol/s"
}

# podman run --systemd=always, docker run -v /sys/fs/cgroup:/sys/fs/cgroup
@test "a bind mount of the host's cgroups makes the container's own writable" {
	runsm_only
	bundle
	local host
	host=$(awk '$3 ~ /^cgroup2?$/ {print $2; exit}' /proc/mounts)
	need test -n "$host" -- "needs a cgroup hierarchy on the host"
	sh_args 'mkdir /sys/fs/cgroup/mine || exit 3; cat /sys/fs/cgroup/mine/cgroup.procs
		[ ! -e /sys/fs/cgroup/systemd ] && echo $$ >/sys/fs/cgroup/mine/cgroup.procs &&
			cat /sys/fs/cgroup/mine/cgroup.procs /proc/self/cgroup'
	cp "$BUNDLE/config.json" "$T/config.json"
	ctr_run 3
	add_mount /sys/fs/cgroup/systemd bind "$host" bind rprivate nosuid
	ctr_run 0
	is "1 0::/mine" "$(head -n 1 <<<"$output") $(tail -n 1 <<<"$output")"
	cp "$T/config.json" "$BUNDLE/config.json"
	add_mount /sys/fs/cgroup/systemd bind "$host" bind ro
	ctr_run 3
	cp "$T/config.json" "$BUNDLE/config.json"
	cfg '.mounts |= map(select(.type != "cgroup"))'
	add_mount /sys/fs/cgroup bind "$host" rbind rw
	ctr_run 0
	is "1 0::/mine" "$(head -n 1 <<<"$output") $(tail -n 1 <<<"$output")"
	[ ! -e "$host/mine" ]
}

@test "noatime, nodiratime, relatime, strictatime are set" {
	bundle
	mkdir "$T/vol"
	add_mount /noatime tmpfs tmpfs noatime
	add_mount /strict tmpfs tmpfs strictatime
	add_mount /rel tmpfs tmpfs relatime
	add_mount /nodir bind "$T/vol" bind nodiratime
	ctr_up
	in_ctr cat /proc/self/mountinfo
	MOUNTINFO=$output
	matches ',noatime,' "$(options /noatime)"
	hasnt 'atime' "$(options /strict)"
	matches ',relatime,' "$(options /rel)"
	matches ',nodiratime,' "$(options /nodir)"
}

# What people mask a file with: -v /dev/null:/etc/file
@test "bind: a device of the host that the guest has too is the guest's own" {
	bundle
	echo secret >"$BUNDLE/rootfs/etc/masked"
	cfg '.mounts += [{destination: "/etc/masked", type: "bind", source: "/dev/null", options: ["bind", "ro"]},
		{destination: "/dev/more", type: "bind", source: "/dev/zero", options: ["bind", "nosuid", "noexec"]}]'
	sh_args 'cat /etc/masked; stat -c "%F %t:%T" /etc/masked; head -c 3 /dev/more | wc -c; echo x >/dev/more'
	ctr_run 0
	is $'character special file 1:3\n3' "$output"
	is secret "$(cat "$BUNDLE/rootfs/etc/masked")"
}
