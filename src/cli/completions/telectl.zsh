#compdef telectl
# Completion of telectl for zsh: save as _telectl in a folder of $fpath,
# or: source <(telectl completions zsh)
_telectl() {
    local line value
    local -a open closed
    for line in "${(@f)$("${words[1]}" __complete -- "${(@)words[1,CURRENT]}" 2>/dev/null)}"; do
        [[ -n $line ]] || continue
        value=${line%%$'\t'*}
        value=${value//:/\\:}
        if [[ $line == *$'\t'* ]]; then
            value+=":${line#*$'\t'}"
        fi
        case ${line%%$'\t'*} in
            *[/=]) open+=("$value") ;;
            *) closed+=("$value") ;;
        esac
    done
    ((${#closed})) && _describe -V 'telectl' closed
    ((${#open})) && _describe -V 'telectl' open -S ''
}
if [[ ${funcstack[1]} == _telectl ]]; then
    _telectl "$@"
else
    compdef _telectl telectl
fi
