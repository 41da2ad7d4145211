# SPDX-License-Identifier: GPL-2.0-or-later
# Completion of virtx(1) for bash: virtx itself knows what a word may become.

_virtx()
{
    local rest=$COMP_LINE words=() lines=() i word about

    # bash takes words apart at '=' and ':', too, and completes the last part.
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ $i = 0 || $rest = [[:space:]]* ]]; then
            words+=("$word")
        else
            words[-1]+=$word
        fi
        rest=${rest#"${rest%%[![:space:]]*}"}
        rest=${rest#"$word"}
    done
    [[ $word != [=:]* ]] || word=
    local before=${words[-1]%"$word"}

    COMPREPLY=()
    mapfile -t lines < <(virtx __complete "${words[@]:1}" 2> /dev/null)
    if [[ ${lines[0]-} = :files ]]; then
        compopt -o default
        return
    fi
    for i in "${!lines[@]}"; do
        IFS=$'\t' read -r word about <<< "${lines[i]}"
        # Where they are only listed, each may have behind it what it is.
        [[ -z $about || $COMP_TYPE != 63 ]] || word+="  ($about)"
        COMPREPLY+=("${word#"$before"}")
    done
}
complete -F _virtx virtx
