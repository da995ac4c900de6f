#!/usr/bin/env bash
# What `headwater completion` writes completes every command, option and choice that --help shows, in bash by really
# completing, in fish too where it is installed; zsh reads its script, and the manual page is sound roff. RenderingsTests
# look for every option in each.
# shellcheck source=Tests/deploy/checking
source "$(dirname "$0")/checking"
make_folder

binary=$PWD/.build/debug/headwater
[[ -x $binary ]] || fail "$binary isn't there: run the tests first, which build it"
for shell in bash zsh fish; do "$binary" completion "$shell" >"$folder/headwater.$shell"; done
"$binary" manual >"$folder/headwater.1"
mapfile -t commands < <("$binary" --help | sed -n '/^Commands:$/,/^$/s/^  \([a-z][a-z]*\) .*/\1/p')
[[ ${#commands[@]} -ge 12 ]] || fail "--help lists only ${commands[*]}"
# Commands of two words: those that the help of a first word lists.
for group in "${commands[@]}"; do
    mapfile -t members < <("$binary" "$group" --help | sed -n '/^Commands:$/,/^$/s/^  \([a-z][a-z-]*\) .*/\1/p')
    commands+=("${members[@]/#/$group }")
done
[[ " ${commands[*]} " == *' bench served '* ]] || fail "'bench --help' lists no commands"

# The ways to write a command's long options, by its help.
options_of() {
    local words
    read -ra words <<<"$1"
    "$binary" "${words[@]}" --help | sed -nE 's/^  (-., |    )(--(\[no-\])?[a-z][a-z0-9-]*).*/\2/p' | while read -r option; do
        if [[ $option == '--[no-]'* ]]; then printf -- '--%s\n--no-%s\n' "${option#*]}" "${option#*]}"; else echo "$option"; fi
    done | sort
}

# Completes a command line, given as words of which the last is being typed, in a bash of its own. Where readline is asked
# for names of files, says so.
complete_in_bash() {
    # shellcheck disable=SC2016  # That bash expands these.
    bash -euo pipefail -c '
        source "$0"
        compopt() { echo "compopt $*"; }
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _headwater
        printf "%s\n" "${COMPREPLY[@]}"' "$folder/headwater.bash" "$@" | sort
}
count=0
for command in "${commands[@]}"; do
    options_of "$command" >"$folder/options"
    read -ra words <<<"$command"
    complete_in_bash headwater "${words[@]}" -- >"$folder/completed"
    diff "$folder/options" "$folder/completed" >&2 || fail "bash completes other options of $command than --help shows"
    count=$((count + $(wc -l <"$folder/options")))
done
expect() {
    local wanted=$1
    shift
    local found
    found=$(complete_in_bash "$@" | xargs)
    [[ $found == "$wanted" ]] || fail "bash completes '$*' by '$found', not by '$wanted'"
}
expect 'serve' headwater se
expect 'json text' headwater serve --log-format ''
expect 'json' headwater serve --log-format = j
expect 'json text' headwater serve --log-format =
expect 'bash fish zsh' headwater completion ''
expect 'embed evaluate' headwater help e
expect 'compopt -o default' headwater embed --model ''
expect 'compopt -o default' headwater embed pho
expect 'compopt -o dirnames' headwater serve --model-directory ''
expect 'compopt -o nospace step,request step,step' headwater bench served --batching step,
expect 'network' headwater bench n
expect '' headwater serve --port 8
echo "bash completes ${#commands[@]} commands and $count options, choices and files"

missing=()
if command -v zsh >/dev/null; then
    zsh --no-exec "$folder/headwater.zsh" || fail "zsh doesn't read its script"
    echo "zsh reads its script"
else
    missing+=(zsh)
fi
if command -v fish >/dev/null; then
    fish --no-execute "$folder/headwater.fish" || fail "fish doesn't read its script"
    for command in "${commands[@]}"; do
        # fish itself puts its options in order.
        HOME=$folder fish --no-config -c "source '$folder/headwater.fish'; complete -C 'headwater $command --'" |
            cut -f 1 | sort >"$folder/completed"
        options_of "$command" | diff - "$folder/completed" >&2 ||
            fail "fish completes other options of $command than --help shows"
    done
    echo "fish completes every option"
else
    missing+=(fish)
fi
if command -v mandoc >/dev/null; then
    mandoc -T lint -W error "$folder/headwater.1" >&2 || fail "the manual page isn't sound to mandoc"
    echo "mandoc finds the manual page sound"
else
    missing+=(mandoc)
fi
if command -v groff >/dev/null; then
    complaints=$(groff -man -Tutf8 -k -ww -z "$folder/headwater.1" 2>&1)
    [[ -z $complaints ]] || fail "the manual page isn't sound to groff: $complaints"
    echo "groff finds the manual page sound"
else
    missing+=(groff)
fi
[[ ${#missing[@]} -eq 0 ]] || skip "completion and manual page for ${missing[*]}, not installed here"
