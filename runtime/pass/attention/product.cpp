#include "runtime/pass/attention/product.h"

#include <algorithm>

#include "ops/equation.h"

namespace tessera {
namespace {

bool distinct(const std::vector<int>& labels) {
  for (std::size_t i = 0; i < labels.size(); ++i)
    if (std::count(labels.begin(), labels.end(), labels[i]) > 1) return false;
  return true;
}

// Batch axes are 0, 1, ...; then rows, the axis summed over, columns.
std::optional<LabelledProduct> matrix_product(const Shape& a, const Shape& b, const Shape& out) {
  if (a.size() < 2 || b.size() < 2) return std::nullopt;
  LabelledProduct p;
  const int batch = out.rank() - 2, rows = batch, sum = batch + 1, columns = batch + 2;
  for (int i = 0; i < batch; ++i) {
    const auto axis = static_cast<std::size_t>(i);
    p.out_labels.push_back(i);
    p.sizes.push_back(out[axis]);
    if (i >= batch - (a.rank() - 2)) p.left_labels.push_back(i);
    if (i >= batch - (b.rank() - 2)) p.right_labels.push_back(i);
  }
  p.left_labels.insert(p.left_labels.end(), {rows, sum});
  p.right_labels.insert(p.right_labels.end(), {sum, columns});
  p.out_labels.insert(p.out_labels.end(), {rows, columns});
  p.sizes.insert(p.sizes.end(), {a[a.size() - 2], a[a.size() - 1], b[b.size() - 1]});
  return p;
}

LabelledProduct einsum(const Node& n, const Shape& a, const Shape& b) {
  const Equation e = parse_equation(std::get<std::string>(n.attributes.at("equation")), {a, b});
  LabelledProduct p;
  p.left_labels.assign(e.in[0].begin(), e.in[0].end());
  p.right_labels.assign(e.in[1].begin(), e.in[1].end());
  p.out_labels.assign(e.out.begin(), e.out.end());
  p.sizes = e.sizes;
  return p;
}

std::optional<LabelledProduct> gemm(const Node& n) {
  if (n.in.size() > 2 && n.in[2] != ValueId::none) return std::nullopt;
  const AttributeReader attr(n.op->attributes, n.attributes);
  LabelledProduct p;
  p.left_labels = {0, 1}, p.right_labels = {1, 2}, p.out_labels = {0, 2};
  if (attr.flag("transA")) std::swap(p.left_labels[0], p.left_labels[1]);
  if (attr.flag("transB")) std::swap(p.right_labels[0], p.right_labels[1]);
  p.factor = attr.real("alpha");
  return p;
}

}  // namespace

std::optional<LabelledProduct> product_at(const Graph& g, const Node& n) {
  if (!n.op->domain.empty() || n.in.size() < 2 || n.out.empty()) return std::nullopt;
  const auto op = n.op->name;
  if (op != "MatMul" && op != "Gemm" && (op != "Einsum" || n.in.size() != 2)) return std::nullopt;
  const auto &a = g.at(n.in[0]).shape, &b = g.at(n.in[1]).shape, &out = g.at(n.out[0]).shape;
  if (!a || !b || !out) return std::nullopt;
  auto p = op == "MatMul" ? matrix_product(*a, *b, *out) : op == "Einsum" ? einsum(n, *a, *b) : gemm(n);
  if (!p || !distinct(p->left_labels) || !distinct(p->right_labels)) return std::nullopt;
  p->left = n.in[0], p->right = n.in[1], p->out = n.out[0];
  if (op == "Gemm") {
    p->sizes.assign(3, 0);
    for (std::size_t i = 0; i < 2; ++i) {
      p->sizes[static_cast<std::size_t>(p->left_labels[i])] = (*a)[i];
      p->sizes[static_cast<std::size_t>(p->right_labels[i])] = (*b)[i];
    }
  }
  return p;
}

bool has_label(const std::vector<int>& labels, int label) {
  return std::find(labels.begin(), labels.end(), label) != labels.end();
}

Axis axis_of(const StridedView& view, const std::vector<int>& labels, int label, std::int64_t size) {
  const auto at = std::find(labels.begin(), labels.end(), label);
  if (at == labels.end()) return {{size, {0}}};
  Axis a = view.axes[static_cast<std::size_t>(at - labels.begin())];
  if (size_of(a) != size) return {{size, {0}}};
  return a;
}

}  // namespace tessera
