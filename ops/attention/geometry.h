#pragma once
// How the inputs of an attention operator are read: operands in ONNX's two layouts, 3-D [B x L x H*D] or 4-D
// [B x H x L x D], or through the views that attributes give; a cache before them; and a mask broadcast over
// [B x Hq x Lq x Lk]. Shared by the operators of domain tessera.attention, ONNX Attention and their gradients.
#include <cmath>

#include "ops/attention/operand_view.h"
#include "runtime/op/context.h"

namespace tessera {

// Positions of inputs and outputs, the same for every operator of domain tessera.attention.
namespace attention_input {
inline constexpr int q = 0, k = 1, v = 2, mask = 3, past_key = 4, past_value = 5, nonpad_kv_seqlen = 6;
}
namespace attention_output {
inline constexpr int y = 0, present_key = 1, present_value = 2, qk = 3, lse = 4, density = 5, selection = 6;
}

// What a query gives that no key is visible to (attribute undefined_rows, in the order of its choices).
enum class UndefinedRows {
  zero,    // zeros
  nan,     // NaN, the softmax of nothing but -inf
  guarded  // zeros, also where a score is NaN: Where(IsNaN(p), 0, p)
};
inline constexpr std::string_view undefined_row_choices = "zero|nan|guarded", hidden_value_choices = "skip|multiply";

struct AttentionGeometry {
  AttentionShape shape{};  // kv_len counts the cache too
  std::int64_t past = 0;   // keys that come from the cache
  OperandView q, k, v, y;  // k and v: the new keys, without the cache
  Shape y_shape;           // of the tensor that y lies in
  double scale = 1, softcap = 0;
  bool causal = false;
  UndefinedRows undefined_rows = UndefinedRows::zero;
  bool multiply_hidden = false;     // 0 * V of hidden keys reaches every row
  double hidden_score = -INFINITY;  // of keys that a boolean mask or causality hides

  Shape present_key() const;  // [B x Hkv x kv_len x D]
  Shape present_value() const;
};

// Reads and checks shapes; `in(i)` is the shape of input i or null when absent. Errors: bad_input.
AttentionGeometry attention_geometry(const AttributeReader& attr, const std::vector<const Shape*>& in);
AttentionGeometry attention_geometry(const ShapeContext& c);
AttentionGeometry attention_geometry(const KernelContext& k);

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
