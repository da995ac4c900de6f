#!/usr/bin/env bash
# Every kernel agrees with its scalar twin, also those for arm64 where they can be cross-compiled and emulated.
# shellcheck source=Tests/deploy/checking
source "$(dirname "$0")/checking"
make_folder

status=0
deploy/check-kernels 2>"$folder/complaints" || status=$?
[[ $status -ne $exit_unavailable ]] || { skip "kernels: $(tail -n 1 "$folder/complaints")"; exit 0; }
[[ $status -eq 0 ]] || fail "exit $status: $(<"$folder/complaints")"

# The check must fail where something is wrong.
status=0
deploy/check-kernels --spoil >"$folder/said" 2>&1 || status=$?
[[ $status -eq 1 ]] || fail "a wrong product passes: exit $status: $(tail -n 5 "$folder/said")"
grep -q ': gemm: number 0 is' "$folder/said" || fail "a wrong product isn't named: $(tail -n 5 "$folder/said")"
echo "a wrong product is found"

# The register tiles for arm64 have most of the processors' peak, as far as a model can tell.
status=0
deploy/model-kernels --no-evaluation 2>"$folder/complaints" || status=$?
[[ $status -ne $exit_unavailable ]] || { skip "the model of arm64 processors: $(tail -n 1 "$folder/complaints")"; exit 0; }
[[ $status -eq 0 ]] || fail "$(<"$folder/complaints")"
