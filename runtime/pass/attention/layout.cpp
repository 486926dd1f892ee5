#include "runtime/pass/attention/layout.h"

#include <algorithm>

namespace tessera {
namespace {

// Strides of a digit once all operands are side by side.
namespace of {
constexpr std::size_t q = 0, k = 1, v = 2, y = 3;
}

std::int64_t stride(const Axis& a, std::size_t operand) { return a.empty() ? 0 : a[0].strides[operand]; }

Axis only(const Axis& a, std::initializer_list<std::size_t> operands) {
  Axis out;
  for (const auto& d : a) {
    Digit digit{d.size, {}, d.label};
    for (const auto o : operands) digit.strides.push_back(d.strides[o]);
    out.push_back(std::move(digit));
  }
  return out;
}

bool fixed(const Axis& a, std::initializer_list<std::size_t> operands) {
  return std::all_of(a.begin(), a.end(), [&](const Digit& d) {
    return d.size == 1 || std::all_of(operands.begin(), operands.end(), [&](auto o) { return d.strides[o] == 0; });
  });
}

// One choice of candidates.
class Attempt {
 public:
  Attempt(const AttentionProducts& p, const Candidate& q, const Candidate& k, const Candidate& v, const Candidate& y)
      : p_(p), q_(q), k_(k), v_(v), y_(y) {}

  std::optional<AttentionLayout> solve() {
    if (!columns() || !depth() || !width() || !rows_and_leading()) return std::nullopt;
    for (const auto& [batch, kv, group] : splits())
      if (auto found = layout(batch, kv, group)) return found;
    return std::nullopt;
  }

 private:
  std::int64_t size(int label) const { return label < 0 ? 1 : p_.sizes[static_cast<std::size_t>(label)]; }
  std::int64_t size2(int label) const { return label < 0 ? 1 : p_.sizes2[static_cast<std::size_t>(label)]; }
  Axis axis(const Operand& o, const Candidate& c, int label, bool second = false) const {
    return axis_of(c.view, o.labels, label, second ? size2(label) : size(label));
  }
  const Candidate& probabilities() const { return p_.p.candidates[0]; }

  // An axis that all operands step along evenly: joined to at most one digit.
  static bool join(const std::vector<Axis>& axes, Axis& to) {
    const auto common = refine(axes);
    if (!common) return false;
    to = merged(*common);
    return to.size() <= 1;
  }

  bool columns() {
    Axis both;
    if (!join({Axis{{size(p_.column), {1}}}, axis(p_.k, k_, p_.column), axis(p_.p, probabilities(), p_.column2, true),
               axis(p_.v, v_, p_.column2, true)},
              both))
      return false;
    if (stride(both, 0) != stride(both, 2)) return false;
    columns_ = only(both, {1, 3});
    return true;
  }

  bool depth() const {
    Axis all;
    for (const int label : p_.depth) {
      const auto common = refine({axis(p_.q, q_, label), axis(p_.k, k_, label)});
      if (!common) return false;
      all.insert(all.end(), common->begin(), common->end());
    }
    return contiguous(all);
  }
  bool width() const {
    const auto common = refine({axis(p_.v, v_, p_.width, true), axis(p_.y, y_, p_.width, true)});
    return common && contiguous(*common);
  }
  static bool contiguous(const Axis& a) {
    const Axis one = merged(a);
    return one.empty() || (one.size() == 1 && one[0].strides[0] == 1 && one[0].strides[1] == 1);
  }

  // Batch, heads and rows, in the order of the scores: how q and k step from the first product, v and y from the
  // second.
  bool rows_and_leading() {
    Axis first, second{{1, {0, 0, 0}}};
    std::int64_t flat = size(p_.column);
    for (std::size_t i = p_.score_labels.size() - 1; i-- > 0;) {
      const int label = p_.score_labels[i];
      auto common = refine({Axis{{size(label), {flat}}}, axis(p_.q, q_, label), axis(p_.k, k_, label)});
      if (!common) return false;
      for (auto& d : *common) d.label = label;
      first.insert(first.begin(), common->begin(), common->end());
      flat *= size(label);
    }
    if (first.empty()) first.push_back({1, {0, 0, 0}});
    for (const int label : p_.y.labels) {
      if (label == p_.width) continue;
      const auto common =
          refine({axis(p_.p, probabilities(), label, true), axis(p_.v, v_, label, true), axis(p_.y, y_, label, true)});
      if (!common) return false;
      for (const auto& d : *common)
        if (d.size > 1) second.push_back(d);
    }
    std::stable_sort(second.begin() + 1, second.end(),
                     [](const Digit& a, const Digit& b) { return a.strides[0] > b.strides[0]; });
    const auto all = refine({first, second});
    if (!all) return false;
    for (const auto& d : *all) {  // strides: scores, q, k, p, v, y
      if (d.size > 1 && d.strides[0] != d.strides[3]) return false;
      if (d.size == 1 && d.label < 0) continue;
      (d.label == p_.row ? rows_ : leading_)
          .push_back({d.size, {d.strides[1], d.strides[2], d.strides[4], d.strides[5]}, d.label});
    }
    if (!fixed(rows_, {of::k, of::v})) return false;
    rows_ = merged(rows_);
    return rows_.size() <= 1;
  }

  struct Split {
    std::size_t batch, kv, group;  // digits of each, in this order
  };
  // Ways to tell batch, key heads and queries per key head apart, the most natural first.
  std::vector<Split> splits() const {
    const std::size_t n = leading_.size();
    const auto with_cut = [&](std::size_t cut) {
      std::size_t kv_end = n;  // what k and v do not step along is a group
      while (kv_end > cut && fixed({leading_[kv_end - 1]}, {of::k, of::v})) --kv_end;
      return Split{cut, kv_end - cut, n - kv_end};
    };
    if (p_.kv_head >= 0) {
      const auto labelled = [&](int label) {
        return static_cast<std::size_t>(
            std::count_if(leading_.begin(), leading_.end(), [&](const Digit& d) { return d.label == label; }));
      };
      const std::size_t kv = labelled(p_.kv_head), group = labelled(p_.group);
      return {{n - kv - group, kv, group}};
    }
    // The last axis of the scores before rows is the heads'; of a single one, its last digit. Key heads that are
    // followed by an axis of their queries take both.
    std::vector<std::size_t> begins;  // of digits of one axis
    for (std::size_t i = 0; i < n; ++i)
      if (i == 0 || leading_[i].label != leading_[i - 1].label) begins.push_back(i);
    std::vector<std::size_t> cuts;
    if (begins.size() >= 3) {
      const Axis last(leading_.begin() + static_cast<std::ptrdiff_t>(begins.back()), leading_.end());
      if (fixed(last, {of::k, of::v}) && size_of(last) > 1) cuts.push_back(begins[begins.size() - 2]);
    }
    if (begins.size() >= 2) cuts.push_back(begins.back());
    for (std::size_t cut = n; cut-- > 0;) cuts.push_back(cut);
    cuts.push_back(n);
    std::vector<Split> found;
    for (const auto cut : cuts) found.push_back(with_cut(cut));
    return found;
  }

  std::optional<AttentionLayout> layout(std::size_t batch_digits, std::size_t kv_digits, std::size_t) const {
    const auto begin = leading_.begin();
    const auto kv_begin = begin + static_cast<std::ptrdiff_t>(batch_digits);
    const auto kv_end = kv_begin + static_cast<std::ptrdiff_t>(kv_digits);
    const Axis batch = merged(Axis(begin, kv_begin)), kv = merged(only(Axis(kv_begin, kv_end), {of::k, of::v}));
    const Axis heads = merged(only(Axis(kv_begin, leading_.end()), {of::q, of::y}));
    if (batch.size() > 1 || kv.size() > 1 || heads.size() > 1 || !fixed(Axis(kv_end, leading_.end()), {of::k, of::v}))
      return std::nullopt;
    const std::int64_t b = size_of(batch), h = size_of(heads), hkv = size_of(Axis(kv_begin, kv_end));
    const std::int64_t rows = size_of(rows_), keys = size_of(columns_);
    std::int64_t depth = 1;
    for (const int label : p_.depth) depth *= size(label);
    AttentionLayout l;
    l.q = {b, h, rows, depth, q_.view.offset, {stride(batch, of::q), stride(heads, 0), stride(rows_, of::q)}};
    l.k = {b, hkv, keys, depth, k_.view.offset, {stride(batch, of::k), stride(kv, 0), stride(columns_, 0)}};
    l.v = {b, hkv, keys, size2(p_.width), v_.view.offset, {stride(batch, of::v), stride(kv, 1), stride(columns_, 1)}};
    l.y = {b, h, rows, size2(p_.width), 0, {stride(batch, of::y), stride(heads, 1), stride(rows_, of::y)}};
    l.q_from = &q_, l.k_from = &k_, l.v_from = &v_, l.y_to = &y_;
    const auto& s = p_.score_labels;
    l.rows_last = s.size() >= 2 && s[s.size() - 2] == p_.row;
    return l;
  }

  const AttentionProducts& p_;
  const Candidate &q_, &k_, &v_, &y_;
  Axis columns_;  // strides of k and v
  Axis rows_, leading_;
};

// Candidates that fit whatever the others are.
std::vector<const Candidate*> fitting(const Operand& o, const std::vector<int>& contiguous, int even,
                                      const std::vector<std::int64_t>& sizes) {
  std::vector<const Candidate*> found;
  for (const auto& c : o.candidates) {
    const auto axis = [&](int label) {
      return axis_of(c.view, o.labels, label, sizes[static_cast<std::size_t>(label)]);
    };
    Axis inner;
    for (const int label : contiguous) {
      const Axis a = axis(label);
      inner.insert(inner.end(), a.begin(), a.end());
    }
    inner = merged(inner);
    const bool dense = inner.empty() || (inner.size() == 1 && inner[0].strides[0] == 1);
    if (dense && (even < 0 || merged(axis(even)).size() <= 1)) found.push_back(&c);
  }
  return found;
}

}  // namespace

std::optional<AttentionLayout> solve_layout(const AttentionProducts& p, std::string& reason) {
  const std::vector<int> width = p.width < 0 ? std::vector<int>{} : std::vector<int>{p.width};
  const auto qs = fitting(p.q, p.depth, p.row, p.sizes), ks = fitting(p.k, p.depth, p.column, p.sizes);
  const auto vs = fitting(p.v, width, p.column2, p.sizes2), ys = fitting(p.y, width, -1, p.sizes2);
  for (const auto* q : qs)
    for (const auto* k : ks)
      for (const auto* v : vs)
        for (const auto* y : ys)
          if (auto found = Attempt(p, *q, *k, *v, *y).solve()) return found;
  reason = "batch, heads and rows of its products do not match, or do not step evenly through an operand";
  return std::nullopt;
}

}  // namespace tessera
