#pragma once
// A video diffusion transformer of the Wan2.1 kind as an ONNX model with seeded weights.
#include <cstdint>
#include <string>

namespace tessera {

struct DitShape {
  std::int64_t layers = 2, hidden = 96, heads = 3, ffn = 256;
  std::int64_t frames = 4, height = 4, width = 4;  // tokens; the latent has twice the height and width
  std::int64_t text = 32, text_dim = 64, channels = 16;
  std::int64_t tokens() const { return frames * height * width; }
};

enum class AttentionForm {
  onnx,        // one Attention node, RMSNormalization, RotaryEmbedding, Gelu: opset 23
  decomposed,  // MatMul, Mul, Softmax, MatMul and so on, as PyTorch's exporter writes it: opset 17
};

struct DitReport {
  std::int64_t parameters = 0;
  std::uint64_t bytes = 0;  // of weights
  int nodes = 0;
  double flops = 0;  // of the matrix products, of one run
};

// Error(bad_input) for sizes that do not fit together.
void check_shape(const DitShape& shape);

// Writes `path` and `path`.data. Errors: those of check_shape; run_time when a file cannot be
// written, which leaves nothing behind.
DitReport generate_dit(const DitShape& shape, AttentionForm form, std::uint64_t seed, const std::string& path);

}  // namespace tessera
