#pragma once
// Gradients of operands that are views: written where the kernels want them, handed back in the shape of the tensor.
#include <algorithm>
#include <cstring>
#include <optional>

#include "ops/attention/operand_view.h"
#include "runtime/op/scratch.h"

namespace tessera {

// The gradient of a viewed operand, in the shape of the tensor it lies in: zeros where the view does not reach, sums
// where it reads an element several times.
template <class T>
class OperandGradient {
 public:
  OperandGradient(Tensor& out, const OperandView& v) : out_(out), view_(v) {
    if (!without_repeats(v)) {
      apart_.emplace(dtype_of<T>, Shape{v.batch, v.heads, v.length, v.dim});
    } else if (!is_rearrangement(v, out.size()) && out.bytes() > 0) {
      std::memset(out.raw(), 0, out.bytes());
    }
  }
  AttentionView<T> view() {
    return apart_ ? attention_view<T>(*apart_, onnx_view(apart_->shape(), 0, "gradient", ""))
                  : attention_view<T>(out_, view_);
  }
  void finish() {
    using C = Compute<T>;
    if (!apart_) return;
    const Scratch<C> sum(out_.size());
    std::fill_n(sum.data(), out_.size(), C(0));
    const AttentionView<C> to{sum.data() + view_.offset, view_.strides[0], view_.strides[1], view_.strides[2]};
    const AttentionView<T> from = view();
    for (std::int64_t b = 0; b < view_.batch; ++b)
      for (std::int64_t h = 0; h < view_.heads; ++h)
        for (std::int64_t i = 0; i < view_.length; ++i)
          for (std::int64_t d = 0; d < view_.dim; ++d) to.row(b, h, i)[d] += static_cast<C>(from.row(b, h, i)[d]);
    std::transform(sum.data(), sum.data() + out_.size(), out_.write<T>().data(), [](C x) { return static_cast<T>(x); });
  }

 private:
  Tensor& out_;
  const OperandView& view_;
  std::optional<Tensor> apart_;  // [B, H, L, D], for a view with repeats
};

}  // namespace tessera
