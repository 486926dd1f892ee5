#include "runtime/pass/find_attention.h"

#include <algorithm>
#include <cmath>

#include "ops/attention/geometry.h"
#include "runtime/graph/build.h"
#include "runtime/pass/attention/masks.h"
#include "runtime/pass/attention/probabilities.h"
#include "runtime/pass/attention/scores.h"
#include "runtime/pass/attention/site_writer.h"

namespace tessera {
namespace {

using Labels = std::vector<int>;

// Labels of a that are, or are not, in b.
Labels filtered(const Labels& a, const Labels& b, bool in) {
  Labels out;
  for (const int l : a)
    if (has_label(b, l) == in) out.push_back(l);
  return out;
}

bool any_empty(const Shape& s) { return std::find(s.begin(), s.end(), 0) != s.end(); }

class AttentionFinder {
 public:
  AttentionFinder(Graph& g, const Registry& registry)
      : g_(g), registry_(registry), edit_(g, registry), uses_(g), replaced_(g.values.size()) {}

  FoundAttention run() {
    const std::size_t nodes = g_.nodes.size();
    for (std::size_t n = 0; n < nodes; ++n) {
      const auto id = static_cast<NodeId>(n);
      const OpDef& op = *g_.at(id).op;
      if (!op.domain.empty()) continue;
      if (op.name == "Attention") rewrite_operator(id);
      if (op.name != "Softmax") continue;
      reason_.clear();
      if (!rewrite_softmax(id)) found_.missed.push_back({g_.at(id).name, reason_});
    }
    edit_.commit();
    return std::move(found_);
  }

 private:
  bool refuse(std::string text) {
    reason_ = std::move(text);
    return false;
  }
  std::string called(ValueId v) const { return concat("'", g_.at(v).name, "'"); }

  bool rewrite_softmax(NodeId id);
  bool take_scores(const LabelledProduct& p);
  bool take_values(const Probabilities& p);
  bool looks_like_weights(ValueId v, const Labels& labels, const Labels& others) const;
  void take_operands(const Scores& s, const Probabilities& p, DType softmax, SiteNode& site);
  void add_views(Operand& to, ValueId v, DType type, bool scalable) const;
  void add_copy(Operand& to, ValueId v, const Labels& inner, DType type) const;
  void add_results(ValueId y, const Shape& axes);
  void rewrite_operator(NodeId id);
  void write(const AttentionLayout& layout, const SiteNode& site, NodeId anchor);

  Graph& g_;
  const Registry& registry_;
  Edit edit_;
  const Uses uses_;
  std::vector<char> replaced_;  // by value: a node written here stands for it
  FoundAttention found_;
  std::string reason_;
  AttentionProducts products_;  // of the site at hand
  ValueId key_ = ValueId::none, query_ = ValueId::none, value_ = ValueId::none;
};

// Keys or values that are weights, without batch or heads in common with the other operand: a layer, no attention.
bool AttentionFinder::looks_like_weights(ValueId v, const Labels& labels, const Labels& others) const {
  if (!g_.is_constant(v)) return false;
  const Labels shared = filtered(labels, others, true);
  return shared.size() <= 1;
}

// Names the axes of q k: the last of the scores are keys; rows are the query's own.
bool AttentionFinder::take_scores(const LabelledProduct& p) {
  const std::string node = describe(g_.at(g_.at(p.out).producer));
  if (p.out_labels.empty()) return refuse(concat(node, " gives a single number"));
  const int column = p.out_labels.back();
  const bool key_right = has_label(p.right_labels, column);
  if (key_right == has_label(p.left_labels, column)) return refuse(concat(node, " has keys in both operands"));
  const Labels &q = key_right ? p.left_labels : p.right_labels, &k = key_right ? p.right_labels : p.left_labels;
  query_ = key_right ? p.left : p.right, key_ = key_right ? p.right : p.left;
  if (looks_like_weights(key_, k, q))
    return refuse(concat(node, " multiplies with the weights ", called(key_), ", not with keys"));
  products_ = {};
  products_.score_labels = p.out_labels;
  products_.sizes = p.sizes;
  products_.column = column;
  for (const int l : p.out_labels)
    if (l != column && !has_label(k, l)) products_.row = l;
  products_.depth = filtered(filtered(q, k, true), p.out_labels, false);
  if (products_.depth.empty()) return refuse(concat(node, " sums over nothing"));
  for (const Labels* own : {&q, &k})
    if (!filtered(filtered(*own, p.out_labels, false), own == &q ? k : q, false).empty())
      return refuse(concat(node, " sums over an axis of one operand"));
  products_.q.labels = q, products_.k.labels = k;
  return true;
}

// Names the axes of p v.
bool AttentionFinder::take_values(const Probabilities& found) {
  const LabelledProduct& p = found.product;
  const std::string node = describe(g_.at(g_.at(p.out).producer));
  const Labels &weights = found.left ? p.left_labels : p.right_labels, &v = found.left ? p.right_labels : p.left_labels;
  value_ = found.left ? p.right : p.left;
  const Labels sums = filtered(filtered(weights, v, true), p.out_labels, false);
  const Labels own = filtered(filtered(v, weights, false), p.out_labels, true);
  const Labels lost = filtered(filtered(v, weights, false), p.out_labels, false);
  if (sums.size() != 1 || own.size() > 1 || !lost.empty() ||
      !filtered(filtered(weights, v, false), p.out_labels, false).empty())
    return refuse(concat(node, " is no sum of values weighted by the probabilities"));
  if (looks_like_weights(value_, v, weights))
    return refuse(concat(node, " multiplies with the weights ", called(value_), ", not with values"));
  if (p.size(sums[0]) != products_.sizes[static_cast<std::size_t>(products_.column)])
    return refuse(concat(node, " sums over another axis than the keys"));
  products_.column2 = sums[0];
  products_.width = own.empty() ? -1 : own[0];
  products_.sizes2 = p.sizes;
  products_.p.labels = weights;
  products_.p.candidates = {{found.view}};
  products_.v.labels = v;
  products_.y.labels = p.out_labels;
  return true;
}

// Views of an operand in type `type`. v cannot be scaled: there is no place for it in the node.
void AttentionFinder::add_views(Operand& to, ValueId v, DType type, bool scalable) const {
  for (auto& view : views_of(g_, v, replaced_)) {
    if (g_.at(view.base).dtype != type || !std::isfinite(view.scale) || (!scalable && view.scale != 1)) continue;
    to.candidates.push_back({std::move(view)});
  }
}

// A copy with the labels of `inner` last, in this order, for what no view can say.
void AttentionFinder::add_copy(Operand& to, ValueId v, const Labels& inner, DType type) const {
  Candidate c;
  Labels order = filtered(to.labels, inner, false);
  for (const int l : inner)
    if (has_label(to.labels, l)) order.push_back(l);
  Shape shape;
  for (const int l : order) {
    c.copy.push_back(std::find(to.labels.begin(), to.labels.end(), l) - to.labels.begin());
    shape.push_back((*g_.at(v).shape)[static_cast<std::size_t>(c.copy.back())]);
  }
  if (g_.at(v).dtype != type) c.cast = type;
  const StridedView dense = dense_view(ValueId::none, shape);
  c.view.axes.resize(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) c.view.axes[static_cast<std::size_t>(c.copy[i])] = dense.axes[i];
  to.candidates.push_back(std::move(c));
}

// Where the result may be written: as late as Transposes and Reshapes go.
void AttentionFinder::add_results(ValueId y, const Shape& axes) {
  for (auto& view : results_of(g_, uses_, y, axes)) products_.y.candidates.push_back({std::move(view)});
}

// In the type of the result where q and k are there in it, else in the type of the scores; but a bias keeps its own: in
// f16, finfo.min of an f32 mask would be -inf.
void AttentionFinder::take_operands(const Scores& s, const Probabilities& p, DType softmax, SiteNode& site) {
  site.q = query_, site.k = key_, site.v = value_;
  const auto narrow = g_.at(p.product.out).dtype;
  const bool biased = s.masks.size() > 1 || (s.masks.size() == 1 && !s.masks[0].where);
  std::vector<DType> types{narrow, g_.at(s.product.out).dtype};
  if (biased && size_of(softmax) > size_of(narrow)) types = {softmax};
  DType chosen = types[0];
  for (const DType type : types) {
    chosen = type;
    products_.q.candidates.clear(), products_.k.candidates.clear();
    add_views(products_.q, query_, type, true);
    add_views(products_.k, key_, type, true);
    if (!products_.q.candidates.empty() && !products_.k.candidates.empty()) break;
  }
  add_views(products_.v, value_, chosen, false);
  const auto with = [](Labels a, int last) { return a.push_back(last), a; };
  Labels row;
  if (products_.row >= 0) row.push_back(products_.row);
  Labels q_inner = row, k_inner{products_.column};
  q_inner.insert(q_inner.end(), products_.depth.begin(), products_.depth.end());
  k_inner.insert(k_inner.end(), products_.depth.begin(), products_.depth.end());
  add_copy(products_.q, query_, q_inner, chosen);
  add_copy(products_.k, key_, k_inner, chosen);
  add_copy(products_.v, value_, with({products_.column2}, products_.width), chosen);

  const Shape& y = *g_.at(p.product.out).shape;
  add_results(p.product.out, y);
  if (products_.width >= 0) {
    add_copy(products_.y, p.product.out, {products_.width}, g_.at(p.product.out).dtype);
    products_.y.candidates.back().view.base = p.product.out;
  }
}

bool AttentionFinder::rewrite_softmax(NodeId id) {
  const Node& n = g_.at(id);
  const auto& shape = g_.at(n.in[0]).shape;
  if (!shape) return refuse(concat("the shape of ", called(n.in[0]), " is known only during the run"));
  const AttributeReader attr(n.op->attributes, n.attributes);
  const int axis = normal_axis(attr.integer("axis"), shape->rank());
  if (axis != shape->rank() - 1) return refuse(concat("it normalises axis ", axis, " of ", *shape, ", not the last"));
  if (any_empty(*shape)) return refuse(concat("its scores ", *shape, " are empty"));

  const auto scores = scores_of(g_, uses_, id, reason_);
  if (!scores || !take_scores(scores->product)) return false;
  const auto p = probabilities_of(g_, uses_, id, reason_);
  if (!p || !take_values(*p)) return false;
  for (const ValueId v : {query_, key_, value_})
    if (any_empty(*g_.at(v).shape)) return refuse(concat(called(v), " is empty"));
  SiteNode site{n.name, n.scope};
  take_operands(*scores, *p, g_.at(n.in[0]).dtype, site);
  const auto layout = solve_layout(products_, reason_);
  if (!layout) return false;
  if (!layout->rows_last && !scores->masks.empty())
    return refuse(concat("its scores ", *shape, " do not end in queries and keys, so its masks do not fit"));

  edit_.before(g_.at(p->product.out).producer);
  const MaskSizes sizes{layout->q.batch, layout->q.heads, layout->q.length, layout->k.length, g_.at(n.in[0]).dtype};
  const auto mask = site_mask(g_, edit_, scores->masks, sizes, reason_);
  if (!mask) return false;
  const double scale = scores->scale * layout->q_from->view.scale * layout->k_from->view.scale;
  auto& attributes = site.attributes;
  if (std::abs(scale * std::sqrt(static_cast<double>(layout->q.dim)) - 1) > 1e-7)
    attributes["scale"] = static_cast<float>(scale);
  if (scores->softcap > 0) attributes["softcap"] = static_cast<float>(scores->softcap);
  if (mask->causal) attributes["is_causal"] = std::int64_t{1};
  if (mask->hidden_score > -INFINITY)
    attributes["hidden_score"] =
        static_cast<float>(std::max(mask->hidden_score, static_cast<double>(std::numeric_limits<float>::lowest())));
  if (mask->causal || mask->mask != ValueId::none) attributes["hidden_values"] = std::string("multiply");
  if (p->guarded)
    attributes["undefined_rows"] = std::string("guarded");
  else if (mask->may_hide_all)
    attributes["undefined_rows"] = std::string("nan");
  site.more_in = {mask->mask, ValueId::none, ValueId::none, mask->lengths};
  write(*layout, site, g_.at(p->product.out).producer);
  return true;
}

// ONNX Attention: the same node already, but for the layouts around it.
void AttentionFinder::rewrite_operator(NodeId id) {
  const Node n = g_.at(id);
  for (const ValueId v : n.in)
    if (v != ValueId::none && (!g_.at(v).shape || any_empty(*g_.at(v).shape))) return;
  const AttributeReader attr(n.op->attributes, n.attributes);
  std::vector<const Shape*> in;
  for (const ValueId v : n.in) in.push_back(v == ValueId::none ? nullptr : &*g_.at(v).shape);
  const auto g = attention_geometry(attr, in);
  const bool flat = in[0]->rank() == 3;
  enum { batch, kv, group, row, column, depth, width };
  const std::int64_t b = g.shape.batch, h = g.shape.kv_heads, q_per_kv = g.shape.group();
  products_ = {};
  products_.sizes = {b, h, q_per_kv, g.q.length, g.k.length, g.q.dim, g.v.dim};
  products_.sizes2 = products_.sizes;
  products_.score_labels = {batch, kv, group, row, column};
  products_.depth = {depth};
  products_.row = row, products_.column = products_.column2 = column, products_.width = width;
  products_.kv_head = kv, products_.group = group;
  products_.p.labels = products_.score_labels;
  products_.p.candidates = {{dense_view(ValueId::none, {b, h, q_per_kv, g.q.length, g.k.length})}};
  const auto take = [&](Operand& to, ValueId v, Labels labels, bool scalable) {
    to.labels = std::move(labels);
    Shape axes;
    for (const int l : to.labels) axes.push_back(products_.sizes[static_cast<std::size_t>(l)]);
    add_views(to, v, g_.at(v).dtype, scalable);
    std::erase_if(to.candidates, [&](Candidate& c) { return !reshape(c.view, axes); });
    return axes;
  };
  // Keys that come from or go to a cache are not scaled on the way.
  const bool cached = n.in.size() > 4 || (n.out.size() > 1 && n.out[1] != ValueId::none);
  const auto labels = [&](bool query, int inner) {
    Labels l = flat ? Labels{batch, query ? row : column, kv} : Labels{batch, kv};
    if (query) l.push_back(group);
    if (!flat) l.push_back(query ? row : column);
    l.push_back(inner);
    return l;
  };
  take(products_.q, n.in[0], labels(true, depth), true);
  take(products_.k, n.in[1], labels(false, depth), !cached);
  take(products_.v, n.in[2], labels(false, width), false);
  products_.y.labels = labels(true, width);
  Shape axes;
  for (const int l : products_.y.labels) axes.push_back(products_.sizes[static_cast<std::size_t>(l)]);
  add_results(n.out[0], axes);
  std::string ignored;
  const auto layout = solve_layout(products_, ignored);
  if (!layout) return;
  SiteNode site{n.name, n.scope, n.in[0], n.in[1], n.in[2]};
  site.more_in.assign(n.in.begin() + 3, n.in.end());
  site.outputs.assign(n.out.begin() + 1, n.out.end());
  site.attributes = n.attributes;
  for (const char* name : {"q_num_heads", "kv_num_heads"}) site.attributes.erase(name);
  const double scaled = layout->q_from->view.scale * layout->k_from->view.scale;
  if (scaled != 1) site.attributes["scale"] = static_cast<float>(g.scale * scaled);
  write(*layout, site, id);
}

void AttentionFinder::write(const AttentionLayout& layout, const SiteNode& site, NodeId anchor) {
  edit_.before(anchor);
  const ValueId wanted = layout.y_to->view.base;
  write_site(g_, edit_, registry_, layout, site);
  replaced_[index(wanted)] = 1;
  ++found_.found;
  for (const ValueId v : site.outputs)
    if (v != ValueId::none) replaced_[index(v)] = 1;
}

}  // namespace

FoundAttention find_attention(Graph& g, const Registry& registry) { return AttentionFinder(g, registry).run(); }

const PassDef find_attention_pass{
    .name = "find_attention",
    .doc =
        "Writes every attention, decomposed or not, as one node tessera.attention::dense that reads its operands "
        "where they lie.",
    .source = "algebraic matching of softmax(scale q k + masks) v",
    .run = [](Graph& g, const Registry& registry) { return find_attention(g, registry).found; },
    .examples = {{"q, k, v: f32[1x2x4x8]",
                  "scores = MatMul(Mul(q, 0.125), Transpose(k, perm=[0, 1, 3, 2])); MatMul(Softmax(scores), v)",
                  "tessera.attention::dense(q, k, v, scale=0.125)"},
                 {"q, k, v: f32[1x4x16], mask: f32[1x1x4x4]",
                  "q4 = Transpose(Reshape(q, i64{0, 0, 2, 8}), perm=[0, 2, 1, 3]); "
                  "k4 = Transpose(Reshape(k, i64{0, 0, 2, 8}), perm=[0, 2, 3, 1]); "
                  "v4 = Transpose(Reshape(v, i64{0, 0, 2, 8}), perm=[0, 2, 1, 3]); "
                  "p = Softmax(Add(Div(MatMul(q4, k4), 2.828427), mask)); "
                  "Reshape(Transpose(MatMul(p, v4), perm=[0, 2, 1, 3]), i64{0, 0, 16})",
                  "tessera.attention::dense(q, k, v, mask, hidden_values=\"multiply\", kv_num_heads=2, q_num_heads=2, "
                  "undefined_rows=\"nan\")"}},
    .near_misses =
        [](const Graph& g) {
          Graph copy = g;
          return find_attention(copy, builtin_registry()).missed;
        },
};

}  // namespace tessera
