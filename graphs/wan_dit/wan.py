"""A small video diffusion transformer of the Wan2.1 kind, written for export."""
import torch
import torch.nn as nn
import torch.nn.functional as F


def wide(x):
    return x.to(torch.promote_types(x.dtype, torch.float32))  # norms are computed in float32 or better


class RMSNorm(nn.Module):
    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.eps, self.weight = eps, nn.Parameter(torch.ones(dim))

    def forward(self, x):
        y = wide(x)
        return (y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + self.eps)).to(x.dtype) * self.weight


class WideLayerNorm(nn.LayerNorm):
    def forward(self, x):
        return super().forward(wide(x)).to(x.dtype)


class Rope3d(nn.Module):
    """Rotates pairs of channels; time, height and width each own a share of the pairs."""
    def __init__(self, head_dim, positions=64):
        super().__init__()
        pairs = [head_dim // 2 - 2 * (head_dim // 6), head_dim // 6, head_dim // 6]
        for axis, count in zip("thw", pairs):
            angle = torch.outer(torch.arange(positions).double(), 10000.0 ** (-torch.arange(count).double() / count))
            self.register_buffer("cos_" + axis, angle.cos().float())
            self.register_buffer("sin_" + axis, angle.sin().float())

    def tables(self, t, h, w):
        def grid(kind):
            axes = [getattr(self, f"{kind}_{axis}")[:size].view(shape) for axis, size, shape in
                    (("t", t, (t, 1, 1, -1)), ("h", h, (1, h, 1, -1)), ("w", w, (1, 1, w, -1)))]
            return torch.cat([a.expand(t, h, w, -1) for a in axes], -1).reshape(1, t * h * w, 1, -1)
        return grid("cos"), grid("sin")


def rotate(x, cos, sin):  # x: [batch, tokens, heads, head_dim]
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(3)


class Attention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads, self.scale = heads, (dim // heads) ** -0.5
        self.q, self.k, self.v, self.o = (nn.Linear(dim, dim) for _ in range(4))
        self.norm_q, self.norm_k = RMSNorm(dim), RMSNorm(dim)

    def forward(self, x, source, rope=None):
        q, k, v = (y.view(*y.shape[:2], self.heads, -1) for y in
                   (self.norm_q(self.q(x)), self.norm_k(self.k(source)), self.v(source)))
        if rope is not None:
            q, k = rotate(q, *rope), rotate(k, *rope)
        q, k, v = (y.transpose(1, 2) for y in (q, k, v))
        scores = torch.matmul(q, k.transpose(-2, -1)) * self.scale
        return self.o(torch.matmul(torch.softmax(scores, -1), v).transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self, dim, heads, ffn_dim):
        super().__init__()
        self.norm1 = WideLayerNorm(dim, eps=1e-6, elementwise_affine=False)
        self.self_attn = Attention(dim, heads)
        self.norm3 = WideLayerNorm(dim, eps=1e-6)
        self.cross_attn = Attention(dim, heads)
        self.norm2 = WideLayerNorm(dim, eps=1e-6, elementwise_affine=False)
        self.ffn = nn.Sequential(nn.Linear(dim, ffn_dim), nn.GELU(approximate="tanh"), nn.Linear(ffn_dim, dim))
        self.modulation = nn.Parameter(torch.zeros(1, 6, dim))

    def forward(self, x, six, context, rope):
        shift1, scale1, gate1, shift2, scale2, gate2 = (self.modulation + six).chunk(6, 1)
        x = x + gate1 * self.self_attn(*2 * (self.norm1(x) * (1 + scale1) + shift1,), rope)
        x = x + self.cross_attn(self.norm3(x), context)
        return x + gate2 * self.ffn(self.norm2(x) * (1 + scale2) + shift2)


class Head(nn.Module):
    def __init__(self, dim, out_dim):
        super().__init__()
        self.norm = WideLayerNorm(dim, eps=1e-6, elementwise_affine=False)
        self.head = nn.Linear(dim, out_dim)
        self.modulation = nn.Parameter(torch.zeros(1, 2, dim))

    def forward(self, x, time):
        shift, scale = (self.modulation + time.unsqueeze(1)).chunk(2, 1)
        return self.head(self.norm(x) * (1 + scale) + shift)


class WanDiT(nn.Module):
    def __init__(self, channels=16, dim=96, heads=3, ffn_dim=256, text_dim=64, freq_dim=64, layers=2):
        super().__init__()
        self.channels = channels
        self.patch_embedding = nn.Conv3d(channels, dim, (1, 2, 2), (1, 2, 2))
        self.text_embedding = nn.Sequential(nn.Linear(text_dim, dim), nn.GELU(approximate="tanh"), nn.Linear(dim, dim))
        self.time_embedding = nn.Sequential(nn.Linear(freq_dim, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.time_projection = nn.Sequential(nn.SiLU(), nn.Linear(dim, 6 * dim))
        self.blocks = nn.ModuleList(Block(dim, heads, ffn_dim) for _ in range(layers))
        self.head = Head(dim, channels * 4)
        self.rope = Rope3d(dim // heads)
        self.register_buffer("frequencies", 10000.0 ** (-torch.arange(freq_dim // 2).float() / (freq_dim // 2)))

    def forward(self, latent, timestep, context):
        x = self.patch_embedding(latent)
        t, h, w = x.shape[2:]
        x = x.flatten(2).transpose(1, 2)
        angle = timestep.float().unsqueeze(1) * self.frequencies.float()
        time = self.time_embedding(torch.cat((angle.cos(), angle.sin()), 1).to(x.dtype))
        six = self.time_projection(time).view(-1, 6, time.shape[1])
        context = self.text_embedding(context)
        rope = self.rope.tables(t, h, w)
        for block in self.blocks:
            x = block(x, six, context, rope)
        x = self.head(x, time).view(-1, t, h, w, 1, 2, 2, self.channels)
        x = torch.einsum("nfhwpqrc->ncfphqwr", x)
        return x.reshape(-1, self.channels, t, 2 * h, 2 * w)


def focus(model):
    """Makes tokens attend to what resembles them, as trained models do; untouched random weights attend evenly."""
    for block in model.blocks:
        attention = block.self_attn
        attention.k.weight.data += attention.q.weight.data
        attention.norm_q.weight.data *= 1.5
        attention.norm_k.weight.data *= 1.5
    return model


def sample(seed, batch, frames, height, width, text, channels=16, text_dim=64):
    """Inputs as a denoiser meets them: a smooth latent under noise, so that near tokens resemble each other."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(batch, channels, 2, 4, 4, generator=generator)
    smooth = F.interpolate(coarse, size=(frames, height, width), mode="trilinear", align_corners=False)
    return {"latent": 1.5 * smooth + 0.4 * torch.randn(smooth.shape, generator=generator),
            "timestep": torch.tensor([500.0, 875.0, 125.0][:batch]),
            "context": torch.randn(batch, text, text_dim, generator=generator)}
