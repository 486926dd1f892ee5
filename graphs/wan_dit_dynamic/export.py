"""Writes model.onnx and its test data beside this file."""
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "wan_dit"), str(HERE.parent)]
from exporting import save_case, seed_weights
from wan import WanDiT, focus, sample

if __name__ == "__main__":
    video = {0: "batch", 2: "frames", 3: "height", 4: "width"}
    save_case(HERE, focus(seed_weights(WanDiT(), seed=1)),
              [sample(3, batch=1, frames=4, height=16, width=16, text=20),
               sample(4, batch=2, frames=3, height=12, width=20, text=13)],
              ["velocity"], opset=16,  # at 17 torch 1.13 writes LayerNormalization without its required scale
              dynamic_axes={"latent": video, "timestep": {0: "batch"}, "context": {0: "batch", 1: "text"},
                            "velocity": video})
