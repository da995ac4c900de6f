#!/usr/bin/env bash
# deploy/train-bundled gives commands that the program understands, does nothing twice, goes on where it was interrupted, and
# says so when it was.
# shellcheck source=Tests/deploy/checking
source "$(dirname "$0")/checking"
make_folder

binary=$PWD/.build/debug/headwater
[[ -x $binary ]] || fail "$binary isn't there: run the tests first, which build it"
# Stands for the program: lets the real one read the command, whose data it doesn't find, and leaves what a run would.
# shellcheck disable=SC2016  # Expanded by the stub.
stub headwater '
echo "$*" >>'"'$folder/said'"'
status=0
'"'$binary'"' "$@" >/dev/null 2>'"'$folder/errors'"' || status=$?
[[ $status -eq 66 ]] || { echo "$*: exit $status"; cat '"'$folder/errors'"'; exit 1; } >&2
resumed=
while [[ $# -gt 0 ]]; do
    case $1 in
        --epochs) epochs=$2 ;;
        --resume) resumed=1 ;;
        -o) output=$2 ;;
    esac
    shift
done
if [[ -z ${epochs:-} ]]; then exit 0; fi
mkdir -p "$output"
[[ ! -e $output/state.safetensors || -n $resumed ]] || exit 64
touch "$output/state.safetensors"
# The first call is interrupted after an epoch.
if [[ -n $resumed || $output == */scratch ]]; then lines=$epochs; else lines=1; fi
{ echo epoch; seq "$lines"; } >"$output/log.csv"
'
run() {
    status=0
    HEADWATER=$folder/bin/headwater deploy/train-bundled --train "$folder/none.tar" --test "$folder/gone.tar" \
        -o "$folder/made" "$@" >/dev/null 2>"$folder/complaints" || status=$?
}
expect() { [[ $status -eq $1 ]] || fail "exit $status, not $1: $(<"$folder/complaints")"; }

run finetune
expect 75
[[ $(<"$folder/complaints") == *"pretrained was interrupted"* ]] || fail "an interruption was not told"
for _ in 1 2 3 4 5 6 7; do run; done
expect 0
[[ $(grep -c '^pretrain .*--resume' "$folder/said") -eq 1 ]] || fail "pretraining was not resumed once"
[[ $(grep -c '^pretrain ' "$folder/said") -eq 2 ]] || fail "pretraining was done more than once"
[[ $(grep -c 'corruption all' "$folder/said") -eq 1 ]] || fail "a figure was made more than once"
for run in begun varied finetuned scratch head-paper head-placed held-out; do
    grep -q "^finetune .*-o $folder/made/$run" "$folder/said" || fail "there was no run $run"
done
echo "$(wc -l <"$folder/said") commands are understood, none is given twice, and interrupted ones go on"

for wrong in --workers no-such-stage --no-such-option; do
    run "$wrong"
    expect 64
done
status=0
deploy/train-bundled --train a -o b 2>"$folder/complaints" || status=$?
expect 64
[[ $(<"$folder/complaints") == *"--test"* ]] || fail "what is missing was not told"
echo "what it can't do is refused"
