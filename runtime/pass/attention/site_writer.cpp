#include "runtime/pass/attention/site_writer.h"

#include <algorithm>

namespace tessera {
namespace {

using IntList = std::vector<std::int64_t>;

IntList inverse(const IntList& perm) {
  IntList out(perm.size());
  for (std::size_t i = 0; i < perm.size(); ++i) out[static_cast<std::size_t>(perm[i])] = static_cast<std::int64_t>(i);
  return out;
}

bool is_identity(const IntList& perm) { return std::is_sorted(perm.begin(), perm.end()); }

Shape permuted(const Shape& s, const IntList& perm) {
  Shape out;
  for (const auto p : perm) out.push_back(s[static_cast<std::size_t>(p)]);
  return out;
}

// The tensor that an operand lies in.
ValueId tensor_of(Edit& edit, ValueId operand, const Candidate& c) {
  if (c.copy.empty()) return c.view.base;
  if (c.cast != DType::undefined) operand = edit.cast(operand, c.cast);
  return is_identity(c.copy) ? operand : edit.node("Transpose", {operand}, {{"perm", c.copy}});
}

// Strides of axes of one element say nothing.
OperandView normal(OperandView v) {
  if (v.batch == 1) v.strides[0] = 0;
  if (v.heads == 1) v.strides[1] = 0;
  if (v.length == 1) v.strides[2] = 0;
  return v;
}

bool is_onnx_view(const OperandView& v, const Shape& s) {
  if (s.rank() == 4) return normal(v) == normal(onnx_view(s, 0, "", ""));
  return s.rank() == 3 && v.heads > 0 && s[2] % v.heads == 0 && normal(v) == normal(onnx_view(s, v.heads, "", ""));
}

// Attributes only where ONNX's own rules do not say the same.
void describe_operands(Attributes& attributes, const AttentionLayout& l, const Shape& q, const Shape& k, const Shape& v,
                       const Shape& y) {
  const bool plain = is_onnx_view(l.q, q) && is_onnx_view(l.k, k) && is_onnx_view(l.v, v) && q.rank() == k.rank() &&
                     q.rank() == v.rank();
  if (!plain) {
    attributes["q_view"] = numbers_of(normal(l.q));
    attributes["k_view"] = numbers_of(normal(l.k));
    attributes["v_view"] = numbers_of(normal(l.v));
  } else if (q.rank() == 3) {
    attributes["q_num_heads"] = l.q.heads;
    attributes["kv_num_heads"] = l.k.heads;
  }
  const int usual = plain ? q.rank() : 4;
  if (y.rank() == usual && is_onnx_view(l.y, y)) return;
  attributes["y_view"] = numbers_of(normal(l.y));
  attributes["y_shape"] = IntList(y.begin(), y.end());
}

}  // namespace

void write_site(Graph& g, Edit& edit, const Registry& registry, const AttentionLayout& l, const SiteNode& site) {
  const ValueId q = tensor_of(edit, site.q, *l.q_from), k = tensor_of(edit, site.k, *l.k_from),
                v = tensor_of(edit, site.v, *l.v_from);
  const ValueId wanted = l.y_to->view.base;
  const IntList& copy = l.y_to->copy;
  const Shape y_shape = copy.empty() ? *g.at(wanted).shape : permuted(*g.at(wanted).shape, copy);
  Attributes attributes = site.attributes;
  describe_operands(attributes, l, *edit.shape(q), *edit.shape(k), *edit.shape(v), y_shape);

  std::vector<ValueId> in{q, k, v};
  in.insert(in.end(), site.more_in.begin(), site.more_in.end());
  std::vector<std::string> names{concat(site.name, ".Y")};
  for (const ValueId o : site.outputs) names.push_back(o == ValueId::none ? "" : concat(g.at(o).name, ".of"));
  auto out = edit.add(registry.at("tessera.attention::dense"), site.name, in, attributes, names);
  g.nodes.back().scope = site.scope;
  ValueId y = edit.cast(out[0], g.at(wanted).dtype);
  if (!copy.empty()) y = edit.node("Transpose", {y}, {{"perm", inverse(copy)}});
  // Values keep the names they had.
  const auto stand_for = [&](ValueId old, ValueId by) {
    edit.replace(old, by);
    std::swap(g.at(old).name, g.at(by).name);
  };
  stand_for(wanted, y);
  for (std::size_t i = 0; i < site.outputs.size(); ++i)
    if (site.outputs[i] != ValueId::none) stand_for(site.outputs[i], out[i + 1]);
}

}  // namespace tessera
