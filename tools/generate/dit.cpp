#include "tools/generate/dit.h"

#include <cmath>

#include "tools/generate/model_writer.h"

// Architecture: Wan2.1 (Alibaba, 2025), the text-to-video model. Names of modules and weights are its own.
namespace tessera {
namespace {

using Value = std::string;
using Ints = std::vector<std::int64_t>;

constexpr float epsilon = 1e-6f;
constexpr std::int64_t frequencies = 128;  // of the timestep's embedding

class DitWriter {
 public:
  DitWriter(const DitShape& shape, AttentionForm form, std::uint64_t seed, const std::string& path)
      : s_(shape), fused_(form == AttentionForm::onnx), seed_(seed), w_(path, fused_ ? 23 : 17) {}

  DitReport write() {
    const Value latent = w_.input("latent", DType::f32, latent_shape());
    const Value t = w_.input("t", DType::f32, {1});
    const Value context = w_.input("context", DType::f32, {1, s_.text, s_.text_dim});
    rotary_tables();
    Value x = patches(latent);
    const Value time = time_embedding(t);
    const Value six = op(
        "Reshape",
        {linear("time_projection.1", silu("time_projection", time), s_.hidden, 6 * s_.hidden), ints({1, 6, s_.hidden})},
        "time_projection");
    const Value words = text_embedding(context);
    for (std::int64_t i = 0; i < s_.layers; ++i) x = block(concat("blocks.", i), x, six, words);
    unpatchify(head(x, time));
    w_.finish();
    return {w_.parameters(), w_.data_bytes(), w_.node_count(), flops()};
  }

 private:
  Shape latent_shape() const { return {1, s_.channels, s_.frames, 2 * s_.height, 2 * s_.width}; }
  std::int64_t head_dim() const { return s_.hidden / s_.heads; }

  // Node "/blocks.0/self_attn/q/MatMul" of module "blocks.0.self_attn.q", numbered when the module has several.
  Value op(const std::string& type, std::vector<Value> in, const std::string& module, Attributes attributes = {}) {
    return ops(type, std::move(in), module, std::move(attributes), 1)[0];
  }
  std::vector<Value> ops(const std::string& type, std::vector<Value> in, const std::string& module,
                         Attributes attributes, int outputs) {
    const std::string name = node_name(type, module);
    std::vector<Value> out;
    for (int i = 0; i < outputs; ++i) out.push_back(concat(name, "_output_", i));
    w_.add(type, in, attributes, name, out);
    return out;
  }
  std::string node_name(const std::string& type, const std::string& module) {
    std::string path = "/" + module;
    for (auto dot = path.find('.'); dot != std::string::npos; dot = path.find('.', dot + 1))
      if (dot + 1 < path.size() && (path[dot + 1] < '0' || path[dot + 1] > '9')) path[dot] = '/';
    const std::string name = path + "/" + type;
    const int n = uses_[name]++;
    return n == 0 ? name : concat(name, "_", n);
  }
  Value ints(const Ints& values) {
    std::string name = "ints";
    for (const auto v : values) name += concat("_", v);
    return w_.constant(name, Tensor::vector<std::int64_t>(values));
  }
  Value scalar(float x) { return w_.constant(concat("scalar_", x), Tensor::scalar(x)); }
  Value weight(const std::string& name, const Shape& shape, double mean, double deviation) {
    return w_.normal(name, shape, mean, deviation, seed_ * 1'000'003 + ++weights_);
  }

  Value linear(const std::string& module, const Value& x, std::int64_t in, std::int64_t out) {
    const Value matrix = weight(module + ".weight", {in, out}, 0, 1 / std::sqrt(static_cast<double>(in)));
    const Value product = op("MatMul", {x, matrix}, module);
    return op("Add", {product, weight(module + ".bias", {out}, 0, 0.02)}, module);
  }
  Value silu(const std::string& module, const Value& x) { return op("Mul", {x, op("Sigmoid", {x}, module)}, module); }

  // Gelu(x), the tanh form: 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))).
  Value gelu(const std::string& module, const Value& x) {
    if (fused_) return op("Gelu", {x}, module, {{"approximate", std::string("tanh")}});
    const Value cube = op("Mul", {op("Pow", {x, scalar(3)}, module), scalar(0.044715f)}, module);
    const Value inner = op("Mul", {op("Add", {x, cube}, module), scalar(0.7978845608f)}, module);
    const Value gate = op("Add", {op("Tanh", {inner}, module), scalar(1)}, module);
    return op("Mul", {op("Mul", {x, scalar(0.5f)}, module), gate}, module);
  }

  Value rms_norm(const std::string& module, const Value& x) {
    const Value scale = weight(module + ".weight", {s_.hidden}, 1, 0.1);
    if (fused_) return op("RMSNormalization", {x, scale}, module, {{"axis", std::int64_t{-1}}, {"epsilon", epsilon}});
    const Value mean = op("ReduceMean", {op("Pow", {x, scalar(2)}, module)}, module,
                          {{"axes", Ints{-1}}, {"keepdims", std::int64_t{1}}});
    const Value root = op("Sqrt", {op("Add", {mean, scalar(epsilon)}, module)}, module);
    return op("Mul", {op("Div", {x, root}, module), scale}, module);
  }

  Value layer_norm(const std::string& module, const Value& x, bool affine) {
    std::vector<Value> in = {x};
    if (affine) {
      in.push_back(weight(module + ".weight", {s_.hidden}, 1, 0.1));
      in.push_back(weight(module + ".bias", {s_.hidden}, 0, 0.02));
    } else {
      Tensor ones(DType::f32, {s_.hidden});
      for (float& one : ones.write<float>()) one = 1;
      in.push_back(w_.constant("ones", ones));
    }
    return op("LayerNormalization", in, module, {{"axis", std::int64_t{-1}}, {"epsilon", epsilon}});
  }

  Value modulated(const std::string& module, const Value& x, const Value& shift, const Value& scale) {
    const Value factor = op("Add", {scale, scalar(1)}, module);
    return op("Add", {op("Mul", {layer_norm(module, x, false), factor}, module), shift}, module);
  }

  Value patches(const Value& latent) {
    const std::string module = "patch_embedding";
    const Value kernel = weight(module + ".weight", {s_.hidden, s_.channels, 1, 2, 2}, 0,
                                1 / std::sqrt(4.0 * static_cast<double>(s_.channels)));
    const Value y = op("Conv", {latent, kernel, weight(module + ".bias", {s_.hidden}, 0, 0.02)}, module,
                       {{"kernel_shape", Ints{1, 2, 2}}, {"strides", Ints{1, 2, 2}}});
    const Value flat = op("Reshape", {y, ints({1, s_.hidden, s_.tokens()})}, module);
    return op("Transpose", {flat}, module, {{"perm", Ints{0, 2, 1}}});
  }

  // Sinusoids of t, cosines first: angle j = t * 10000^(-j / 128).
  Value time_embedding(const Value& t) {
    const std::string module = "time_embedding";
    Tensor rates(DType::f32, {1, frequencies});
    for (std::int64_t j = 0; j < frequencies; ++j)
      rates.write<float>()[static_cast<std::size_t>(j)] =
          static_cast<float>(std::pow(10000.0, -static_cast<double>(j) / frequencies));
    const Value column = op("Reshape", {t, ints({1, 1})}, module);
    const Value angle = op("Mul", {column, w_.constant("frequencies", rates)}, module);
    const Value waves =
        op("Concat", {op("Cos", {angle}, module), op("Sin", {angle}, module)}, module, {{"axis", std::int64_t{1}}});
    const Value inner = linear(module + ".0", waves, 2 * frequencies, s_.hidden);
    return linear(module + ".2", silu(module + ".1", inner), s_.hidden, s_.hidden);
  }

  Value text_embedding(const Value& context) {
    const std::string module = "text_embedding";
    const Value inner = linear(module + ".0", context, s_.text_dim, s_.hidden);
    return linear(module + ".2", gelu(module + ".1", inner), s_.hidden, s_.hidden);
  }

  // cos and sin of position * rate for each token and pair of channels: d/2 - 2 (d/6) pairs turn with time, d/6 with
  // height and d/6 with width; rate j of n is 10000^(-j / n).
  void rotary_tables() {
    const std::int64_t pairs = head_dim() / 2, side = head_dim() / 6;
    const std::int64_t share[] = {pairs - 2 * side, side, side};
    Tensor cosine(DType::f32, {1, s_.tokens(), pairs}), sine(DType::f32, {1, s_.tokens(), pairs});
    float *c = cosine.write<float>().data(), *s = sine.write<float>().data();
    for (std::int64_t token = 0; token < s_.tokens(); ++token) {
      const std::int64_t position[] = {token / (s_.height * s_.width), token / s_.width % s_.height, token % s_.width};
      for (int axis = 0; axis < 3; ++axis)
        for (std::int64_t j = 0; j < share[axis]; ++j) {
          const double rate = std::pow(10000.0, -static_cast<double>(j) / static_cast<double>(share[axis]));
          const double angle = static_cast<double>(position[axis]) * rate;
          *c++ = static_cast<float>(std::cos(angle));
          *s++ = static_cast<float>(std::sin(angle));
        }
    }
    const Shape each_head = fused_ ? cosine.shape() : Shape{1, s_.tokens(), 1, pairs};
    cos_ = w_.constant("rope.cos", cosine.reshaped(each_head));
    sin_ = w_.constant("rope.sin", sine.reshaped(each_head));
  }

  // x [1, L, heads, d]: channels (2j, 2j+1) are one pair.
  Value rotated(const std::string& module, const Value& x) {
    const auto part = [&](std::int64_t from) {
      return op("Slice", {x, ints({from}), ints({head_dim()}), ints({3}), ints({2})}, module);
    };
    const Value even = part(0), odd = part(1);
    const auto times = [&](const Value& a, const Value& b) { return op("Mul", {a, b}, module); };
    const Value real = op("Sub", {times(even, cos_), times(odd, sin_)}, module);
    const Value imaginary = op("Add", {times(even, sin_), times(odd, cos_)}, module);
    const Value both =
        op("Concat", {op("Unsqueeze", {real, ints({-1})}, module), op("Unsqueeze", {imaginary, ints({-1})}, module)},
           module, {{"axis", std::int64_t{-1}}});
    return op("Reshape", {both, ints({1, s_.tokens(), s_.heads, head_dim()})}, module);
  }

  // q [1, L, C], k and v [1, keys, C] -> [1, L, C].
  Value attended(const std::string& module, Value q, Value k, Value v, std::int64_t keys, bool rope) {
    if (fused_) {
      const Attributes rotary = {{"interleaved", std::int64_t{1}}, {"num_heads", s_.heads}};
      if (rope) q = op("RotaryEmbedding", {q, cos_, sin_}, module, rotary);
      if (rope) k = op("RotaryEmbedding", {k, cos_, sin_}, module, rotary);
      return op("Attention", {q, k, v}, module, {{"q_num_heads", s_.heads}, {"kv_num_heads", s_.heads}});
    }
    const auto split = [&](const Value& x, std::int64_t length) {
      return op("Reshape", {x, ints({1, length, s_.heads, head_dim()})}, module);
    };
    q = split(q, s_.tokens());
    k = split(k, keys);
    if (rope) q = rotated(module, q);
    if (rope) k = rotated(module, k);
    const auto turned = [&](const Value& x, Ints perm) {
      return op("Transpose", {x}, module, {{"perm", std::move(perm)}});
    };
    const Value scores = op("MatMul", {turned(q, {0, 2, 1, 3}), turned(k, {0, 2, 3, 1})}, module);
    const Value scaled = op("Mul", {scores, scalar(1 / std::sqrt(static_cast<float>(head_dim())))}, module);
    const Value weights = op("Softmax", {scaled}, module, {{"axis", std::int64_t{-1}}});
    const Value mixed = op("MatMul", {weights, turned(split(v, keys), {0, 2, 1, 3})}, module);
    return op("Reshape", {turned(mixed, {0, 2, 1, 3}), ints({1, s_.tokens(), s_.hidden})}, module);
  }

  Value attention(const std::string& module, const Value& x, const Value& source, std::int64_t keys, bool rope) {
    const Value q = rms_norm(module + ".norm_q", linear(module + ".q", x, s_.hidden, s_.hidden));
    const Value k = rms_norm(module + ".norm_k", linear(module + ".k", source, s_.hidden, s_.hidden));
    const Value v = linear(module + ".v", source, s_.hidden, s_.hidden);
    return linear(module + ".o", attended(module, q, k, v, keys, rope), s_.hidden, s_.hidden);
  }

  // The learnt modulation plus the timestep's, as `parts` vectors [1, 1, C].
  std::vector<Value> modulation(const std::string& module, const Value& time, std::int64_t parts) {
    const double deviation = 1 / std::sqrt(static_cast<double>(s_.hidden));
    const Value sum = op("Add", {weight(module + ".modulation", {1, parts, s_.hidden}, 0, deviation), time}, module);
    return ops("Split", {sum, ints(Ints(static_cast<std::size_t>(parts), 1))}, module, {{"axis", std::int64_t{1}}},
               static_cast<int>(parts));
  }

  Value block(const std::string& module, Value x, const Value& six, const Value& words) {
    const auto m = modulation(module, six, 6);  // shift, scale, gate; shift, scale, gate
    const Value in = modulated(module + ".norm1", x, m[0], m[1]);
    const Value self = attention(module + ".self_attn", in, in, s_.tokens(), true);
    x = op("Add", {x, op("Mul", {self, m[2]}, module)}, module);
    const Value cross =
        attention(module + ".cross_attn", layer_norm(module + ".norm3", x, true), words, s_.text, false);
    x = op("Add", {x, cross}, module);
    const Value inner = linear(module + ".ffn.0", modulated(module + ".norm2", x, m[3], m[4]), s_.hidden, s_.ffn);
    const Value ffn = linear(module + ".ffn.2", gelu(module + ".ffn.1", inner), s_.ffn, s_.hidden);
    return op("Add", {x, op("Mul", {ffn, m[5]}, module)}, module);
  }

  Value head(const Value& x, const Value& time) {
    const Value row = op("Reshape", {time, ints({1, 1, s_.hidden})}, "head");
    const auto m = modulation("head", row, 2);
    return linear("head.head", modulated("head.norm", x, m[0], m[1]), s_.hidden, 4 * s_.channels);
  }

  // [1, L, 2 * 2 * channels] -> the latent's shape.
  void unpatchify(const Value& x) {
    const Value grid = op("Reshape", {x, ints({s_.frames, s_.height, s_.width, 2, 2, s_.channels})}, "unpatchify");
    const Value turned = op("Transpose", {grid}, "unpatchify", {{"perm", Ints{5, 0, 1, 3, 2, 4}}});
    const Shape shape = latent_shape();
    w_.add("Reshape", {turned, ints(Ints(shape.begin(), shape.end()))}, {}, node_name("Reshape", "unpatchify"),
           {"velocity"});
    w_.output("velocity", DType::f32, shape);
  }

  double flops() const {
    const auto c = static_cast<double>(s_.hidden), l = static_cast<double>(s_.tokens()),
               words = static_cast<double>(s_.text);
    const double self = 8 * l * c * c + 4 * l * l * c, cross = 4 * l * c * c + 4 * words * c * c + 4 * l * words * c;
    const double ffn = 4 * l * c * static_cast<double>(s_.ffn), ends = 2 * l * c * 8 * static_cast<double>(s_.channels);
    return static_cast<double>(s_.layers) * (self + cross + ffn) + ends;
  }

  DitShape s_;
  bool fused_;
  std::uint64_t seed_, weights_ = 0;
  ModelWriter w_;
  std::map<std::string, int> uses_;  // of node names
  Value cos_, sin_;
};

}  // namespace

void check_shape(const DitShape& s) {
  const std::pair<const char*, std::int64_t> sizes[] = {
      {"--layers", s.layers},     {"--hidden", s.hidden},    {"--heads", s.heads}, {"--ffn", s.ffn},
      {"--grid", s.frames},       {"--grid", s.height},      {"--grid", s.width},  {"--text", s.text},
      {"--text-dim", s.text_dim}, {"--channels", s.channels}};
  for (const auto& [flag, n] : sizes) check(n >= 1 && n <= 1'000'000, flag, " must be from 1 to 1000000, got ", n);
  check(s.hidden % s.heads == 0, "--hidden ", s.hidden, " is not divisible by --heads ", s.heads);
  const std::int64_t d = s.hidden / s.heads;
  check(d % 2 == 0, "the head dim, --hidden / --heads = ", d,
        ", must be even: rotary embedding turns pairs of channels");
  check(s.frames <= 1'000'000'000 / s.height / s.width, "--grid has more than 1000000000 tokens");
}

DitReport generate_dit(const DitShape& shape, AttentionForm form, std::uint64_t seed, const std::string& path) {
  check_shape(shape);
  return DitWriter(shape, form, seed, path).write();
}

}  // namespace tessera
