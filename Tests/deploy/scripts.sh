#!/usr/bin/env bash
# Every script parses, the commands are executable, and shellcheck has nothing to say where it is installed.
# shellcheck source=Tests/deploy/checking
source "$(dirname "$0")/checking"

scripts=()
for file in .ci/run deploy/* deploy/checks/clients/*.sh Tests/deploy/* Tests/Fuzzing/make-seeds Tests/faults/*.py; do
    # Configurations of other programs.
    [[ -f $file && $file != *.yaml && $file != deploy/admin-token ]] || continue
    case $(head -n 1 "$file") in
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
commands=(
    .ci/run deploy/assemble-image deploy/check-alerts deploy/check-clients deploy/check-contract deploy/check-kernels
    deploy/check-kserve
    deploy/check-manifests deploy/check-pillow deploy/check-playground deploy/check-snippets deploy/check-tritonclient
    deploy/compare
    deploy/compare-training
    deploy/concatenate deploy/faults deploy/fuzz deploy/make-family-fixtures deploy/rehearse-confinement deploy/rehearse-image
    deploy/rehearse-rolling deploy/sanitize deploy/scenarios deploy/serve deploy/simulate-batching deploy/soak
    deploy/test deploy/train-bundled
)

for script in "${scripts[@]}"; do
    bash -n "$script" || fail "$script doesn't parse"
done
for command in "${commands[@]}"; do
    [[ -x $command ]] || fail "$command isn't executable"
done
if command -v shellcheck >/dev/null; then
    shellcheck --external-sources --source-path=. "${scripts[@]}" || fail "shellcheck complains"
    echo "${#scripts[@]} scripts parse and are clean to shellcheck"
else
    echo "${#scripts[@]} scripts parse"
    skip "the scripts' style: shellcheck is not installed"
fi
