#pragma once
// Attention as exporters write it, for tests of the pass that finds it: inputs with fixed or named sizes, shapes
// computed as exporters compute them, and a comparison of the graph as written with the graph as rewritten.
#include <map>

#include "runtime/plan/specialise.h"
#include "tests/support/small_graph.h"

namespace tessera {

class ExportedAttention : public SmallGraph {
 public:
  using Ints = std::vector<std::int64_t>;
  // B, L (queries), M (keys); heads and sizes of heads are always known to exporters.
  static constexpr std::int64_t batch = 2, heads = 3, queries = 5, keys = 7, dim = 4, v_dim = 6;

  explicit ExportedAttention(bool dynamic = false) : dynamic(dynamic) {}

  // Sizes by letter: "B", "L" and "M" are symbols in a dynamic export; numbers stay numbers.
  ValueId sized_input(const std::string& name, const std::vector<std::string>& dims, DType t = DType::f32);
  // [B, L or M, heads * size] inputs q, k, v.
  void projections();
  ValueId q = ValueId::none, k = ValueId::none, v = ValueId::none;

  ValueId transpose(ValueId x, Ints perm) { return node("Transpose", {x}, {{"perm", std::move(perm)}}); }
  ValueId reshape(ValueId x, Ints shape) { return node("Reshape", {x, build.ints(shape)}); }
  // [B, L, H*D] -> [B, L, H, D], the shape computed from x where the export is dynamic.
  ValueId split_heads(ValueId x, std::int64_t n = heads);
  // The first two dims of x, then the rest in one.
  ValueId flatten_heads(ValueId x);
  ValueId to_heads(ValueId x) { return transpose(split_heads(x), {0, 2, 1, 3}); }  // [B, H, L, D]
  ValueId from_heads(ValueId y) { return flatten_heads(transpose(y, {0, 2, 1, 3})); }
  ValueId scalar(double x) { return build.constant(Tensor::scalar(DType::f32, x)); }
  ValueId scaled(ValueId x, double c) { return node("Mul", {x, scalar(c)}); }
  ValueId softmax(ValueId s) { return named("blocks.0/attn/Softmax", "Softmax", {s}, {{"axis", std::int64_t{-1}}}); }
  ValueId dim_of(ValueId x, std::int64_t axis);  // an i64 scalar computed from the shape of x
  ValueId dims(std::vector<ValueId> scalars);    // as one i64 vector
  // q k^T of [B, H, L, D] operands.
  ValueId product(ValueId q4, ValueId k4) { return node("MatMul", {q4, transpose(k4, {0, 1, 3, 2})}); }

  const bool dynamic;
};

// The two forms of a graph, and inputs for them.
struct RewrittenAttention {
  explicit RewrittenAttention(const Graph& g);
  std::int64_t count(std::string_view op) const;  // nodes after the rewrite
  const Node& site() const;                       // the first tessera.attention::dense
  bool has(std::string_view attribute) const { return site().attributes.contains(std::string(attribute)); }
  std::string text(std::string_view attribute) const;
  // Empty when both give the same answers to 1e-5, and the rewritten one is valid.
  std::string difference() const;

  Graph plain, found;
  std::map<std::string, Tensor> inputs;  // normal numbers; integers 0 and 1; booleans
};

// Why the first Softmax became no site.
std::string reason_of_miss(const Graph& g);

}  // namespace tessera
