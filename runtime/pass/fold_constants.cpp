#include "runtime/op/evaluate.h"
#include "runtime/pass/passes.h"

namespace tessera {
namespace {

// What may be folded. All shape arithmetic is far below the first limit. Above it, only what does not grow (Cast or
// Transpose of a weight) is kept in memory once instead of computed in every run, up to the second: folding must not
// turn a small file into a large process, nor opening into a long computation. Views cost nothing at any size, and a
// weight that is cast to a narrower type (bf16 by a policy) takes less memory than the one it replaces.
constexpr std::size_t small = std::size_t{1} << 20, large = std::size_t{16} << 20;

class Fold {
 public:
  Fold(Graph& g, const Registry& registry, const Keep& keep) : g_(g), edit_(g, registry), kept_(g.values.size()) {
    if (keep.empty()) return;
    for (std::size_t v = 0; v < g.values.size(); ++v) kept_[v] = keep.contains(g.values[v].name);
  }

  int run() {
    for (std::size_t n = 0; n < g_.nodes.size(); ++n) {
      const auto id = static_cast<NodeId>(n);
      if (!shapes_known(g_.at(id))) infer_node(g_, id);
      if (foldable(g_.at(id))) evaluate_node(id);
    }
    edit_.commit();
    return folded_;
  }

 private:
  // Shapes once inferred stay true: bind_shapes forgets them when an input changes.
  bool shapes_known(const Node& n) const {
    for (const auto v : n.out)
      if (v != ValueId::none && !g_.at(v).shape) return false;
    return true;
  }

  bool foldable(const Node& n) const {
    if (n.op->random || !n.op->kernel) return false;
    for (const auto& [name, value] : n.attributes)
      if (type_of(value) == AttributeType::graph) return false;
    std::size_t read = 0, written = 0;
    for (const auto v : n.in) {
      if (v == ValueId::none) continue;
      if (n.op->shape_only && g_.at(v).shape) continue;
      if (!g_.is_constant(v) || kept_[index(v)]) return false;
      read += g_.at(v).constant.bytes();
    }
    for (const auto v : n.out) {
      if (v == ValueId::none) continue;
      if (kept_[index(v)]) return false;
      if (g_.at(v).shape) written += static_cast<std::size_t>(element_count(*g_.at(v).shape)) * size_of(g_.at(v).dtype);
    }
    // The results of a late operator (NonZero, ...) grow with its inputs.
    if (n.op->late) return read <= small;
    const bool narrower = n.op->name == "Cast" && n.op->domain.empty() && written < read;
    return written <= small || n.op->view || narrower || (written <= read && written <= large);
  }

  void evaluate_node(NodeId id) {
    const Node& n = g_.at(id);
    std::vector<Tensor> shapes(n.in.size());  // for shape_only: no elements behind them
    std::vector<const Tensor*> in;
    for (std::size_t i = 0; i < n.in.size(); ++i) {
      const ValueId v = n.in[i];
      if (v != ValueId::none && !g_.is_constant(v))
        shapes[i] = Tensor::borrow(g_.at(v).dtype, *g_.at(v).shape, nullptr);
      in.push_back(v == ValueId::none ? nullptr : g_.is_constant(v) ? &g_.at(v).constant : &shapes[i]);
    }
    try {
      auto out = evaluate(*n.op, n.attributes, in, static_cast<int>(n.out.size()));
      for (std::size_t i = 0; i < out.size(); ++i) {
        if (n.out[i] == ValueId::none) continue;
        Value& v = g_.at(n.out[i]);
        v.shape = out[i].shape();
        v.constant = std::move(out[i]);
        v.producer = NodeId::none;
      }
    } catch (Error& e) {
      throw e.in(describe(n));
    }
    edit_.erase(id);
    ++folded_;
  }

  Graph& g_;
  Edit edit_;
  std::vector<char> kept_;
  int folded_ = 0;
};

}  // namespace

int fold_constants(Graph& g, const Registry& registry, const Keep& keep) { return Fold(g, registry, keep).run(); }

const PassDef fold_constants_pass{
    .name = "fold_constants",
    .doc = "Finds the shapes of all values, and computes what depends on constants and shapes only, up to a size.",
    .source = "Wegman & Zadeck, TOPLAS 1991",
    .run = [](Graph& g, const Registry& registry) { return fold_constants(g, registry, {}); },
    .examples = {{"x: f32[2x3x4]", "Reshape(x, Concat(Gather(Shape(x), i64{0}), i64{-1}, axis=0))",
                  "Reshape(x, i64{2, -1})"}},
};

}  // namespace tessera
