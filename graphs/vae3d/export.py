"""Writes model.onnx and its test data beside this file."""
import sys
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from exporting import save_case, seed_weights


class CausalConv3d(nn.Conv3d):
    """A frame sees itself and the frames before it: all padding in time goes in front."""
    def __init__(self, inputs, outputs, kernel):
        super().__init__(inputs, outputs, kernel)
        t, h, w = self.kernel_size
        self.pad = (w // 2, w // 2, h // 2, h // 2, t - 1, 0)

    def forward(self, x):
        return super().forward(F.pad(x, self.pad))


class Norm(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.scale, self.gamma = channels ** 0.5, nn.Parameter(torch.ones(channels))

    def forward(self, x):
        return F.normalize(x, dim=1) * self.scale * self.gamma.view(-1, *[1] * (x.dim() - 2))


class Residual(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.body = nn.Sequential(Norm(inputs), nn.SiLU(), CausalConv3d(inputs, outputs, 3),
                                  Norm(outputs), nn.SiLU(), CausalConv3d(outputs, outputs, 3))
        self.shortcut = CausalConv3d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x):
        return self.shortcut(x) + self.body(x)


def frames_first(x):  # [b, c, t, h, w] -> [b * t, c, h, w]
    return x.transpose(1, 2).flatten(0, 1)


class FrameAttention(nn.Module):
    """One head over the pixels of each frame."""
    def __init__(self, channels):
        super().__init__()
        self.norm, self.qkv, self.out = Norm(channels), nn.Conv2d(channels, 3 * channels, 1), nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        b, c, t, h, w = x.shape
        q, k, v = self.qkv(self.norm(frames_first(x))).reshape(b * t, 1, 3 * c, h * w).transpose(2, 3).chunk(3, -1)
        weights = torch.softmax(torch.matmul(q, k.transpose(-2, -1)) * c ** -0.5, -1)
        y = torch.matmul(weights, v).transpose(2, 3).reshape(b * t, c, h, w)
        return x + self.out(y).view(b, t, c, h, w).transpose(1, 2)


class Upsample(nn.Module):
    """Twice the height and width; with `time`, also two frames for each but the first, which stays one."""
    def __init__(self, channels, time):
        super().__init__()
        self.time = CausalConv3d(channels, 2 * channels, (3, 1, 1)) if time else None
        self.space = nn.Sequential(nn.Upsample(scale_factor=(2.0, 2.0), mode="nearest"), nn.Conv2d(channels, channels, 3, padding=1))

    def forward(self, x):
        b, c, t, h, w = x.shape
        if self.time is not None:
            x = torch.stack(self.time(x).chunk(2, 1), 3).reshape(b, c, 2 * t, h, w)[:, :, 1:]
        y = self.space(frames_first(x))
        return y.view(b, x.shape[2], c, 2 * h, 2 * w).transpose(1, 2)


class Decoder(nn.Module):
    def __init__(self, latent=8, wide=24, narrow=16):
        super().__init__()
        self.layers = nn.Sequential(
            CausalConv3d(latent, latent, 1), CausalConv3d(latent, wide, 3),
            Residual(wide, wide), FrameAttention(wide), Residual(wide, wide),
            Residual(wide, wide), Upsample(wide, time=True),
            Residual(wide, narrow), Upsample(narrow, time=False),
            Residual(narrow, narrow), Norm(narrow), nn.SiLU(), CausalConv3d(narrow, 3, 3))

    def forward(self, latent):
        return self.layers(latent).clamp(-3, 3)


if __name__ == "__main__":
    latent = torch.randn(1, 8, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    save_case(HERE, seed_weights(Decoder(), seed=1), [{"latent": latent}], ["video"], opset=17)
