#compdef hoist
# zsh completion for hoist
_hoist() {
    local -a lines values shown keys
    local line tab=$'\t'
    lines=("${(@f)$("${~words[1]}" complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    for line in $lines; do
        if [[ $line == *= ]]; then keys+=("$line"); continue; fi
        values+=("${line%%$tab*}")
        shown+=("${line/$tab/  -- }")
    done
    if (( $#keys )); then
        compadd -S '' -a keys
    elif (( $#values )); then
        compadd -l -d shown -a values
    else
        _files
    fi
}
if [[ $funcstack[1] == _hoist ]]; then _hoist "$@"; else compdef _hoist hoist; fi
