#!/usr/bin/env bash
# The documents' tables are those that deploy/plot-performance prints of the figures that they name, and deploy/plot-upstream draws
# every state of every image, or as many as are asked for.
# shellcheck source=Tests/deploy/checking
source "$(dirname "$0")/checking"
make_folder

binary=.build/debug/headwater
[[ -x $binary ]] || fail "$binary isn't there: run the tests first, which build it"
command -v python3 >/dev/null || { skip "pictures: python3 is not installed"; exit 0; }

rows=0
for figures in docs/performance-*.json; do
    deploy/plot-performance "$figures" --into "$folder" >"$folder/tables"
    while read -r row; do
        if [[ $row != '|'* ]]; then continue; fi
        grep -qxF -- "$row" docs/performance.md || fail "docs/performance.md has no row of $figures: $row"
        rows=$((rows + 1))
    done <"$folder/tables"
done
[[ $rows -gt 20 ]] || fail "only $rows rows were compared"
deploy/plot-performance docs/performance-zen4.json --into "$folder" >/dev/null
for picture in throughput latency; do
    cmp "$folder/$picture.svg" "docs/images/$picture.svg" || fail "docs/images/$picture.svg is not that of docs/performance-zen4.json"
done

images=(Tests/Fixtures/images/rgb-120x80.png Tests/Fixtures/images/gray-257x130.jpg)
deploy/plot-upstream "${images[@]}" --headwater "$binary" --output "$folder/upstream.svg" >/dev/null
states=$(python3 - "$folder/upstream.svg" <<'END'
import sys
import xml.etree.ElementTree as tree
print(sum(element.tag.endswith("image") for element in tree.parse(sys.argv[1]).iter()))
END
)
times=$("$binary" inspect --json | python3 -c 'import json, sys; print(len(json.load(sys.stdin)["pass"]["times"]))')
[[ $states -eq $((2 * times * ${#images[@]})) ]] || fail "$states states of ${#images[@]} images at $times times"
deploy/plot-upstream "${images[0]}" --states 2 --headwater "$binary" --output "$folder/two.svg" >/dev/null
[[ $(grep -c '<image ' "$folder/two.svg") -eq 4 ]] || fail "--states 2 draws $(grep -c '<image ' "$folder/two.svg") states"
echo "$rows rows of tables and 2 plots are those of their figures; $states states are drawn"
