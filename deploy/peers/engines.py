"""What a peer's process does: build a network once, then measure whenever it is asked.

Every engine gives a function without arguments that computes one evaluation for the batch and gives the velocities.
"""

import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import networks


def serve(engine, name, batch):
    """Prints the error against PyTorch in single precision, then reads seconds and prints the median time for each line."""
    import torch

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.manual_seed(1)
    network = networks.build(torch, name)
    side = networks.pixels(name)
    x, t = torch.randn(batch, 3, side, side), torch.rand(batch)
    with torch.inference_mode(), tempfile.TemporaryDirectory() as folder:
        expected = network(t, x)
        evaluate = ENGINES[engine](torch, network, t, x, folder)
        found = torch.as_tensor(evaluate())
        error = float((found.double() - expected.double()).norm() / expected.double().norm())
        evaluations = 3 if name == "small" else 1
        print(json.dumps({"error": error}), flush=True)
        for line in sys.stdin:
            print(json.dumps(timed(evaluate, evaluations, batch, float(line))), flush=True)


def timed(evaluate, evaluations, batch, seconds):
    """The median of the milliseconds an image, over at least three passes."""
    times = []
    start = time.perf_counter()
    while len(times) < 3 or time.perf_counter() - start < seconds:
        began = time.perf_counter()
        for _ in range(evaluations):
            evaluate()
        times.append((time.perf_counter() - began) * 1e3 / batch)
    return statistics.median(times)


def eager(torch, network, t, x, folder):
    return lambda: network(t, x)


def compiled(torch, network, t, x, folder):
    faster = torch.compile(network)
    faster(t, x)
    return lambda: faster(t, x)


def exported(torch, network, t, x, folder):
    path = str(Path(folder) / "network.onnx")
    torch.onnx.export(network, (t, x), path, input_names=["t", "x"], output_names=["v"], dynamo=False)
    return path


def onnx_runtime(torch, network, t, x, folder):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(
        exported(torch, network, t, x, folder), options, providers=["CPUExecutionProvider"]
    )
    inputs = {"t": t.numpy(), "x": x.numpy()}
    return lambda: session.run(None, inputs)[0]


def openvino(torch, network, t, x, folder, precision):
    import openvino

    core = openvino.Core()
    model = core.read_model(exported(torch, network, t, x, folder))
    if precision == "int8":
        model = quantised(torch, model, t, x)
    compiled = core.compile_model(
        model,
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",
        },
    )
    request = compiled.create_infer_request()
    inputs = {"t": t.numpy(), "x": x.numpy()}
    return lambda: request.infer(inputs, share_inputs=True)["v"]


def quantised(torch, model, t, x):
    """The model in int8, by NNCF's post-training quantisation, calibrated with inputs like those that are measured."""
    import nncf

    # Larger images bring more numbers each, and calibration of a network of 256 pixels takes seconds an image.
    count = max(4, 32 * 32 * 32 // x.shape[-1] ** 2)
    inputs = [{"t": torch.rand(len(t)).numpy(), "x": torch.randn(*x.shape).numpy()} for _ in range(count)]
    nncf.set_log_level("ERROR")
    # It draws its progress on standard output, where the figures go.
    with contextlib.redirect_stdout(sys.stderr):
        return nncf.quantize(model, nncf.Dataset(inputs), subset_size=count)


ENGINES = {
    "openvino-f32": lambda *a: openvino(*a, "f32"),
    "openvino-bf16": lambda *a: openvino(*a, "bf16"),
    "openvino-int8": lambda *a: openvino(*a, "int8"),
    "onnxruntime": onnx_runtime,
    "torch": eager,
    "torch-compile": compiled,
}


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], int(sys.argv[3]))
