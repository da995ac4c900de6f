#!/usr/bin/env bash
# Every fuzzing target takes its seeds and what was once found, runs on for two seconds, and finds nothing.
# HEADWATER_FUZZ_SECONDS sets other seconds; deploy/fuzz --all runs longer. The seed is fixed, so that this check finds what a
# change breaks; random findings are deploy/fuzz's work.
# shellcheck source=Tests/deploy/checking
source "$(dirname "$0")/checking"
make_folder

status=0
deploy/fuzz --all "${HEADWATER_FUZZ_SECONDS:-2}" -seed=1 2>"$folder/said" || status=$?
if [[ $status -eq $exit_unavailable ]]; then
    skip "fuzzing: $(tail -n 1 "$folder/said")"
    exit
fi
[[ $status -eq 0 ]] || fail "exit $status: $(tail -n 20 "$folder/said")"
