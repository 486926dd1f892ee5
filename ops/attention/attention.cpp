#include <cmath>
#include <cstring>

#include "ops/attention/geometry.h"

namespace tessera {
namespace {

namespace at = attention_input;
namespace to = attention_output;

void dtype(const AttributeReader&, std::span<const DType> in, std::span<DType> out) {
  if (out.size() > to::lse) out[to::lse] = in[at::q] == DType::f64 ? DType::f64 : DType::f32;
}

void shape(ShapeContext& c) {
  const auto g = attention_geometry(c);
  const auto mode = c.attr.integer("qk_matmul_output_mode");
  check(mode >= 0 && mode <= 3, "qk_matmul_output_mode must be 0, 1, 2 or 3, got ", mode);
  c.out(to::y, g.y_shape());
  c.out(to::present_key, g.present_key());
  c.out(to::present_value, g.present_value());
  // The one thing of size Lq x Lk, only where the model asks for it.
  c.out(to::qk, c.outputs() > to::qk ? Shape{g.shape.batch, g.shape.q_heads, g.shape.q_len, g.shape.kv_len} : Shape{});
  c.out(to::lse, {g.shape.batch, g.shape.q_heads, g.shape.q_len});
}

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

// Scores as the specification's fourth output has them, stage by stage: 0 scaled products, 1 with softcap, 2 with mask
// as well, 3 after the softmax. (ONNX 1.18 to 1.20 had 1 and 2 the other way round and the softcap after the mask,
// where it would show hidden keys again; corrected for all versions of the operator.) Written plainly; it is for
// looking at.
template <class T>
void write_scores(const AttentionGeometry& g, AttentionView<const T> q, AttentionView<const T> k,
                  const AttentionMask<T>& m, std::int64_t mode, T* scores) {
  using C = Compute<T>;
  const auto& s = g.shape;
  const std::int64_t group = s.kv_heads ? s.q_heads / s.kv_heads : 1;
  const auto place = [](const std::array<std::int64_t, 4>& strides, std::int64_t b, std::int64_t h, std::int64_t i,
                        std::int64_t j) { return b * strides[0] + h * strides[1] + i * strides[2] + j * strides[3]; };
  run_parallel(s.batch * s.q_heads * s.q_len, 16, [&](std::int64_t begin, std::int64_t end) {
    const Scratch<C> row(s.kv_len);
    for (std::int64_t r = begin; r < end; ++r) {
      const std::int64_t i = r % s.q_len, h = r / s.q_len % s.q_heads, b = r / s.q_len / s.q_heads;
      const std::int64_t length = m.kv_lengths ? m.kv_lengths[b] : s.kv_len;
      const std::int64_t last = m.causal ? i + (m.causal_offset ? m.causal_offset[b] : 0) : s.kv_len;
      C top = -INFINITY, sum = 0;
      for (std::int64_t j = 0; j < s.kv_len; ++j) {
        C x = 0;
        const T *a = q.row(b, h, i), *c = k.row(b, h / group, j);
        for (std::int64_t d = 0; d < s.qk_dim; ++d) x += static_cast<C>(a[d]) * static_cast<C>(c[d]);
        x *= static_cast<C>(g.scale);
        if (mode != 0 && g.softcap > 0) x = static_cast<C>(g.softcap) * std::tanh(x / static_cast<C>(g.softcap));
        if (mode >= 2) {
          const bool hidden = j >= length || j > last || (m.keep && !m.keep[place(m.keep_strides, b, h, i, j)]);
          if (hidden)
            x = -INFINITY;
          else if (m.bias)
            x += static_cast<C>(m.bias[place(m.bias_strides, b, h, i, j)]);
        }
        row[j] = x;
        top = std::max(top, x);
      }
      for (std::int64_t j = 0; mode == 3 && j < s.kv_len; ++j)
        sum += row[j] = top == -INFINITY ? 0 : std::exp(row[j] - top);
      for (std::int64_t j = 0; j < s.kv_len; ++j)
        scores[r * s.kv_len + j] = static_cast<T>(mode == 3 && sum > 0 ? row[j] / sum : row[j]);
    }
  });
}

template <class T>
void attend(const KernelContext& k) {
  const auto g = attention_geometry(k);
  const auto& s = g.shape;
  auto q = attention_view<const T>(k.in(at::q), s.q_heads), key = attention_view<const T>(k.in(at::k), s.kv_heads),
       value = attention_view<const T>(k.in(at::v), s.kv_heads);
  Tensor own_key, own_value;  // cache and new keys together, where the model does not ask for them
  const auto whole = [&](AttentionView<const T>& fresh, int past, int present, const Shape& shape, Tensor& own) {
    const bool cached = k.has(past) && g.past > 0;
    if (!cached && !k.wants(present)) return;
    if (!k.wants(present)) own = Tensor(dtype_of<T>, shape);
    Tensor& all = k.wants(present) ? k.out(present) : own;
    append(cached ? &k.in(past) : nullptr, fresh, all);
    fresh = attention_view<const T>(all, s.kv_heads);
  };
  whole(key, at::past_key, to::present_key, g.present_key(), own_key);
  whole(value, at::past_value, to::present_value, g.present_value(), own_value);
  const AttentionMaskInputs<T> masks(k, g);
  Compute<T>* lse = k.wants(to::lse) ? k.out(to::lse).write<Compute<T>>().data() : nullptr;
  attention_forward<T>(s, q, key, value, masks.mask, g.scale, g.softcap, attention_view<T>(k.out(to::y), s.q_heads),
                       lse);
  if (k.wants(to::qk))
    write_scores<T>(g, q, key, masks.mask, k.attr.integer("qk_matmul_output_mode"), k.out(to::qk).write<T>().data());
}

void kernel(const KernelContext& k) {
  with_type(Floats{}, k.in(at::q).dtype(), [&]<class T>(Type<T>) { attend<T>(k); });
}

double flops(const ShapeContext& c) {
  const auto s = attention_geometry(c).shape;
  return 2.0 * static_cast<double>(s.batch * s.q_heads) * static_cast<double>(s.q_len) * static_cast<double>(s.kv_len) *
         static_cast<double>(s.qk_dim + s.v_dim);
}

// One operator computes dQ, dK, dV and dmask from Y and lse, over the whole cache; the cache's parts are cut out after.
std::vector<ValueId> gradient(GradContext& g) {
  check(!g.has_dout(to::qk), Code::unsupported, "the gradient of qk_matmul_output is not written");
  const auto given = [&](int i) { return g.has(i) ? g.in(i) : ValueId::none; };
  Attributes attributes = g.attr().all();
  attributes.erase("qk_matmul_output_mode");
  auto out = g.nodes("tessera.attention::denseGrad",
                     {g.in(0), g.in(1), g.in(2), given(3), given(4), given(5), given(6), g.out(to::y), g.out(to::lse),
                      g.dout(0), g.has_dout(to::lse) ? g.dout(to::lse) : ValueId::none},
                     attributes,
                     g.has(at::past_key) ? 6
                     : g.needs(at::mask) ? 4
                                         : 3);
  // What reaches the loss through the present cache comes on top: the past's rows first, then the new ones.
  for (const int kv : {0, 1}) {
    const int present = to::present_key + kv, fresh = at::k + kv, past = at::past_key + kv;
    if (!g.has_dout(present)) continue;
    const std::int64_t length = (*g.shape(g.out(present)))[2];
    const std::int64_t split = g.has(past) ? (*g.shape(g.in(past)))[2] : 0;
    const auto rows = [&](std::int64_t begin, std::int64_t end) {
      return g.node("Slice", {g.dout(present), g.ints({begin}), g.ints({end}), g.ints({2})});
    };
    ValueId part = rows(split, length);
    if (g.shape(g.in(fresh))->rank() == 3)
      part = g.node("Reshape", {g.node("Transpose", {part}, {{"perm", std::vector<std::int64_t>{0, 2, 1, 3}}}),
                                g.ints(*g.shape(g.in(fresh)))});
    auto& fresh_gradient = out[static_cast<std::size_t>(fresh)];
    fresh_gradient = g.node("Add", {fresh_gradient, part});
    if (!g.has(past)) continue;
    auto& past_gradient = out[static_cast<std::size_t>(past)];
    past_gradient = g.node("Add", {past_gradient, rows(0, split)});
  }
  return out;
}

}  // namespace

extern constinit const OpDef op_attention = define({
    .name = "Attention",
    .since = 24,
    .introduced = 23,
    .doc = "Y = softmax(mask(softcap(scale * Q K^T) + bias)) V per head, without a buffer of size Lq x Lk. Key j is "
           "visible to query i under is_causal iff j <= i + offset, offset = cache length, or nonpad_kv_seqlen - Lq, "
           "or 0. Queries that see no key give zeros. Hq is a multiple of Hkv (grouped queries).",
    .source = "ONNX Attention-24; Vaswani et al. 2017, arXiv:1706.03762; Dao 2023, arXiv:2307.08691",
    .inputs = {{"Q", "T1", "[B x Hq x Lq x D] or [B x Lq x Hq*D]"},
               {"K", "T1", "[B x Hkv x L x D] or [B x L x Hkv*D]"},
               {"V", "T1", "[B x Hkv x L x Dv] or [B x L x Hkv*Dv]"},
               {"attn_mask", "U",
                "broadcasts to [B x Hq x Lq x P+L]; bool keeps, float is added; a short last axis hides "
                "the rest",
                Presence::optional},
               {"past_key", "T1", "[B x Hkv x P x D]", Presence::optional},
               {"past_value", "T1", "[B x Hkv x P x Dv]", Presence::optional},
               {"nonpad_kv_seqlen", "i64", "[B]: valid keys per batch entry", Presence::optional}},
    .outputs = {{"Y", "T1", "[B x Hq x Lq x Dv] or [B x Lq x Hq*Dv]"},
                {"present_key", "T1", "[B x Hkv x P+L x D]"},
                {"present_value", "T1", "[B x Hkv x P+L x Dv]"},
                {"qk_matmul_output", "T1", "[B x Hq x Lq x P+L], only when asked for"},
                {"lse", "L", "[B x Hq x Lq]: log of the sum of exponentials, -inf where no key is seen (ours)"}},
    .attributes = {{"is_causal", AttributeType::integer, 0, "1: queries see no later key"},
                   {"kv_num_heads", AttributeType::integer, 0, "needed for 3-D operands"},
                   {"q_num_heads", AttributeType::integer, 0, "needed for 3-D operands"},
                   {"qk_matmul_output_mode", AttributeType::integer, 0,
                    "0 scaled products, 1 softcapped, 2 masked too, 3 probabilities"},
                   {"scale", AttributeType::real, {}, "default 1 / sqrt(D)"},
                   {"softcap", AttributeType::real, 0.0f, "c > 0: scores become c tanh(score / c)"},
                   {"softmax_precision", AttributeType::integer, 1, "the softmax is computed in f32 or wider"}},
    .types = {{"T1", dtypes::floats}, {"U", dtypes::floats | dtypes::boolean}, {"L", set_of(Types<float, double>{})}},
    .dtype = dtype,
    .shape = shape,
    .flops = flops,
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{{{{0, 0}}}}; {{{{1, 0}, {0, 1}}}}; {{{{2, 4}, {4, 8}}}} -> {{{{3, 6}}}}",
                 "{{{{1, 0}}}}; {{{{1.0986123, 0}, {0, 5}}}}; {{{{1, 2}, {5, 6}}}}; scale=1 -> {{{{2, 3}}}}; _; _; _; "
                 "{{{1.3862944}}}",
                 "{{{{0}, {0}}}}; {{{{1}, {2}}}}; {{{{3}, {5}}}}; is_causal=1 -> {{{{3}, {4}}}}",
                 "{{{0, 0}}}; {{{1}, {2}}}; {{{3}, {5}}}; q_num_heads=2; kv_num_heads=1 -> {{{4, 4}}}",
                 "{{{{0}}}}; {{{{1}, {2}}}}; {{{{3}, {5}}}}; bool{{false, false}} -> {{{{0}}}}",
                 "{{{{1}}}}; {{{{1}}}}; {{{{3}}}}; _; {{{{2}}}}; {{{{7}}}}; softcap=1; scale=0.5 -> "
                 "{{{{5.2972586}}}}; {{{{2}, {1}}}}; {{{{7}, {3}}}}"},
});

}  // namespace tessera
