#include "runtime/pass/sites.h"

#include <algorithm>
#include <cctype>

#include "ops/attention/geometry.h"

namespace tessera {
namespace {

namespace at = attention_input;

bool is_site(const Node& n) { return n.op->domain == "tessera.attention" && !n.op->name.ends_with("Grad"); }

bool mixes_tokens(const Graph& g, const Node& n) {
  if (n.op->domain == "tessera.attention" || n.op->name == "Attention" || n.op->name == "Softmax") return true;
  if (n.op->name != "MatMul" && n.op->name != "Einsum" && n.op->name != "Gemm") return false;
  return n.in.size() >= 2 && !g.is_constant(n.in[0]) && !g.is_constant(n.in[1]);
}

// Where the tokens of a value come from: back through everything that treats each token by itself, as far as the
// nearest attention. Of a node's operands the largest ones carry the tokens; smaller ones (rotary angles, modulation,
// masks) come along.
class Origins {
 public:
  explicit Origins(const Graph& g) : g_(g) {}

  // All values that v grows from, itself included.
  std::vector<char> of(ValueId v) const {
    std::vector<char> seen(g_.values.size());
    walk(v, seen, {}, false);
    return seen;
  }
  // Every way back from v meets a value of `common`; ways that end in a cache do not count.
  bool only_through(ValueId v, const std::vector<char>& common) const {
    std::vector<char> seen(g_.values.size());
    return walk(v, seen, common, true);
  }

 private:
  // Visits what v grows from; stops at values of `stop`. False when a way ends elsewhere.
  bool walk(ValueId start, std::vector<char>& seen, const std::vector<char>& stop, bool skip_caches) const {
    std::vector<ValueId> open{start};
    bool stopped = true;
    while (!open.empty()) {
      const ValueId v = open.back();
      open.pop_back();
      if (seen[index(v)]) continue;
      seen[index(v)] = 1;
      if (!stop.empty() && stop[index(v)]) continue;
      const auto from = sources(v, skip_caches);
      if (from.empty()) stopped = false;
      open.insert(open.end(), from.begin(), from.end());
    }
    return stopped;
  }

  bool carries(ValueId v) const {
    return v != ValueId::none && !g_.is_constant(v) && dtypes::floats.has(g_.at(v).dtype) && g_.at(v).shape;
  }

  std::vector<ValueId> sources(ValueId v, bool skip_caches) const {
    if (g_.at(v).producer == NodeId::none) return {};
    const Node& n = g_.at(g_.at(v).producer);
    if (mixes_tokens(g_, n)) return {};
    std::vector<ValueId> from;
    std::int64_t largest = 0;
    for (const ValueId i : n.in)
      if (carries(i)) from.push_back(i), largest = std::max(largest, count(*g_.at(i).shape));
    if (n.op->name != "Concat") {
      std::erase_if(from, [&](ValueId i) { return count(*g_.at(i).shape) < largest; });
    } else if (skip_caches && from.size() > 1) {
      auto fresh = from;
      std::erase_if(fresh, [&](ValueId i) { return is_cache(i); });
      if (!fresh.empty()) return fresh;
    }
    return from;
  }

  // A graph input, seen through nodes that compute nothing.
  bool is_cache(ValueId v) const {
    while (g_.at(v).producer != NodeId::none) {
      const Node& n = g_.at(g_.at(v).producer);
      const auto op = n.op->name;
      if (op != "Reshape" && op != "Transpose" && op != "Squeeze" && op != "Unsqueeze" && op != "Slice" &&
          op != "Gather" && op != "Split" && op != "Expand" && op != "Cast")
        return false;
      v = n.in[0];
    }
    return !g_.is_constant(v);
  }

  const Graph& g_;
};

// One value, or several that are joined, which q, k and v all grow from and nothing else.
Role role_of(const Graph& g, const Node& n) {
  const Origins origins(g);
  std::vector<char> common(g.values.size(), 1);
  for (const int i : {at::q, at::k, at::v}) {
    const auto own = origins.of(n.in[static_cast<std::size_t>(i)]);
    for (std::size_t v = 0; v < common.size(); ++v) common[v] = common[v] && own[v];
  }
  if (std::find(common.begin(), common.end(), 1) == common.end()) return Role::cross;
  for (const int i : {at::q, at::k, at::v})
    if (!origins.only_through(n.in[static_cast<std::size_t>(i)], common)) return Role::cross;
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
    site.role = role_of(g, n);
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
