# Completion of `dotsops` in fish: dotsops completions fish | source
function __dotsops_candidates
    set -l words (commandline --current-process --tokenize --cut-at-cursor)
    set -l current (commandline --current-token --cut-at-cursor)
    # Behind `exec … --` stands another program's command line.
    if contains -- exec $words; and set -l at (contains --index -- -- $words)
        set --erase words[1..$at]
        complete --do-complete (string join ' ' -- (string escape -- $words) $current)
        return
    end
    # A quote that is still open is no text yet to fish.
    set -l text (string unescape -- $current; or string replace --regex '^["\']' '' -- $current)
    command dotsops completions fish -- $words "$text" 2>/dev/null </dev/null
end
complete --command dotsops --no-files --keep-order --arguments '(__dotsops_candidates)'
