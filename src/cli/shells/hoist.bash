# bash completion for hoist
_hoist() {
    local line="${COMP_LINE:0:COMP_POINT}" words current candidate prefix
    read -ra words <<<"$line"
    # Whatever stands ahead of the program, such as sudo, is not for it.
    while [[ ${#words[@]} -gt 0 && ${words[0]} != "$1" ]]; do words=("${words[@]:1}"); done
    [[ $line == *[[:space:]] ]] && words+=("")
    [[ ${#words[@]} -gt 1 ]] || return
    current="${words[${#words[@]} - 1]}"
    # For bash, a word begins behind the last : or =.
    prefix="${current%"${current##*[:=]}"}"
    COMPREPLY=()
    while IFS=$'\t' read -r candidate _; do
        COMPREPLY+=("${candidate#"$prefix"}")
        [[ $candidate == *= ]] && compopt -o nospace 2>/dev/null
    done < <("${words[0]/#\~/$HOME}" complete "${words[@]:1}" 2>/dev/null)
}
complete -o default -F _hoist hoist
