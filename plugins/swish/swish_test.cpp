// Swish against its formula in f64, over the values where exp overflows and where it vanishes.
#include <gtest/gtest.h>

#include <cmath>

#include "runtime/op/evaluate.h"
#include "runtime/session/plugin_host.h"
#include "runtime/tensor/text.h"
#include "tests/support/central_difference.h"
#include "tests/support/compare.h"

namespace tessera {
namespace {

const Registry& registry() {
  static const Registry r = [] {
    const std::vector<std::string> names{"swish"};
    return registry_with(load_plugins(names));
  }();
  return r;
}

TEST(Swish, is_its_formula) {
  std::vector<double> x, expected;
  for (const double a : {0.0, 1e-6, 0.3, 1.0, 7.0, 50.0, 90.0, 800.0, 1e30})
    for (const double v : {a, -a}) {
      x.push_back(v);
      const double e = std::exp(-std::abs(0.7 * v));
      expected.push_back(v >= 0 ? v / (1 + e) : v * e / (1 + e));
    }
  const auto n = std::ssize(x);
  for (const DType t : {DType::f32, DType::f64}) {
    const Tensor in = converted(Tensor::of<double>({n}, x), t);
    const Tensor* given[] = {&in};
    const auto y = evaluate(registry().at("com.example::Swish"), {{"beta", 0.7f}}, given, 1);
    EXPECT_TRUE(close(y[0], converted(Tensor::of<double>({n}, expected), t)));
  }
}

TEST(Swish, has_the_gradient_that_central_differences_say) {
  const Tensor x = tensor_from_text("f64{{-3, -0.4, 0}, {0.2, 1.1, 4}}");
  for (const float beta : {1.0f, -0.5f, 3.0f, 0.0f})
    for (const auto& error :
         gradient_errors(registry().at("com.example::Swish"), {{"beta", beta}}, {x}, {true}, {}, registry()))
      ADD_FAILURE() << "beta " << beta << ": " << error;
}

}  // namespace
}  // namespace tessera
