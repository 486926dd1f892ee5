#include "runtime/session/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/graph/build.h"
#include "runtime/tensor/text.h"

namespace tessera {
namespace {

using testing::HasSubstr;

// y = relu(x + w), x: [n, 2] f32
Graph small_model() {
  Graph g;
  GraphBuilder b(g, builtin_registry());
  const ValueId x = b.input("x", DType::f32, SymbolicShape{{-1, "n"}, {2, ""}});
  b.output("y", b.node("Relu", {b.node("Add", {x, b.constant(tensor_from_text("{-1, 1}"), "w")})}));
  return g;
}

std::string message_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

TEST(Session, runs_a_model) {
  Session session(small_model(), {});
  const auto out = session.run({{"x", tensor_from_text("{{0, 1}, {3, 4}}")}});
  EXPECT_EQ(to_text(out.at("y")), "f32{{0, 2}, {2, 5}}");
}

TEST(Session, says_what_is_wrong_with_inputs) {
  Session session(small_model(), {});
  const Tensor x = tensor_from_text("{{0, 1}}");
  EXPECT_THAT(message_of([&] { session.run({{"x", x}, {"xs", x}}); }), HasSubstr("no input 'xs'; did you mean 'x'"));
  EXPECT_THAT(message_of([&] { session.run({}); }), HasSubstr("input 'x' is not given\n  it is f32[nx2]"));
  EXPECT_THAT(message_of([&] {
                session.run({{"x", tensor_from_text("i64{{1, 2}}")}});
              }),
              HasSubstr("input 'x' must be f32, got i64"));
  EXPECT_THAT(message_of([&] { session.run({{"x", tensor_from_text("{{1, 2, 3}}")}}); }), HasSubstr("input 'x'"));
}

}  // namespace
}  // namespace tessera
