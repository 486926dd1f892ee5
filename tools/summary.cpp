#include "tools/summary.h"

#include <fmt/format.h>
#include <algorithm>
#include <cmath>
#include <limits>

#include "tools/json.h"

namespace tessera {
namespace {

Json number(double x) {
  if (std::isnan(x)) return nullptr;  // there is none
  return std::isfinite(x) ? Json(x) : Json(readable_number(x));
}

// Of an element: integers have few digits, and all of them matter.
std::string element_text(double x, DType dtype) {
  return dtypes::floats.has(dtype) ? readable_number(x) : fmt::format("{:.0f}", x);
}

}  // namespace

Extent extent_of(const Tensor& t) {
  double low = std::numeric_limits<double>::infinity(), high = -low, sum = 0;
  std::int64_t nan = 0;
  with_type(AllTypes{}, t.dtype(), [&]<class T>(Type<T>) {
    for (const T element : t.read<T>()) {
      const double x = static_cast<double>(static_cast<Compute<T>>(element));
      if (x != x) {
        ++nan;
        continue;
      }
      low = std::min(low, x);
      high = std::max(high, x);
      sum += x;
    }
  });
  const std::int64_t numbers = t.size() - nan;
  if (numbers == 0) low = high = std::numeric_limits<double>::quiet_NaN();
  return {low, high, sum / static_cast<double>(numbers), nan};
}

std::int64_t parameter_count(const Graph& g) {
  std::int64_t n = 0;
  for (const auto& v : g.values)
    if (v.constant && dtypes::floats.has(v.dtype)) n += v.constant.size();
  return n;
}

std::size_t constant_bytes(const Graph& g) {
  std::size_t n = 0;
  for (const auto& v : g.values)
    if (v.constant) n += v.constant.bytes();
  return n;
}

std::string model_line(const std::string& path, const Graph& g) {
  return concat("model    ", path, "  opset ", g.opset, ", ", g.nodes.size(), " nodes, ",
                with_commas(parameter_count(g)), " parameters (",
                readable_bytes(static_cast<double>(constant_bytes(g))), ")\n");
}

Table values_table(const std::vector<PortInfo>& ports, const NamedTensors& values) {
  Table table{{"name", "type", "shape", "min", "max", "mean", "NaN"}, {}};
  for (const auto& port : ports) {
    const auto it = values.find(port.name);
    if (it == values.end()) continue;
    const Tensor& t = it->second;
    const Extent s = extent_of(t);
    const bool any = t.size() > s.nan;
    const auto text = [&](double x) { return any ? element_text(x, t.dtype()) : "-"; };
    table.rows.push_back({port.name, concat(t.dtype()), concat(t.shape()), text(s.min), text(s.max),
                          any ? readable_number(s.mean) : "-", concat(s.nan)});
  }
  return table;
}

Json values_json(const std::vector<PortInfo>& ports, const NamedTensors& values) {
  Json list = Json::array();
  for (const auto& port : ports) {
    const auto it = values.find(port.name);
    if (it == values.end()) continue;
    const Tensor& t = it->second;
    const Extent s = extent_of(t);
    list.push_back({{"name", port.name},
                    {"type", concat(t.dtype())},
                    {"shape", std::vector<std::int64_t>(t.shape().begin(), t.shape().end())},
                    {"min", number(s.min)},
                    {"max", number(s.max)},
                    {"mean", number(s.mean)},
                    {"nan", s.nan}});
  }
  return list;
}

}  // namespace tessera
