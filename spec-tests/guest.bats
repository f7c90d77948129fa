#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# runsm guest build and guest info. Sources are the files of the cached image, so that only the
# test that says so needs the network.

load helpers

setup() {
	ctr_setup "$BATS_TEST_TMPDIR"
	runsm_only
	IMAGE=$T/image/guest
}

build() { run --separate-stderr "$RUNTIME" guest build --output "$IMAGE" "$@"; }

# refused REGEX: the last command failed with that in its one line, and left nothing beside the image
refused() {
	[ "$status" = 1 ]
	[ "${#stderr_lines[@]}" = 1 ]
	matches "$1" "$stderr"
	[ -z "$(find "$T/image" -maxdepth 1 -name '*.tmp-*' 2>/dev/null)" ]
}

@test "guest build is silent, and what it built boots" {
	build --kernel "$RUNSM_GUEST_DIR/kernel" --modules "$T"
	refused 'no kernel modules below'
	build --deb "$(cached_deb)"
	[ "$status" = 0 ]
	[ -z "$output$stderr" ]
	bundle
	sh_args 'echo it runs'
	RUNSM_GUEST_DIR=$IMAGE ctr_run 0
	is "it runs" "$output"
}

# Downloaded once for all runs, as `guest build` does
cached_deb() {
	cached kernel-deb fetch_deb
	echo "$CACHE"/kernel-deb/*.deb
}

fetch_deb() {
	local package
	package=$(LC_ALL=C apt-cache depends linux-image-cloud-amd64 |
		awk '/Depends: linux-image/ { print $2; exit }')
	(cd "$1" && apt-get download "$package")
}

# bats test_tags=once
@test "guest build takes any kernel, and info tells what is in the image" {
	build --kernel "$RUNSM_GUEST_DIR/kernel"
	[ "$status" = 0 ]
	run -0 --separate-stderr "$RUNTIME" guest info --output "$IMAGE"
	matches 'modules +none' "$output"
	matches 'checksums match' "$output"
	run -0 --separate-stderr "$RUNTIME" guest info --output "$IMAGE" --format json
	[ "$(jq -r .kernel.sha256 <<<"$output")" = "$(sha256sum "$IMAGE/kernel" | cut -d ' ' -f 1)" ]
	[ "$(jq -r .initrd.sha256 <<<"$output")" = "$(sha256sum "$IMAGE/initrd" | cut -d ' ' -f 1)" ]
	[ "$(jq -r .agent.sha256 <<<"$output")" = "$(sha256sum "${RUNTIME%/*}/runsm-agent" | cut -d ' ' -f 1)" ]
	[ "$(jq -r .boot <<<"$output")" = pvh ]
}

# bats test_tags=once
@test "guest build keeps an intact image and repairs a damaged one" {
	local before
	cp -a --reflink=auto "$RUNSM_GUEST_DIR" "$T/copy"
	mkdir "$T/image"
	mv "$T/copy" "$IMAGE"
	before=$(stat -c %i "$IMAGE")
	build
	[ "$status" = 0 ]
	[ "$(stat -c %i "$IMAGE")" = "$before" ]
	build --initrd-only
	[ "$status" = 0 ]
	[ "$(stat -c %i "$IMAGE")" != "$before" ]
	cmp "$IMAGE/initrd" "$RUNSM_GUEST_DIR/initrd"
	printf x | dd of="$IMAGE/kernel" bs=1 seek=1000000 conv=notrunc status=none
	run --separate-stderr "$RUNTIME" guest info --output "$IMAGE"
	refused 'checksum of its kernel'
	build --initrd-only
	refused 'checksum of its kernel'
	build --deb "$(cached_deb)"
	[ "$status" = 0 ]
	cmp "$IMAGE/kernel" "$RUNSM_GUEST_DIR/kernel"
}

# bats test_tags=once
@test "guest build refuses bad input by name and leaves the old image" {
	local deb
	deb=$(cached_deb)
	build --kernel "$RUNSM_GUEST_DIR/kernel"
	[ "$status" = 0 ]
	cp "$IMAGE/manifest.json" "$T/before"
	build --deb "$T/nowhere.deb"
	refused "open '$T/nowhere.deb': No such file"
	head -c 5000000 "$deb" >"$T/cut.deb"
	build --deb "$T/cut.deb"
	refused 'cut.deb.*truncated'
	cp "$deb" "$T/bad.deb"
	printf '%1000s' | dd of="$T/bad.deb" bs=1 seek=9000000 conv=notrunc status=none
	build --deb "$T/bad.deb"
	refused 'bad.deb'
	build --deb /etc/passwd
	refused 'not a Debian package'
	build --kernel /bin/ls
	refused 'CONFIG_PVH'
	printf '\0\0\0\0' | cat - /etc/passwd >"$T/no-kernel"
	build --kernel "$T/no-kernel"
	refused 'not a kernel'
	build --kernel "$RUNSM_GUEST_DIR/kernel" --deb "$deb"
	refused 'exclude each other'
	cmp "$IMAGE/manifest.json" "$T/before"
}

# bats test_tags=once
@test "guest build replaces an image only" {
	mkdir -p "$IMAGE"
	echo precious >"$IMAGE/file"
	build --kernel "$RUNSM_GUEST_DIR/kernel"
	refused 'not a guest image'
	[ "$(cat "$IMAGE/file")" = precious ]
}

# bats test_tags=once
@test "guest build that is killed leaves the old image, and the next one cleans up" {
	local pid
	build --kernel "$RUNSM_GUEST_DIR/kernel"
	"$RUNTIME" guest build --output "$IMAGE" --deb "$(cached_deb)" &
	pid=$!
	for _ in {1..200}; do
		[ -z "$(find "$T/image" -name '*.tmp-*')" ] || break
		sleep 0.01
	done
	kill -9 "$pid"
	wait "$pid" || true
	[ -n "$(find "$T/image" -maxdepth 1 -name '*.tmp-*')" ]
	"$RUNTIME" guest info --output "$IMAGE" >"$T/info"
	build --kernel "$RUNSM_GUEST_DIR/kernel" --force
	[ "$status" = 0 ]
	[ -z "$(find "$T/image" -maxdepth 1 -name '*.tmp-*')" ]
}
