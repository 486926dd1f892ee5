#include <cstring>

#include "ops/attention/dense.h"
#include "ops/attention/geometry.h"
#include "ops/attention/hidden_keys.h"
#include "ops/attention/scores.h"

namespace tessera::dense_attention {
namespace {

namespace at = attention_input;
namespace to = attention_output;

// cache [B x H x P x D], then fresh in its own layout, one after the other into all [B x H x P+L x D].
template <class T>
void append(const Tensor* cache, AttentionView<const T> fresh, Tensor& all) {
  const std::int64_t heads = all.dim(1), length = all.dim(2), dim = all.dim(3), past = cache ? cache->dim(2) : 0;
  T* out = all.write<T>().data();
  const T* old = cache ? cache->read<T>().data() : nullptr;
  run_parallel(all.dim(0) * heads, std::max<std::int64_t>(1, 65536 / std::max<std::int64_t>(1, length * dim)),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t h = begin; h < end; ++h) {
                   T* row = out + h * length * dim;
                   if (past * dim > 0)
                     std::memcpy(row, old + h * past * dim, static_cast<std::size_t>(past * dim) * sizeof(T));
                   for (std::int64_t i = past; i < length && dim > 0; ++i)
                     std::memcpy(row + i * dim, fresh.row(h / heads, h % heads, i - past),
                                 static_cast<std::size_t>(dim) * sizeof(T));
                 }
               });
}

template <class T>
void attend(const KernelContext& k) {
  const auto g = attention_geometry(k);
  const auto& s = g.shape;
  const auto q = attention_view<const T>(k.in(at::q), g.q);
  auto key = attention_view<const T>(k.in(at::k), g.k), value = attention_view<const T>(k.in(at::v), g.v);
  Tensor own_key, own_value;  // cache and new keys together, where the model does not ask for them
  const auto whole = [&](AttentionView<const T>& fresh, int past, int present, const Shape& shape, Tensor& own) {
    const bool cached = k.has(past) && g.past > 0;
    if (!cached && !k.wants(present)) return;
    if (!k.wants(present)) own = Tensor(dtype_of<T>, shape);
    Tensor& all = k.wants(present) ? k.out(present) : own;
    append(cached ? &k.in(past) : nullptr, fresh, all);
    fresh = attention_view<const T>(all, onnx_view(shape, 0, "present", ""));
  };
  whole(key, at::past_key, to::present_key, g.present_key(), own_key);
  whole(value, at::past_value, to::present_value, g.present_value(), own_value);

  const AttentionMaskInputs<T> masks(k, g);
  const auto y = attention_view<T>(k.out(to::y), g.y);
  const HiddenKeys<T> hidden(g, masks.mask);
  const bool own_lse = !k.wants(to::lse) && hidden.needs_lse();
  const Scratch<Compute<T>> scratch(own_lse ? s.batch * s.q_heads * s.q_len : 0);
  Compute<T>* lse = k.wants(to::lse) ? k.out(to::lse).write<Compute<T>>().data() : own_lse ? scratch.data() : nullptr;
  attention_forward<T>(s, q, key, value, masks.mask, g.scale, g.softcap, y, lse);
  hidden.finish(value, y, lse);
  if (k.wants(to::qk))
    write_scores<T>(g, q, key, masks.mask, k.attr.integer("qk_matmul_output_mode"), k.out(to::qk).write<T>().data());
  if (k.wants(to::density)) write_density(s, masks.mask, k.out(to::density).write<float>().data());
}

}  // namespace

void kernel(const KernelContext& k) {
  with_type(Floats{}, k.in(at::q).dtype(), [&]<class T>(Type<T>) { attend<T>(k); });
}

}  // namespace tessera::dense_attention
