#include "runtime/policy/grid.h"

#include "runtime/base/nearest.h"

namespace tessera {

std::vector<std::int64_t> grid_of(const Policy& policy, const Graph& g) {
  if (!policy.grid) return {};
  const GridSpec& spec = *policy.grid;
  if (!spec.sizes.empty()) return spec.sizes;
  std::vector<std::string> names;
  const Value* input = nullptr;
  for (const auto& i : g.inputs) {
    names.push_back(g.at(i.value).name);
    if (names.back() == spec.input) input = &g.at(i.value);
  }
  if (!input)
    policy_error(policy.path, spec.at, "grid: the model has no input '", spec.input, "'",
                 did_you_mean(spec.input, names));
  const Shape& shape = *input->shape;
  std::vector<std::int64_t> grid;
  for (std::size_t i = 0; i < spec.axes.size(); ++i) {
    const auto axis = spec.axes[i], patch = spec.patch[i];
    if (axis >= shape.rank())
      policy_error(policy.path, spec.at, "grid: input '", spec.input, "' ", shape, " has no axis ", axis);
    const std::int64_t size = shape[static_cast<int>(axis)];
    if (size == 0 || size % patch != 0)
      policy_error(policy.path, spec.at, "grid: axis ", axis, " of input '", spec.input, "' has ", size,
                   " elements, which a patch of ", patch, " does not divide");
    grid.push_back(size / patch);
  }
  return grid;
}

}  // namespace tessera
