#!/usr/bin/env bash
# Every flag, variable, path, port, metric and exit status that the files for operators name is one of the program's, and
# docs/operating.md names every flag of the service, metric and alert.
# shellcheck source=Tests/deploy/checking
source "$(dirname "$0")/checking"
make_folder

binary=.build/debug/headwater
[[ -x $binary ]] || fail "$binary isn't there: run the tests first, which build it"
manual=docs/operating.md
mapfile -t files < <(find deploy/kubernetes deploy/kserve deploy/systemd deploy/haproxy deploy/nginx deploy/monitoring \
    deploy/compose.yaml -type f)
[[ ${#files[@]} -gt 15 ]] || fail "only ${#files[@]} files were found"

# Prints what of its input is not a line of the file $1.
strangers() { sort -u | comm -23 - <(sort -u "$1"); }
# The lines that aren't other programs' commands.
own() { grep -hvE 'kubectl|docker|curl|systemd-analyze|systemctl|openssl|sha256sum|^ *deploy/(rehearse|check)' "$@"; }

for command in serve embed health; do "$binary" "$command" --help; done >"$folder/help"
for command in network precision profile training decoding served write-model; do
    "$binary" bench "$command" --help
done >>"$folder/help"
"$binary" --help >>"$folder/help"
# A switch --[no-]NAME is two flags.
grep -oE -- '--(\[no-\])?[a-z][a-z-]+' "$folder/help" | sed -E 's/^--\[no-\](.*)/--\1\n--no-\1/' >"$folder/flags"
unknown=$(own "${files[@]}" "$manual" | grep -oE -- '(^|[^a-z-])--[a-z][a-z-]+' | grep -oE -- '--.*' |
    grep -vxE -- '--(proxy|kills|offline)' | strangers "$folder/flags")
[[ -z $unknown ]] || fail "no command has" "$unknown"
# shellcheck disable=SC2016  # The backtick is the document's.
unknown=$(grep -oE -- '`--[a-z][a-z-]+' docs/api.md | tr -d '`' | strangers "$folder/flags")
[[ -z $unknown ]] || fail "no command has" "$unknown"
grep -oE 'HEADWATER_[A-Z_]+' "$folder/help" >"$folder/variables"
unknown=$(cat "${files[@]}" | grep -ohE 'HEADWATER_[A-Z_]+' | strangers "$folder/variables")
[[ -z $unknown ]] || fail "no command has" "$unknown"
unnamed=$("$binary" serve --help | grep -oE -- '^ +(-., )?--(\[no-\])?[a-z-]+' | grep -oE -- '--.*' | grep -vx -- --help |
    sort -u | while read -r flag; do grep -qF -- "| \`$flag" "$manual" || echo "$flag"; done)
[[ -z $unnamed ]] || fail "$manual doesn't name" "$unnamed"
echo "$(sort -u "$folder/flags" | wc -l) flags: those named exist, and the service's are all in $manual"

service=
trap '[[ -z $service ]] || { kill "$service" 2>/dev/null; wait "$service" 2>/dev/null; }; rm -rf "$folder"' EXIT
# With TLS, since some metrics are about it.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
    -keyout "$folder/key.pem" -out "$folder/certificate.pem" 2>/dev/null
"$binary" serve --port 0 --admin-port 0 --tls-certificate "$folder/certificate.pem" --tls-key "$folder/key.pem" \
    --log-format json 2>"$folder/log" &
service=$!
for _ in $(seq 600); do
    ready=$(grep '"message":"ready"' "$folder/log" || true)
    [[ -z $ready ]] || break
    kill -0 "$service" 2>/dev/null || fail "the service ended: $(cat "$folder/log")"
    sleep 0.1
done
public=$(sed -n 's/.*"url":"\([^"]*\)".*/\1/p' <<<"$ready")
admin=http://127.0.0.1:$(sed -n 's/.*"admin_port":\([0-9]*\).*/\1/p' <<<"$ready")
curl -sfk -o /dev/null --data-binary @Tests/Fixtures/images/rgb-32x32.jpg "$public/embed"
curl -sf -o "$folder/exposition" "$admin/metrics"
sed -n 's/^# TYPE \([^ ]*\) .*/\1/p' "$folder/exposition" >"$folder/metrics"
unknown=$(cat "${files[@]}" "$manual" | grep -ohE '\b(headwater|process)_[a-z_]+' | sed -E 's/_(bucket|sum|count)$//' |
    strangers "$folder/metrics")
[[ -z $unknown ]] || fail "/metrics hasn't" "$unknown"
unnamed=$(while read -r metric; do grep -q "^| .*\`$metric\`.* |" "$manual" || echo "$metric"; done <"$folder/metrics")
[[ -z $unnamed ]] || fail "$manual doesn't name" "$unnamed"
echo "$(wc -l <"$folder/metrics") metrics: those named exist, and all are in $manual"

paths=$(grep -rohE '(path: |uri )/[^ "]*' deploy/kubernetes deploy/kserve deploy/haproxy | sed 's/.* //' | sort -u)
[[ $(wc -l <<<"$paths") -ge 5 ]] || fail "the manifests' paths were not found: $paths"
for path in $paths; do
    base=$public
    [[ $path != /metrics ]] || base=$admin
    [[ $(curl -sk -o /dev/null -w '%{http_code}' "$base$path") == 200 ]] || fail "$path doesn't answer 200"
    grep -qx "  $path:" openapi.yaml || fail "$path is not in openapi.yaml"
done
ports=$(grep -ohE '(containerPort: |replica-.\.example:|headwater:|127\.0\.0\.1:8[0-9]*:)[0-9]+' "${files[@]}" |
    grep -oE '[0-9]+$' | sort -u | xargs)
[[ $ports == "8080 8081" ]] || fail "the ports are $ports"
for port in $ports; do grep -q "default $port;" <("$binary" serve --help | tr -s ' \n' ' ') || fail "$port is no default"; done
echo "the paths of probes and scrapes answer 200: $(xargs <<<"$paths")"

number() { sed -nE "s/^ *$1[:=] *([0-9]+)s?$/\1/p" "$2" | head -n 1; }
default() { "$binary" serve --help | tr -s ' \n' ' ' | sed -nE "s/.*default ([0-9]+)(ms|s); $1\].*/\1/p"; }
base=deploy/kubernetes/base/deployment.yaml
drains() { grep -A 1 "$1" "$2" | sed -nE 's/ *value: ([0-9]+)s$/\1/p'; }
delay=$(drains HEADWATER_DRAIN_DELAY $base)
timeout=$(drains HEADWATER_DRAIN_TIMEOUT $base)
[[ $(number terminationGracePeriodSeconds $base) -gt $((delay + timeout)) ]] || fail "Kubernetes kills what drains"
timeout=$(($(default HEADWATER_DRAIN_DELAY) + $(default HEADWATER_DRAIN_TIMEOUT)))
[[ $timeout -gt 0 && $(number TimeoutStopSec deploy/systemd/headwater.service) -gt $timeout ]] ||
    fail "systemd kills what drains"
[[ $(number stop_grace_period deploy/compose.yaml) -gt $timeout ]] || fail "Compose kills what drains"
for code in $(sed -n 's/^ *values: \[\(.*\)\]$/\1/p; s/^RestartPreventExitStatus=//p' "${files[@]}" | tr -d ,); do
    grep -qE "^  $code  " "$folder/help" || fail "exit status $code means nothing"
done
echo "supervisors wait longer than the service drains, and know its exit statuses"

alerts=$(sed -n 's/^ *- alert: //p' deploy/monitoring/alerts.yaml)
for alert in $alerts; do grep -q "^| \`$alert\` |" "$manual" || fail "$manual doesn't say what to do about $alert"; done
for alert in $(grep -oE '^\| .Headwater[A-Za-z]+. \|' "$manual" | tr -cd 'A-Za-z\n'); do
    grep -qx "$alert" <<<"$alerts" || fail "there is no alert $alert"
done
if command -v promtool >/dev/null; then
    deploy/check-alerts >"$folder/output" 2>&1 || fail "$(cat "$folder/output")"
    echo "$(wc -l <<<"$alerts") alerts are explained, and fire and keep still as they should"
else
    echo "$(wc -l <<<"$alerts") alerts are explained"
    skip "the alerts' own tests: promtool is not installed"
fi
if command -v systemd-analyze >/dev/null; then
    # Where the binary isn't installed, verify complains of that alone.
    complaints=$(systemd-analyze verify deploy/systemd/headwater.{service,socket} deploy/systemd/headwater-admin.socket 2>&1 |
        grep 'headwater' | grep -v 'is not executable: No such file' || true)
    [[ -z $complaints ]] || fail "systemd-analyze verify: $complaints"
    exposure=$(systemd-analyze security --offline=yes deploy/systemd/headwater.service 2>/dev/null |
        sed -nE 's/.*exposure level.*: ([0-9.]+) .*/\1/p' || true)
    if [[ -n $exposure ]]; then
        awk -v exposure="$exposure" 'BEGIN { exit exposure > 1.5 }' || fail "the unit's exposure is $exposure"
        echo "the unit is sound, its exposure $exposure"
    fi
else
    skip "the systemd unit: there is no systemd-analyze here"
fi
