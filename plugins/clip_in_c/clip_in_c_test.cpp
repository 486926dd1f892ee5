#include <gtest/gtest.h>

#include "runtime/op/evaluate.h"
#include "runtime/session/plugin_host.h"
#include "runtime/session/session.h"
#include "runtime/train/differentiate.h"
#include "tests/support/interpret.h"
#include "tests/support/small_graph.h"

namespace tessera {
namespace {

const std::vector<std::string> clip{"clip_in_c"};

TEST(ClipInC, limits_many_elements_and_passes_gradients_inside) {
  const Registry registry = registry_with(load_plugins(clip));
  Graph g;
  GraphBuilder b(g, registry);
  const std::int64_t n = 100'003;
  const ValueId x = b.input("x", DType::f32, SymbolicShape{{n, {}}});
  b.output("y", b.nodes("com.example::ClipInC", {x}, {{"low", -1.0f}, {"high", 2.0f}}, 1)[0]);
  std::vector<float> values(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 9) - 4.5f;
  const Tensor in = Tensor::of<float>({n}, values), ones = Tensor::of<float>({n}, std::vector<float>(values.size(), 1));
  const auto joint = differentiate(g, "y", {"x"}, registry);
  Session session(joint.graph, {.plugins = clip});
  const auto out = session.run({{"x", in}, {joint.seed, ones}});
  const auto y = out.at("y").read<float>(), dx = out.at("d.x").read<float>();
  for (std::size_t i = 0; i < values.size(); ++i) {
    ASSERT_EQ(y[i], std::min(std::max(values[i], -1.0f), 2.0f)) << i;
    ASSERT_EQ(dx[i], values[i] > -1 && values[i] < 2 ? 1.0f : 0.0f) << i;
  }
}

TEST(ClipInC, refuses_an_empty_range_in_its_own_words) {
  const Registry registry = registry_with(load_plugins(clip));
  const Tensor x = tensor_from_text("{1}");
  const Tensor* in[] = {&x};
  try {
    evaluate(registry.at("com.example::ClipInC"), {{"low", 2.0f}, {"high", 1.0f}}, in, 1);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Code::plugin);
    EXPECT_EQ(e.message(), "low is above high");
  }
}

}  // namespace
}  // namespace tessera
