#include "runtime/pass/rotation.h"

#include <cstring>

namespace tessera {
namespace {

// One feature of each pair of x.
struct Member {
  ValueId x;
  bool second, interleaved;
};

class Reader {
 public:
  Reader(const Graph& g, const Uses& uses, Furthest* furthest) : g_(g), m_(g, uses, furthest) {}

  std::optional<Rotation> read(NodeId n) {
    const Node& root = g_.at(n);
    if (!root.op->domain.empty() || !g_.at(root.out[0]).shape || !dtypes::floats.has(g_.at(root.out[0]).dtype))
      return std::nullopt;
    c_.last = n;
    c_.result = root.out[0];
    m_.add(n);
    const auto& name = root.op->name;
    if (!(name == "Concat" ? joined(root) : name == "ScatterND" ? scattered(root) : name == "Add" && mixed(root)))
      return std::nullopt;
    if (!tables() || !m_.wants_no_other_readers(c_.result)) return std::nullopt;
    c_.nodes = m_.nodes();
    return c_;
  }

 private:
  const Shape& shape(ValueId v) const { return *g_.at(v).shape; }
  bool known(ValueId v) const { return v != ValueId::none && g_.at(v).shape && shape(v).rank() > 0; }
  std::int64_t width(ValueId v) const { return shape(v).back(); }
  std::optional<std::int64_t> integer(const Node& n, std::size_t i) const {
    if (i >= n.in.size() || !g_.is_constant(n.in[i]) || g_.at(n.in[i]).constant.size() != 1) return std::nullopt;
    return integers(g_.at(n.in[i]).constant.reshaped({1}))[0];
  }
  // Whether an axis counts as the last of `rank`.
  static bool is_last(std::optional<std::int64_t> axis, int rank) { return axis && (*axis == -1 || *axis == rank - 1); }
  std::int64_t attribute(const Node& n, std::string_view name) const {
    return AttributeReader(n.op->attributes, n.attributes).integer(name);
  }

  // The node that computes v as its output `i`.
  const Node* splitting(ValueId v, bool& second) {
    const NodeId id = g_.at(v).producer;
    if (id == NodeId::none) return nullptr;
    const Node& n = g_.at(id);
    if (n.op->name != "Split" || !n.op->domain.empty() || n.out.size() != 2 || !known(n.in[0])) return nullptr;
    if (!is_last(attribute(n, "axis"), shape(n.in[0]).rank()) || 2 * width(v) != width(n.in[0])) return nullptr;
    m_.add(id);
    second = n.out[1] == v;
    return &n;
  }

  std::optional<Member> member(ValueId v) {
    if (!known(v)) return std::nullopt;
    const std::size_t before = m_.size();
    bool second = false;
    if (const Node* n = splitting(v, second)) return Member{n->in[0], second, false};
    if (const Node* n = m_.by(v, "Squeeze"); n && is_last(integer(*n, 1), shape(n->in[0]).rank()))
      if (const Node* split = splitting(n->in[0], second); split && width(n->in[0]) == 1)
        return Member{split->in[0], second, true};
    m_.keep(before);
    if (const Node* n = m_.by(v, "Gather"); n && known(n->in[0]) && shape(n->in[1]).rank() == 0) {
      const Shape& pairs = shape(n->in[0]);
      const int axis = normal_axis(attribute(*n, "axis"), pairs.rank());
      const auto at = integer(*n, 1);
      if (at && axis >= pairs.rank() - 2 && pairs[static_cast<std::size_t>(axis)] == 2)
        return Member{n->in[0], *at == 1 || *at == -1, axis == pairs.rank() - 1};
    }
    m_.keep(before);
    if (const Node* n = m_.by(v, "Slice"); n && known(n->in[0]) && is_last(integer(*n, 3), shape(n->in[0]).rank())) {
      const std::int64_t half = width(v);
      const auto start = integer(*n, 1), step = n->in.size() > 4 ? integer(*n, 4) : std::optional<std::int64_t>(1);
      if (start && step && (*step == 1 || *step == 2) && 2 * half == width(n->in[0])) {
        const bool interleaved = *step == 2;
        if (*start == 0 || *start == (interleaved ? 1 : half)) return Member{n->in[0], *start != 0, interleaved};
      }
    }
    m_.keep(before);
    return std::nullopt;
  }

  // Mul of a member and a table.
  struct Product {
    Member member;
    ValueId table;
  };
  std::optional<Product> product(ValueId v) {
    const Node* n = m_.by(v, "Mul");
    if (!n || !known(v)) return std::nullopt;
    const std::size_t before = m_.size();
    for (const std::size_t i : {0, 1}) {
      m_.keep(before);
      if (const auto a = member(n->in[i]); a && shape(n->in[i]) == shape(v)) return Product{*a, n->in[1 - i]};
    }
    return std::nullopt;
  }

  // re = a c - b s and im = a s + b c
  bool rotated(ValueId re, ValueId im, bool interleaved) {
    const Node *difference = m_.by(re, "Sub"), *sum = m_.by(im, "Add");
    if (!difference || !sum) return false;
    auto ac = product(difference->in[0]), bs = product(difference->in[1]);
    auto as = product(sum->in[0]), bc = product(sum->in[1]);
    if (!ac || !bs || !as || !bc) return false;
    if (as->member.second) std::swap(as, bc);
    const Member a = ac->member;
    for (const auto* p : {&ac, &bs, &as, &bc})
      if (!m_.wants((*p)->member.x == a.x, "it turns '", g_.at(a.x).name, "' and '", g_.at((*p)->member.x).name, "'") ||
          !m_.wants((*p)->member.interleaved == interleaved, "it takes apart '", g_.at(a.x).name,
                    "' in another way than it puts it together: neighbours here, halves there"))
        return false;
    if (!m_.wants(!a.second && bs->member.second && !as->member.second && bc->member.second,
                  "its signs are not those of a rotation") ||
        !m_.wants(ac->table == bc->table && bs->table == as->table && shape(re) == shape(im),
                  "the two features of a pair are turned by different tables"))
      return false;
    c_.x = a.x;
    c_.interleaved = interleaved;
    c_.cos = ac->table;
    c_.sin = bs->table;
    return describe(shape(re), width(re));
  }

  // The two values that a Concat joins along the last axis, or of which it makes pairs there.
  struct Joined {
    ValueId first, second;
    bool interleaved;
  };
  std::optional<Joined> joint(const Node& n) {
    if (n.in.size() != 2 || !known(n.out[0])) return std::nullopt;
    const int rank = shape(n.out[0]).rank();
    if (!is_last(attribute(n, "axis"), rank)) return std::nullopt;
    const std::size_t before = m_.size();
    const Node *first = m_.by(n.in[0], "Unsqueeze"), *second = m_.by(n.in[1], "Unsqueeze");
    if (first && second && is_last(integer(*first, 1), rank) && is_last(integer(*second, 1), rank))
      return Joined{first->in[0], second->in[0], true};
    m_.keep(before);
    return Joined{n.in[0], n.in[1], false};
  }

  bool joined(const Node& root) {
    const auto j = joint(root);
    return j && rotated(j->first, j->second, j->interleaved);
  }

  bool scattered(const Node& root) {
    const Node* inner = m_.by(root.in[0], "ScatterND");
    if (!inner) return false;
    for (const Node* n : {inner, &root})
      if (AttributeReader(n->op->attributes, n->attributes).text("reduction") != "none") return false;
    return takes_places(*inner, 0) && takes_places(root, 1) && rotated(inner->in[2], root.in[2], true);
  }

  // The indices of a ScatterND are those of x[..., first::2].
  bool takes_places(const Node& n, std::int64_t first) const {
    if (!g_.is_constant(n.in[1]) || !known(n.in[0]) || !known(n.in[2])) return false;
    const Shape &to = shape(n.in[0]), &from = shape(n.in[2]);
    Shape expected = from;
    expected.push_back(to.rank());
    if (from.rank() != to.rank() || shape(n.in[1]) != expected) return false;
    const auto at = g_.at(n.in[1]).constant.read<std::int64_t>();
    const auto rank = static_cast<std::size_t>(to.rank());
    Shape place(rank);
    for (std::size_t i = 0; i < at.size(); i += rank) {
      for (std::size_t a = 0; a < rank; ++a)
        if (at[i + a] != (a + 1 == rank ? 2 * place[a] + first : place[a])) return false;
      for (std::size_t a = rank; a-- > 0 && ++place[a] == from[a];) place[a] = 0;
    }
    return 2 * from.back() == to.back();
  }

  // x C + P(x) S, P(x) = (-b, a)
  bool mixed(const Node& root) {
    const std::size_t before = m_.size();
    for (const std::size_t i : {0, 1}) {
      m_.keep(before);
      const Node *straight = m_.by(root.in[i], "Mul"), *turned = m_.by(root.in[1 - i], "Mul");
      if (!straight || !turned) continue;
      const std::size_t both = m_.size();
      for (const std::size_t j : {0, 1}) {
        m_.keep(both);
        if (!turn(turned->in[j])) continue;
        c_.sin = turned->in[1 - j];
        for (const std::size_t k : {0, 1}) {
          if (origin(straight->in[k]) != origin(c_.x) || shape(straight->in[k]) != shape(c_.result)) continue;
          c_.cos = straight->in[1 - k];
          c_.wide = true;
          return describe(shape(c_.result), width(c_.result) / 2);
        }
        m_.wants(false, "it turns '", g_.at(c_.x).name, "', and '", g_.at(root.in[i]).name, "' is no multiple of that");
      }
    }
    return false;
  }

  bool turn(ValueId v) {
    const Node* view = m_.by(v, "Reshape");
    const Node* n = m_.by(view ? view->in[0] : v, "Concat");
    const auto j = n ? joint(*n) : std::nullopt;
    const Node* negative = j ? m_.by(j->first, "Neg") : nullptr;
    if (!negative) return false;
    const auto b = member(negative->in[0]), a = member(j->second);
    if (!a || !b ||
        !m_.wants(!a->second && b->second && a->x == b->x,
                  "it does not make (-b, a) of the features (a, b) of one value") ||
        !m_.wants(
            a->interleaved == j->interleaved && b->interleaved == j->interleaved && j->interleaved == (view != nullptr),
            "it takes features apart in another way than it puts them together: neighbours here, halves there"))
      return false;
    c_.x = a->x;
    c_.interleaved = j->interleaved;
    return true;
  }

  // v before it was given another shape.
  ValueId origin(ValueId v) const {
    while (g_.at(v).producer != NodeId::none && g_.at(g_.at(v).producer).op->view) v = g_.at(g_.at(v).producer).in[0];
    return v;
  }

  bool describe(Shape s, std::int64_t half) {
    if (s.rank() < 2 || s.rank() > 4 || half == 0) return false;
    outer_ = padded(s);
    c_.batch = outer_[0];
    c_.half = half;
    return true;
  }
  static Shape padded(const Shape& s) {
    Shape four(static_cast<std::size_t>(4 - s.rank()), 1);
    for (const auto d : s) four.push_back(d);
    return four;
  }

  // Which axis is the tokens' shows in the tables: the same for all heads.
  bool tables() {
    if (!m_.wants(known(c_.cos) && known(c_.sin) && shape(c_.cos) == shape(c_.sin), "cos and sin differ in shape") ||
        !m_.wants(shape(c_.cos).rank() <= 4, "its tables have more than four axes"))
      return false;
    const Shape t = padded(shape(c_.cos));
    const std::int64_t p = outer_[1], q = outer_[2];
    c_.heads_first = !(t[1] == p && t[2] == 1) || (p == 1 && t[2] == q);
    c_.heads = c_.heads_first ? p : q;
    c_.tokens = c_.heads_first ? q : p;
    c_.table_batch = t[0];
    return m_.wants(!c_.heads_first || (t[1] == 1 && t[2] == q), "its tables are not the same for all heads") &&
           m_.wants(c_.heads > 0, "it has no heads") &&
           m_.wants(t[0] == 1 || t[0] == c_.batch, "its tables are for another batch") &&
           m_.wants(t[3] == (c_.wide ? 2 * c_.half : c_.half), "its tables have another width than the data") &&
           m_.wants(!c_.wide || (repeats(c_.cos) && repeats(c_.sin)),
                    "the two features of a pair may get different angles: its tables are not known to repeat");
  }

  // Both features of each pair read the same entry: seen in a constant, or in how a table was computed.
  bool repeats(ValueId v) const {
    if (g_.is_constant(v)) return repeats(g_.at(v).constant);
    if (g_.at(v).producer == NodeId::none || !known(v)) return false;
    const Node& n = g_.at(g_.at(v).producer);
    const ValueId from = n.in.empty() ? ValueId::none : n.in[0];
    if (!known(from)) return false;
    const auto& op = n.op->name;
    // The angles of a row and once more of the row; or each angle twice, one axis further in.
    const std::int64_t once = c_.interleaved ? 1 : c_.half;
    if (op == "Concat")
      return n.in.size() == 2 && n.in[0] == n.in[1] && is_last(attribute(n, "axis"), shape(v).rank()) &&
             width(from) == once;
    if (op == "Expand" || op == "Tile")
      return width(from) == width(v) ? repeats(from) : width(from) == once && width(v) == 2 * once;
    if (op == "Gather")  // rows of a cache, by position
      return attribute(n, "axis") == 0 && shape(from).rank() > 1 && repeats(from);
    if (n.op->view) return (c_.interleaved ? width(from) % 2 == 0 : width(from) == width(v)) && repeats(from);
    for (std::size_t i = 1; i < n.in.size(); ++i)
      if (n.in[i] != ValueId::none && (!g_.at(n.in[i]).shape || count(shape(n.in[i])) != 1)) return false;
    return n.op->pointwise && shape(from) == shape(v) && repeats(from);
  }
  bool repeats(const Tensor& t) const {
    const auto half = static_cast<std::size_t>(c_.half), bytes = size_of(t.dtype());
    const auto* at = static_cast<const char*>(t.raw());
    for (std::size_t row = 0; row < t.bytes(); row += 2 * half * bytes)
      for (std::size_t i = 0; i < half; ++i) {
        const std::size_t first = c_.interleaved ? 2 * i : i, second = c_.interleaved ? 2 * i + 1 : i + half;
        if (std::memcmp(at + row + first * bytes, at + row + second * bytes, bytes) != 0) return false;
      }
    return true;
  }

  const Graph& g_;
  Match m_;
  Rotation c_;
  Shape outer_;  // of the data, four axes
};

}  // namespace

std::optional<Rotation> rotation(const Graph& g, const Uses& uses, NodeId n, Furthest* furthest) {
  return Reader(g, uses, furthest).read(n);
}

}  // namespace tessera
