// What each pass says it makes of its examples is what it makes of them, and nothing is computed differently.
#include <gtest/gtest.h>

#include "tests/support/graph_notation.h"
#include "tests/support/rewritten.h"

namespace tessera {
namespace {

TEST(PassExamples, hold) {
  for (const PassDef* pass : all_passes()) {
    EXPECT_FALSE(pass->examples.empty()) << pass->name << " shows no example";
    for (const auto& example : pass->examples) {
      SCOPED_TRACE(concat(pass->name, ": ", example.before));
      const Graph before = graph_of(example.inputs, example.before);
      Graph after = before;
      EXPECT_TRUE(pass->run(after, builtin_registry()));
      verify(after);
      remove_dead_pass.run(after, builtin_registry());
      EXPECT_EQ(notation(after), notation(graph_of(example.inputs, example.after)));
      EXPECT_FALSE(pass->run(after, builtin_registry())) << "not idempotent";
      expect_same_outputs(after, before);
    }
  }
}

TEST(GraphNotation, writes_what_it_read) {
  const char* inputs = "x: f32[2x8], n: i64[], c: bool[1]";
  for (const char* text :
       {"Relu(x)", "x, Exp(x)", "Clip(x, _, f32 1)", "v0 = Exp(x); Mul(v0, Neg(v0))",
        "Softmax(x, axis=0), Neg(n), Not(c)", "v0, v1 = Split(x, axis=1, num_outputs=2); Concat(v1, v0, axis=-1)",
        "v0 = Exp(x); Relu(x)", "Reshape(x, i64{4, -1})"})
    EXPECT_EQ(notation(graph_of(inputs, text)), text);
  // A branch reads the names around it; in the graph they are inputs of the node.
  EXPECT_EQ(notation(graph_of("c: bool[], x: f32[2]", "If(c, then_branch={Relu(x)}, else_branch={x})")),
            "If(c, c, x, else_branch={x}, then_branch={Relu(x)})");
}

TEST(GraphNotation, says_where_it_stopped) {
  for (const char* text :
       {"Relu(y)", "Relu(x", "a = Relu(x) Exp(a)", "Relu(x))", "a = Relu(x); a = Exp(x); a", "Rleu(x)"})
    EXPECT_THROW(graph_of("x: f32[2]", text), Error) << text;
}

}  // namespace
}  // namespace tessera
