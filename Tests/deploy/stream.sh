#!/usr/bin/env bash
# The Python client of `headwater embed --stream` gives what `headwater embed` writes, bit for bit; a bad image is an error of
# its own; a process that ends early, a wrong command and an iteration that is given up are errors or ends, and nothing hangs.
# The scripts for search have under thirty lines.
# shellcheck source=Tests/deploy/checking
source "$(dirname "$0")/checking"
make_folder

command -v python3 >/dev/null || { skip "streams: python3 is not installed"; exit 0; }
binary=.build/debug/headwater
[[ -x $binary ]] || fail "$binary isn't there: run the tests first, which build it"
mkdir "$folder/photos"
for number in $(seq 10 69); do
    cp Tests/Fixtures/images/rgb-32x32.jpg "$folder/photos/$number.jpg"
done
cp Tests/Fixtures/images/gray-77x55.png "$folder/photos/20.jpg"
cp Tests/Fixtures/images/palette-100x100.png "$folder/photos/ü.png"
"$binary" embed "$folder/photos" --at 0.9375 --from state,middle -o "$folder/whole.npy" >"$folder/wrote"
printf 'no image' >"$folder/photos/15.jpg.txt"

PYTHONPATH=deploy/stream timeout 100 python3 - "$binary" "$folder" <<'END' || fail "the client doesn't do what it says"
import sys

from headwater_stream import Embedder, images_in

binary, folder = sys.argv[1:]
command = [binary, "embed", "--stream", "--at", "0.9375", "--from", "state,middle"]
with Embedder(command) as embedder:
    assert list(embedder.taps) == ["0.9375/state", "0.9375/middle"] and embedder.taps["0.9375/state"] == 3072, embedder.taps
    assert embedder.origin["model"] == "headwater-cifar10" and len(embedder.origin["version"]) == 12, embedder.origin
    answers = list(embedder.embed(images_in(f"{folder}/photos")))
    # The same process goes on with a second iteration.
    assert list(embedder.embed(images_in(f"{folder}/photos"))) == answers
assert embedder.process.returncode == 0, embedder.process.returncode
assert len(answers) > embedder.hello["window"], "there are too few images for the client to wait for answers"
bad = [(name, error) for name, vectors, error in answers if error]
assert len(bad) == 1 and bad[0][0].endswith("15.jpg.txt") and "not an image" in bad[0][1], bad
rows = b"".join(b"".join(vector.tobytes() for vector in vectors) for _, vectors, error in answers if not error)
assert rows == open(f"{folder}/whole.npy", "rb").read()[128:], "the vectors are not those of the matrix"
names = [name for name, _, error in answers if not error]
assert names == open(f"{folder}/whole.npy.paths").read().splitlines(), names


def refusal(act):
    try:
        act()
    except ChildProcessError as error:
        return str(error)
    raise SystemExit("nothing was raised")


said = refusal(lambda: Embedder([binary, "embed", "--stream", "--from", "nowhere"]))
assert "status 64" in said and "--from" in said, said
with Embedder(command) as embedder:
    embedder.process.kill()
    said = refusal(lambda: list(embedder.embed(images_in(f"{folder}/photos"))))
    assert "status -9" in said, said
with Embedder(command) as embedder:
    # Given up, with images unanswered: the block ends all the same.
    next(embedder.embed(images_in(f"{folder}/photos")))
    try:
        next(embedder.embed([]), None)
        raise SystemExit("another iteration would get the answers of the one that was given up")
    except RuntimeError as error:
        assert "make a new Embedder" in str(error), error
assert embedder.process.returncode in (0, 74), embedder.process.returncode
END
echo "the Python client gives the bits of a matrix, and says why a process ended"

# The first pipe that the program opens must not pass for the input that is closed.
timeout --signal=KILL 60 "$binary" embed --stream <&- >"$folder/answers" || fail "closed standard input ends the stream with $?, not 0"
[[ $(head -c 1 "$folder/answers") == H ]] || fail "closed standard input gives no hello frame"
echo "closed standard input is an empty one"

for script in deploy/search/*.py; do
    lines=$(wc -l <"$script")
    [[ $lines -lt 30 ]] || fail "$script has $lines lines, and docs/search.md promises under thirty"
done
echo "the scripts for search have under thirty lines"
