"""Writes model.onnx and its test data beside this file."""
import math
import sys
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from exporting import save_case, seed_weights


class RMSNorm(nn.Module):
    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.eps, self.weight = eps, nn.Parameter(torch.ones(dim))

    def forward(self, x):
        return self.weight * (x * torch.rsqrt(x.to(torch.float32).pow(2).mean(-1, keepdim=True) + self.eps))


class RelativeBias(nn.Module):
    """Distances up to 7 have a bucket each; further ones share buckets that widen with the logarithm, up to 128."""
    def __init__(self, heads, buckets=32, max_distance=128):
        super().__init__()
        self.half, self.max_distance = buckets // 2, max_distance
        self.table = nn.Embedding(buckets, heads)

    def forward(self, length, device):
        place = torch.arange(length, device=device)
        offset = place[None, :] - place[:, None]
        distance, exact = offset.abs(), self.half // 2
        # log(0) = -inf at distance 0 is cast to an integer and then not chosen
        far = exact + (torch.log(distance.float() / exact) / math.log(self.max_distance / exact)
                       * (self.half - exact)).to(torch.int64)
        far = torch.min(far, torch.full_like(far, self.half - 1))
        bucket = (offset > 0).to(torch.int64) * self.half + torch.where(distance < exact, distance, far)
        return self.table(bucket).permute(2, 0, 1).unsqueeze(0)


class Block(nn.Module):
    def __init__(self, dim, heads, ffn_dim):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = RMSNorm(dim), RMSNorm(dim)
        self.q, self.k, self.v, self.o = (nn.Linear(dim, dim, bias=False) for _ in range(4))
        self.gate, self.up = (nn.Linear(dim, ffn_dim, bias=False) for _ in range(2))
        self.down = nn.Linear(ffn_dim, dim, bias=False)

    def forward(self, x, bias):
        batch, length, dim = x.shape
        y = self.norm1(x)
        q, k, v = (p(y).view(batch, -1, self.heads, dim // self.heads).transpose(1, 2) for p in (self.q, self.k, self.v))
        weights = torch.softmax((torch.matmul(q, k.transpose(3, 2)) + bias).float(), -1)  # T5 does not scale scores
        x = x + self.o(torch.matmul(weights, v).transpose(1, 2).reshape(batch, -1, dim))
        y = self.norm2(x)
        return x + self.down(F.gelu(self.gate(y), approximate="tanh") * self.up(y))


class T5Encoder(nn.Module):
    def __init__(self, vocabulary=200, dim=64, heads=4, ffn_dim=128, layers=2):
        super().__init__()
        self.tokens, self.bias = nn.Embedding(vocabulary, dim), RelativeBias(heads)
        self.blocks = nn.ModuleList(Block(dim, heads, ffn_dim) for _ in range(layers))
        self.norm = RMSNorm(dim)

    def forward(self, input_ids, attention_mask):
        x = self.tokens(input_ids)
        padding = (1.0 - attention_mask[:, None, None, :].to(x.dtype)) * torch.finfo(x.dtype).min
        bias = self.bias(x.shape[1], x.device) + padding
        for block in self.blocks:
            x = block(x, bias)
        return self.norm(x)


def sample(seed, lengths):
    """One row per text; rows shorter than the longest are padded with token 0 and masked."""
    place = torch.arange(max(lengths))
    mask = (place < torch.tensor(lengths)[:, None]).to(torch.int64)
    ids = torch.randint(1, 200, mask.shape, generator=torch.Generator().manual_seed(seed))
    return {"input_ids": ids * mask, "attention_mask": mask}


if __name__ == "__main__":
    model = seed_weights(T5Encoder(), seed=1)
    for block in model.blocks:
        block.q.weight.data *= 0.5  # T5 keeps the missing 1 / sqrt(d) in its weights
    text = {0: "batch", 1: "length"}
    save_case(HERE, model, [sample(2, [24, 17]), sample(3, [9, 70, 41])], ["hidden"],
              opset=14, dynamic_axes={"input_ids": text, "attention_mask": text, "hidden": text})
