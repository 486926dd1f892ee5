#include "tests/support/random_graph.h"

namespace tessera {

RandomGraph::RandomGraph(unsigned seed, const RandomGraphOptions& options) : options_(options), random_(seed) {
  for (int i = 0; i < options.inputs; ++i) pool_.push_back(small_.input(concat("x", i), {options.length << below(3)}));
  pool_.push_back(small_.build.constant(Tensor::zeros(DType::f32, {options.length}), "c"));
  for (int i = 0; i < options.nodes; ++i) step();
  for (int i = 0; i < options.outputs; ++i) small_.output(concat("y", i), pick());
  small_.output("all", all_unread());
  small_.output("again", small_.g.outputs[0].value);
  small_.output("last", pool_.back());
  if (below(2)) small_.output("input", pool_[0]);
  if (below(2)) small_.output("constant", pool_[static_cast<std::size_t>(options.inputs)]);
}

std::vector<Tensor> RandomGraph::inputs() {
  std::vector<Tensor> tensors;
  for (const auto& i : small_.g.inputs) {
    Tensor t(DType::f32, shape(i.value));
    for (auto& x : t.write<float>()) x = static_cast<float>(static_cast<int>(below(9)) - 4);
    tensors.push_back(std::move(t));
  }
  return tensors;
}

ValueId RandomGraph::same_size(ValueId v) {
  for (int tries = 0; tries < 8; ++tries)
    if (const ValueId other = pick(); shape(other) == shape(v)) return other;
  return v;
}

ValueId RandomGraph::pick() {
  const std::size_t recent = std::min<std::size_t>(pool_.size(), 24);
  return below(3) ? pool_[pool_.size() - 1 - below(recent)] : pool_[below(pool_.size())];
}

ValueId RandomGraph::all_unread() {
  const Uses uses(small_.g);
  std::vector<ValueId> firsts;
  for (const ValueId v : pool_)
    if (uses.count(v) == 0)
      firsts.push_back(
          small_.node("Gather", {small_.node("Reshape", {v, small_.build.ints({-1})}), small_.build.ints({0})}));
  if (firsts.empty()) return pool_.back();
  return small_.node("Concat", firsts, {{"axis", std::int64_t{0}}});
}

void RandomGraph::step() {
  const ValueId x = pick();
  switch (below(8)) {
    case 0:
      pool_.push_back(small_.node("Relu", {x}));
      break;
    case 1:
    case 2:
      pool_.push_back(small_.node("Add", {x, same_size(x)}));
      break;
    case 3:
      pool_.push_back(small_.node("Neg", {x}));
      break;
    case 4:
      pool_.push_back(small_.node(
          "Reshape", {x, small_.build.ints(shape(x).rank() == 1 ? std::initializer_list<std::int64_t>{2, -1}
                                                                : std::initializer_list<std::int64_t>{-1})}));
      break;
    case 5:
      if (const ValueId y = same_size(x); size(x) < 2 * options_.length && shape(x).rank() == 1)
        pool_.push_back(small_.node("Concat", {x, y}, {{"axis", std::int64_t{0}}}));
      break;
    case 6:
      if (shape(x).rank() == 1 && size(x) > options_.length)
        for (const ValueId half : small_.build.nodes("Split", {x}, {{"num_outputs", std::int64_t{2}}}, 2))
          pool_.push_back(half);
      break;
    default:
      if (shape(x).rank() == 2) pool_.push_back(small_.node("Transpose", {small_.node("Transpose", {x})}));
  }
}

}  // namespace tessera
