#!/usr/bin/env bash
# Two processes of one worker, started by mpirun, train to the bits of one process of two workers; a run whose rank is killed
# ends, keeps its last state and goes on to the same bits, also with another number of processes; what can't be divided is
# refused.
# shellcheck source=Tests/deploy/checking
source "$(dirname "$0")/checking"
make_folder

binary=$PWD/.build/debug/headwater
[[ -x $binary ]] || fail "$binary isn't there: run the tests first, which build it"
command -v mpirun >/dev/null || { skip "training on several machines: install ${mpi_packages[*]}"; exit 0; }
# Processes may share a processor here, and the user may be root in a container.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_mpi_yield_when_idle=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_btl=self,vader

cd "$folder"
export TMPDIR=$folder
for class in a b; do
    "$binary" sample --count 12 --t-span 3 --seed "$([[ $class == a ]] && echo 1 || echo 2)" -o "data/$class" >wrote
done
cat >small.json <<'END'
{"modelChannels": 32, "residualBlocks": 1, "channelMultipliers": [1, 2], "attentionDownsampling": [2], "heads": 2,
 "imageSize": 16}
END
pretrain=("$binary" pretrain --data data --architecture small.json --coupling otcfm --name small --t-span 3
    --batch-size 9 --images-at-a-time 4 --validation 0.2 --samples 1 --checkpoint-minutes 0.01)
finetune=("$binary" finetune one/model.safetensors --data data --batch-size 9 --images-at-a-time 4 --validation 0.2
    --flow-weight 0.5 --flow-share 0.5 --flow-data data/a --augment full)

# Runs a command as so many processes of one worker. What it says is in the files wrote and said.
ranks() {
    mpirun -n "$1" "${@:2}" --workers 1 >wrote 2>said
}

status=0
ranks 2 "${pretrain[@]}" --epochs 1 -o trial || status=$?
if [[ $status -ne 0 ]] && grep -q "built without Open MPI's headers" said; then
    [[ $status -eq 69 && ! -e trial/state.safetensors ]] || fail "a binary without MPI: exit $status, $(<said)"
    skip "training on several machines: $binary was built without ${mpi_packages[0]}"
    exit 0
fi
[[ $status -eq 0 ]] || fail "two ranks: exit $status, $(<said)"
[[ $(grep -c "^epoch" said) -eq 1 && $(wc -l <wrote) -eq 1 ]] || fail "more than rank 0 printed: $(<said) $(<wrote)"

# The tensors of a state, without its record, which has times.
tensors() { tail -c +$((9 + $(od -An -t u8 -N 8 "$1/state.safetensors"))) "$1/state.safetensors"; }
agree() {
    cmp "$1/model.safetensors" "$2/model.safetensors" || fail "the models $1 and $2 differ"
    cmp <(tensors "$1") <(tensors "$2") || fail "the states $1 and $2 differ"
}
"${pretrain[@]}" --epochs 2 --workers 2 --batch-parts 2 -o one >wrote 2>said
ranks 2 "${pretrain[@]}" --epochs 2 -o two || fail "pretrain: $(<said)"
agree one two
[[ -s two/samples/epoch-0002.png && $(wc -l <two/log.csv) -eq 3 ]] || fail "rank 0 left out samples or log"
"${finetune[@]}" --epochs 2 --warm-up 1 --workers 2 --batch-parts 2 -o tuned-one >wrote 2>said
ranks 2 "${finetune[@]}" --epochs 2 --warm-up 1 -o tuned-two || fail "finetune: $(<said)"
agree tuned-one tuned-two
echo "two processes of one worker have the bits of one process of two workers, pretraining and fine-tuning"

# Killed as soon as it has saved a state; the run is long enough for that to come before its end.
"${pretrain[@]}" --epochs 30 --samples 0 --workers 1 --batch-parts 4 -o straight >wrote 2>said
mpirun -n 2 "${pretrain[@]}" --epochs 30 --samples 0 --workers 1 --batch-parts 4 -o killed >wrote 2>said &
launcher=$!
until [[ -e killed/log.csv ]]; do kill -0 "$launcher" || fail "the run ended before it was killed: $(<said)"; done
mapfile -t -d ' ' children < <(cat /proc/"$launcher"/task/*/children)
victim=
for process in "${children[@]}"; do
    if tr '\0' '\n' <"/proc/$process/environ" | grep -qx OMPI_COMM_WORLD_RANK=1; then victim=$process; fi
done
[[ -n $victim ]] || fail "there is no rank 1 among the launcher's processes"
kill -KILL "$victim"
status=0
wait "$launcher" || status=$?
[[ $status -ne 0 ]] || fail "a run that lost a rank ended with success: $(<said)"
done_epochs=$(($(wc -l <killed/log.csv) - 1))
[[ $done_epochs -lt 30 ]] || fail "the run was killed after its end"
ranks 4 "${pretrain[@]:0:2}" --resume -o killed || fail "resuming: $(<said)"
grep -q "resuming after step" said || fail "the killed run was not gone on with: $(<said)"
agree straight killed
echo "a run that lost a rank after $done_epochs epochs or more goes on with four processes, to the same bits"

refuse() {
    local status=0
    "${@:3}" >wrote 2>said || status=$?
    if [[ $status -ne $1 ]] || ! grep -q "$2" said; then fail "${*:3}: exit $status, $(<said)"; fi
}
refuse 64 "can't be divided equally" ranks 2 "${pretrain[@]}" --batch-parts 3 -o refused
refuse 64 "measures a single process" ranks 2 "${pretrain[@]}" --dry-run -o refused
refuse 64 "runs in a single process" ranks 2 "$binary" finetune one/model.safetensors --data data --freeze flow -o refused
refuse 64 "would not train as rank 0" mpirun -n 1 "${pretrain[@]}" --batch-parts 2 -o refused : \
    -n 1 "${pretrain[@]}" --batch-parts 2 --seed 2 -o refused
refuse 64 "not by Open MPI" env PMI_SIZE=2 "${pretrain[@]}" -o refused
[[ ! -e refused/state.safetensors ]] || fail "a refused run wrote a state"
echo "what can't be divided, and ranks that disagree, are refused"
