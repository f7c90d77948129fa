#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The root file system behaves like a local one, as a directory, as an overlay, and so does a bind
# mount: spec-tests/probe says what exactly. All checks run in two containers, and each is reported
# here by its name.  spec: config.md#root, config.md#mounts

load helpers

setup_file() {
	ctr_setup "$BATS_FILE_TMPDIR"
	bundle
	# what Docker gives a container's root
	cfg '.process.capabilities |= with_entries(.value = ["CAP_CHOWN", "CAP_DAC_OVERRIDE",
		"CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID",
		"CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL",
		"CAP_AUDIT_WRITE"])'
	mkdir "$BUNDLE/rootfs/work"
	args /bin/probe files /work
	RT_TIMEOUT=200 rt run --bundle "$BUNDLE" "$ID" </dev/null >"$T/results" 2>&1

	old_files "$BUNDLE/rootfs/old"
	mv "$BUNDLE/rootfs" "$T/lower"
	rm -r "$T/lower/work"
	mkdir "$BUNDLE/rootfs" "$T/upper" "$T/workdir" "$T/vol"
	mount -t overlay overlay "$BUNDLE/rootfs" \
		-o "lowerdir=$T/lower,upperdir=$T/upper,workdir=$T/workdir"
	OUR_MOUNTS+=("$BUNDLE/rootfs")
	# overlays before Linux 6.5 have no O_TMPFILE
	python3 -c 'import os, sys; os.open(sys.argv[1], os.O_TMPFILE | os.O_RDWR)' "$BUNDLE/rootfs" ||
		: >"$T/no-tmpfile"
	old_files "$T/vol/old"
	cfg '.mounts += [{destination: "/vol", type: "bind", source: $s, options: ["bind", "rw"]}]' \
		--arg s "$T/vol"
	sh_args 'mkdir /work /vol/work; probe files /work >/overlay; probe old-files /old >>/overlay
		probe files /vol/work >/bind; probe old-files /vol/old >>/bind'
	RT_TIMEOUT=300 rt run --bundle "$BUNDLE" "$ID" </dev/null
	cp "$BUNDLE/rootfs/overlay" "$BUNDLE/rootfs/bind" "$T"
	export RESULTS=$T
	nothing_left
	ctr_teardown
}

setup() { :; }
teardown() { :; }

# old_files DIR: what the checks of probe/old.c find there
old_files() {
	local name
	for name in $(sed -n 's/^\t{"\(old_[a-z_]*\)".*/\1/p' "$SPEC_DIR/probe/old.c"); do
		mkdir -p "$1/$name/d"
		printf old >"$1/$name/f"
		printf old >"$1/$name/d/f"
	done
}

# check NAME: it passed on each kind of file system
check() {
	local where rc=0
	for where in results overlay bind; do
		[[ $where == results && $1 == old_* ]] && continue
		[[ $where == overlay && $1 == anonymous_file && -e $RESULTS/no-tmpfile ]] && continue
		grep -qx "ok $1" "$RESULTS/$where" && continue
		rc=1
		echo "$where:" >&2
		grep -e "^# $1" -e "^not ok $1" "$RESULTS/$where" >&2 || cat "$RESULTS/$where" >&2
	done
	return $rc
}

@test "open: O_EXCL, O_DIRECTORY, O_TRUNC, O_PATH, ETXTBSY" {
	check open_flags
}

@test "truncate cuts and extends with zeros" {
	check truncate_and_extend
}

@test "O_APPEND writes at the end" {
	check append_mode
}

@test "reads and writes of any size at any offset" {
	check odd_offsets
}

@test "sparse files: holes are found, take no space, and lie beyond 4 GiB" {
	check sparse_files
}

@test "fallocate: allocate, keep size, punch a hole" {
	check fallocate_modes
}

@test "shared and private mappings agree with read and write" {
	check shared_mapping
}

@test "touching a mapping beyond the end of its file is SIGBUS" {
	check mapping_beyond_the_end
}

@test "extended attributes: create, replace, list, remove, size limits" {
	check xattrs
}

@test "utimensat: nanoseconds, OMIT, NOW, of a symlink" {
	check set_times
}

@test "writing changes a file's mtime, creating a directory's" {
	check mtime_follows_writes
}

@test "copy_file_range and sendfile" {
	check copy_inside_the_kernel
}

@test "an unlinked file lives while it is open" {
	check unlinked_but_open
}

@test "O_TMPFILE, and giving it a name" {
	check anonymous_file
}

@test "statfs and stat tell plausible facts" {
	check file_system_facts
}

@test "fsync, fdatasync, syncfs, sync, fsync of a directory" {
	check sync_calls
}

@test "hard links share inode, content and count" {
	check hard_links
}

@test "symlinks: dangling, looping, absolute, climbing, longest" {
	check symlinks
}

@test "rename: replace, directories, NOREPLACE, EXCHANGE" {
	check renames
}

@test "any byte in a name, 255 of them, and no more" {
	check names
}

@test "a tree sixty directories deep" {
	check deep_tree
}

@test "a big directory lists each entry once while entries vanish" {
	check big_directory
}

@test "telldir and seekdir" {
	check directory_positions
}

@test "a removed directory takes no new entries" {
	check removed_but_open_directory
}

@test "link counts of directories" {
	check link_counts_of_directories
}

@test "permission bits bind other users" {
	check modes_bind_other_users
}

@test "the sticky bit" {
	check sticky_directory
}

@test "new files belong to who made them, or to the setgid directory's group" {
	check owner_of_new_files
}

@test "chown and writing drop setuid and setgid" {
	check set_id_bits
}

@test "only owners change owner and mode" {
	check only_owners_change_owners
}

@test "record locks: conflict, who holds it, waiting" {
	check record_locks
}

@test "flock: conflict, release on close" {
	check whole_file_locks
}

@test "fifos" {
	check fifos
}

@test "unix sockets" {
	check unix_sockets
}

@test "device nodes" {
	check device_nodes
}

@test "processes share memory through a file" {
	check memory_shared_through_a_file
}

@test "four appenders lose nothing" {
	check appenders_lose_nothing
}

@test "inotify" {
	check change_events
}

@test "a file of the image is replaced while it is open" {
	check old_file_replaced_while_open
}

@test "a file of the image is unlinked while it is open" {
	check old_file_unlinked_while_open
}

@test "a file of the image changes mode, owner, times, content, and keeps its inode" {
	check old_file_changed
}

@test "a file of the image is written through a mapping" {
	check old_file_mapped_and_written
}

@test "a file of the image is linked and renamed" {
	check old_file_linked_and_renamed
}

@test "a directory of the image is removed and made again" {
	check old_directory_removed_and_made_again
}

@test "what the container wrote is what the host sees, and the other way round" {
	ctr_setup "$BATS_TEST_TMPDIR"
	bundle
	cfg '.process.capabilities |= with_entries(.value = ["CAP_CHOWN", "CAP_FSETID", "CAP_FOWNER"])'
	echo "from host" >"$BUNDLE/rootfs/in"
	chown 1234:4321 "$BUNDLE/rootfs/in"
	touch -d @1000000000.5 "$BUNDLE/rootfs/in"
	sh_args 'stat -c "%u %g %a %s %Y" /in; cat /in
		mkdir /d; echo "from guest" >/d/out; chmod 4751 /d/out; chown 77:88 /d/out
		chmod u+s /d/out; ln -s out /d/link; mkfifo /d/fifo; ln /d/out /d/hard
		touch -d @1234567890 /d/out'
	ctr_run 0
	is "1234 4321 644 10 1000000000
from host" "$output"
	local d=$BUNDLE/rootfs/d
	is "77 88 4751 11 1234567890 2" "$(stat -c '%u %g %a %s %Y %h' "$d/out")"
	is "from guest" "$(cat "$d/hard")"
	is out "$(readlink "$d/link")"
	[ -p "$d/fifo" ]
	nothing_left
	ctr_teardown
}
