# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What contrib's scripts share: Debian packages, stages and their times, the build.

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
JOBS=$(nproc)

# To build, and to run containers
BUILD_PACKAGES=(
	autoconf autoconf-archive automake gcc libc6-dev make pkg-config
	libarchive-dev libcap-dev libcmocka-dev libprotobuf-c-dev libseccomp-dev libsystemd-dev libyajl-dev
	libzstd-dev protobuf-c-compiler
)
RUN_PACKAGES=(e2fsprogs libsystemd0 qemu-system-x86 mmdebstrap)

die() {
	echo "${0##*/}: $*" >&2
	exit 1
}

need_root() { [ "$(id -u)" = 0 ] || die "needs root: sudo $0"; }

# install_packages PACKAGE…: those that are missing; nothing is asked, no service is started
install_packages() {
	local missing=() p
	for p in "$@"; do
		dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null | grep -qx installed ||
			missing+=("$p")
	done
	[ "${#missing[@]}" -gt 0 ] || return 0
	echo "installing ${missing[*]}"
	apt_install "${missing[@]}" 2>&1 && return
	apt-get -q update </dev/null && apt_install "${missing[@]}"
}

# RUNLEVEL=1 keeps package scripts from starting daemons on a machine without systemd.
apt_install() {
	DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -q install -y --no-install-recommends \
		-o Dpkg::Options::=--force-confold -o Dpkg::Use-Pty=0 "$@" </dev/null
}

# configure_tree DIR CONFIGURE-OPTION…: out of tree, unless it is configured already
configure_tree() {
	local dir=$1
	shift
	if [ ! -x "$TOP/configure" ] || [ "$TOP/configure.ac" -nt "$TOP/configure" ]; then
		(cd "$TOP" && ./autogen.sh)
	fi
	mkdir -p "$dir"
	[ -f "$dir/Makefile" ] || (cd "$dir" && "$TOP/configure" "$@")
}

# build_tree DIR CONFIGURE-OPTION…: everything
build_tree() {
	configure_tree "$@"
	make -C "$1" -j"$JOBS" </dev/null
}

# checked COMMAND…: run a function with set -e, and put its status into RC. It returns 0: bash ignores
# set -e inside of everything whose status is looked at, so look at RC.
checked() {
	set +e
	(
		set -e
		"$@"
	)
	RC=$?
	set -e
}

# stage NAME COMMAND…: run it, remember how long it took. Its output goes to a log, and to the
# terminal only when it fails, unless NAME starts with "+".
STAGE_NAMES=() STAGE_TIMES=()
stage() {
	local name=${1#+} show=$1 log start=$EPOCHREALTIME
	shift
	printf '%s … ' "$name"
	if [ "$show" != "$name" ]; then
		echo
		checked "$@"
	else
		log=$(mktemp)
		checked "$@" >"$log" 2>&1 </dev/null
		if [ "$RC" != 0 ]; then
			echo failed
			cat "$log" >&2
		fi
		rm -f "$log"
	fi
	STAGE_NAMES+=("$name")
	STAGE_TIMES+=("$(elapsed "$start")")
	[ "$RC" = 0 ] || die "$name failed"
	[ "$show" != "$name" ] || echo "${STAGE_TIMES[-1]} s"
}

elapsed() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }'; }

print_stages() {
	local i
	for i in "${!STAGE_NAMES[@]}"; do
		printf '%8s s  %s\n' "${STAGE_TIMES[i]}" "${STAGE_NAMES[i]}"
	done
}
