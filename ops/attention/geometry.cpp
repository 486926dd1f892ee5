#include "ops/attention/geometry.h"

#include <algorithm>
#include <cmath>

namespace tessera {
namespace {

namespace at = attention_input;

OperandView operand(const AttributeReader& attr, const Shape& s, const char* what, const char* heads,
                    const char* view) {
  return attr.has(view) ? read_view(attr.integers(view), s, view) : onnx_view(s, attr.integer(heads), what, heads);
}

// Y lies as Q does in ONNX's layouts, and [B x H x L x D] where Q is viewed, unless a view says otherwise.
void place_y(AttentionGeometry& g, const AttributeReader& attr, bool flat) {
  const auto& s = g.shape;
  if (!attr.has("y_view")) {
    check(!attr.has("y_shape"), "y_shape is given without y_view");
    g.y_shape = flat ? Shape{s.batch, s.q_len, s.q_heads * s.v_dim} : Shape{s.batch, s.q_heads, s.q_len, s.v_dim};
    element_count(g.y_shape);
    g.y = onnx_view(g.y_shape, s.q_heads, "Y", "q_num_heads");
    return;
  }
  g.y_shape = Shape(attr.integers("y_shape"));
  g.y = read_view(attr.integers("y_view"), g.y_shape, "y_view");
  check(g.y.batch == s.batch && g.y.heads == s.q_heads && g.y.length == s.q_len && g.y.dim == s.v_dim,
        "y_view must begin with ", Shape{s.batch, s.q_heads, s.q_len, s.v_dim}, ", got ",
        Shape{g.y.batch, g.y.heads, g.y.length, g.y.dim});
  check(is_rearrangement(g.y, element_count(g.y_shape)), "y_view must place every element of Y ", g.y_shape, " once");
}

// What the rules of rewritten graphs say; the table of ONNX Attention does not have them.
void read_rules(AttentionGeometry& g, const AttributeReader& attr) {
  if (attr.has("undefined_rows")) g.undefined_rows = static_cast<UndefinedRows>(attr.choice("undefined_rows"));
  if (attr.has("hidden_values")) g.multiply_hidden = attr.text("hidden_values") == "multiply";
  if (attr.has("hidden_score")) g.hidden_score = attr.real("hidden_score");
  check(g.hidden_score < INFINITY, "hidden_score must be a number or -inf, got ", g.hidden_score);
}

}  // namespace

AttentionGeometry attention_geometry(const AttributeReader& attr, const std::vector<const Shape*>& in) {
  const auto has = [&](int i) { return i < static_cast<int>(in.size()) && in[static_cast<std::size_t>(i)]; };
  const auto shape = [&](int i) -> const Shape& { return *in[static_cast<std::size_t>(i)]; };
  AttentionGeometry g;
  g.q = operand(attr, shape(at::q), "Q", "q_num_heads", "q_view");
  g.k = operand(attr, shape(at::k), "K", "kv_num_heads", "k_view");
  g.v = operand(attr, shape(at::v), "V", "kv_num_heads", "v_view");
  const OperandView &q = g.q, &k = g.k, &v = g.v;
  check(attr.has("q_view") || attr.has("k_view") || attr.has("v_view") ||
            (shape(at::q).rank() == shape(at::k).rank() && shape(at::q).rank() == shape(at::v).rank()),
        "Q, K and V must have one rank, got ", shape(at::q), ", ", shape(at::k), ", ", shape(at::v));
  check(q.batch == k.batch && q.batch == v.batch, "batch sizes of Q, K and V differ: ", q.batch, ", ", k.batch, ", ",
        v.batch);
  check(k.heads == v.heads && k.length == v.length, "K ", shape(at::k), " and V ", shape(at::v),
        " differ in heads or length");
  check(q.dim == k.dim, "Q ", shape(at::q), " and K ", shape(at::k), " differ in head size");
  check(k.heads > 0 ? q.heads % k.heads == 0 : q.heads == 0, k.heads, " key heads do not divide ", q.heads,
        " query heads");

  check(has(at::past_key) == has(at::past_value), "past_key and past_value must be given together");
  if (has(at::past_key)) {
    const Shape &pk = shape(at::past_key), &pv = shape(at::past_value);
    check(pk.rank() == 4 && pv.rank() == 4, "past_key and past_value must be [B x Hkv x P x D], got ", pk, " and ", pv);
    g.past = pk[2];
    check(pk == (Shape{k.batch, k.heads, g.past, k.dim}), "past_key ", pk, " does not fit K ", shape(at::k));
    check(pv == (Shape{v.batch, v.heads, g.past, v.dim}), "past_value ", pv, " does not fit V ", shape(at::v));
    check(!has(at::nonpad_kv_seqlen), "nonpad_kv_seqlen cannot be combined with past_key");
  }
  g.shape = {q.batch, q.heads, k.heads, q.length, g.past + k.length, q.dim, v.dim};
  if (has(at::nonpad_kv_seqlen))
    check(shape(at::nonpad_kv_seqlen) == Shape{q.batch}, "nonpad_kv_seqlen must be [", q.batch, "], got ",
          shape(at::nonpad_kv_seqlen));
  if (has(at::mask)) {
    // A short last axis hides the keys beyond it.
    const Shape& m = shape(at::mask);
    check(m.rank() >= 2 && m[m.size() - 1] <= g.shape.kv_len, "attn_mask ", m, " is longer than the ", g.shape.kv_len,
          " keys");
    Shape to{q.batch, q.heads, q.length, m[m.size() - 1]};
    check(broadcasts_to(m, to), "attn_mask ", m, " does not broadcast to ",
          Shape{q.batch, q.heads, q.length, g.shape.kv_len});
  }
  g.scale = attr.has("scale") ? static_cast<double>(attr.real("scale"))
                              : 1 / std::sqrt(static_cast<double>(std::max<std::int64_t>(q.dim, 1)));
  g.softcap = attr.real("softcap");
  check(g.softcap >= 0, "softcap must not be negative, got ", g.softcap);
  g.causal = attr.flag("is_causal");
  place_y(g, attr, !attr.has("q_view") && shape(at::q).rank() == 3);
  read_rules(g, attr);
  return g;
}

AttentionGeometry attention_geometry(const ShapeContext& c) {
  std::vector<const Shape*> in;
  for (int i = 0; i < std::min(c.inputs(), at::nonpad_kv_seqlen + 1); ++i) in.push_back(c.has(i) ? &c.in(i) : nullptr);
  return attention_geometry(c.attr, in);
}

AttentionGeometry attention_geometry(const KernelContext& k) {
  std::vector<const Shape*> in;
  for (int i = 0; i < std::min(k.inputs(), at::nonpad_kv_seqlen + 1); ++i)
    in.push_back(k.has(i) ? &k.in(i).shape() : nullptr);
  return attention_geometry(k.attr, in);
}

Shape AttentionGeometry::present_key() const { return {shape.batch, shape.kv_heads, shape.kv_len, shape.qk_dim}; }
Shape AttentionGeometry::present_value() const { return {shape.batch, shape.kv_heads, shape.kv_len, shape.v_dim}; }

template <class T>
AttentionMaskInputs<T>::AttentionMaskInputs(const KernelContext& k, const AttentionGeometry& g) {
  const auto batch = static_cast<std::size_t>(g.shape.batch);
  std::int64_t visible = g.shape.kv_len;
  if (k.has(at::mask)) {
    const Tensor& m = k.in(at::mask);
    visible = m.dim(m.rank() - 1);
    const Shape strides = broadcast_strides(m.shape(), Shape{g.shape.batch, g.shape.q_heads, g.shape.q_len, visible});
    std::array<std::int64_t, 4> four{};
    std::copy(strides.begin(), strides.end(), four.begin());
    if (m.dtype() == DType::boolean) {
      mask.keep = static_cast<const std::uint8_t*>(m.raw());
      mask.keep_strides = four;
    } else {
      converted_ = converted(m, dtype_of<T>);
      mask.bias = converted_.read<T>().data();
      mask.bias_strides = four;
    }
  }
  mask.causal = g.causal;
  if (k.has(at::nonpad_kv_seqlen)) {
    for (const std::int64_t n : k.in(at::nonpad_kv_seqlen).read<std::int64_t>()) {
      check(n >= 0 && n <= g.shape.kv_len, "nonpad_kv_seqlen ", n, " is outside [0, ", g.shape.kv_len, "]");
      lengths_.push_back(std::min(n, visible));
      offsets_.push_back(n - g.shape.q_len);
    }
  } else {
    if (visible < g.shape.kv_len) lengths_.assign(batch, visible);
    if (g.past > 0) offsets_.assign(batch, g.past);
  }
  mask.kv_lengths = lengths_.empty() ? nullptr : lengths_.data();
  mask.causal_offset = offsets_.empty() ? nullptr : offsets_.data();
}

template struct AttentionMaskInputs<float>;
template struct AttentionMaskInputs<double>;
template struct AttentionMaskInputs<f16>;
template struct AttentionMaskInputs<bf16>;

}  // namespace tessera
