"""A training run whose disk fills up ends with 74 and a message, its last state and model whole; killed by SIGKILL at any
moment it leaves the same. Once there is room, --resume goes on, and in the end the model has the bits of a run that nothing
happened to."""

import json
import random
import subprocess
import time

from harness import check, eventually, fill, png

SHORT = False
SECONDS = 600
EPOCHS = 12


def run(bench):
    data = bench.folder / "data"
    data.mkdir()
    noise = random.Random(1)
    for number in range(48):
        (data / f"{number}.png").write_bytes(png(16, 16, lambda x, y: [noise.randrange(256) for _ in range(3)]))
    architecture = bench.folder / "architecture.json"
    architecture.write_text(json.dumps({
        "modelChannels": 32, "residualBlocks": 1, "channelMultipliers": [1, 1], "attentionDownsampling": [2],
        "heads": 4, "imageSize": 16}))

    def arguments(output, *more):
        return ["pretrain", "--data", data, "--architecture", architecture, "--coupling", "icfm", "--epochs", EPOCHS,
                "--batch-size", 4, "--name", "trained", "-o", output, *more]

    outcome = bench.command(*arguments(bench.folder / "undisturbed"))
    check(outcome.returncode == 0, outcome.stderr)
    expected = (bench.folder / "undisturbed/model.safetensors").read_bytes()
    state = (bench.folder / "undisturbed/state.safetensors").stat().st_size

    kills = killed(bench, arguments)
    check((bench.folder / "killed/model.safetensors").read_bytes() == expected, "after kills the model has other bits")
    bench.note(f"{kills} kills, then the bits of the undisturbed run")

    # Room for the model, the state and a new state, in MiB; what fills the disk takes the last's.
    disk = bench.small_disk((2 * state + len(expected)) // (1 << 20) + 2)
    output = disk / "run"
    run = begin(bench, arguments(output))
    eventually("the first epoch", lambda: (output / "log.csv").exists() and run.poll() is None, 120)
    ballast = fill(disk)
    _, said = run.communicate(timeout=120)
    check(run.returncode == 74 and "No space left on device" in said, f"on a full disk: {run.returncode} {said}")
    files = sorted(path.name for path in output.iterdir())
    check(not [name for name in files if name.endswith(".partial")], f"left: {files}")
    check(bench.command("inspect", output / "model.safetensors").returncode == 0, "the model isn't whole")
    outcome = bench.command(*arguments(output, "--resume"))
    check(outcome.returncode == 74, f"resumed on a full disk: {outcome}")
    ballast.unlink()
    outcome = bench.command(*arguments(output, "--resume"))
    check(outcome.returncode == 0, f"resumed with room: {outcome}")
    check((output / "model.safetensors").read_bytes() == expected, "after a full disk the model has other bits")
    bench.note(f"on a full disk: {said.strip().splitlines()[-1].replace(str(bench.folder), '…')}; resumed, the bits of the "
               "undisturbed run")


def begin(bench, arguments):
    return subprocess.Popen(
        [bench.program, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True, env=bench.environment)


def killed(bench, arguments):
    """Kills a run again and again; returns how often."""
    output, kills = bench.folder / "killed", 0
    while True:
        resumes = ["--resume"] if (output / "state.safetensors").exists() else []
        run = begin(bench, arguments(output, *resumes))
        # Enough for a kill in the middle, too little to finish; the last is left alone.
        time.sleep(bench.random.uniform(0.2, 3))
        if kills < 10 and run.poll() is None:
            run.kill()
            run.communicate()
            kills += 1
            continue
        said = run.communicate(timeout=300)[1]
        check(run.returncode == 0, f"resumed after {kills} kills: {said}")
        check(not list(output.glob(".*.partial")), "something half written is left")
        return kills
