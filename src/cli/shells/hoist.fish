# fish completion for hoist
function __hoist_complete
    set -l words (commandline -opc)
    set -l hoist $words[1]
    set -e words[1]
    $hoist complete $words (commandline -ct) 2>/dev/null
end
complete -c hoist -f -a '(__hoist_complete)'
complete -c hoist -s c -l config -r -F
complete -c hoist -s C -r -F
