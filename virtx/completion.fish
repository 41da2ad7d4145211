# SPDX-License-Identifier: GPL-2.0-or-later
# Completion of virtx(1) for fish: virtx itself knows what a word may become.

function __virtx_complete
    set -l words (commandline -opc)
    set -l word (commandline -ct)
    set -l lines (virtx __complete $words[2..] "$word" 2> /dev/null)
    if test "$lines[1]" = :files
        # Where it is the argument in "--name=argument", the name stays in front.
        set -l option (string match -r -- '^--[^=]*=' "$word")
        printf '%s\n' "$option"(__fish_complete_path (string replace -- "$option" '' "$word"))
    else
        printf '%s\n' $lines
    end
end

complete -c virtx -f -a '(__virtx_complete)'
