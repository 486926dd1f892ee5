"""Writes model.onnx, its test data and generated.npy beside this file."""
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from exporting import save_case, seed_weights

VOCABULARY, CONTEXT, DIM, HEADS, LAYERS, STEPS = 128, 192, 64, 4, 2, 64


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv, self.out = nn.Linear(DIM, 3 * DIM), nn.Linear(DIM, DIM)
        self.register_buffer("causal", torch.ones(CONTEXT, CONTEXT, dtype=torch.bool).tril().view(1, 1, CONTEXT, CONTEXT))

    def forward(self, x, past_key, past_value):
        q, k, v = (y.view(y.shape[0], y.shape[1], HEADS, DIM // HEADS).transpose(1, 2)
                   for y in self.qkv(x).split(DIM, 2))
        k, v = torch.cat((past_key, k), 2), torch.cat((past_value, v), 2)
        new, total = q.shape[2], k.shape[2]
        scores = torch.matmul(q, k.transpose(-1, -2)) / (DIM // HEADS) ** 0.5
        visible = self.causal[:, :, total - new:total, :total]
        scores = torch.where(visible, scores, torch.tensor(torch.finfo(scores.dtype).min))
        y = torch.matmul(torch.softmax(scores, -1), v).transpose(1, 2)
        return self.out(y.reshape(x.shape[0], -1, DIM)), k, v


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.attn, self.norm2 = nn.LayerNorm(DIM), Attention(), nn.LayerNorm(DIM)
        self.mlp = nn.Sequential(nn.Linear(DIM, 2 * DIM), nn.GELU(approximate="tanh"), nn.Linear(2 * DIM, DIM))

    def forward(self, x, past_key, past_value):
        y, key, value = self.attn(self.norm1(x), past_key, past_value)
        x = x + y
        return x + self.mlp(self.norm2(x)), key, value


class GPT(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(VOCABULARY, DIM), nn.Embedding(CONTEXT, DIM)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.norm, self.head = nn.LayerNorm(DIM), nn.Linear(DIM, VOCABULARY, bias=False)

    def forward(self, input_ids, *past):  # past: key and value of layer 0, of layer 1, ...
        start, new = past[0].shape[2], input_ids.shape[1]
        x = self.tokens(input_ids) + self.positions(torch.arange(start, start + new))
        present = []
        for block, key, value in zip(self.blocks, past[0::2], past[1::2]):
            x, key, value = block(x, key, value)
            present += [key, value]
        logits = self.head(self.norm(x))
        return (logits, logits[:, -1].argmax(-1, keepdim=True), *present)


def cache_names(prefix):
    return [f"{prefix}_{kind}_{layer}" for layer in range(LAYERS) for kind in ("key", "value")]


def sample(model, seed, batch, past, new):
    """`new` tokens after a cache that holds `past` tokens which went through the model before."""
    ids = torch.randint(0, VOCABULARY, (batch, past + new), generator=torch.Generator().manual_seed(seed))
    cache = [torch.zeros(batch, HEADS, 0, DIM // HEADS)] * (2 * LAYERS)
    if past:
        cache = [c.contiguous() for c in model(ids[:, :past], *cache)[2:]]
    return dict(zip(["input_ids", *cache_names("past")], [ids[:, past:].contiguous(), *cache]))


def generate(model, case):
    """Greedy ids of STEPS steps, and the smallest lead that a chosen token had over the next best."""
    ids, *cache = case.values()
    chosen, lead = [], []
    for _ in range(STEPS):
        logits, ids, *cache = model(ids, *cache)
        best, second = logits[:, -1].topk(2).values.unbind(-1)
        chosen.append(ids)
        lead.append((best - second).min().item())
    return torch.cat(chosen, 1), min(lead)


if __name__ == "__main__":
    model = seed_weights(GPT(), seed=7)
    for matrix in (model.tokens.weight, model.positions.weight, model.head.weight):
        matrix.data *= 4  # loud tokens and decided logits: greedy choices do not hang on rounding
    with torch.no_grad():
        cases = [sample(model, 2, batch=2, past=6, new=4), sample(model, 3, batch=1, past=0, new=8)]
        ids, lead = generate(model, cases[0])
    assert lead > 1e-2, lead
    np.save(HERE / "generated.npy", ids.numpy())
    print(f"generated {list(ids.shape)}, smallest lead {lead:.4f}, distinct tokens {[len(set(r)) for r in ids.tolist()]}")

    axes = {"input_ids": {0: "batch", 1: "new"}, "logits": {0: "batch", 1: "new"}, "next_ids": {0: "batch"}}
    axes.update({name: {0: "batch", 2: "past"} for name in cache_names("past")})
    axes.update({name: {0: "batch", 2: "total"} for name in cache_names("present")})
    save_case(HERE, model, cases, ["logits", "next_ids", *cache_names("present")], opset=15, dynamic_axes=axes)
