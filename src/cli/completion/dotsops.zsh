#compdef dotsops
# Completion of `dotsops` in zsh, behind compinit: source <(dotsops completions zsh)
_dotsops() {
    local line value help
    local -a described folders in_home
    integer at=${words[(i)--]}
    # Behind `exec … --` stands another program's command line.
    if (( at < CURRENT && ${words[(i)exec]} < at )); then
        shift $at words
        (( CURRENT -= at ))
        _normal
        return
    fi
    for line in "${(@f)$(command dotsops completions zsh -- "${(@Q)words[1,CURRENT - 1]}" "${(Q)PREFIX}" 2> /dev/null < /dev/null)}"; do
        value=${line%%$'\t'*} help=${line#*$'\t'}
        case $value in
            '') ;;
            # A `~` that is quoted would be a file's name.
            \~/*) in_home+=("~/${(q)value#\~/}") ;;
            */) folders+=("$value") ;;
            *) described+=("${${value//\\/\\\\}//:/\\:}${help:+:$help}") ;;
        esac
    done
    (( $#described )) && _describe -V 'dotsops' described
    (( $#in_home )) && compadd -Q -S '' -- "${in_home[@]}"
    (( $#folders )) && compadd -S '' -- "${folders[@]}"
}
if [[ $funcstack[1] == _dotsops ]]; then
    _dotsops "$@"
else
    compdef _dotsops dotsops
fi
