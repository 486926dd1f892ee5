// The global pools as models have them: of known and of symbolic dims, which
// import writes as reductions.
#include <gmock/gmock.h>

#include "runtime/tensor/text.h"
#include "runtime/train/differentiate.h"
#include "tests/support/central_difference.h"
#include "tests/support/compare.h"
#include "tests/support/interpret.h"
#include "tests/support/model_text.h"

namespace tessera {
namespace {

Graph model(const std::string& op, const Tensor& x, bool symbolic) {
  return load_text(concat("node { op_type: \"", op, "\" input: \"x\" output: \"y\" } output { name: \"y\" } ",
                          input_text("x", x, [&](int axis) { return symbolic ? concat("n", axis) : std::string(); })));
}

void expect(const std::string& op, const Tensor& x, const std::string& y) {
  for (const bool symbolic : {false, true}) {
    const auto out = interpret(model(op, x, symbolic), std::map<std::string, Tensor>{{"x", x}});
    EXPECT_TRUE(close(out.at("y"), tensor_from_text(y))) << op << (symbolic ? " symbolic" : "");
  }
}

TEST(GlobalPool, takes_all_positions_of_a_channel) {
  const Tensor image = tensor_from_text("{{{{1, 2, 3}, {4, 5, 9}}, {{-1, -2, -3}, {-4, -5, -9}}}}");
  expect("GlobalAveragePool", image, "{{{{4}}, {{-4}}}}");
  expect("GlobalMaxPool", image, "{{{{9}}, {{-1}}}}");
  expect("GlobalAveragePool", image.reshaped({2, 1, 6}), "{{{4}}, {{-4}}}");
  expect("GlobalMaxPool", image.reshaped({2, 1, 1, 3, 2}), "{{{{{9}}}}, {{{{-1}}}}}");
}

TEST(GlobalPool, without_positions_changes_nothing) {
  expect("GlobalAveragePool", tensor_from_text("{{1, 2}}"), "{{1, 2}}");
  expect("GlobalMaxPool", tensor_from_text("{{1, 2}}"), "{{1, 2}}");
}

TEST(GlobalPool, has_the_gradient_that_central_differences_say) {
  const Tensor x = tensor_from_text("f64{{{1, 2, 4}, {3, 5, 9}}}");
  for (const auto op : {"GlobalAveragePool", "GlobalMaxPool"})
    EXPECT_THAT(gradient_errors(model(op, x, false), {x}, builtin_registry()), testing::IsEmpty()) << op;
}

// In f16 the number of positions is infinite.
TEST(GlobalPool, of_many_positions_has_a_gradient_in_f16) {
  const Tensor x = Tensor::zeros(DType::f16, {1, 1, 256, 280});
  for (const auto op : {"GlobalAveragePool", "GlobalMaxPool"}) {
    const auto d = differentiate(model(op, x, false), "y", {"x"}, builtin_registry());
    const auto dx = doubles(interpret(d.graph, std::map<std::string, Tensor>{{"x", x}}).at("d.x"));
    EXPECT_NEAR(dx.front(), 1 / 71680.0, 1e-7) << op;
    EXPECT_NEAR(dx.back(), 1 / 71680.0, 1e-7) << op;
  }
}

}  // namespace
}  // namespace tessera
