#compdef virtx
# SPDX-License-Identifier: GPL-2.0-or-later
# Completion of virtx(1) for zsh: virtx itself knows what a word may become.

local line
local -a words_before lines candidates shown

words_before=("${(@Q)words[2,CURRENT-1]}")
lines=(${(f)"$(virtx __complete "${words_before[@]}" "${(Q)PREFIX}" 2> /dev/null)"})
if [[ $lines[1] = :files ]]; then
    compset -P '--*='
    _files
    return
fi
for line in $lines; do
    candidates+=("${line%%$'\t'*}")
    shown+=("${line/$'\t'/  -- }")
done
# -U: the candidate for a name is a UUID.
compadd -U -l -d shown -a candidates
