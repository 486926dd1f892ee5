#include "runtime/pass/sites.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "ops/attention/geometry.h"

namespace tessera {
namespace {

namespace at = attention_input;

bool is_site(const Node& n) { return n.op->domain == "tessera.attention" && !n.op->name.ends_with("Grad"); }

bool is_product(const Node& n) {
  return (n.op->name == "MatMul" || n.op->name == "Einsum" || n.op->name == "Gemm") && n.in.size() >= 2;
}

// Values that grow from constants alone, folded or not.
std::vector<char> fixed_values(const Graph& g) {
  std::vector<char> fixed(g.values.size());
  for (std::size_t v = 0; v < fixed.size(); ++v) fixed[v] = g.is_constant(static_cast<ValueId>(v));
  for (const auto& n : g.nodes) {
    const bool all =
        std::all_of(n.in.begin(), n.in.end(), [&](ValueId i) { return i == ValueId::none || fixed[index(i)]; });
    if (!all || n.in.empty() || n.op->random) continue;
    for (const ValueId v : n.out)
      if (v != ValueId::none) fixed[index(v)] = 1;
  }
  return fixed;
}

// Where the tokens of a value come from: back through everything that treats each token by itself, as far as the
// nearest attention. Of a node's operands the largest ones carry the tokens; smaller ones (rotary angles, modulation,
// masks) come along.
class Origins {
 public:
  explicit Origins(const Graph& g) : g_(g), fixed_(fixed_values(g)) {}

  // All values that v grows from, itself included.
  std::vector<char> of(ValueId v) const {
    std::vector<char> seen(g_.values.size());
    for (const ValueId i : way(v, {}, false)) seen[index(i)] = 1;
    return seen;
  }

  // Every way back from v meets a value of `common`. Ways that end in a cache do not count; with `beside`, neither does
  // what is multiplied with or added to something that comes from there, where no attention is behind it: rotary angles
  // and positions, as large as the tokens they are for.
  bool only_through(ValueId v, const std::vector<char>& common, bool beside) const {
    std::vector<ValueId> order = way(v, common, true);
    std::sort(order.begin(), order.end(), [&](ValueId a, ValueId b) { return g_.at(a).producer < g_.at(b).producer; });
    std::vector<Source> source(g_.values.size(), Source::other);
    for (const ValueId i : order) source[index(i)] = common[index(i)] ? Source::common : joined(i, source, beside);
    return source[index(v)] == Source::common;
  }

 private:
  enum class Source : char { common, plain, other };  // plain: inputs that no attention has seen

  // What v grows from, itself included; looks behind no value of `stop`.
  std::vector<ValueId> way(ValueId v, const std::vector<char>& stop, bool skip_caches) const {
    std::vector<ValueId> all{v};
    std::vector<char> seen(g_.values.size());
    seen[index(v)] = 1;
    for (std::size_t next = 0; next < all.size(); ++next) {
      if (!stop.empty() && stop[index(all[next])]) continue;
      for (const ValueId i : sources(all[next], skip_caches))
        if (!std::exchange(seen[index(i)], 1)) all.push_back(i);
    }
    return all;
  }

  Source joined(ValueId v, const std::vector<Source>& source, bool beside) const {
    const NodeId producer = g_.at(v).producer;
    const auto from = sources(v, true);
    if (from.empty()) return producer != NodeId::none && mixes_tokens(g_.at(producer)) ? Source::other : Source::plain;
    const auto has = [&](Source s) {
      return std::any_of(from.begin(), from.end(), [&](ValueId i) { return source[index(i)] == s; });
    };
    if (has(Source::other)) return Source::other;
    if (!has(Source::plain)) return Source::common;
    if (!has(Source::common)) return Source::plain;
    const auto op = g_.at(producer).op->name;
    return beside && (op == "Mul" || op == "Add") ? Source::common : Source::other;
  }

  // A right operand that is the same for all tokens: a constant, however it is spelled, or a matrix given as an input.
  bool is_weight(ValueId v) const {
    return fixed_[index(v)] || (g_.at(v).shape && g_.at(v).shape->rank() == 2 && is_input(v));
  }

  bool mixes_tokens(const Node& n) const {
    if (n.op->domain == "tessera.attention" || n.op->name == "Attention" || n.op->name == "Softmax") return true;
    return is_product(n) && !fixed_[index(n.in[0])] && !is_weight(n.in[1]);
  }

  bool carries(ValueId v) const {
    return v != ValueId::none && !fixed_[index(v)] && dtypes::floats.has(g_.at(v).dtype) && g_.at(v).shape;
  }

  std::vector<ValueId> sources(ValueId v, bool skip_caches) const {
    if (g_.at(v).producer == NodeId::none) return {};
    const Node& n = g_.at(g_.at(v).producer);
    if (mixes_tokens(n)) return {};
    std::vector<ValueId> from;
    std::int64_t largest = 0;
    for (const ValueId i : n.in) {
      if (!carries(i) || (is_product(n) && i == n.in[1] && is_weight(i))) continue;
      from.push_back(i), largest = std::max(largest, count(*g_.at(i).shape));
    }
    if (n.op->name != "Concat") {
      std::erase_if(from, [&](ValueId i) { return count(*g_.at(i).shape) < largest; });
    } else if (skip_caches && from.size() > 1) {
      auto fresh = from;
      std::erase_if(fresh, [&](ValueId i) { return is_input(i); });
      if (!fresh.empty()) return fresh;
    }
    return from;
  }

  // A graph input, seen through nodes that compute nothing.
  bool is_input(ValueId v) const {
    while (g_.at(v).producer != NodeId::none) {
      const Node& n = g_.at(g_.at(v).producer);
      const auto op = n.op->name;
      if (op != "Reshape" && op != "Transpose" && op != "Squeeze" && op != "Unsqueeze" && op != "Slice" &&
          op != "Gather" && op != "Split" && op != "Expand" && op != "Cast" && op != "Identity")
        return false;
      v = n.in[0];
    }
    return !g_.is_constant(v);
  }

  const Graph& g_;
  const std::vector<char> fixed_;
};

// One value, or several that are joined, which q, k and v all grow from and nothing else. Values are not told their
// place: v comes from there alone.
Role role_of(const Origins& origins, const Node& n) {
  std::vector<char> common = origins.of(n.in[at::q]);
  for (const int i : {at::k, at::v}) {
    const auto own = origins.of(n.in[static_cast<std::size_t>(i)]);
    for (std::size_t v = 0; v < common.size(); ++v) common[v] = common[v] && own[v];
  }
  if (std::find(common.begin(), common.end(), 1) == common.end()) return Role::cross;
  for (const int i : {at::q, at::k, at::v})
    if (!origins.only_through(n.in[static_cast<std::size_t>(i)], common, i != at::v)) return Role::cross;
  return Role::self;
}

std::vector<const Shape*> shapes_of(const Graph& g, const Node& n) {
  std::vector<const Shape*> shapes;
  for (const ValueId v : n.in) {
    check(v == ValueId::none || g.at(v).shape, "attention site '", n.name, "': the shape of '",
          v == ValueId::none ? "" : g.at(v).name, "' is known only during the run");
    shapes.push_back(v == ValueId::none ? nullptr : &*g.at(v).shape);
  }
  shapes.resize(std::min<std::size_t>(shapes.size(), at::nonpad_kv_seqlen + 1));
  return shapes;
}

ValueId input(const Node& n, int i) {
  return static_cast<std::size_t>(i) < n.in.size() ? n.in[static_cast<std::size_t>(i)] : ValueId::none;
}

// Lengths that leave out no key only say where a causal mask ends.
bool shortens(const Graph& g, ValueId lengths, std::int64_t keys) {
  if (lengths == ValueId::none) return false;
  if (!g.is_constant(lengths)) return true;
  const Shape n = integers(g.at(lengths).constant);
  return std::any_of(n.begin(), n.end(), [&](std::int64_t x) { return x < keys; });
}

MaskClass mask_of(const Graph& g, const Node& n, const AttentionGeometry& geometry) {
  const ValueId mask = input(n, at::mask);
  if (mask == ValueId::none) {
    if (shortens(g, input(n, at::nonpad_kv_seqlen), geometry.shape.kv_len)) return MaskClass::padding;
    return geometry.causal ? MaskClass::causal : MaskClass::none;
  }
  if (g.at(mask).dtype != DType::boolean) return MaskClass::bias;
  const Shape& s = *g.at(mask).shape;
  const bool heads_alike = s.size() < 3 || s[s.size() - 3] == 1, rows_alike = s.size() < 2 || s[s.size() - 2] == 1;
  return heads_alike && rows_alike ? MaskClass::padding : MaskClass::keep;
}

// "Softmax", "Softmax_12", "node_softmax_3", "m_MultiHeadAttention_9": a name that says the operator only.
bool names_operator(std::string part) {
  while (!part.empty() && std::isdigit(static_cast<unsigned char>(part.back()))) part.pop_back();
  if (part.ends_with('_') || part.ends_with('.')) part.pop_back();
  std::transform(part.begin(), part.end(), part.begin(), [](unsigned char c) { return std::tolower(c); });
  for (const char* op : {"softmax", "attention", "dense"})
    if (part.ends_with(op)) return true;
  return false;
}

std::string site_name(const std::string& node, std::size_t number) {
  std::string name = node.starts_with('/') ? node.substr(1) : node;
  std::replace(name.begin(), name.end(), '/', '.');
  const auto dot = name.rfind('.');
  const std::string last = dot == std::string::npos ? name : name.substr(dot + 1);
  if (names_operator(last)) name = dot == std::string::npos ? "" : name.substr(0, dot);
  return concat(name, name.empty() ? "" : ".", "attention.", number);
}

}  // namespace

std::string_view name(Role r) { return r == Role::self ? "self" : "cross"; }

std::string_view name(MaskClass m) {
  constexpr std::string_view names[] = {"none", "causal", "padding", "keep", "bias"};
  return names[static_cast<std::size_t>(m)];
}

std::vector<AttentionSite> attention_sites(const Graph& g) {
  std::vector<AttentionSite> sites;
  const Origins origins(g);
  int layers[2]{};
  for (std::size_t i = 0; i < g.nodes.size(); ++i) {
    const Node& n = g.nodes[i];
    if (!is_site(n)) continue;
    const auto geometry = attention_geometry(AttributeReader(n.op->attributes, n.attributes), shapes_of(g, n));
    const auto& s = geometry.shape;
    AttentionSite site;
    site.node = static_cast<NodeId>(i);
    site.name = site_name(n.name, sites.size());
    site.scope = n.scope;
    site.role = role_of(origins, n);
    site.layer = layers[static_cast<std::size_t>(site.role)]++;
    site.causal = geometry.causal;
    site.mask = mask_of(g, n, geometry);
    site.batch = s.batch, site.q_heads = s.q_heads, site.kv_heads = s.kv_heads;
    site.head_dim = s.qk_dim, site.v_dim = s.v_dim;
    site.tokens = s.q_len, site.keys = s.kv_len;
    sites.push_back(std::move(site));
  }
  return sites;
}

}  // namespace tessera
