# Completion of `dotsops` in bash: source <(dotsops completions bash)
_dotsops() {
    local line i is_exec=
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        [[ ${COMP_WORDS[i]} == exec ]] && is_exec=1
        # Behind `exec … --` stands another program's command line.
        if [[ -n $is_exec && ${COMP_WORDS[i]} == -- ]]; then
            if declare -F _comp_command_offset > /dev/null; then
                _comp_command_offset $((i + 1))
            elif declare -F _command_offset > /dev/null; then
                _command_offset $((i + 1))
            elif ((i + 1 == COMP_CWORD)); then
                while IFS= read -r line; do COMPREPLY+=("$(printf %q "$line")"); done < <(compgen -c -- "$2")
            else
                compopt -o default 2> /dev/null
            fi
            return
        fi
    done
    while IFS= read -r line; do
        COMPREPLY+=("$line")
    done < <(command dotsops completions bash -- "${COMP_LINE:0:COMP_POINT}" "$2" 2> /dev/null < /dev/null)
    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == */ ]] && compopt -o nospace 2> /dev/null
}
complete -F _dotsops dotsops
