#!/usr/bin/env bash
# docs/models.md lists every published model that `headwater import --as` knows, with a command, and no others; and
# deploy/compare-families refuses a program that isn't there before it installs anything.
# shellcheck source=Tests/deploy/checking
source "$(dirname "$0")/checking"
make_folder

binary=.build/debug/headwater
[[ -x $binary ]] || fail "$binary isn't there: run the tests first, which build it"
document=docs/models.md
"$binary" import --help | tr -s ' \n' ' ' | grep -oE -- '--as MODEL .*HEADWATER_AS' | grep -oE '\[one of [^;]*' |
    sed 's/^\[one of //' | tr -d ' ' | tr , '\n' | sort >"$folder/known"
[[ $(wc -l <"$folder/known") -gt 15 ]] || fail "the help lists only $(<"$folder/known")"

# shellcheck disable=SC2016  # The backtick is the document's.
grep -oE '^\| `[a-z0-9][a-z0-9-]*` \|' <(sed -n '/^## Models/,/^## Import/p' "$document") | tr -d '|` ' | sort >"$folder/listed"
diff "$folder/known" "$folder/listed" || fail "$document lists other models (>) than 'headwater import --as' (<)"
grep -oE '^    headwater import .* --as [a-z0-9-]+' "$document" | sed 's/.* //' | sort >"$folder/commanded"
diff "$folder/known" "$folder/commanded" || fail "$document imports other models (>) than 'headwater import --as' (<)"
echo "$(wc -l <"$folder/known") published models are in $document"

command -v python3 >/dev/null || { skip "deploy/compare-families: python3 is not installed"; exit 0; }
export HEADWATER_FAMILIES=$folder/environment
if deploy/compare-families --binary "$folder/none" 2>"$folder/complaint"; then fail "it compares a program that isn't there"; fi
grep -q "$folder/none doesn't exist" "$folder/complaint" || fail "it doesn't name the program: $(<"$folder/complaint")"
[[ ! -e $HEADWATER_FAMILIES ]] || fail "it installs packages for nothing"
