#!/usr/bin/env bash
# Every suite and command that docs/threat-model.md and SECURITY.md name as holding a promise exists.
# shellcheck source=Tests/deploy/checking
source "$(dirname "$0")/checking"

named=0
while read -r suite; do
    grep -rqE "struct $suite\b" Tests || [[ -d Tests/$suite ]] || fail "docs/threat-model.md names $suite, which isn't there"
    named=$((named + 1))
done < <(grep -oE '[A-Za-z]+Tests' docs/threat-model.md | sort -u)
while read -r command; do
    [[ -e $command ]] || fail "$command is named, and isn't there"
    named=$((named + 1))
done < <(grep -ohE '(deploy|docs)/[a-z/.-]*[a-z]' docs/threat-model.md SECURITY.md | sort -u)
[[ $named -gt 30 ]] || fail "only $named names were found"
echo "$named suites, commands and files that hold the threat model's promises exist"

while read -r which test reason; do
    [[ $which =~ ^(all|address|undefined|thread)$ && -n $test && -n $reason ]] ||
        fail "deploy/sanitizers/skipped gives no sanitizer, test and reason: $which $test $reason"
    test=${test#*.}
    grep -rqE "(struct|func) ${test%%/*}\b" Tests || fail "deploy/sanitizers/skipped names $test, which isn't there"
done < <(grep -v '^#' deploy/sanitizers/skipped)
echo "what deploy/sanitize skips exists and has its reasons"
