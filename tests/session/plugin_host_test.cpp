#include "runtime/session/plugin_host.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>
#include <functional>

#include "runtime/load/load.h"
#include "runtime/load/save.h"
#include "runtime/op/evaluate.h"
#include "runtime/pass/pass.h"
#include "runtime/session/plugin_host/nan_scan.h"
#include "runtime/session/plugin_host/search_path.h"
#include "runtime/train/differentiate.h"
#include "tests/support/compare.h"
#include "tests/support/interpret.h"
#include "tests/support/model_text.h"
#include "tests/support/runner.h"
#include "tests/support/scratch_folder.h"
#include "tests/support/small_graph.h"

namespace tessera {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::SizeIs;

const std::string witness = TESSERA_TEST_PLUGINS "/host_witness.so",
                  full_methods = TESSERA_TEST_PLUGINS "/full_methods.so";

Registry test_registry() {
  const std::vector<std::string> both{witness, full_methods};
  return registry_with(load_plugins(both));
}

std::string message_of(const std::function<void()>& f, Code code = Code::plugin) {
  try {
    f();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), code) << e.what();
    return e.what();
  }
  return "no error";
}

TEST(PluginPath, of_every_plugin_of_the_tree) {
  for (const auto& file : plugin_files()) EXPECT_NO_THROW(load_plugin(file)) << file;
  EXPECT_THAT(plugin_files(), Contains(EndsWith("plugins/swish.so")));
}

TEST(PluginPath, searches_the_callers_folders_then_the_environments) {
  const ScratchFolder mine, theirs;
  const std::string first = mine.write("gelu.so", ""), second = theirs.write("gelu.so", ""),
                    other = theirs.write("other.so", "");
  ::setenv("TESSERA_PLUGIN_PATH", ("/nowhere::" + theirs.path().string()).c_str(), 1);
  const std::vector<std::string> folders{mine.path().string()};
  EXPECT_EQ(find_plugin("gelu", folders), first);
  EXPECT_EQ(find_plugin("gelu"), second);
  EXPECT_EQ(find_plugin("other", folders), other);
  EXPECT_EQ(find_plugin("gelu.so", folders), first) << "a relative path";
  EXPECT_THAT(plugin_files(folders), Contains(first));
  EXPECT_THAT(plugin_files(folders), testing::Not(Contains(second)));
  EXPECT_THAT(message_of([&] { find_plugin("gelo", folders); }), HasSubstr("did you mean 'gelu'"));
  EXPECT_THAT(message_of([&] { find_plugin("gelo", folders); }), HasSubstr(theirs.path().string()));
  ::unsetenv("TESSERA_PLUGIN_PATH");
}

TEST(PluginHost, loads_a_library_once_whatever_leads_to_it) {
  const ScratchFolder folder;
  std::filesystem::create_symlink(witness, folder.path() / "link.so");
  const Plugin& direct = load_plugin(witness);
  EXPECT_EQ(&load_plugin(folder.at("link.so")), &direct);
  EXPECT_EQ(direct.name, "host_witness");
  EXPECT_THAT(direct.ops, SizeIs(5));
  EXPECT_THAT(loaded_plugins(), Contains(&direct));
  EXPECT_EQ(plugin_of(*direct.ops[0]), &direct);
  EXPECT_EQ(plugin_of(builtin_registry().at("Add")), nullptr);
  // A copy is another library with the same operators.
  std::filesystem::copy(witness, folder.path() / "copy.so");
  EXPECT_THAT(message_of([&] { load_plugin(folder.at("copy.so")); }),
              HasSubstr("'witness::Lease' is brought by plugin 'host_witness'"));
}

TEST(PluginHost, hands_attributes_over_with_their_defaults) {
  const Registry registry = test_registry();
  const OpDef& op = registry.at("witness::Attributes");
  const Tensor x = tensor_from_text("0");
  const Tensor* in[] = {&x};
  const auto seen = [&](const Attributes& a) { return to_text(evaluate(op, a, in, 1)[0]); };
  EXPECT_EQ(seen({}), "f32{0.5, 3, 3, -1}");
  EXPECT_EQ(seen({{"real", 0.25f},
                  {"integer", std::int64_t{-5}},
                  {"list", std::vector<std::int64_t>{4, 5, 6}},
                  {"text", std::string("abc")}}),
            "f32{0.25, -5, 15, 3}");
  const auto refused = [&](const Attributes& a) { return message_of([&] { seen(a); }, Code::bad_input); };
  EXPECT_THAT(refused({{"real", 1.5f}}), HasSubstr("'real' must be a number from 0 to 1, got 1.5"));
  EXPECT_THAT(refused({{"list", std::vector<std::int64_t>{1, 10}}}), HasSubstr("from 0 to 9"));
  EXPECT_THAT(refused({{"text", std::string("b")}}), HasSubstr("must be ab or abc"));
  EXPECT_THAT(refused({{"raal", 1.0f}}), HasSubstr("did you mean 'real'"));
  EXPECT_THAT(refused({{"real", std::int64_t{1}}}), HasSubstr("must be float, got int"));
}

TEST(PluginHost, hands_optional_and_variadic_inputs_over) {
  const Registry registry = test_registry();
  const OpDef& op = registry.at("witness::Ports");
  const Tensor a = tensor_from_text("{1, 1}"), b = tensor_from_text("{20}"), c = tensor_from_text("{300}");
  const auto seen = [&](std::vector<const Tensor*> in, int outputs) {
    return to_text(evaluate(op, {}, in, outputs)[0]);
  };
  EXPECT_EQ(seen({&a}, 1), "f32{1, 1, 0, 0}");
  EXPECT_EQ(seen({&a, nullptr, &c}, 2), "f32{2, 301, 0, 1}");
  EXPECT_EQ(seen({&a, &b, &c, &c}, 1), "f32{4, 621, 1, 0}");
}

// B as large as the model makes it: what enlarges it stays.
TEST(PluginHost, hands_over_the_inputs_that_the_model_has) {
  const Registry registry = test_registry();
  Graph g = load_text(R"(node { op_type: "Expand" input: "b" input: "shape" output: "large" }
    node { op_type: "Pair" domain: "witness" input: "a" input: "large" output: "y" }
    initializer { name: "shape" data_type: 7 dims: 2 int64_data: [2, 3] } output { name: "y" })" +
                          input_text("a", Tensor::zeros(DType::f32, {2, 3})) +
                          input_text("b", Tensor::zeros(DType::f32, {3})),
                      R"(opset_import { domain: "witness" version: 1 })", 17, registry);
  for (const PassDef* pass : simplify_passes()) EXPECT_EQ(run_pass(*pass, g, registry, {}).rewrites, 0) << pass->name;
}

TEST(PluginHost, gives_zeros_for_gradients_of_outputs_that_are_left_out) {
  const Registry registry = test_registry();
  Graph g;
  GraphBuilder b(g, registry);
  b.output("y", b.node("witness::Twice", {b.input("x", DType::f32, SymbolicShape{{2, {}}})}));
  const Gradients d = differentiate(g, "y", {"x"}, registry);
  const auto out = interpret(d.graph, {{"x", tensor_from_text("{1, 2}")}, {"d.y", tensor_from_text("{10, 20}")}});
  EXPECT_EQ(to_text(out.at("d.x")), "f32{10, 20}");
}

TEST(PluginHost, shows_what_plugins_log_when_asked) {
  const ScratchFolder folder;
  const auto model = [&](const char* version) {
    return folder.write("m.textproto",
                        model_text(R"(node { op_type: "Twice" domain: "witness" input: "x" output: "y" }
      output { name: "y" })" + input_text("x", Tensor::zeros(DType::f32, {2})),
                                   concat(R"(opset_import { domain: "witness" version: )", version, "}")));
  };
  const std::vector<std::string> run{"run", model("2"), "--plugin", witness, "--input", "x=zeros"};
  EXPECT_EQ(tessera_cli(run).err, "");
  EXPECT_EQ(tessera_cli(run, {"TESSERA_LOG=info"}).err, "tessera: twice is asked for\n");
  model("1");
  const Ran older = tessera_cli(run);
  EXPECT_EQ(older.code, 3);
  EXPECT_THAT(older.err, HasSubstr("Twice is in witness from version 2 on; the model imports version 1"));
}

Tensor waves(const Shape& shape, DType type, double phase) {
  std::vector<double> values(static_cast<std::size_t>(count(shape)));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = 2 * std::sin(phase + 1.7 * static_cast<double>(i));
  return converted(Tensor::of<double>(shape, values), type);
}

// Query heads share key heads; Lk is not Lq; no size is a multiple of another.
struct Operands {
  explicit Operands(DType t)
      : q(waves({2, 4, 11, 8}, t, 1)),
        k(waves({2, 2, 17, 8}, t, 2)),
        v(waves({2, 2, 17, 6}, t, 3)),
        dy(waves({2, 4, 11, 6}, t, 4)) {}
  Tensor q, k, v, dy;
};

TEST(FullMethod, gives_what_dense_attention_gives_through_every_kernel_of_the_host) {
  const Registry registry = test_registry();
  for (const DType t : {DType::f32, DType::f64}) {
    const Operands o(t);
    const Tensor* in[] = {&o.q, &o.k, &o.v};
    const auto dense = evaluate(registry.at("tessera.attention::dense"), {}, in, 5);
    const std::vector<const Tensor*> back{&o.q,    &o.k,      &o.v,      nullptr, nullptr, nullptr,
                                          nullptr, &dense[0], &dense[4], &o.dy,   nullptr};
    std::vector<Tensor> expected;
    for (const char* name : {"test_dense", "test_all_keys", "test_in_two_parts"}) {
      if (t == DType::f64 && std::string_view(name) == "test_in_two_parts") continue;
      SCOPED_TRACE(concat(name, " ", tessera::name(t)));
      const auto qualified = concat("tessera.attention::", name);
      const auto got = evaluate(registry.at(qualified), {}, in, 5);
      EXPECT_TRUE(close(got[0], dense[0])) << "Y";
      EXPECT_TRUE(close(got[4], dense[4])) << "lse";
      if (!find_method(name)->backward) continue;
      const auto gradients = evaluate(registry.at(qualified + "Grad"), {}, back, 3);
      if (expected.empty()) expected = gradients;
      for (int i = 0; i < 3; ++i)
        EXPECT_TRUE(close(gradients[static_cast<std::size_t>(i)], expected[static_cast<std::size_t>(i)])) << i;
    }
  }
}

TEST(FullMethod, attends_by_tiles) {
  const Registry registry = test_registry();
  const Tensor q = waves({1, 2, 13, 8}, DType::f64, 1), k = waves({1, 2, 13, 8}, DType::f64, 2),
               v = waves({1, 2, 13, 8}, DType::f64, 3);
  const Tensor* in[] = {&q, &k, &v};
  const auto dense = evaluate(registry.at("tessera.attention::dense"), {}, in, 1);
  const auto tiles = evaluate(registry.at("tessera.attention::test_all_tiles"),
                              {{"grid", std::vector<std::int64_t>{13}}, {"tile", std::vector<std::int64_t>{4}}}, in, 1);
  EXPECT_TRUE(close(tiles[0], dense[0]));
}

TEST(FullMethod, reads_inputs_of_its_own) {
  const Registry registry = test_registry();
  const Operands o(DType::f64);
  const Tensor half = tensor_from_text("f64{0.5}"), one = tensor_from_text("f64{1}");
  const auto y = [&](const Tensor& factor) {
    const Tensor* in[] = {&o.q, &o.k, &o.v, nullptr, nullptr, nullptr, nullptr, &factor};
    return doubles(evaluate(registry.at("tessera.attention::test_scaled"), {}, in, 1)[0]);
  };
  const auto whole = y(one), halves = y(half);
  for (std::size_t i = 0; i < whole.size(); ++i) EXPECT_EQ(halves[i], whole[i] / 2);
}

// No queries, no batch: tensors without elements have no data.
TEST(FullMethod, has_gradients_without_queries_and_without_an_optional_input) {
  const Registry registry = test_registry();
  for (const Shape& size : {Shape{2, 2, 3, 4}, Shape{2, 2, 0, 4}, Shape{0, 2, 3, 4}}) {
    SCOPED_TRACE(concat(size));
    const Tensor q = waves(size, DType::f64, 1), kv = waves({size[0], 2, 5, 4}, DType::f64, 2);
    const Tensor* in[] = {&q, &kv, &kv};
    const auto y = evaluate(registry.at("tessera.attention::test_scaled"), {}, in, 5);
    const Tensor* back[] = {&q, &kv, &kv, nullptr, nullptr, nullptr, nullptr, nullptr, &y[0], &y[4], &y[0], nullptr};
    const auto d = evaluate(registry.at("tessera.attention::test_scaledGrad"), {}, back, 4);
    EXPECT_EQ(d[2].shape(), kv.shape());
    EXPECT_EQ(d[3].dtype(), DType::f64);
  }
}

TEST(SavedModel, names_the_plugins_it_needs) {
  const std::vector<std::string> names{"swish"};
  const Registry registry = registry_with(load_plugins(names));
  Graph g;
  GraphBuilder b(g, registry);
  const ValueId x = b.input("x", DType::f32, SymbolicShape{{2, {}}});
  b.output("y", b.node("com.example::Swish", {b.node("Relu", {x})}));
  record_plugins(g);
  EXPECT_EQ(g.metadata.at("tessera.plugin:com.example::Swish"), "swish 1.0");
  EXPECT_THAT(g.metadata, SizeIs(1));
  const ScratchFolder folder;
  save(g, folder.at("m.onnx"));
  EXPECT_NO_THROW(load(folder.at("m.onnx"), registry));
  const Failure f = failure_of(folder.at("m.onnx"));
  EXPECT_EQ(f.code, 3);
  EXPECT_THAT(f.text, HasSubstr("no operator 'Swish' in domain 'com.example'"));
  EXPECT_THAT(f.text, HasSubstr("plugin 'swish 1.0' brings it: give it with --plugin swish"));
}

TEST(NanScan, sees_every_type_and_every_place) {
  for (const DType t : {DType::f32, DType::f64, DType::f16, DType::bf16}) {
    SCOPED_TRACE(name(t));
    const auto with = [&](double x, std::size_t at) {
      std::vector<double> values(150'001, 1.5);
      values[at] = x;
      return converted(Tensor::of<double>({150'001}, values), t);
    };
    const double infinity = std::numeric_limits<double>::infinity();
    for (const std::size_t at : {0, 777, 150'000}) {
      EXPECT_TRUE(has_nan(with(std::nan(""), at)));
      EXPECT_TRUE(has_nan(with(-std::nan(""), at)));
      EXPECT_EQ(first_nan(with(std::nan(""), at)), static_cast<std::int64_t>(at));
      EXPECT_FALSE(all_finite(with(std::nan(""), at)));
      EXPECT_FALSE(has_nan(with(-infinity, at)));
      EXPECT_FALSE(all_finite(with(-infinity, at)));
      EXPECT_TRUE(all_finite(with(-3, at)));
    }
  }
  // [2, 3, 5, 4] in a buffer of wider rows, as [2, 5, 3 * 6].
  std::vector<float> buffer(2 * 5 * 18, std::nanf(""));
  const ScannedView view{DType::f32, buffer.data(), 2, 3, 5, 4, 5 * 18, 6, 18};
  for (std::int64_t b = 0; b < 2; ++b)
    for (std::int64_t h = 0; h < 3; ++h)
      for (std::int64_t r = 0; r < 5; ++r)
        for (std::int64_t i = 0; i < 4; ++i) buffer[static_cast<std::size_t>(b * 90 + h * 6 + r * 18 + i)] = 1;
  EXPECT_TRUE(all_finite(view)) << "what lies between its rows is not looked at";
  buffer.at(1 * 90 + 2 * 6 + 4 * 18 + 3) = std::nanf("");
  EXPECT_TRUE(has_nan(view));
  EXPECT_FALSE(has_nan(tensor_from_text("i64{1, 2}")));
  EXPECT_TRUE(all_finite(tensor_from_text("i64{1, 2}")));
  EXPECT_EQ(first_nan(tensor_from_text("i64{1}")), -1);
}

}  // namespace
}  // namespace tessera
