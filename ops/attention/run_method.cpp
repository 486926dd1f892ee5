#include "ops/attention/run_method.h"

#include "ops/attention/coarse_gate.h"

namespace tessera {
namespace {

template <class T>
AttentionView<T> as(AttentionView<void> v) {
  return {static_cast<T*>(v.data), v.batch_stride, v.head_stride, v.row_stride};
}
template <class T>
AttentionView<const T> as(AttentionView<const void> v) {
  return {static_cast<const T*>(v.data), v.batch_stride, v.head_stride, v.row_stride};
}
template <class T, class From>
AttentionView<const T> reading(AttentionView<From> v) {
  return {static_cast<const T*>(v.data), v.batch_stride, v.head_stride, v.row_stride};
}

template <class T>
BlockSparse<T> fine_stage(const PlannedMethod& p, const MethodTensors& t, const Selection& selection) {
  return {p.call.shape, as<T>(t.q), as<T>(t.k),       as<T>(t.v),         p.call.scale,
          &*p.tiles,    &*p.tiles,  &selection.lists, selection.sources()};
}

template <class T>
void forward(const PlannedMethod& p, const MethodTensors& t, const Selection* selection) {
  auto* lse = static_cast<Compute<T>*>(t.lse);
  if (!selection)
    return attention_forward<T>(p.call.shape, as<T>(t.q), as<T>(t.k), as<T>(t.v), {}, p.call.scale, 0, as<T>(t.y), lse);
  const auto fine = fine_stage<T>(p, t, *selection);
  if (!t.gate.data) return block_sparse_forward<T>(fine, as<T>(t.y), lse);
  const CoarseGate<T> coarse(p.call.shape, p.call.scale, *p.tiles, *selection, as<T>(t.q), as<T>(t.k), as<T>(t.v));
  block_sparse_forward<T>(fine, as<T>(t.y), lse, coarse.gated(as<T>(t.gate)));
}

template <class T>
void backward(const PlannedMethod& p, const MethodTensors& t, const Selection* selection) {
  using C = Compute<T>;
  const auto& s = p.call.shape;
  const AttentionGradients<T> gradients{as<T>(t.dq), as<T>(t.dk), as<T>(t.dv)};
  const auto y = reading<T>(t.y);
  const auto* lse = static_cast<const C*>(t.lse);
  const auto* dlse = static_cast<const C*>(t.dlse);
  if (!selection)
    return attention_backward<T>(s, as<T>(t.q), as<T>(t.k), as<T>(t.v), {}, p.call.scale, 0, y, lse, as<T>(t.dy),
                                 gradients, dlse);
  const auto fine = fine_stage<T>(p, t, *selection);
  if (!t.gate.data) return block_sparse_backward<T>(fine, y, lse, as<T>(t.dy), dlse, gradients);

  CoarseGate<T> coarse(s, p.call.scale, *p.tiles, *selection, as<T>(t.q), as<T>(t.k), as<T>(t.v));
  if constexpr (sizeof(T) < sizeof(C)) {
    // Sixteen bits round y by what may be as large as the fine stage's result beside a large gate: it is made again.
    const Tensor own(dtype_of<T>, {s.batch, s.q_heads, s.q_len, s.v_dim});
    const AttentionView<T> f{static_cast<T*>(own.raw()), s.q_heads * s.q_len * s.v_dim, s.q_len * s.v_dim, s.v_dim};
    block_sparse_forward<T>(fine, f, nullptr);
    coarse.backward_of_gate(as<T>(t.gate), as<T>(t.dy), nullptr, as<T>(t.dgate));
    block_sparse_backward<T>(fine, reading<T>(f), lse, as<T>(t.dy), dlse, gradients);
  } else {
    std::vector<C> shifted(static_cast<std::size_t>(s.batch * s.q_heads * s.q_len));
    if (dlse) std::copy_n(dlse, shifted.size(), shifted.data());
    coarse.backward_of_gate(as<T>(t.gate), as<T>(t.dy), shifted.data(), as<T>(t.dgate));
    block_sparse_backward<T>(fine, y, lse, as<T>(t.dy), shifted.data(), gradients);
  }
  coarse.backward_of_means(gradients.dq, gradients.dk, gradients.dv);
}

}  // namespace

Selection select(const PlannedMethod& planned, const MethodTensors& tensors) {
  Selection selection;
  with_type(Floats{}, tensors.dtype,
            [&]<class T>(Type<T>) { selection = select<T>(planned, as<T>(tensors.q), as<T>(tensors.k)); });
  return selection;
}

void run_forward(const PlannedMethod& planned, const MethodTensors& tensors, const Selection* selection) {
  if (planned.method.forward) return planned.method.forward(planned.method, planned.call, tensors);
  with_type(Floats{}, tensors.dtype, [&]<class T>(Type<T>) { forward<T>(planned, tensors, selection); });
}

void run_backward(const PlannedMethod& planned, const MethodTensors& tensors, const Selection* selection) {
  if (planned.method.forward) {
    check(planned.method.backward != nullptr, Code::unsupported, "'", planned.method.name, "' has no gradient");
    return planned.method.backward(planned.method, planned.call, tensors);
  }
  with_type(Floats{}, tensors.dtype, [&]<class T>(Type<T>) { backward<T>(planned, tensors, selection); });
}

std::vector<float> densities(const PlannedMethod& planned, const Selection* selection) {
  const auto& s = planned.call.shape;
  const double all = planned.all_pairs();
  const float predicted = all > 0 ? static_cast<float>(planned.pairs() / all) : 1.0f;
  std::vector<float> density(static_cast<std::size_t>(s.batch * s.q_heads), predicted);
  if (!selection || all == 0) return density;
  const auto pairs = pairs_computed(s, *planned.tiles, *planned.tiles, selection->lists, selection->sources());
  const double per_head = static_cast<double>(s.q_len) * static_cast<double>(s.kv_len);
  for (std::size_t i = 0; i < density.size(); ++i)
    density[i] = static_cast<float>(static_cast<double>(pairs[i]) / per_head);
  return density;
}

}  // namespace tessera
