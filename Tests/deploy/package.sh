#!/usr/bin/env bash
# deploy/package refuses what it can't build from before it installs or builds anything, and its units are those of deploy/systemd
# but for the program's path, its settings and its user.
# shellcheck source=Tests/deploy/checking
source "$(dirname "$0")/checking"
make_folder

refuses() {
    local status=0 expected=$1 said=$2
    shift 2
    deploy/package "$@" >"$folder/output" 2>&1 || status=$?
    [[ $status -eq $expected ]] || fail "deploy/package $*: exit $status instead of $expected"
    grep -qF -- "$said" "$folder/output" || fail "deploy/package $*: $(<"$folder/output")"
}
refuses 64 "unknown argument --frobnicate" --frobnicate
refuses 64 "--output needs a value" --output
refuses 66 "there is no $folder/none" --program "$folder/none"
echo "wrong arguments are refused"

deploy/package --units "$folder/units"
for unit in headwater.service headwater.socket headwater-admin.socket; do
    diff "deploy/systemd/$unit" "$folder/units/$unit" >"$folder/changes" || true
    if unexpected=$(grep '^[<>]' "$folder/changes" | grep -vE '^[<>] (#|ExecStart=/usr/(local/)?bin/headwater serve$|EnvironmentFile=-/etc/(headwater/environment|default/headwater)$)' |
        grep -vE '^(< DynamicUser=yes|> User=headwater)$'); then
        fail "the package changes $unit: $unexpected"
    fi
    if grep -nE '/usr/local|DynamicUser=yes|Put th' "$folder/units/$unit"; then fail "the package's $unit says this of another installation"; fi
done
grep -q '^User=headwater$' "$folder/units/headwater.service" || fail "the package's unit has no user"
[[ $(awk '$1 == "u" { print $2 }' deploy/debian/headwater.sysusers) == headwater ]] || fail "the package makes another user"
echo "the package's units are those of deploy/systemd"
