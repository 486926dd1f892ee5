#pragma once
// Where an operand of attention lies inside a dense tensor, as attributes write it down: eight integers [B, H, L, D,
// offset, stride of B, stride of H, stride of L], in elements; the stride of D is 1. So a packed QKV tensor serves as
// three operands, and no Transpose, Split or Slice stands around an attention.
//
// Errors: bad_input. Nothing here allocates tensors.
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "ops/attention/kernel.h"
#include "runtime/tensor/tensor.h"

namespace tessera {

// Element (b, h, l, d) stands at offset + b strides[0] + h strides[1] + l strides[2] + d.
struct OperandView {
  std::int64_t batch = 0, heads = 0, length = 0, dim = 0, offset = 0;
  std::array<std::int64_t, 3> strides{};  // of batch, heads, length; 0 repeats, negative walks backwards

  std::int64_t size() const { return batch * heads * length * dim; }
  bool operator==(const OperandView&) const = default;
};

// ONNX's own rule: [B x H x L x D], or [B x L x H*D] with `heads` from attribute `attribute` (0: not given). `what`
// names the operand in messages.
OperandView onnx_view(const Shape& s, std::int64_t heads, const char* what, const char* attribute);

// Reads the eight integers of attribute `attribute` and checks that every element lies inside `tensor`.
OperandView read_view(std::span<const std::int64_t> numbers, const Shape& tensor, const char* attribute);
std::vector<std::int64_t> numbers_of(const OperandView& v);

// No element of the tensor stands at two places of the view. (Sufficient, not necessary: axes must not interleave.)
bool without_repeats(const OperandView& v);
// Every one of `elements` elements stands at exactly one place: what an output's view must be.
bool is_rearrangement(const OperandView& v, std::int64_t elements);

template <class T>
AttentionView<T> attention_view(const Tensor& t, const OperandView& v) {
  return {static_cast<T*>(t.raw()) + v.offset, v.strides[0], v.strides[1], v.strides[2]};
}

}  // namespace tessera
