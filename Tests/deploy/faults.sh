#!/usr/bin/env bash
# docs/faults.md reports every scenario of deploy/faults, the wall clock is asked only for times that answers and logs report,
# and the short selection holds on the debug build.
# shellcheck source=Tests/deploy/checking
source "$(dirname "$0")/checking"
make_folder

binary=.build/debug/headwater
[[ -x $binary ]] || fail "$binary isn't there: run the tests first, which build it"
command -v python3 >/dev/null || { skip "the scenarios of faults: python3 is not installed"; exit 0; }

deploy/faults --list >"$folder/scenarios"
[[ $(wc -l <"$folder/scenarios") -gt 10 ]] || fail "only $(wc -l <"$folder/scenarios") scenarios were found"
sed -nE 's/^[|] [^a-z]([a-z-]+)[^a-z] [|].*/\1/p' docs/faults.md | sort >"$folder/reported"
differences=$(diff "$folder/scenarios" "$folder/reported" || true)
[[ -z $differences ]] || fail "docs/faults.md and the scenarios differ:" "$differences"

# Deadlines and timeouts go by ContinuousClock; clock.py tries it.
wall=$(grep -rlE 'Date\.now|Date\(\)|gettimeofday|CLOCK_REALTIME|[Ww]all(Time|Deadline)|timedwait' Sources | sort | xargs)
allowed="Sources/FeatureService/Checkpoints/CheckpointManager.swift Sources/FeatureService/ModelTally.swift"
allowed+=" Sources/Telemetry/Logging/Timestamp.swift"
[[ $wall == "$allowed" ]] || fail "the wall clock is asked in $wall, not only in $allowed"

deploy/faults --headwater "$binary" --short >"$folder/output" 2>&1 || fail "$(cat "$folder/output")"
sed -nE 's/^== //; T skipped; h; d; :skipped; s/^   skipped after [0-9]+ s: //; T; G; s/(.*)\n(.*)/skipped: the fault \2: \1/p' \
    "$folder/output"
echo "$(wc -l <"$folder/scenarios") scenarios are reported; the short selection: $(tail -n 1 "$folder/output")"
