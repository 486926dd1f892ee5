#include "ops/attention/coarse_gate.h"

#include <algorithm>

#include "ops/attention/pooling.h"
#include "runtime/op/parallel.h"

namespace tessera {
namespace {

template <class C>
C* elements(const Tensor& t) {
  return static_cast<C*>(t.raw());
}

// A dense [B][heads][tiles][dim].
template <class C, class V = C>
AttentionView<V> view(const Tensor& t) {
  return {elements<C>(t), t.dim(1) * t.dim(2) * t.dim(3), t.dim(2) * t.dim(3), t.dim(3)};
}

AttentionShape over_tiles(AttentionShape shape, const TokenTiles& tiles) {
  shape.q_len = shape.kv_len = tiles.tiles();
  return shape;
}

}  // namespace

template <class T>
CoarseGate<T>::CoarseGate(const AttentionShape& shape, double scale, const TokenTiles& tiles,
                          const Selection& selection, AttentionView<const T> q, AttentionView<const T> k,
                          AttentionView<const T> v)
    : shape_(shape),
      tile_shape_(over_tiles(shape, tiles)),
      scale_(scale),
      tiles_(tiles),
      q_(pooled(q, shape.q_heads, shape.qk_dim, selection.q_means)),
      k_(pooled(k, shape.kv_heads, shape.qk_dim, selection.k_means)),
      v_(pooled(v, shape.kv_heads, shape.v_dim, {})),
      y_(means(shape.q_heads, shape.v_dim)),
      lse_(dtype_of<C>, {shape.batch, shape.q_heads, tiles.tiles()}) {
  attention_forward<C>(tile_shape_, view<C, const C>(q_), view<C, const C>(k_), view<C, const C>(v_), {}, scale, 0,
                       view<C>(y_), elements<C>(lse_));
}

template <class T>
Tensor CoarseGate<T>::means(std::int64_t heads, std::int64_t dim) const {
  return Tensor(dtype_of<C>, {shape_.batch, heads, tiles_.tiles(), dim});
}

template <class T>
Tensor CoarseGate<T>::pooled(AttentionView<const T> x, std::int64_t heads, std::int64_t dim,
                             const Tensor& known) const {
  if (known && known.dtype() == dtype_of<C>) return known;
  const Tensor all = means(heads, dim);
  pool_tiles<T, C>(x, shape_.batch, heads, dim, tiles_, elements<C>(all));
  return all;
}

template <class T>
template <class F>
void CoarseGate<T>::for_each_tile(F f) const {
  const std::int64_t count = tiles_.tiles();
  run_parallel(shape_.batch * shape_.q_heads * count, 8, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) f(i / count / shape_.q_heads, i / count % shape_.q_heads, i % count, i);
  });
}

template <class T>
void CoarseGate<T>::backward_of_gate(AttentionView<const T> gate, AttentionView<const T> dy, C* dlse,
                                     AttentionView<T> dgate) {
  dy_ = means(shape_.q_heads, shape_.v_dim);
  for_each_tile([&](std::int64_t b, std::int64_t h, std::int64_t tile, std::int64_t row) {
    const C* c = elements<C>(y_) + row * shape_.v_dim;
    C* dc = elements<C>(dy_) + row * shape_.v_dim;
    std::fill_n(dc, shape_.v_dim, C(0));
    for (const auto u : tiles_.tokens_of(tile)) {
      const T *g = gate.row(b, h, u), *from = dy.row(b, h, u);
      C sum = 0;
      for (std::int64_t d = 0; d < shape_.v_dim; ++d) {
        const C gated = static_cast<C>(from[d]) * static_cast<C>(g[d]);
        dc[d] += gated;
        sum += gated * c[d];
      }
      if (dlse != nullptr) dlse[(b * shape_.q_heads + h) * shape_.q_len + u] += sum;
      if (!dgate.data) continue;
      T* to = dgate.row(b, h, u);
      for (std::int64_t d = 0; d < shape_.v_dim; ++d) to[d] = static_cast<T>(static_cast<C>(from[d]) * c[d]);
    }
  });
}

template <class T>
void CoarseGate<T>::backward_of_means(AttentionView<T> dq, AttentionView<T> dk, AttentionView<T> dv) {
  const Tensor q = means(shape_.q_heads, shape_.qk_dim), k = means(shape_.kv_heads, shape_.qk_dim),
               v = means(shape_.kv_heads, shape_.v_dim);
  attention_backward<C>(tile_shape_, view<C, const C>(q_), view<C, const C>(k_), view<C, const C>(v_), {}, scale_, 0,
                        view<C, const C>(y_), elements<C>(lse_), view<C, const C>(dy_),
                        {view<C>(q), view<C>(k), view<C>(v)});
  add_pooled_gradient<T>(elements<C>(q), shape_.batch, shape_.q_heads, shape_.qk_dim, tiles_, dq);
  add_pooled_gradient<T>(elements<C>(k), shape_.batch, shape_.kv_heads, shape_.qk_dim, tiles_, dk);
  add_pooled_gradient<T>(elements<C>(v), shape_.batch, shape_.kv_heads, shape_.v_dim, tiles_, dv);
}

template class CoarseGate<float>;
template class CoarseGate<double>;
template class CoarseGate<f16>;
template class CoarseGate<bf16>;

}  // namespace tessera
