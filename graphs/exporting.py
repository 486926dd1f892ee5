"""What the export scripts share: seeded weights, one call to the exporter, test data sets."""
import json
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper

sys.dont_write_bytecode = True
warnings.filterwarnings("ignore")  # tracer warnings about sizes that are meant to be constants
torch.set_num_threads(1)


def seed_weights(model, seed):
    """Matrices keep the variance of what passes through; scales are near 1 and all different, since the
    exporter merges parameters that hold equal values."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if name.endswith("bias"):
            value = 0.1 * noise
        elif parameter.dim() == 1:
            value = 1 + 0.2 * noise
        else:
            value = noise * parameter[0].numel() ** -0.5
        parameter.data.copy_(value)
    return model.eval()


def save_case(folder, model, cases, outputs, *, opset, dynamic_axes=None, rel_max=1e-5):
    """Export `model`, traced on the first of `cases` (each a dict of inputs by name), and store every case with the
    outputs PyTorch gives. Returns the exported model."""
    folder = Path(folder)
    names = list(cases[0])
    path = folder / "model.onnx"
    torch.onnx.export(model, tuple(cases[0].values()), str(path), input_names=names, output_names=outputs,
                      opset_version=opset, dynamic_axes=dynamic_axes)
    exported = onnx.load(str(path))
    onnx.checker.check_model(exported, full_check=True)

    for index, case in enumerate(cases):
        data = folder / f"test_data_set_{index}"
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir()
        with torch.no_grad():
            results = model(*case.values())
        results = [results] if torch.is_tensor(results) else results
        for kind, values in ("input", case.items()), ("output", zip(outputs, results)):
            for number, (name, value) in enumerate(values):
                proto = numpy_helper.from_array(np.ascontiguousarray(value.numpy()), name)
                (data / f"{kind}_{number}.pb").write_bytes(proto.SerializeToString())
                print(f"{folder.name} set {index}: {kind} {name} {list(value.shape)}"
                      + (f" rms {value.square().mean().sqrt():.3f}" if value.is_floating_point() and value.numel() else ""))
    write_json(folder / "data.json", {"rtol": 1e-4, "atol": 1e-6, "rel_max": rel_max})
    print(f"{folder.name}: {len(exported.graph.node)} nodes, {path.stat().st_size} bytes")
    return exported


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2) + "\n")
