#!/usr/bin/env bash
# Decoding and resizing are bit for bit those of the Pillow that the documents name, where it can be installed.
# shellcheck source=Tests/deploy/checking
source "$(dirname "$0")/checking"
make_folder

command -v python3 >/dev/null || { skip "Pillow: python3 is not installed"; exit 0; }
version=$(sed -n 's/^PACKAGES = \["pillow==\([0-9]*\.[0-9]*\)\..*/\1/p' deploy/check-pillow)
for document in README.md docs/api.md; do
    grep -q "Pillow $version" "$document" || fail "$document doesn't name Pillow $version"
done

status=0
deploy/check-pillow 2>"$folder/complaints" || status=$?
case $status in
    0) ;;
    69)
        skip "Pillow: $(tail -n 1 "$folder/complaints")"
        exit 0
        ;;
    *) fail "exit $status: $(<"$folder/complaints")" ;;
esac

# The check must fail where something is wrong.
status=0
deploy/check-pillow --cases 100 --spoil 2>"$folder/complaints" || status=$?
[[ $status -eq 1 ]] || fail "a pixel that differs passes: exit $status"
grep -q 'decoded: 1 of' "$folder/complaints" || fail "a pixel that differs isn't named: $(<"$folder/complaints")"
echo "a pixel that differs is found"
