#!/usr/bin/env bash
# Every script parses, commands are executable, and shellcheck finds nothing, if it is installed.
# shellcheck source=Tests/deploy/checking
source "$(dirname "$0")/checking"

scripts=()
for file in .ci/run deploy/* deploy/checks/*.py deploy/families/*.py deploy/peers/*.py deploy/{stream,search,spark,ray}/*.py deploy/checks/clients/*.sh Tests/deploy/* Tests/Fuzzing/make-seeds Tests/faults/*.py; do
    # Configurations of other programs.
    [[ -f $file && $file != *.yaml && $file != deploy/admin-token ]] || continue
    read -r first <"$file"
    [[ $file == Tests/* || $file == *.sh || $first != '#!'* || -x $file ]] || fail "$file isn't executable"
    case $first in
        *python* | \"\"\"*)
            if command -v python3 >/dev/null; then
                python3 -c 'import ast, sys; ast.parse(open(sys.argv[1]).read(), sys.argv[1])' "$file" ||
                    fail "$file doesn't parse"
            fi
            ;;
        *bash*) scripts+=("$file") ;;
        *) fail "$file says in its first line neither bash nor python" ;;
    esac
done
for script in "${scripts[@]}"; do
    bash -n "$script" || fail "$script doesn't parse"
done
if command -v shellcheck >/dev/null; then
    shellcheck --external-sources --source-path=. "${scripts[@]}" || fail "shellcheck complains"
    echo "${#scripts[@]} scripts parse and are clean to shellcheck"
else
    echo "${#scripts[@]} scripts parse"
    skip "the scripts' style: shellcheck is not installed"
fi
