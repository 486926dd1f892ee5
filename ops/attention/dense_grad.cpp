#include <cstring>

#include "ops/attention/geometry.h"

namespace tessera {
namespace {

namespace at = attention_input;
constexpr int in_y = 7, in_lse = 8, in_dy = 9, in_dlse = 10;

void shape(ShapeContext& c) {
  const auto g = attention_geometry(c);
  check(c.in(in_y) == g.y_shape() && c.in(in_dy) == g.y_shape(), "Y ", c.in(in_y), " and dY ", c.in(in_dy), " must be ",
        g.y_shape());
  check(c.in(in_lse) == (Shape{g.shape.batch, g.shape.q_heads, g.shape.q_len}), "lse is ", c.in(in_lse));
  if (c.has(in_dlse)) check(c.in(in_dlse) == c.in(in_lse), "dlse ", c.in(in_dlse), " must be ", c.in(in_lse));
  for (int i = at::q; i <= at::past_value; ++i) c.out(i, c.has(i) ? c.in(i) : Shape{0});
}

// past [B x H x P x D], then fresh in its own layout, as one [B x H x P+L x D]; or back, from `all` into the two.
template <class T, class Copy>
void for_each_row(const Tensor& all, Tensor* past, AttentionView<T> fresh, Copy copy) {
  const std::int64_t heads = all.dim(1), length = all.dim(2), dim = all.dim(3), cached = past ? past->dim(2) : 0;
  T* whole = static_cast<T*>(all.raw());
  T* old = past ? static_cast<T*>(past->raw()) : nullptr;
  run_parallel(all.dim(0) * heads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t h = begin; h < end; ++h)
      for (std::int64_t i = 0; i < length; ++i)
        copy(whole + (h * length + i) * dim,
             i < cached ? old + (h * cached + i) * dim : fresh.row(h / heads, h % heads, i - cached), dim);
  });
}

template <class T>
void differentiate_attention(const KernelContext& k) {
  const auto g = attention_geometry(k);
  const auto& s = g.shape;
  const bool cached = k.has(at::past_key) && g.past > 0;
  const auto view = [&](int i, std::int64_t heads) { return attention_view<T>(k.in(i), heads); };
  const auto out = [&](int i, std::int64_t heads) { return attention_view<T>(k.out(i), heads); };
  auto key = view(at::k, s.kv_heads), value = view(at::v, s.kv_heads), dk = out(at::k, s.kv_heads),
       dv = out(at::v, s.kv_heads);

  Tensor keys, values, dkeys, dvalues;  // with a cache: cache and new keys together
  const auto gather = [](T* all, const T* part, std::int64_t n) {
    std::memcpy(all, part, static_cast<std::size_t>(n) * sizeof(T));
  };
  const auto scatter = [](const T* all, T* part, std::int64_t n) {
    std::memcpy(part, all, static_cast<std::size_t>(n) * sizeof(T));
  };
  if (cached) {
    keys = Tensor(dtype_of<T>, g.present_key()), dkeys = Tensor(dtype_of<T>, g.present_key());
    values = Tensor(dtype_of<T>, g.present_value()), dvalues = Tensor(dtype_of<T>, g.present_value());
    Tensor past_key = k.in(at::past_key), past_value = k.in(at::past_value);
    for_each_row<T>(keys, &past_key, key, gather);
    for_each_row<T>(values, &past_value, value, gather);
    key = attention_view<T>(keys, s.kv_heads), value = attention_view<T>(values, s.kv_heads);
    dk = attention_view<T>(dkeys, s.kv_heads), dv = attention_view<T>(dvalues, s.kv_heads);
  }
  const auto reading = [](const AttentionView<T>& v) {
    return AttentionView<const T>{v.data, v.batch_stride, v.head_stride, v.row_stride};
  };
  const AttentionMaskInputs<T> masks(k, g);
  const Tensor lse = converted(k.in(in_lse), dtype_of<Compute<T>>);
  const Tensor dlse = k.has(in_dlse) ? converted(k.in(in_dlse), dtype_of<Compute<T>>) : Tensor();
  Tensor dmask;
  AttentionGradients<T> gradients{out(at::q, s.q_heads), dk, dv, nullptr};
  const bool wants_mask = k.wants(at::mask) && masks.mask.bias;
  if (wants_mask) {
    dmask = Tensor::zeros(dtype_of<Compute<T>>, k.in(at::mask).shape());
    gradients.dbias = dmask.write<Compute<T>>().data();
  }
  attention_backward<T>(s, reading(view(at::q, s.q_heads)), reading(key), reading(value), masks.mask, g.scale,
                        g.softcap, reading(view(in_y, s.q_heads)), lse.read<Compute<T>>().data(),
                        reading(view(in_dy, s.q_heads)), gradients, dlse ? dlse.read<Compute<T>>().data() : nullptr);
  if (wants_mask) {
    const Tensor narrow = converted(dmask, k.out(at::mask).dtype());
    if (narrow.bytes() > 0) std::memcpy(k.out(at::mask).raw(), narrow.raw(), narrow.bytes());
  } else if (k.wants(at::mask) && k.out(at::mask).bytes() > 0) {
    std::memset(k.out(at::mask).raw(), 0, k.out(at::mask).bytes());
  }
  if (cached) {
    for_each_row<T>(dkeys, &k.out(at::past_key), out(at::k, s.kv_heads), scatter);
    for_each_row<T>(dvalues, &k.out(at::past_value), out(at::v, s.kv_heads), scatter);
  }
}

void kernel(const KernelContext& k) {
  with_type(Floats{}, k.in(at::q).dtype(), [&]<class T>(Type<T>) { differentiate_attention<T>(k); });
}

double flops(const ShapeContext& c) {
  const auto s = attention_geometry(c).shape;
  return 2.0 * static_cast<double>(s.batch * s.q_heads) * static_cast<double>(s.q_len) * static_cast<double>(s.kv_len) *
         static_cast<double>(3 * s.qk_dim + 2 * s.v_dim);
}

}  // namespace

extern constinit const OpDef op_dense_grad = define({
    .name = "denseGrad",
    .domain = "tessera.attention",
    .doc = "Gradients of Attention from its inputs, Y, lse and dY: with P = exp(S - lse) and dP = dY V^T, "
           "dS = P (dP - rowsum(dY Y) + dlse), dQ = scale dS K, dK = scale dS^T Q, dV = P^T dY, dmask = dS summed over "
           "broadcast axes. P is recomputed tile by tile.",
    .source = "Dao et al. 2022, arXiv:2205.14135, appendix B.2",
    .inputs = {{"Q", "T", "as Attention"},
               {"K", "T", "as Attention"},
               {"V", "T", "as Attention"},
               {"attn_mask", "U", "as Attention", Presence::optional},
               {"past_key", "T", "as Attention", Presence::optional},
               {"past_value", "T", "as Attention", Presence::optional},
               {"nonpad_kv_seqlen", "i64", "as Attention", Presence::optional},
               {"Y", "T", "output of Attention"},
               {"lse", "L", "output of Attention"},
               {"dY", "T", "shape of Y"},
               {"dlse", "L", "shape of lse; absent: zeros", Presence::optional}},
    .outputs = {{"dQ", "T", "shape of Q"},
                {"dK", "T", "shape of K"},
                {"dV", "T", "shape of V"},
                {"dattn_mask", "T", "shape of attn_mask; empty without one"},
                {"dpast_key", "T", "shape of past_key; empty without one"},
                {"dpast_value", "T", "shape of past_value; empty without one"}},
    .attributes = {{"is_causal", AttributeType::integer, 0, "as Attention"},
                   {"kv_num_heads", AttributeType::integer, 0, "as Attention"},
                   {"q_num_heads", AttributeType::integer, 0, "as Attention"},
                   {"scale", AttributeType::real, {}, "as Attention"},
                   {"softcap", AttributeType::real, 0.0f, "as Attention"},
                   {"softmax_precision", AttributeType::integer, 1, "as Attention"}},
    .types = {{"T", dtypes::floats}, {"U", dtypes::floats | dtypes::boolean}, {"L", set_of(Types<float, double>{})}},
    .shape = shape,
    .flops = flops,
    .kernel = kernel,
    .gradient = gradient_missing,
    .examples = {"{{{{0}}}}; {{{{1}, {2}}}}; {{{{3}, {5}}}}; _; _; _; _; {{{{4}}}}; {{{0.6931472}}}; {{{{2}}}} -> "
                 "{{{{1}}}}; {{{{0}, {0}}}}; {{{{1}, {1}}}}"},
});

}  // namespace tessera
