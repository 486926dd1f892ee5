#include <cstring>

#include "ops/attention/hidden_keys.h"
#include "ops/attention/operand_gradient.h"
#include "runtime/op/parallel.h"

namespace tessera {
namespace {

namespace at = attention_input;
constexpr int in_y = 7, in_lse = 8, in_dy = 9, in_dlse = 10, in_dpresent_key = 11, in_dpresent_value = 12;

void shape(ShapeContext& c) {
  const auto g = attention_geometry(c);
  check(c.in(in_y) == g.y_shape && c.in(in_dy) == g.y_shape, "Y ", c.in(in_y), " and dY ", c.in(in_dy), " must be ",
        g.y_shape);
  check(c.in(in_lse) == (Shape{g.shape.batch, g.shape.q_heads, g.shape.q_len}), "lse is ", c.in(in_lse));
  if (c.has(in_dlse)) check(c.in(in_dlse) == c.in(in_lse), "dlse ", c.in(in_dlse), " must be ", c.in(in_lse));
  for (const auto& [i, present] : {std::pair(in_dpresent_key, g.present_key()), {in_dpresent_value, g.present_value()}})
    if (c.has(i)) check(c.in(i) == present, "the gradient of a present cache ", c.in(i), " must be ", present);
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

// Keys or values with their gradients: where they lie or, with a cache, cache and new ones together.
template <class T>
struct KeyOperand {
  Tensor all, dall;
  AttentionView<T> view, gradient;

  KeyOperand(const KernelContext& k, int fresh, int past, const OperandView& v, const Shape& present, bool cached,
             OperandGradient<T>& target)
      : view(attention_view<T>(k.in(fresh), v)), gradient(target.view()) {
    if (!cached) return;
    all = Tensor(dtype_of<T>, present), dall = Tensor(dtype_of<T>, present);
    Tensor cache = k.in(past);
    for_each_row<T>(all, &cache, view, [](T* to, const T* part, std::int64_t n) {
      std::memcpy(to, part, static_cast<std::size_t>(n) * sizeof(T));
    });
    const OperandView whole = onnx_view(present, 0, "present", "");
    view = attention_view<T>(all, whole), gradient = attention_view<T>(dall, whole);
  }
  // What reaches the loss through the present cache comes on top; then the cache's part and the new one are told apart.
  void finish(const KernelContext& k, int past, int dpresent, const Shape& present, OperandGradient<T>& target) {
    using C = Compute<T>;
    const OperandView whole = onnx_view(present, 0, "present", "");
    if (k.has(dpresent)) {
      const auto from = attention_view<const T>(k.in(dpresent), whole);
      run_parallel(whole.batch * whole.heads, 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t h = begin; h < end; ++h)
          for (std::int64_t i = 0; i < whole.length; ++i) {
            const T* add = from.row(h / whole.heads, h % whole.heads, i);
            T* to = gradient.row(h / whole.heads, h % whole.heads, i);
            for (std::int64_t d = 0; d < whole.dim; ++d)
              to[d] = static_cast<T>(static_cast<C>(to[d]) + static_cast<C>(add[d]));
          }
      });
    }
    if (dall)
      for_each_row<T>(dall, &k.out(past), target.view(), [](const T* from, T* part, std::int64_t n) {
        std::memcpy(part, from, static_cast<std::size_t>(n) * sizeof(T));
      });
    target.finish();
  }
};

template <class T>
AttentionView<const T> reading(const AttentionView<T>& v) {
  return {v.data, v.batch_stride, v.head_stride, v.row_stride};
}

template <class T>
void differentiate_attention(const KernelContext& k) {
  const auto g = attention_geometry(k);
  const bool cached = k.has(at::past_key) && g.past > 0;
  OperandGradient<T> dq(k.out(at::q), g.q), dk(k.out(at::k), g.k), dv(k.out(at::v), g.v);
  KeyOperand<T> key(k, at::k, at::past_key, g.k, g.present_key(), cached, dk);
  KeyOperand<T> value(k, at::v, at::past_value, g.v, g.present_value(), cached, dv);

  const AttentionMaskInputs<T> masks(k, g);
  const Tensor lse = converted(k.in(in_lse), dtype_of<Compute<T>>);
  const Tensor dlse = k.has(in_dlse) ? converted(k.in(in_dlse), dtype_of<Compute<T>>) : Tensor();
  Tensor dmask;
  AttentionGradients<T> gradients{dq.view(), key.gradient, value.gradient, nullptr};
  const bool wants_mask = k.wants(at::mask) && masks.mask.bias;
  if (wants_mask) {
    dmask = Tensor::zeros(dtype_of<Compute<T>>, k.in(at::mask).shape());
    gradients.dbias = dmask.write<Compute<T>>().data();
  }
  const HiddenKeys<T> hidden(g, masks.mask);
  const auto dy = attention_view<const T>(k.in(in_dy), g.y);
  Tensor smaller_dy;
  attention_backward<T>(g.shape, attention_view<const T>(k.in(at::q), g.q), reading(key.view), reading(value.view),
                        masks.mask, g.scale, g.softcap, attention_view<const T>(k.in(in_y), g.y),
                        lse.read<Compute<T>>().data(),
                        hidden.visible_gradient(lse.read<Compute<T>>().data(), dy, smaller_dy), gradients,
                        dlse ? dlse.read<Compute<T>>().data() : nullptr);
  hidden.add_gradients(lse.read<Compute<T>>().data(), dy, value.gradient);
  if (wants_mask) {
    const Tensor narrow = converted(dmask, k.out(at::mask).dtype());
    if (narrow.bytes() > 0) std::memcpy(k.out(at::mask).raw(), narrow.raw(), narrow.bytes());
  } else if (k.wants(at::mask) && k.out(at::mask).bytes() > 0) {
    std::memset(k.out(at::mask).raw(), 0, k.out(at::mask).bytes());
  }
  dq.finish();
  key.finish(k, at::past_key, in_dpresent_key, g.present_key(), dk);
  value.finish(k, at::past_value, in_dpresent_value, g.present_value(), dv);
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
    .doc = "Gradients of Attention and dense from their inputs, Y, lse and dY: with P = exp(S - lse) and dP = dY V^T, "
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
               {"dlse", "L", "shape of lse; absent: zeros", Presence::optional},
               {"dpresent_key", "T", "[B x Hkv x P+L x D]; absent: zeros", Presence::optional},
               {"dpresent_value", "T", "[B x Hkv x P+L x Dv]; absent: zeros", Presence::optional}},
    .outputs = {{"dQ", "T", "shape of Q"},
                {"dK", "T", "shape of K"},
                {"dV", "T", "shape of V"},
                {"dattn_mask", "T", "shape of attn_mask; empty without one"},
                {"dpast_key", "T", "shape of past_key; empty without one"},
                {"dpast_value", "T", "shape of past_value; empty without one"}},
    .attributes = {{"hidden_score", AttributeType::real, {}, "as dense"},
                   {"hidden_values", AttributeType::text, "skip", "only forward looks at it", hidden_value_choices},
                   {"is_causal", AttributeType::integer, 0, "as Attention"},
                   {"k_view", AttributeType::integers, {}, "as dense"},
                   {"kv_num_heads", AttributeType::integer, 0, "as Attention"},
                   {"q_num_heads", AttributeType::integer, 0, "as Attention"},
                   {"q_view", AttributeType::integers, {}, "as dense"},
                   {"scale", AttributeType::real, {}, "as Attention"},
                   {"softcap", AttributeType::real, 0.0f, "as Attention"},
                   {"softmax_precision", AttributeType::integer, 1, "as Attention"},
                   {"undefined_rows", AttributeType::text, "zero",
                    "only forward looks at it: no gradient comes from queries without keys", undefined_row_choices},
                   {"v_view", AttributeType::integers, {}, "as dense"},
                   {"y_shape", AttributeType::integers, {}, "as dense"},
                   {"y_view", AttributeType::integers, {}, "as dense"}},
    .types = {{"T", dtypes::floats}, {"U", dtypes::floats | dtypes::boolean}, {"L", set_of(Types<float, double>{})}},
    .shape = shape,
    .flops = flops,
    .kernel = kernel,
    .gradient = gradient_missing,
    .examples = {"{{{{0}}}}; {{{{1}, {2}}}}; {{{{3}, {5}}}}; _; _; _; _; {{{{4}}}}; {{{0.6931472}}}; {{{{2}}}} -> "
                 "{{{{1}}}}; {{{{0}, {0}}}}; {{{{1}, {1}}}}"},
});

}  // namespace tessera
