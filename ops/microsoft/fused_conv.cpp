#include "ops/window.h"

namespace tessera {
namespace {

constexpr int x = 0, w = 1, b = 2, z = 3;

// Writes com.microsoft FusedConv as Conv, Add and the activation.
class Rewrite {
 public:
  explicit Rewrite(RewriteContext& c) : c_(c), b_(c.build), attr_(c.attr()) {}

  void run() {
    Attributes conv = c_.attributes;
    conv.erase("activation"), conv.erase("activation_params");
    ValueId y = b_.node("Conv", {c_.in[x], c_.in[w], c_.has(b) ? c_.in[b] : ValueId::none}, conv);
    if (c_.has(z)) y = b_.node("Add", {y, c_.in[z]});
    c_.become({activated(y)});
  }

 private:
  ValueId activated(ValueId y) {
    const std::string name(attr_.text("activation"));
    for (const auto* plain : {"Relu", "Sigmoid", "Tanh"})
      if (name == plain) return b_.node(name, {y});
    if (name == "LeakyRelu") return b_.node(name, {y}, {{"alpha", parameter(0, 1)}});
    if (name == "HardSigmoid") return b_.node(name, {y}, {{"alpha", parameter(0, 2)}, {"beta", parameter(1, 2)}});
    if (name == "Clip")
      return b_.node(name, {y, b_.scalar_like(y, parameter(0, 2)), b_.scalar_like(y, parameter(1, 2))});
    check(name.empty(), Code::unsupported, "activation '", name,
          "' is not supported; Clip, HardSigmoid, LeakyRelu, Relu, Sigmoid and Tanh are");
    return y;
  }
  float parameter(std::size_t i, std::size_t of) const {
    const auto given = attr_.reals("activation_params");
    check(given.size() == of, "activation ", attr_.text("activation"), " needs ", of, " activation_params, got ",
          given.size());
    return given[i];
  }

  RewriteContext& c_;
  NodeBuilder& b_;
  const AttributeReader attr_;
};

}  // namespace

extern constinit const OpDef op_fused_conv = define({
    .name = "FusedConv",
    .domain = "com.microsoft",
    .doc = "activation(Conv(X, W, B) + Z); imported as Conv, Add and the activation.",
    .source = "ONNX Runtime contrib operators, com.microsoft.FusedConv-1",
    .inputs = {{"X", "T", "[N x C x D1 ... Dn]"},
               {"W", "T", "[M x C/group x k1 ... kn]"},
               {"B", "T", "[M]", Presence::optional},
               {"Z", "T", "shape of Y", Presence::optional}},
    .outputs = {{"Y", "T", "[N x M x ...], as Conv"}},
    .attributes = {{"activation", AttributeType::text, "", "Clip, HardSigmoid, LeakyRelu, Relu, Sigmoid or Tanh"},
                   {"activation_params", AttributeType::reals, {}, "Clip: min, max; others: alpha, beta"},
                   {"auto_pad", AttributeType::text, "NOTSET", "as Conv", auto_pads},
                   {"dilations", AttributeType::integers, {}, "as Conv"},
                   {"group", AttributeType::integer, 1, "as Conv"},
                   {"kernel_shape", AttributeType::integers, {}, "as Conv"},
                   {"pads", AttributeType::integers, {}, "as Conv"},
                   {"strides", AttributeType::integers, {}, "as Conv"}},
    .types = {{"T", dtypes::floats}},
    .expand = [](RewriteContext& c) { Rewrite(c).run(); },
});

}  // namespace tessera
