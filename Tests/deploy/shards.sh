#!/usr/bin/env bash
# The shards of `headwater embed`, joined by deploy/concatenate, are bit for bit what one process writes; a run that is
# repeated does only what is missing; parts that don't belong together are refused.
# shellcheck source=Tests/deploy/checking
source "$(dirname "$0")/checking"
make_folder

binary=.build/debug/headwater
[[ -x $binary ]] || fail "$binary isn't there: run the tests first, which build it"
for name in a b c d/e d/f g h; do
    mkdir -p "$folder/photos/$(dirname "$name")"
    cp Tests/Fixtures/images/gray-77x55.png "$folder/photos/$name.png"
done
cp Tests/Fixtures/images/rgb-32x32.jpg "$folder/photos/d/e.png"
cp Tests/Fixtures/images/palette-100x100.png "$folder/photos/h.png"

embed() { "$binary" embed "$folder/photos" --at 0.9375 --from state,middle "$@" >"$folder/wrote"; }
embed -o "$folder/whole.npy"
for shard in 0 1 2; do embed --shard "$shard/3" -o "$folder/part-$shard.npy"; done
deploy/concatenate "$folder/joined.npy" "$folder"/part-{0..2}.npy >/dev/null
cmp "$folder/whole.npy" "$folder/joined.npy" || fail "the joined matrix isn't the whole one"
cmp "$folder/whole.npy.paths" "$folder/joined.npy.paths" || fail "the joined list isn't the whole one"
echo "three shards joined are bit for bit the whole: $(stat -c %s "$folder/whole.npy") bytes"

rm "$folder/part-1.npy"
printf kept >"$folder/part-0.npy"
for shard in 0 1; do embed --shard "$shard/3" --keep-output -o "$folder/part-$shard.npy" 2>"$folder/said-$shard"; done
[[ $(<"$folder/part-0.npy") == kept && $(<"$folder/said-0") == *"is kept"* ]] || fail "an output was made again"
[[ -s $folder/part-1.npy ]] || fail "the missing output was not made"
echo "a repeated run makes only the outputs that are missing"

# Killed as soon as its progress holds a few images; the list is long enough for that to come before its end.
many=$folder/many
for _ in $(seq 300); do printf '%s\0' "$folder"/photos/*.png; done >"$many"
command=("$binary" embed -0 --files-from "$many" --batch 2 --from middle -o)
"${command[@]}" "$folder/straight.npy" >"$folder/wrote"
held() { stat -c %s "$folder/killed.npy.progress" 2>/dev/null || echo 0; }
for _ in 1 2 3; do
    before=$(held)
    "${command[@]}" "$folder/killed.npy" >"$folder/wrote" 2>"$folder/said" &
    victim=$!
    until [[ $(held) -gt $((before + 20000)) ]]; do kill -0 "$victim" 2>/dev/null || break; done
    kill -KILL "$victim" 2>/dev/null || true
    wait "$victim" 2>/dev/null || true
done
"${command[@]}" "$folder/killed.npy" >"$folder/wrote" 2>"$folder/said"
grep -q "resuming after" "$folder/said" || fail "a killed run was not gone on with: $(<"$folder/said")"
cmp "$folder/straight.npy" "$folder/killed.npy" || fail "a run that was killed and gone on with made another matrix"
cmp "$folder/straight.npy.paths" "$folder/killed.npy.paths" || fail "a run that was killed made another list"
[[ ! -e $folder/killed.npy.progress ]] || fail "the progress of a run that is done was left behind"
echo "a run that was killed three times goes on, to the same bytes"

refuse() {
    local status=0 message
    message=$(deploy/concatenate "${@:3}" 2>&1) || status=$?
    [[ $status -eq $1 && $message == *"$2"* ]] || fail "concatenate ${*:3}: exit $status, $message"
}
"$binary" embed "$folder/photos/a.png" -o "$folder/wide.npy" >"$folder/wrote"
head -c 1000 "$folder/whole.npy" >"$folder/short.npy"
cp "$folder/whole.npy" "$folder/unlisted.npy"
printf 'a\n' | tee "$folder/short.npy.paths" "$folder/unlisted.npy.paths" "$folder/part-0.npy.paths" >/dev/null
refuse 64 "give the file" "$folder/joined.npy"
refuse 64 "is the output too" "$folder/whole.npy" "$folder/whole.npy"
refuse 66 "can't be read" "$folder/joined.npy" "$folder/gone.npy"
refuse 65 "is not a matrix" "$folder/joined.npy" "$folder/part-0.npy"
refuse 65 "columns" "$folder/joined.npy" "$folder/whole.npy" "$folder/wide.npy"
refuse 65 "not as long" "$folder/joined.npy" "$folder/short.npy"
refuse 65 "hasn't as many lines" "$folder/joined.npy" "$folder/unlisted.npy"
cmp "$folder/whole.npy" "$folder/joined.npy" || fail "a refused run touched the output"
echo "parts that are absent, damaged, of another shape or without their list are refused"
