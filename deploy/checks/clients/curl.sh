#!/usr/bin/env bash
# curl.sh URL PHOTO LOGO OPTIONS: posts both images with curl in its usual ways.
#
# Part of deploy/check-clients, which says what a line of the output means.
set -euo pipefail

embed=$1/embed
photo=$2
logo=$3
# from=middle&normalize=l2, and the same as arguments of a form.
query=$(python3 -c 'import json, sys, urllib.parse; print(urllib.parse.urlencode(json.loads(sys.argv[1])))' "$4")
mapfile -t fields < <(tr '&' '\n' <<<"$query" | sed 's/^/-F\n/')

# record WHAT IMAGES SAYS: what a request's answer, on the standard input with its status in the last line, is compared with.
record() {
    python3 -c '
import json, sys
body, status = sys.stdin.read().rstrip("\n").rsplit("\n", 1)
record = {"what": sys.argv[1], "status": int(status), "body": body, "images": int(sys.argv[2])}
print(json.dumps(record | ({"says": sys.argv[3]} if sys.argv[3] else {})))' "$1" "$2" "${3:-}"
}
post() { curl -sS -w '\n%{http_code}' "$@"; }
document() { python3 -c '
import json, sys
print(json.dumps({"images": sys.argv[2:], **json.loads(sys.argv[1])}))' "$@"; }

post -F "image=@$photo" -F "image=@$logo" "${fields[@]}" "$embed" | record "-F" 2
post -F "image=@$photo;filename=фото \"1\".jpg" -F "image=@$logo;filename=\"a;b.png\"" "${fields[@]}" "$embed" |
    record "-F with names of its own" 2
post -F "image=<$photo" "${fields[@]}" "$embed" | record "-F with a file's content" 1
post -F "images=@$photo,$logo" "${fields[@]}" "$embed" | record "-F with several files in one part, multipart/mixed" 2
post -F "image=@$photo;headers=\"X-Comment: folded\"" "${fields[@]}" "$embed" | record "-F with a header" 1
post --data-binary "@$photo" "$embed?$query" | record "--data-binary" 1
post -T "$photo" -X POST "$embed?$query" | record "-T" 1
post -H 'Transfer-Encoding: chunked' --data-binary "@$photo" "$embed?$query" | record "--data-binary in chunks" 1
document "$4" "$(base64 -w 0 "$photo")" "$(base64 -w 0 "$logo")" >document.json
post -H 'Content-Type: application/json' -d @document.json "$embed" | record "-d of JSON" 2
document "$4" "$(base64 "$photo")" "$(base64 "$logo")" >document.json
post -H 'Content-Type: application/json' -d @document.json "$embed" | record "-d of JSON with base64's line breaks" 2

post -d @document.json "$embed" | record "-d of JSON without its content type" 0 "set Content-Type: application/json"
post -d "@$photo" "$embed" | record "-d of a JPEG file" 0 "use curl --data-binary @FILE"
post -d "@$logo" "$embed" | record "-d of a PNG file" 0 "use curl --data-binary @FILE"
post -d "image=@$photo" "$embed" | record "-d of a form" 0 "curl -F image=@FILE"
post --data-binary "$photo" "$embed" | record "--data-binary without an @" 0 "wants an @"
post -F "image=$photo" "$embed" | record "-F without an @" 0 "wants an @"
post --data-binary "$(base64 "$photo")" "$embed" | record "--data-binary of base64" 0 "is base64"
