#!/usr/bin/env bash
# deploy/train-bundled divides the images as it says, gives commands that the program understands, does nothing twice, goes on
# where it was interrupted, and says so when it was.
# shellcheck source=Tests/deploy/checking
source "$(dirname "$0")/checking"
make_folder

binary=$PWD/.build/debug/headwater
[[ -x $binary ]] || fail "$binary isn't there: run the tests first, which build it"
# Stands for the program: lets the real one read the command, which finds that the images or models are none, and leaves what a run would.
# shellcheck disable=SC2016  # Expanded by the stub.
stub headwater '
echo "$*" >>'"'$folder/said'"'
status=0
'"'$binary'"' "$@" >/dev/null 2>'"'$folder/errors'"' || status=$?
[[ $status -eq 65 || $status -eq 66 ]] || { echo "$*: exit $status"; cat '"'$folder/errors'"'; exit 1; } >&2
command=$1 resumed= frozen= epochs=
while [[ $# -gt 0 ]]; do
    case $1 in
        --epochs) epochs=$2 ;;
        --resume) resumed=1 ;;
        --freeze) frozen=1 ;;
        -o) output=$2 ;;
    esac
    shift
done
if [[ $command == convert ]]; then touch "$output"; fi
if [[ -z $epochs$frozen ]]; then exit 0; fi
mkdir -p "$output"
[[ ! -e $output/state.safetensors || -n $resumed ]] || exit 64
touch "$output/state.safetensors"
# The first call of these runs is interrupted.
if [[ -z $resumed && ( $output == */settled || $output == */finetuned-head ) ]]; then exit 0; fi
touch "$output/model.safetensors"
if [[ -n $epochs ]]; then { echo epoch; seq "$epochs"; } >"$output/log.csv"; fi
'

# Two classes of CIFAR-10 and one of Tiny-ImageNet, of as many images as make one of a hundred two.
mkdir -p "$folder"/{cifar10,tiny-imagenet,train/{cat,dog},n01443537}
for ((image = 0; image < 50; image++)); do
    echo "cat $image" >"$folder/train/cat/$image.jpg"
    echo "dog $image" >"$folder/train/dog/$image.jpg"
    echo "fish $image" >"$folder/n01443537/$image.JPEG"
done
tar -cf "$folder/cifar10/train.tar" -C "$folder" train
tar -cf "$folder/tiny-imagenet/train.tar" -C "$folder" ./n01443537
touch "$folder/cifar10/test.tar" "$folder/tiny-imagenet/val.tar"

run() {
    status=0
    HEADWATER=$folder/bin/headwater deploy/train-bundled --cifar10 "$folder/cifar10" --tiny-imagenet "$folder/tiny-imagenet" \
        -o "$folder/made" "$@" >/dev/null 2>"$folder/complaints" || status=$?
}
expect() { [[ $status -eq $1 ]] || fail "exit $status, not $1: $(<"$folder/complaints")"; }

run images
expect 0
files() { find "$folder/made/images/$1" -type f | wc -l; }
classes=$(find "$folder/made/images/train" -mindepth 2 -type d -printf '%f\n' | LC_ALL=C sort -u | xargs)
[[ $classes == "cat dog n01443537" ]] ||
    fail "the classes aren't those of both data sets"
[[ "$(files held) $(files train)" == "2 247" ]] || fail "$(files held) images are held back and $(files train) trained on"
for held in "$folder"/made/images/held/*/*; do
    if grep -rqxF "$(<"$held")" "$folder/made/images/train"; then fail "$held is held back and trained on"; fi
done
echo "images that are held back aren't trained on"

run finetune
expect 75
[[ $(<"$folder/complaints") == *"settled was interrupted"* ]] || fail "an interruption was not told"
run
expect 75
run
expect 0
[[ $(grep -c '^pretrain .*--resume' "$folder/said") -ge 1 ]] || fail "pretraining was not resumed"
[[ $(grep -c -- '-o [^ ]*/settled$' "$folder/said") -eq 1 ]] || fail "a run was begun more than once"
[[ $(grep -c 'corruption all' "$folder/said") -eq 1 ]] || fail "a figure was made more than once"
[[ -e $folder/made/epochs/pretrained-1.safetensors ]] || fail "the model after an epoch was not kept"
for run in finetuned finetuned-head scratch labels-10 labels-all-scratch labels-40-frozen weight-0; do
    grep -q "^finetune .*-o $folder/made/$run" "$folder/said" || fail "there was no run $run"
done
echo "$(wc -l <"$folder/said") commands are understood, none is given twice, and interrupted ones go on"

for wrong in --workers no-such-stage --no-such-option; do
    run "$wrong"
    expect 64
done
status=0
deploy/train-bundled --cifar10 a -o b 2>"$folder/complaints" || status=$?
expect 64
[[ $(<"$folder/complaints") == *"--tiny-imagenet"* ]] || fail "what is missing was not told"
status=0
deploy/train-bundled --cifar10 "$folder/none" --tiny-imagenet "$folder/none" -o "$folder/b" 2>"$folder/complaints" || status=$?
expect 66
[[ $(<"$folder/complaints") == *"there is no $folder/none/train.tar"* ]] || fail "the archive that is missing was not named"
echo "what it can't do is refused"
