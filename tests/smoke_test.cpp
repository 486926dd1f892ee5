#include <gtest/gtest.h>

#include "runtime/op/evaluate.h"
#include "runtime/op/registry.h"
#include "runtime/tensor/text.h"

namespace tessera {
TEST(Evaluate, add_broadcasts) {
  const Tensor a = tensor_from_text("{{1}, {2}}"), b = tensor_from_text("{10, 20}");
  const Tensor* in[] = {&a, &b};
  EXPECT_EQ(to_text(evaluate(builtin_registry().at("Add"), {}, in, 1)[0]), "f32{{11, 21}, {12, 22}}");
}
}  // namespace tessera
