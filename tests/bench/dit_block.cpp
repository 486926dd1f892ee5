#include "tests/bench/dit_block.h"

#include <cmath>

namespace tessera {
namespace {

constexpr std::int64_t width = 1536, heads = 12, head_dim = 128, hidden = 8960, text_tokens = 512;
constexpr float epsilon = 1e-6f;
using Name = std::string;

class Block {
 public:
  Block(BenchModel& m, BlockAttention form) : m_(m), form_(form) {
    one_ = m.scalar(1);
    ones_ = m.constant(filled(1));
    zeros_ = m.constant(filled(0));
    by_heads_ = m.constant(Tensor::vector({1, -1, heads, head_dim}));
    joined_ = m.constant(Tensor::vector({1, -1, width}));
  }

  void write(std::int64_t tokens) {
    const Name x = m_.input("x", {1, tokens, width}), e = m_.input("e", {1, 6, width});
    const Name context = m_.input("ctx", {1, text_tokens, width});
    cos_ = m_.input("cos", {1, tokens, 1, head_dim / 2});
    sin_ = m_.input("sin", {1, tokens, 1, head_dim / 2});
    const auto v = m_.nodes("Split", {add(e, m_.weight({1, 6, width}, 0.02))}, {{"axis", 1}}, 6);
    enum { shift1, scale1, gate1, shift2, scale2, gate2 };

    Name y = modulate(x, v[shift1], v[scale1]);
    Name q = rotate(split_heads(rms_norm(linear(y, width, width))));
    Name k = rotate(split_heads(rms_norm(linear(y, width, width))));
    Name a = attention(q, k, split_heads(linear(y, width, width)));
    const Name x1 = add(x, mul(linear(a, width, width), v[gate1]));

    y = m_.node("LayerNormalization", {x1, ones_, zeros_}, {{"axis", -1}, {"epsilon", epsilon}});
    q = split_heads(rms_norm(linear(y, width, width)));
    k = split_heads(rms_norm(linear(context, width, width)));
    a = attention(q, k, split_heads(linear(context, width, width)));
    const Name x2 = add(x1, linear(a, width, width));

    y = gelu(linear(modulate(x2, v[shift2], v[scale2]), width, hidden));
    m_.output(add(x2, mul(linear(y, hidden, width), v[gate2])), {1, tokens, width});
  }

 private:
  static Tensor filled(float value) {
    Tensor t(DType::f32, {width});
    for (float& x : t.write<float>()) x = value;
    return t;
  }
  Name add(const Name& a, const Name& b) { return m_.node("Add", {a, b}); }
  Name mul(const Name& a, const Name& b) { return m_.node("Mul", {a, b}); }
  Name split_heads(const Name& x) { return m_.node("Reshape", {x, by_heads_}); }
  Name join_heads(const Name& x) { return m_.node("Reshape", {x, joined_}); }

  Name modulate(const Name& x, const Name& shift, const Name& scale) {
    const Name y = m_.node("LayerNormalization", {x, ones_, zeros_}, {{"axis", -1}, {"epsilon", epsilon}});
    return add(mul(y, add(scale, one_)), shift);
  }

  Name linear(const Name& x, std::int64_t from, std::int64_t to) {
    const Name product = m_.node("MatMul", {x, m_.weight({from, to}, 0.02)});
    return add(product, m_.weight({to}, 0.02));
  }

  // x / sqrt(mean(x^2) + epsilon) * gain
  Name rms_norm(const Name& x) {
    const std::vector<std::int64_t> last{-1};
    const Name mean = m_.node("ReduceMean", {m_.node("Pow", {x, m_.scalar(2)})}, {{"axes", last}, {"keepdims", 1}});
    const Name root = m_.node("Sqrt", {add(mean, m_.scalar(epsilon))});
    return mul(m_.node("Div", {x, root}), ones_);
  }

  // Rotates neighbouring pairs: [1, L, H, D] seen as [1, L, H, D/2, 2].
  Name rotate(const Name& x) {
    const Name pairs = m_.node("Reshape", {x, m_.constant(Tensor::vector({1, -1, heads, head_dim / 2, 2}))});
    const auto half = [&](std::int64_t i) {
      return m_.node("Gather", {pairs, m_.constant(Tensor::scalar(i))}, {{"axis", 4}});
    };
    const Name a = half(0), b = half(1), last = m_.constant(Tensor::vector({4}));
    const Name real = m_.node("Sub", {mul(a, cos_), mul(b, sin_)}), imaginary = add(mul(a, sin_), mul(b, cos_));
    const Name joined =
        m_.node("Concat", {m_.node("Unsqueeze", {real, last}), m_.node("Unsqueeze", {imaginary, last})}, {{"axis", 4}});
    return split_heads(joined);
  }

  // q, k, v [1, L, H, D] -> [1, L, H*D]
  Name attention(const Name& q, const Name& k, const Name& v) {
    if (form_ == BlockAttention::fused)
      return m_.node("com.microsoft::MultiHeadAttention", {join_heads(q), join_heads(k), join_heads(v)},
                     {{"num_heads", heads}});
    const auto transpose = [&](const Name& x, std::vector<std::int64_t> order) {
      return m_.node("Transpose", {x}, {{"perm", order}});
    };
    const Name scaled = mul(transpose(q, {0, 2, 1, 3}), m_.scalar(1 / std::sqrt(static_cast<float>(head_dim))));
    const Name scores = m_.node("MatMul", {scaled, transpose(k, {0, 2, 3, 1})});
    const Name weights = m_.node("Softmax", {scores}, {{"axis", -1}});
    return join_heads(transpose(m_.node("MatMul", {weights, transpose(v, {0, 2, 1, 3})}), {0, 2, 1, 3}));
  }

  // 0.5 u (1 + tanh(sqrt(2/pi) (u + 0.044715 u^3)))
  Name gelu(const Name& u) {
    const Name cubic = mul(m_.node("Pow", {u, m_.scalar(3)}), m_.scalar(0.044715f));
    const Name bend = m_.node("Tanh", {mul(add(u, cubic), m_.scalar(0.7978845608f))});
    return mul(mul(u, add(bend, one_)), m_.scalar(0.5f));
  }

  BenchModel& m_;
  BlockAttention form_;
  Name one_, ones_, zeros_, by_heads_, joined_, cos_, sin_;
};

}  // namespace

void write_dit_block(BenchModel& m, std::int64_t tokens, BlockAttention form) { Block(m, form).write(tokens); }

}  // namespace tessera
