#!/usr/bin/env bash
# The manifests follow the published schemas, which are fetched where they can be.
# shellcheck source=Tests/deploy/checking
source "$(dirname "$0")/checking"
make_folder

command -v python3 >/dev/null || { skip "manifests: python3 is not installed"; exit 0; }
status=0
deploy/check-manifests 2>"$folder/complaints" || status=$?
case $status in
    0) ;;
    69) skip "manifests: $(tail -n 1 "$folder/complaints")" ;;
    *) fail "exit $status: $(<"$folder/complaints")" ;;
esac
