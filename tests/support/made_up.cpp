#include "tests/support/made_up.h"

#include <random>

namespace tessera {

Tensor made_up(DType t, const Shape& shape, unsigned seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<double> normal;
  std::vector<double> x(static_cast<std::size_t>(count(shape)));
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = dtypes::floats.has(t) ? normal(engine) : (i * 5 + seed) % 7 < 4;
  return converted(Tensor::of<double>(shape, x), t);
}

std::map<std::string, Tensor> made_up_inputs(const Graph& g) {
  std::map<std::string, Tensor> inputs;
  for (const auto& i : g.inputs) {
    const Value& v = g.at(i.value);
    inputs[v.name] = made_up(v.dtype, *v.shape, static_cast<unsigned>(inputs.size()) + 1);
  }
  return inputs;
}

}  // namespace tessera
