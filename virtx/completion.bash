# SPDX-License-Identifier: GPL-2.0-or-later
# Completion of virtx(1) for bash: commands, options, states, and the UUIDs that the server knows.

# The UUIDs of a noun, asked from the server that the line names; silent without one.
_virtx_uuids()
{
    local server=() i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        -A | --api-server) server=(-A "${COMP_WORDS[i + 1]}") ;;
        esac
    done
    virtx "${server[@]}" --timeout 2 list "$1" 2>/dev/null | awk 'NR > 1 { print $1 }'
}

_virtx()
{
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    local globals='-A --api-server -o --output --timeout -D --debug --help --version'
    local words=() operands=0 i word command choices=''

    # What stands before the cursor, less the options and their arguments.
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        command="${words[*]}"
        case $word in
        --*=*) ;;
        -A | --api-server | -o | --output | --timeout) ((i++)) ;;
        -[nahsvmHNV] | --name | --arch | --vendor | --state | --memory | --hp | --host | --vlanid | \
            --custom-name | --custom-value)
            # Without an argument for some commands.
            case $command in 'list '* | 'create vm'*) ((i++)) ;; 'register vm'* | 'migrate vm'* | repair*) [[ $word = -h || $word = --host ]] && ((i++)) ;; 'boot vm'*) [[ $word = -m ]] && ((i++)) ;; esac
            ;;
        -[uc] | --ci-userdata | --ci-metadata | --ci-networkconfig) ((i++)) ;;
        -*) ;;
        *) words+=("$word") ;;
        esac
    done

    case ${words[*]} in
    'get runstate vm'* | 'get migrate vm'* | 'abort migrate vm'* | 'get maintain host'*)
        command="${words[*]:0:3}" operands=$((${#words[@]} - 3)) ;;
    'get runstate'* | 'get migrate'* | 'get maintain'* | 'abort migrate'*) command="${words[*]:0:2}" ;;
    ?*' '?*) command="${words[*]:0:2}" operands=$((${#words[@]} - 2)) ;;
    *) command="${words[*]}" ;;
    esac

    # The argument of an option.
    case $prev in
    -o | --output) choices='table json' ;;
    -s | --state)
        case $command in
        'list host') choices='active left failed' ;;
        'list vm') choices='poweroff startup running paused migrating terminating pmsuspended crashed' ;;
        esac
        ;;
    -h | --host)
        case $command in 'list vm' | 'create vm' | 'register vm' | 'migrate vm' | repair) choices=$(_virtx_uuids host) ;; esac
        ;;
    -u | -c | --ci-userdata | --ci-metadata | --ci-networkconfig)
        COMPREPLY=()
        compopt -o default
        return
        ;;
    -m)
        if [[ $command = 'boot vm' ]]; then
            COMPREPLY=()
            compopt -o default
            return
        fi
        ;;
    esac
    if [[ -n $choices ]]; then
        COMPREPLY=($(compgen -W "$choices" -- "$cur"))
        return
    fi

    if [[ $cur = -* ]]; then
        case $command in
        'list host') choices='-n --name -a --arch -v --vendor -s --state -m --memory -H --hp' ;;
        'list vm')
            choices='-n --name -h --host -s --state -v --vlanid -N --custom-name -V --custom-value' ;;
        'get host') choices='-C --stat-cpu -M --stat-mem' ;;
        'get vm')
            choices='-k --disk -n --net -K --stat-disk -N --stat-net -C --stat-cpu -M --stat-mem' ;;
        'create vm') choices='-h --host -n --dry-run' ;;
        'register vm') choices='-h --host' ;;
        repair) choices='-h --host -y --yes -s --storage -d --define' ;;
        'update vm') choices='-s --storage -f --force' ;;
        'delete vm') choices='-s --storage' ;;
        'migrate vm') choices='-h --host -n --dry-run -l --live -w --wait -B --bandwidth -d --downtime -p --post-copy -t --migrate-timeout -a --timeout-action' ;;
        'maintain host') choices='-n --dry-run -w --wait -e --end -b --back' ;;
        'boot vm') choices='-u --ci-userdata -m --ci-metadata -c --ci-networkconfig' ;;
        'shutdown vm') choices='-f -ff --force' ;;
        esac
        COMPREPLY=($(compgen -W "$choices $globals" -- "$cur"))
        return
    fi

    case $command in
    '') choices='list get create update delete boot shutdown pause resume migrate maintain abort register repair forget storage watch decode-event' ;;
    list) choices='host vm operation' ;;
    get) choices='host vm runstate migrate maintain operation' ;;
    maintain | 'get maintain' | forget) choices=host ;;
    abort) choices=migrate ;;
    storage) choices=init ;;
    'get runstate' | 'get migrate' | 'abort migrate' | migrate | create | update | delete | boot | shutdown | pause | resume | register) choices=vm ;;
    'create vm')
        COMPREPLY=()
        compopt -o default
        return
        ;;
    'get host' | 'get operation') [[ $operands = 0 ]] && choices=$(_virtx_uuids "${command#get }") ;;
    'maintain host' | 'get maintain host' | 'forget host') [[ $operands = 0 ]] && choices=$(_virtx_uuids host) ;;
    'get vm' | 'get runstate vm' | 'update vm' | 'delete vm' | 'boot vm' | 'shutdown vm' | \
        'pause vm' | 'resume vm' | 'register vm' | 'migrate vm' | 'get migrate vm' | 'abort migrate vm')
        if [[ $operands = 0 ]]; then
            choices=$(_virtx_uuids vm)
        elif [[ $command = 'update vm' && $operands = 1 ]]; then
            COMPREPLY=()
            compopt -o default
            return
        fi
        ;;
    esac
    COMPREPLY=($(compgen -W "$choices" -- "$cur"))
}
complete -F _virtx virtx
