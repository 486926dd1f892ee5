#pragma once
// Attention written down from its definition, in f64, one query after another: the yardstick of all attention tests.
#include <array>
#include <vector>

#include "ops/attention/kernel.h"

namespace tessera {

struct AttentionReference {
  AttentionShape shape{};
  double scale = 1, softcap = 0;
  bool f32_scores = false;       // scores with bias are rounded to f32, as a kernel in f32 holds them: it shows at 1e9
  std::vector<double> q, k, v;   // [B, H, L, D], row-major
  std::vector<double> bias;      // [B, Hq, Lq, Lk]: all masks of the call in one; -inf hides
  std::vector<double> dy, dlse;  // for gradients; empty: zeros

  std::vector<double> y, lse;
  // [B, Hq, Lq, Lk]: scaled products, with softcap, with bias, probabilities (the modes of ONNX's qk_matmul_output).
  std::array<std::vector<double>, 4> scores;
  std::vector<double> dq, dk, dv, dbias;

  void forward();
  void backward();  // after forward

 private:
  std::int64_t kv_row(std::int64_t row) const;  // row of [B, Hq, Lq] -> first row of its kv head in [B, Hkv, Lk]
};

}  // namespace tessera
