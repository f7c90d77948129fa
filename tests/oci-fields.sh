#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# docs/oci-fields.md has every field of the specification's schema, and says what the parser does.
set -euo pipefail
if ! command -v python3 >/dev/null && [ "${RUNSM_TEST_STRICT:-0}" != 1 ]; then
	echo "1..0 # SKIP needs python3"
	exit
fi
exec "${srcdir:-$(dirname "$0")/..}/contrib/oci-fields" check
