#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The include direction: what a folder's files may include of the project's own headers is what the
# table in docs/architecture.md says, and nothing else. One TAP test per folder of the table, and
# one for folders that it forgot.
set -euo pipefail
shopt -s nullglob

top=${srcdir:-$(dirname "$0")/..}
doc=$top/docs/architecture.md
n=0 failed=0

result() { # result MESSAGE-OF-FAILURE NAME
	n=$((n + 1))
	if [ -z "$1" ]; then
		echo "ok $n - $2"
	else
		echo "not ok $n - $2"
		sed 's/^/# /' <<<"$1"
		failed=1
	fi
}

# Rows "| `src/x` | `base/` `y/y.h` |" as "src/x|base/ y/y.h"; the first column names one folder,
# without those below it that have a row of their own.
mapfile -t rows < <(sed -n '/<!-- include table -->/,/<!-- end -->/s/^| *`\(src[^`]*\)` *| *\(.*\) *|$/\1|\2/p' "$doc" |
	tr -d '`')
[ "${#rows[@]}" -gt 0 ] || { echo "Bail out! no include table in $doc"; exit 1; }
echo "1..$((${#rows[@]} + 1))"

# Project headers that the files of a folder include, as "FILE HEADER"
includes() {
	local files=("$top/$1"/*.[chS])
	[ "${#files[@]}" -gt 0 ] || return 0
	sed -n 's/^#[ ]*include "\([^"]*\)".*/\1/p;T;F' "${files[@]}" | paste -d ' ' - - |
		awk '{ print $2, $1 }'
}

for row in "${rows[@]}"; do
	folder=${row%%|*}
	read -ra allowed <<<"${row#*|}"
	bad=
	while read -r file header; do
		ok=
		for a in "${folder#src/}/" config.h "${allowed[@]}"; do
			case $a in
			*/) [[ $header == "$a"* ]] && ok=1 ;;
			*) [[ $header == "$a" ]] && ok=1 ;;
			esac
		done
		[ -n "$ok" ] || bad+="${file#"$top/"} includes $header"$'\n'
	done < <(includes "$folder")
	result "${bad%$'\n'}" "$folder includes only what it may"
done

forgotten=
while read -r dir; do
	grep -qF "\`$dir\`" <(printf '`%s`\n' "${rows[@]%%|*}") || forgotten+="$dir"$'\n'
done < <(cd "$top" && find src -name '*.[ch]' ! -name '*.pb-c.*' -printf '%h\n' | sort -u)
result "${forgotten%$'\n'}" "every folder with code is in the table"
exit "$failed"
