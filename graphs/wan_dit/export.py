"""Writes model.onnx, its test data and gradients/ beside this file."""
import copy
import sys
from pathlib import Path

import numpy as np
import torch
from onnx import numpy_helper

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
from exporting import save_case, seed_weights, write_json
from wan import WanDiT, focus, sample


def save_gradients(model, exported, case):
    """Gradients of sum(velocity * dout), computed in float64 from the very weights of the graph."""
    folder = HERE / "gradients"
    folder.mkdir(exist_ok=True)
    model = copy.deepcopy(model).double()
    inputs = [value.double() for value in case.values()]
    latent, _, context = inputs
    weights = dict(model.named_parameters())
    wanted = {"latent": latent, "context": context,
              "patch_embedding.weight": weights["patch_embedding.weight"],
              "blocks.0.self_attn.norm_q.weight": weights["blocks.0.self_attn.norm_q.weight"],
              "blocks.1.modulation": weights["blocks.1.modulation"],
              "blocks.0.self_attn.k.weight": weights["blocks.0.self_attn.k.weight"]}
    for value in wanted.values():
        value.requires_grad_()
    velocity = model(*inputs)
    dout = torch.randn(velocity.shape, generator=torch.Generator().manual_seed(7))
    gradients = torch.autograd.grad((velocity * dout.double()).sum(), list(wanted.values()))

    initializers = {i.name: numpy_helper.to_array(i) for i in exported.graph.initializer}
    files = {}
    for (name, value), gradient in zip(wanted.items(), gradients):
        graph_name = name
        if name not in ("latent", "context", *initializers):  # the exporter stored this matrix transposed, unnamed
            graph_name, = (n for n, a in initializers.items() if np.array_equal(a, value.detach().float().T.numpy()))
            gradient = gradient.T
        files[graph_name] = name + ".npy"
        np.save(folder / files[graph_name], np.ascontiguousarray(gradient.float().numpy()))
        print(f"gradient of {graph_name} ({name}) {list(gradient.shape)} rms {gradient.square().mean().sqrt():.3g}")
    np.save(folder / "dout.npy", dout.numpy())
    write_json(folder / "gradients.json", {"inputs": "../test_data_set_0", "loss": "velocity", "dout": "dout.npy",
                                           "gradients": files, "rtol": 1e-4, "atol": 1e-6, "rel_max": 1e-5})


if __name__ == "__main__":
    model = focus(seed_weights(WanDiT(), seed=1))
    case = sample(2, batch=1, frames=8, height=16, width=16, text=32)
    exported = save_case(HERE, model, [case], ["velocity"], opset=14)
    save_gradients(model, exported, case)
