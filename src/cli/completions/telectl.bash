# Completion of telectl for bash: source <(telectl completions bash)
_telectl() {
    local IFS=$'\n' line word prefix i
    local -a words=()
    # bash parts words at ':' and '=', which contexts and settings contain: they are joined again.
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if ((${#words[@]} > 1)) &&
            [[ $word == [:=]* || ${COMP_WORDS[i - 1]} == *[:=] ]]; then
            words[${#words[@]} - 1]+=$word
        else
            words+=("$word")
        fi
    done
    local current=${words[${#words[@]} - 1]}
    # bash replaces only what follows the last of these.
    prefix=${current%"${current##*[:=]}"}
    COMPREPLY=()
    while read -r line; do
        word=${line%%$'\t'*}
        COMPREPLY+=("${word#"$prefix"}")
    done < <("$1" __complete -- "${words[@]}" 2>/dev/null)
    if ((${#COMPREPLY[@]} == 1)) && [[ ${COMPREPLY[0]} != *[=/:] ]]; then
        compopt +o nospace 2>/dev/null
    fi
}
complete -o nospace -o nosort -F _telectl telectl 2>/dev/null ||
    complete -o nospace -F _telectl telectl
