// The operators of ONNX Runtime that are written as others, loaded from models, against ONNX Runtime's own numbers.
#include <gmock/gmock.h>

#include <fstream>
#include <map>

#include "runtime/op/example.h"
#include "runtime/pass/passes.h"
#include "tests/support/central_difference.h"
#include "tests/support/compare.h"
#include "tests/support/interpret.h"
#include "tests/support/model_text.h"
#include "tests/support/runner.h"

namespace tessera {
namespace {

struct Case {
  std::string text;
  const OpDef* op;
  Example example;
};

Case read(const std::string& line) {
  const auto colon = line.find(": ");
  const OpDef& op = builtin_registry().at(line.substr(0, colon));
  return {line, &op, parse_example(op, line.substr(colon + 2))};
}

const std::vector<Case>& cases() {
  static const auto all = [] {
    std::vector<Case> read_so_far;
    std::ifstream file(source_path("tests/data/onnxruntime_operators.txt"));
    for (std::string line; std::getline(file, line);)
      if (!line.starts_with('#')) read_so_far.push_back(read(line));
    return read_so_far;
  }();
  return all;
}

std::string text(const std::string& name, const Attribute& a) {
  std::string out = "attribute { name: \"" + name + "\" ";
  if (const auto* i = std::get_if<std::int64_t>(&a)) return out + concat("i: ", *i, " type: INT } ");
  if (const auto* x = std::get_if<float>(&a)) return out + concat("f: ", *x, " type: FLOAT } ");
  if (const auto* s = std::get_if<std::string>(&a)) return out + concat("s: \"", *s, "\" type: STRING } ");
  if (const auto* all = std::get_if<std::vector<float>>(&a)) {
    for (const auto x : *all) out += concat("floats: ", x, " ");
    return out + "type: FLOATS } ";
  }
  for (const auto i : std::get<std::vector<std::int64_t>>(a)) out += concat("ints: ", i, " ");
  return out + "type: INTS } ";
}

std::string initializer(const std::string& name, const Tensor& t) {
  std::string out = concat("initializer { name: \"", name, "\" data_type: ", static_cast<int>(t.dtype()), " ");
  for (const auto d : t.shape()) out += concat("dims: ", d, " ");
  const Tensor wide = converted(t, DType::i64);
  for (const auto x : wide.read<std::int64_t>())
    out += concat(t.dtype() == DType::i32 ? "int32_data: " : "int64_data: ", x, " ");
  return out + "} ";
}

// What a case becomes: as it is; the first input's dims names; whole numbers, which sizes may depend on, constants.
enum class As { given, symbolic, fixed };

// A model of the one node, its inputs x0, x1, ... and outputs y0, y1, ...
Graph model(const Case& c, const std::vector<Tensor>& in, As as) {
  std::string node = concat("node { domain: \"", c.op->domain, "\" op_type: \"", c.op->name, "\" "), ports;
  for (std::size_t i = 0; i < in.size(); ++i) {
    node += in[i] ? concat("input: \"x", i, "\" ") : std::string("input: \"\" ");
    if (!in[i]) continue;
    if (as == As::fixed && !dtypes::floats.has(in[i].dtype())) {
      ports += initializer(concat("x", i), in[i]);
      continue;
    }
    ports += input_text(concat("x", i), in[i],
                        [&](int axis) { return as == As::symbolic && i == 0 ? concat("n", axis) : std::string(); });
  }
  for (std::size_t i = 0; i < c.example.out.size(); ++i) {
    node += c.example.out[i] ? concat("output: \"y", i, "\" ") : std::string("output: \"\" ");
    if (c.example.out[i]) ports += concat("output { name: \"y", i, "\" } ");
  }
  for (const auto& [name, a] : c.example.attributes) node += text(name, a);
  return load_text(node + "} " + ports, "opset_import { domain: \"com.microsoft\" version: 1 }");
}

void expect(const Case& c, As as) {
  std::map<std::string, Tensor> in;
  for (std::size_t i = 0; i < c.example.in.size(); ++i)
    if (c.example.in[i]) in[concat("x", i)] = c.example.in[i];
  const auto out = interpret(model(c, c.example.in, as), in);
  for (std::size_t i = 0; i < c.example.out.size(); ++i) {
    if (!c.example.out[i]) continue;
    EXPECT_TRUE(close(out.at(concat("y", i)), c.example.out[i])) << c.text << (as == As::symbolic ? " symbolic" : "");
  }
}

TEST(Microsoft, says_what_onnx_runtime_says) {
  EXPECT_GT(cases().size(), 30u);
  for (const Case& c : cases())
    for (const As as : {As::given, As::symbolic})
      // An input of unknown rank is taken for the common [B x L x H*D].
      if (as != As::symbolic || c.op->name != "RotaryEmbedding" || c.example.in[0].rank() == 3) expect(c, as);
}

TEST(Microsoft, has_its_own_default_of_epsilon) {
  for (const std::string op : {"SkipLayerNormalization", "SkipSimplifiedLayerNormalization"})
    expect(read("com.microsoft::" + op +
                ": {{{0.000001, -0.000001}}}; {{{0, 0}}}; {1, 1} -> {{{0.70710677, -0.70710677}}}"),
           As::given);
}

TEST(Microsoft, has_the_gradients_that_central_differences_say) {
  for (const Case& c : cases()) {
    std::vector<Tensor> in, given;
    for (const Tensor& t : c.example.in) in.push_back(t && t.dtype() == DType::f32 ? converted(t, DType::f64) : t);
    for (const Tensor& t : in)
      if (t && dtypes::floats.has(t.dtype())) given.push_back(t);
    Graph g = model(c, in, As::fixed);
    fold_constants(g, builtin_registry());  // sizes that masks are made of
    EXPECT_THAT(gradient_errors(g, given, builtin_registry()), testing::IsEmpty()) << c.text;
  }
}

// By hand: (1 + 1) Gelu(0.5 + 0.5), of Gelu(1) = 0.8413447. ONNX Runtime has no BiasSplitGelu for CPUs.
TEST(Microsoft, splits_for_gelu) {
  expect(read("com.microsoft::BiasSplitGelu: {{{1, -1, 0.5, 0}}}; {1, 0, 0.5, 0} -> {{{1.6826895, 0}}}"), As::given);
}

// A vector has nothing to transpose. Also numbers of ONNX Runtime.
TEST(Microsoft, products_of_vectors_ignore_that_they_are_transposed) {
  for (const auto* line :
       {"com.microsoft::FusedMatMul: {1.625, -1.25, 0.75}; {{-1.875, -0.625, 1.375}, {-1.875, 2, -1.625}}; transA=1; "
        "transB=1 -> {-1.234375, -6.765625}",
        "com.microsoft::FusedMatMul: {{-1.25, 0, 2}, {-1.25, -1.5, -1}}; {-0.625, 0.625, -1.5}; transB=1 -> "
        "{-2.21875, 1.34375}"})
    expect(read(line), As::given);
}

// 80,000 is no f16; an eighth of it is.
TEST(Microsoft, products_of_sixteen_bits_are_scaled_before_they_are_rounded) {
  expect(read("com.microsoft::FusedMatMul: f16{{200, 200}}; f16{{200}, {200}}; alpha=0.125 -> f16{{10000}}"),
         As::given);
  expect(read("com.microsoft::FusedMatMul: f16{{200, 200}}; f16{{200, 200}}; alpha=0.125; transB=1 -> f16{{10000}}"),
         As::symbolic);
}

TEST(Microsoft, what_it_does_not_know_it_names) {
  const std::string domain = "opset_import { domain: \"com.microsoft\" version: 1 }";
  const auto failure = [&](const std::string& node) {
    return failure_of_text(
               "node { domain: \"com.microsoft\" input: \"x\" output: \"y\" " + node +
                   "} input { name: \"x\" type { tensor_type { elem_type: 1 shape { dim { dim_value: 4 } } } } } "
                   "output { name: \"y\" }",
               domain)
        .text;
  };
  EXPECT_THAT(
      failure("op_type: \"MoE\""),
      testing::AllOf(testing::HasSubstr("no operator 'MoE' in domain 'com.microsoft'"),
                     testing::HasSubstr(
                         "com.microsoft has Attention, BiasGelu, BiasSplitGelu, EmbedLayerNormalization, FastGelu")));
  EXPECT_THAT(failure("op_type: \"QuickGelu\" attribute { name: \"beta\" i: 1 type: INT }"),
              testing::HasSubstr("QuickGelu has no attribute 'beta'"));
  EXPECT_THAT(failure("op_type: \"Attention\" input: \"x\" attribute { name: \"num_heads\" i: 1 type: INT } "
                      "attribute { name: \"do_rotary\" i: 1 type: INT }"),
              testing::HasSubstr("do_rotary is not supported"));
  EXPECT_THAT(failure("op_type: \"BiasGelu\""), testing::HasSubstr("BiasGelu needs input 'B'"));
}

}  // namespace
}  // namespace tessera
