#!/usr/bin/env bash
# Links in the documents resolve, files that they name exist, spelling is right, and documents, help texts, comments and messages
# use no word of deploy/checks/words-to-avoid.
# shellcheck source=Tests/deploy/checking
source "$(dirname "$0")/checking"
make_folder

command -v python3 >/dev/null || { skip "documents: python3 is not installed"; exit 0; }
binary=.build/debug/headwater
[[ -x $binary ]] || fail "$binary isn't there: run the tests first, which build it"
deploy/check-documents --program "$binary"

# The check must fail where something is wrong.
refuse() {
    local message status=0
    local file=$folder/${3:-wrong.md}
    printf '%b' "$2" >"$file"
    message=$(deploy/check-documents "$file" 2>&1) || status=$?
    [[ $status -ne 0 && $message == *"$1"* ]] || fail "a wrong document passes: $2: $message"
}
refuse 'leads to no file' '[here](nowhere.md)\n'
refuse 'leads to no heading' '# One\n\n[here](#two)\n'
# shellcheck disable=SC2016  # The backticks are the document's.
refuse "deploy/nothing doesn't exist" 'Run `deploy/nothing`.\n'
refuse 'wrong.md:3: “whoever”' '# One\n\nFor whoever reads this.\n'
refuse 'wrong.swift:2: “whoever”' 'let whoever = 1\n/// For whoever reads this.\n' wrong.swift
refuse 'wrong.swift:1: “nobody”' 'throw Refusal("nobody listens")\n' wrong.swift
if command -v codespell >/dev/null; then refuse 'spelling' 'They recieve it.\n'; fi
echo "wrong documents on purpose are refused"
