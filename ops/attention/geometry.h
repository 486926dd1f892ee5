#pragma once
// How the inputs of ONNX Attention are read: 3-D [B x L x H*D] or 4-D [B x H x L x D] operands, a cache before them,
// and a mask broadcast over [B x Hq x Lq x Lk]. Shared by the operator, its gradient and the operators imported onto
// it.
#include "ops/attention/kernel.h"
#include "runtime/op/context.h"

namespace tessera {

// Positions of inputs and outputs, the same for every operator of domain tessera.attention.
namespace attention_input {
inline constexpr int q = 0, k = 1, v = 2, mask = 3, past_key = 4, past_value = 5, nonpad_kv_seqlen = 6;
}
namespace attention_output {
inline constexpr int y = 0, present_key = 1, present_value = 2, qk = 3, lse = 4;
}

struct AttentionGeometry {
  AttentionShape shape{};  // kv_len counts the cache too
  std::int64_t past = 0;   // keys that come from the cache
  bool flat = false;       // operands are 3-D
  double scale = 1, softcap = 0;
  bool causal = false;

  Shape q_shape() const;  // as given: 3-D or 4-D
  Shape y_shape() const;
  Shape present_key() const;  // [B x Hkv x kv_len x D]
  Shape present_value() const;
};

// Reads and checks shapes; `in(i)` is the shape of input i or null when absent. Errors: bad_input.
AttentionGeometry attention_geometry(const AttributeReader& attr, const std::vector<const Shape*>& in);
AttentionGeometry attention_geometry(const ShapeContext& c);
AttentionGeometry attention_geometry(const KernelContext& k);

// A [B, H, L, D] view of a 3-D or 4-D tensor of `heads` heads.
template <class T>
AttentionView<T> attention_view(const Tensor& t, std::int64_t heads) {
  T* data = static_cast<T*>(t.raw());
  const Shape& s = t.shape();
  if (s.rank() == 4) return {data, s[1] * s[2] * s[3], s[2] * s[3], s[3]};
  return {data, s[1] * s[2], heads ? s[2] / heads : 0, s[2]};
}

// The mask inputs of one call in the kernel's form. Owns the per-batch arrays and converted masks it points to.
template <class T>
struct AttentionMaskInputs {
  explicit AttentionMaskInputs(const KernelContext& k, const AttentionGeometry& g);
  AttentionMask<T> mask;

 private:
  Tensor converted_;
  std::vector<std::int64_t> offsets_, lengths_;
};

}  // namespace tessera
