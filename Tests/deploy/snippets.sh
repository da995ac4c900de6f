#!/usr/bin/env bash
# The code in the documents for users does what they say, as far as its tools are here; deploy/check-snippets runs all.
# shellcheck disable=SC2016  # The backticks fence code.
# shellcheck source=Tests/deploy/checking
source "$(dirname "$0")/checking"
make_folder

if ! command -v python3 >/dev/null; then
    skip "snippets: there is no python3 here to run deploy/check-snippets"
    exit
fi
deploy/check-snippets --here

# The check must fail where something is wrong.
binary=.build/debug/headwater
refuse() {
    local message status=0
    printf '%b' "$2" >"$folder/wrong.md"
    message=$(deploy/check-snippets --here "$binary" "$folder/wrong.md" 2>&1) || status=$?
    [[ $status -ne 0 && $message == *"$1"* ]] || fail "a wrong document passes: $2: $message"
}
refuse 'rather than' '```python\nprint(2)\n```\n```text\n3\n```\n'
refuse 'exits 22' '```bash\ncurl -sf localhost:8080/none\n```\n'
refuse 'without a snippet' '```text\n3\n```\n'
refuse 'has no snippets' '# Nothing\n'
refuse "isn't closed" '```python\nprint(2)\n```\n```text\n'
echo "wrong documents on purpose are refused"
