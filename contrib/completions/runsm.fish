# SPDX-License-Identifier: Apache-2.0
# Completion of runsm for fish. Commands and options are asked of runsm itself.

function __runsm_verb
    set -l words (commandline -opc)
    set -e words[1]
    while set -q words[1]
        switch $words[1]
            case --root --log --log-format --rootless --criu
                set -e words[1]
            case '-*'
            case '*'
                echo $words[1]
                return 0
        end
        set -e words[1]
    end
    return 1
end

function __runsm_options
    runsm (__runsm_verb) --help 2>/dev/null | string match -r '^   --[a-z-]+' | string trim
end

function __runsm_commands
    runsm --help 2>/dev/null | awk '/^COMMANDS:/ { on = 1; next } /^$/ { on = 0 } on { c = $1; $1 = ""; print c "\t" substr($0, 2) }'
end

# Containers below the --root that the command line has.
function __runsm_ids
    set -l words (commandline -opc)
    set -l root
    if set -l i (contains -i -- --root $words)
        set root --root $words[(math $i + 1)]
    end
    runsm $root list -q 2>/dev/null
end

function __runsm_takes_id
    contains -- (__runsm_verb) delete events exec kill pause ps resume start state update
end

complete -c runsm -f
complete -c runsm -n 'not __runsm_verb' -a '(__runsm_commands)'
complete -c runsm -n 'test "$(__runsm_verb)" = guest' -a 'build info'
complete -c runsm -n __runsm_takes_id -a '(__runsm_ids)'
complete -c runsm -n 'string match -q -- "-*" (commandline -ct)' -a '(__runsm_options)'
complete -c runsm -n 'string match -qr -- "^(--bundle|-b|--root|--log|--pid-file|--console-socket|--process|-p)\$" (commandline -opc)[-1]' -F
