#include "ops/attention/dense.h"
#include "ops/attention/geometry.h"

namespace tessera::dense_attention {

namespace at = attention_input;
namespace to = attention_output;

void dtype(const AttributeReader&, std::span<const DType> in, std::span<DType> out) {
  if (out.size() > to::lse) out[to::lse] = in[at::q] == DType::f64 ? DType::f64 : DType::f32;
}

void shape(ShapeContext& c) {
  const auto g = attention_geometry(c);
  const auto mode = c.attr.integer("qk_matmul_output_mode");
  check(mode >= 0 && mode <= 3, "qk_matmul_output_mode must be 0, 1, 2 or 3, got ", mode);
  c.out(to::y, g.y_shape);
  c.out(to::present_key, g.present_key());
  c.out(to::present_value, g.present_value());
  // The one thing of size Lq x Lk, only where the model asks for it.
  c.out(to::qk, c.outputs() > to::qk ? Shape{g.shape.batch, g.shape.q_heads, g.shape.q_len, g.shape.kv_len} : Shape{});
  c.out(to::lse, {g.shape.batch, g.shape.q_heads, g.shape.q_len});
  c.out(to::density, {g.shape.batch, g.shape.q_heads});
  c.out(to::selection, {0});
}

double flops(const ShapeContext& c) {
  const auto s = attention_geometry(c).shape;
  return 2.0 * static_cast<double>(s.batch * s.q_heads) * static_cast<double>(s.q_len) * static_cast<double>(s.kv_len) *
         static_cast<double>(s.qk_dim + s.v_dim);
}

// One operator computes dQ, dK, dV and dmask from Y and lse, over the whole cache. `density` and `selection` are
// constants to it.
std::vector<ValueId> gradient(GradContext& g) {
  check(!g.has_dout(to::qk), Code::unsupported, "the gradient of qk_matmul_output is not written");
  const auto given = [&](int i) { return g.has(i) ? g.in(i) : ValueId::none; };
  const auto reached = [&](int i) { return g.has_dout(i) ? g.dout(i) : ValueId::none; };
  Attributes attributes = g.attr().all();
  for (const char* name : {"qk_matmul_output_mode", "grid"}) attributes.erase(name);
  return g.nodes("tessera.attention::denseGrad",
                 {g.in(0), g.in(1), g.in(2), given(3), given(4), given(5), given(6), g.out(to::y), g.out(to::lse),
                  g.dout(to::y), reached(to::lse), reached(to::present_key), reached(to::present_value)},
                 attributes,
                 g.has(at::past_key) ? 6
                 : g.needs(at::mask) ? 4
                                     : 3);
}

}  // namespace tessera::dense_attention
