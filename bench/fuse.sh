#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# runsm-virtiofsd against QEMU's virtiofsd over vhost-user, one client for both:
# on one CPU, and with the client on another. See docs/adr/0001-virtio-fs-queue.md for how to read
# the ratios, above all those at depth 1.
#
# Usage: bench/fuse.sh [BUILD_DIR] [bench-fuse options]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$here/../build
if [ $# -gt 0 ] && [ -d "$1" ]; then
	build=$1
	shift
fi
qemu=${QEMU_VIRTIOFSD:-/usr/lib/qemu/virtiofsd}
[ -x "$qemu" ] || { echo "fuse.sh: $qemu is missing: install qemu-system-common" >&2; exit 1; }
[ -x "$build/bench/bench-fuse" ] || { echo "fuse.sh: build the tree first" >&2; exit 1; }
# QEMU's virtiofsd says "Unexpected poll revents 11" whenever its client hangs up
for cpus in 1 2; do
	"$build/bench/bench-fuse" --qemu "$qemu" --cpus "$cpus" "$@" 2>&1 |
		grep -v 'Unexpected poll revents'
	echo
done
