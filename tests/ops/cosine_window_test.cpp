// The windows of signals, where their examples do not reach: other element types, and what they refuse.
#include <gmock/gmock.h>

#include "runtime/op/evaluate.h"
#include "runtime/op/registry.h"
#include "runtime/tensor/text.h"

namespace tessera {
namespace {

Tensor window(const std::string& op, const Tensor& size, DType type, std::int64_t periodic = 1) {
  const Attributes attributes{{"output_datatype", static_cast<std::int64_t>(type)}, {"periodic", periodic}};
  return evaluate(builtin_registry().at(op), attributes, {{&size}}, 1)[0];
}

std::string refusal(const Tensor& size, DType type) {
  try {
    window("HannWindow", size, type);
  } catch (const Error& e) {
    return e.what();
  }
  return "none";
}

TEST(CosineWindows, come_in_every_numeric_type) {
  const Tensor five = Tensor::scalar(std::int64_t{5});
  EXPECT_EQ(to_text(window("HannWindow", five, DType::f16, 0)), "f16{0, 0.5, 1, 0.5, 0}");
  // Truncated, as Cast does; the middle is a whole 1.
  for (const auto* op : {"HannWindow", "HammingWindow", "BlackmanWindow"}) {
    EXPECT_EQ(to_text(window(op, five, DType::i32, 0)), "i32{0, 0, 1, 0, 0}") << op;
    EXPECT_EQ(to_text(window(op, five, DType::u8, 0)), "u8{0, 0, 1, 0, 0}") << op;
  }
}

TEST(CosineWindows, are_periodic_or_symmetric) {
  const Tensor whole = window("BlackmanWindow", Tensor::scalar(std::int64_t{5001}), DType::f32, 0);
  const Tensor open = window("BlackmanWindow", Tensor::scalar(std::int64_t{5000}), DType::f32, 1);
  const auto w = whole.read<float>(), o = open.read<float>();
  for (std::size_t n = 0; n < o.size(); ++n) {
    ASSERT_EQ(o[n], w[n]) << n;
    ASSERT_NEAR(w[n], w[5000 - n], 1e-6) << n;
  }
}

TEST(CosineWindows, refuse_sizes_and_types_that_are_none) {
  EXPECT_THAT(refusal(Tensor::scalar(std::int64_t{-2}), DType::f32), testing::HasSubstr("size is -2"));
  EXPECT_THAT(refusal(tensor_from_text("i64{1, 2}"), DType::f32),
              testing::HasSubstr("size must be a scalar, got shape [2]"));
  EXPECT_THAT(refusal(Tensor::scalar(std::int64_t{3}), DType{99}), testing::HasSubstr("which is no element type"));
  for (const DType none : {DType::boolean, DType::string, DType::complex64})
    EXPECT_THAT(refusal(Tensor::scalar(std::int64_t{3}), none), testing::HasSubstr("which is no numeric type"));
}

}  // namespace
}  // namespace tessera
