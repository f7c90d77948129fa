# SPDX-License-Identifier: Apache-2.0
# Completion of runsm for bash. Commands and options are asked of runsm itself.

_runsm_options() {
	"$@" --help 2>/dev/null |
		awk '/^   --/ { print $1; if ($0 ~ /^   --[a-z-]+( value)?, -/) { sub(/^.*, /, ""); print $1 } }' |
		tr -d ,
}

_runsm_commands() {
	"$1" --help 2>/dev/null | awk '/^COMMANDS:/ { on = 1; next } /^$/ { on = 0 } on { print $1 }'
}

_runsm() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} runsm=${COMP_WORDS[0]}
	local i verb='' root=()
	COMPREPLY=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--root)
			root=(--root "${COMP_WORDS[++i]}")
			;;
		--log | --log-format | --rootless | --criu)
			((i++))
			;;
		-*) ;;
		*)
			verb=${COMP_WORDS[i]}
			break
			;;
		esac
	done
	case $prev in
	--bundle | -b | --root)
		mapfile -t COMPREPLY < <(compgen -d -- "$cur")
		return
		;;
	--log | --pid-file | --console-socket | --process | -p)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	--log-format)
		mapfile -t COMPREPLY < <(compgen -W 'text json' -- "$cur")
		return
		;;
	--format | -f)
		if [ "$verb" = check ]; then
			mapfile -t COMPREPLY < <(compgen -W 'text json' -- "$cur")
			return
		elif [ "$verb" = list ] || [ "$verb" = ps ]; then
			mapfile -t COMPREPLY < <(compgen -W 'table json' -- "$cur")
			return
		fi
		;;
	esac
	if [[ $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_runsm_options "$runsm" $verb)" -- "$cur")
	elif [ -z "$verb" ]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_runsm_commands "$runsm")" -- "$cur")
	elif [ "$verb" = guest ]; then
		mapfile -t COMPREPLY < <(compgen -W 'build info' -- "$cur")
	elif [[ $verb =~ ^(delete|events|exec|kill|pause|ps|resume|start|state|update)$ ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$("$runsm" "${root[@]}" list -q 2>/dev/null)" -- "$cur")
	fi
}

complete -F _runsm runsm
