#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Root file systems and the guest image for the spec-tests: made once, kept in $CACHE. Each cached
# thing is made under a lock in a temporary directory and renamed into place, so that an interrupted
# run leaves nothing half made.

# cached NAME FUNCTION: $CACHE/NAME exists, made by FUNCTION DIR if need be
cached() {
	local dir=$CACHE/$1 rc=0
	[ -e "$dir" ] && return
	mkdir -p "$CACHE"
	(
		flock 9
		[ -e "$dir" ] && exit
		rm -rf "$dir.tmp"
		mkdir "$dir.tmp"
		"$2" "$dir.tmp" && mv "$dir.tmp" "$dir"
	) 9>"$CACHE/.$1.lock" >"$CACHE/.$1.log" 2>&1 3>&- || rc=$?
	[ -e "$dir" ] && return
	echo "making $dir failed ($rc):" >&2
	tail -n 20 "$CACHE/.$1.log" >&2
	return 1
}

make_busybox() {
	local dir=$1 applet
	if ldd /bin/busybox; then
		echo "/bin/busybox is not static: install busybox-static"
		return 1
	fi
	mkdir -p "$dir"/{bin,dev,etc,home/tester,proc,root,run,sbin,sys,tmp,usr/bin,var/tmp}
	chmod 1777 "$dir/tmp" "$dir/var/tmp"
	chown 1000:1000 "$dir/home/tester"
	cp /bin/busybox "$dir/bin/busybox"
	for applet in $(/bin/busybox --list); do
		[ "$applet" = busybox ] || ln -s busybox "$dir/bin/$applet"
	done
	printf '%s\n' root:x:0:0:root:/root:/bin/sh tester:x:1000:1000::/home/tester:/bin/sh \
		>"$dir/etc/passwd"
	printf '%s\n' root:x:0: tester:x:1000: extra:x:2000:tester >"$dir/etc/group"
}

make_debian() { rmdir "$1" && "$SPEC_DIR/../contrib/debian-rootfs" "$@"; }

make_tools() {
	make_debian "$1" --include=gcc,libc6-dev,git,python3-minimal,sqlite3,ca-certificates
}

# rootfs_into KIND DIR [copy]
rootfs_into() {
	local kind=$1 dir=$2
	cached "$kind" "make_$kind"
	if [ "$kind" = busybox ] || [ "${3:-}" = copy ]; then
		cp -a --reflink=auto "$CACHE/$kind" "$dir"
	else
		mkdir -p "$dir" "$dir.upper" "$dir.work"
		mount -t overlay overlay "$dir" \
			-o "lowerdir=$CACHE/$kind,upperdir=$dir.upper,workdir=$dir.work"
		OUR_MOUNTS+=("$dir")
	fi
	cp "$RUNSM_BUILD/spec-tests/probe/probe" "$dir/bin/probe"
}

# The kernel is taken from an older image, if there is one: only the agent is new.
make_guest() {
	local older
	older=$(find "$CACHE" -maxdepth 1 -name 'guest-*' ! -name '*.tmp' -printf '%T@ %p\n' |
		sort -n | tail -n 1 | cut -d' ' -f2-)
	rmdir "$1"
	[ -z "$older" ] || cp -a "$older" "$1"
	RUNSM_GUEST_DIR=$1 "$RUNTIME" guest build &&
		find "$CACHE" -maxdepth 1 -name 'guest-*' -mtime +1 ! -path "$1" -exec rm -rf {} +
}

# Each build of the agent has its own guest image.
guest_image() {
	local sum
	if [ -z "${RUNSM_TEST_GUEST_DIR:-}" ]; then
		sum=$(sha256sum <"$RUNSM_BUILD/runsm-agent" | cut -c1-12)
		cached "guest-$sum" make_guest
		RUNSM_TEST_GUEST_DIR=$CACHE/guest-$sum
	fi
	export RUNSM_GUEST_DIR=$RUNSM_TEST_GUEST_DIR
}
