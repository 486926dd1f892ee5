#include <cmath>

#include "runtime/op/evaluate.h"
#include "runtime/op/example.h"

namespace tessera {
namespace {

constexpr double tolerance = 1e-4;  // absolute or relative, of examples written with a few digits

// What differs, or nothing.
std::string difference(const Tensor& got, const Tensor& expected) {
  if (got.dtype() != expected.dtype() || got.shape() != expected.shape())
    return concat("is ", got.dtype(), got.shape(), ", the example says ", expected.dtype(), expected.shape());
  const auto a = doubles(got), b = doubles(expected);
  for (std::size_t i = 0; i < a.size(); ++i) {
    const bool same = a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]));
    if (!same && !(std::abs(a[i] - b[i]) <= tolerance * std::max(1.0, std::abs(b[i]))))
      return concat("has ", a[i], " at element ", i, ", the example says ", b[i]);
  }
  return {};
}

void run_example(const OpDef& op, std::string_view text, std::vector<std::string>& failures) {
  try {
    const Example e = parse_example(op, text);
    std::vector<const Tensor*> in;
    for (const auto& t : e.in) in.push_back(t ? &t : nullptr);
    const auto out = evaluate(op, e.attributes, in, static_cast<int>(e.out.size()));
    for (std::size_t i = 0; i < e.out.size(); ++i)
      if (const auto found = e.out[i] ? difference(out[i], e.out[i]) : std::string(); !found.empty())
        failures.push_back(concat(op.name, ": example \"", text, "\": output ", i, " ", found));
  } catch (const Error& e) {
    failures.push_back(concat(op.name, ": example \"", text, "\": ", e.what()));
  }
}

}  // namespace

std::vector<std::string> failing_examples(const OpDef& op) {
  std::vector<std::string> failures;
  for (const auto example : op.examples) run_example(op, example, failures);
  return failures;
}

}  // namespace tessera
