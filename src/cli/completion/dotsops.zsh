#compdef dotsops
# Completion of `dotsops` in zsh, behind compinit: source <(dotsops completions zsh)
_dotsops() {
    local line value
    local -a described folders
    integer at=${words[(i)--]}
    # Behind `exec … --` stands another program's command line.
    if (( at < CURRENT && ${words[(i)exec]} < at )); then
        shift $at words
        (( CURRENT -= at ))
        _normal
        return
    fi
    for line in "${(@f)$(command dotsops completions zsh -- "${(@Q)words[1,CURRENT - 1]}" "${(Q)PREFIX}" 2> /dev/null < /dev/null)}"; do
        value=${line%%$'\t'*}
        case $value in
            '') ;;
            */) folders+=("$value") ;;
            *) described+=("${${value//\\/\\\\}//:/\\:}:${line#*$'\t'}") ;;
        esac
    done
    (( $#described )) && _describe -V 'dotsops' described
    (( $#folders )) && compadd -S '' -- "${folders[@]}"
}
if [[ $funcstack[1] == _dotsops ]]; then
    _dotsops "$@"
else
    compdef _dotsops dotsops
fi
