#include "runtime/pass/attention/masks.h"

#include <algorithm>
#include <cmath>

#include "runtime/op/reshaped.h"
#include "runtime/pass/attention/mask_pattern.h"

namespace tessera {
namespace {

constexpr double absorbing = -1e30;  // a score added to it changes nothing, in f32 and wider

// A term, and what it is known to do.
struct Term {
  MaskTerm as_written;
  bool hides = false;  // keys get `fill`; else it is a bias
  double fill = -INFINITY;
  std::optional<std::int64_t> diagonal{};  // hides exactly the keys with j - i > diagonal
  ValueId keep = ValueId::none;            // else: true (or false, when negated) where keys stay
  bool negated = false;
};

class MaskWriter {
 public:
  MaskWriter(const Graph& g, Edit& edit, const MaskSizes& s) : g_(g), edit_(edit), s_(s) {}

  std::optional<SiteMask> write(const std::vector<MaskTerm>& terms, std::string& reason) {
    for (const auto& t : terms) {
      if (!g_.at(t.value).shape) {
        reason = concat("the shape of its mask '", g_.at(t.value).name, "' is known only during the run");
        return std::nullopt;
      }
      const Shape& f = t.frame;
      if (f.size() < 2 || f[f.size() - 2] != s_.rows || f[f.size() - 1] != s_.columns) {
        reason = concat("its mask '", g_.at(t.value).name, "' is applied to scores laid out as ", f);
        return std::nullopt;
      }
      classify(t);
    }
    const auto hides = [](const Term& t) { return t.hides; };
    const bool finite =
        std::any_of(terms_.begin(), terms_.end(), [](const Term& t) { return t.hides && t.fill > -INFINITY; });
    if (!finite) {
      write_hidden();
      return site_;
    }
    const double fill = std::find_if(terms_.begin(), terms_.end(), hides)->fill;
    // (A number added twice is another number.)
    const bool one_fill = terms_.size() == 1 || std::all_of(terms_.begin(), terms_.end(), [&](const Term& t) {
                            return t.as_written.where && t.fill == fill;
                          });
    if (one_fill) {
      site_.hidden_score = fill;
      write_hidden();
      return site_;
    }
    for (const auto& t : terms_)
      if (t.as_written.where && t.fill > absorbing) {
        reason = concat("its mask '", g_.at(t.as_written.value).name, "' fills in ", t.fill,
                        ", which does not go together with its other masks");
        return std::nullopt;
      }
    write_sum();
    return site_;
  }

 private:
  // The smaller value that an Expand repeats.
  ValueId without_expand(ValueId v) const {
    while (g_.at(v).producer != NodeId::none) {
      const Node& n = g_.at(g_.at(v).producer);
      if (n.op->name != "Expand" || !n.op->domain.empty() || !g_.at(n.in[0]).shape) break;
      v = n.in[0];
    }
    return v;
  }

  // A mask that is not the same along rows and columns is cut by a diagonal only if it has both axes in full.
  bool in_full(ValueId v) const {
    const Shape& s = *g_.at(v).shape;
    return s.size() >= 2 && s[s.size() - 1] == s_.columns && s[s.size() - 2] == s_.rows;
  }
  // j - i <= 0, or up to the last key for the last query: what is_causal can say.
  bool causal_diagonal(std::int64_t d) const { return d == 0 || (d > 0 && d == s_.columns - s_.rows); }

  // Keys with j - i > d are hidden: by is_causal, or not at all, or as it is written.
  void hide_beyond(Term& t, std::int64_t d) const {
    if (causal_diagonal(d)) t.diagonal = d;
  }
  bool beyond_everything(std::int64_t d) const { return d >= s_.columns - 1; }

  void classify(const MaskTerm& m) {
    Term t{m};
    t.as_written.value = without_expand(m.value);
    if (m.where ? classify_where(t) : classify_bias(t)) terms_.push_back(std::move(t));
  }

  // False: it hides nothing.
  bool classify_where(Term& t) const {
    t.hides = true, t.fill = t.as_written.number;
    t.keep = t.as_written.value, t.negated = t.as_written.negated;
    const auto p = mask_pattern(g_, t.keep);
    if (!p) return true;
    const auto kept = [&](const Tensor& x) { return x.read<bool>()[0] != t.negated; };
    if (p->uniform()) return !kept(p->low);
    if (!in_full(t.keep)) return true;
    if (kept(p->low) && !kept(p->high)) {
      if (beyond_everything(p->diagonal)) return false;
      hide_beyond(t, p->diagonal);
    }
    return true;
  }

  // False: it adds nothing.
  bool classify_bias(Term& t) const {
    const ValueId v = t.as_written.value;
    const double factor = t.as_written.number;
    if (const auto p = mask_pattern(g_, v)) {
      const double low = doubles(p->low)[0], high = doubles(p->high)[0] * factor;
      if (p->uniform()) return low != 0;
      if (low == 0 && high < 0 && in_full(v)) {
        if (beyond_everything(p->diagonal)) return false;
        if (high <= absorbing && causal_diagonal(p->diagonal)) {
          t.hides = true, t.fill = high;
          hide_beyond(t, p->diagonal);
          return true;
        }
      }
    }
    hidden_by_where(t);
    return true;
  }

  // The boolean form of a constant of nothing but 0 and -inf; else no tensor.
  static Tensor kept_by(const Tensor& bias) {
    if (!every(bias, [](double d) { return d == 0 || d == -INFINITY; })) return {};
    Tensor keep(DType::boolean, bias.shape());
    auto* to = keep.write<bool>().data();
    every(bias, [&](double d) { return *to++ = d == 0, true; });
    return keep;
  }
  // Masks are large: they are looked at where they lie.
  template <class Holds>
  static bool every(const Tensor& t, Holds holds) {
    bool all = true;
    with_type(Floats{}, t.dtype(), [&]<class T>(Type<T>) {
      for (const T x : t.read<T>())
        if (all) all = holds(static_cast<double>(static_cast<Compute<T>>(x)));
    });
    return all;
  }

  // Where(keep, 0, -inf), or the other way round; or a constant of nothing but 0 and -inf.
  void hidden_by_where(Term& t) const {
    const ValueId v = t.as_written.value;
    if (t.as_written.number <= 0) return;
    if (g_.is_constant(v)) {
      if (const Tensor keep = kept_by(g_.at(v).constant)) t.hides = true, t.keep = edit_.constant(keep);
      return;
    }
    if (g_.at(v).producer == NodeId::none) return;
    const Node& n = g_.at(g_.at(v).producer);
    if (n.op->name != "Where" || !n.op->domain.empty() || !g_.at(n.in[0]).shape) return;
    const auto yes = uniform_value(g_, n.in[1]), no = uniform_value(g_, n.in[2]);
    if (!yes || !no || std::min(*yes, *no) != -INFINITY || std::max(*yes, *no) != 0) return;
    t.hides = true, t.fill = -INFINITY;
    t.keep = without_expand(n.in[0]), t.negated = *no == 0;
  }

  bool may_be_infinite(ValueId v) const {
    if (!g_.is_constant(v)) return true;
    return !every(g_.at(v).constant, [](double d) { return !std::isinf(d); });
  }

  // All hidden keys share one score; what is not hidden may have biases.
  void write_hidden() {
    ValueId keep = ValueId::none, bias = ValueId::none;
    std::int64_t diagonal = s_.columns;
    for (const auto& t : terms_) {
      if (t.diagonal) {
        site_.causal = true;
        diagonal = std::min(diagonal, *t.diagonal);
      } else if (t.hides && t.keep != ValueId::none) {
        const ValueId part = kept(t);
        keep = keep == ValueId::none ? part : edit_.node("And", {keep, part});
        site_.may_hide_all = true;
      } else {
        const ValueId part = biased(t);
        bias = bias == ValueId::none ? part : edit_.node("Add", {bias, part});
        site_.may_hide_all = site_.may_hide_all || may_be_infinite(t.as_written.value);
      }
    }
    if (site_.causal && diagonal > 0) {  // the last query sees the last key
      const std::vector<std::int64_t> all(static_cast<std::size_t>(s_.batch), s_.columns);
      site_.lengths = edit_.ints(all);
    }
    site_.mask = keep == ValueId::none   ? bias
                 : bias == ValueId::none ? keep
                                         : edit_.node("Where", {keep, bias, edit_.scalar_like(bias, -INFINITY)});
    if (site_.hidden_score > -INFINITY) site_.may_hide_all = false;
  }

  // One bias, written from the innermost mask to the last.
  void write_sum() {
    ValueId sum = ValueId::none;
    const auto number = [&](double x) { return edit_.constant(Tensor::scalar(s_.type, x)); };
    for (auto t = terms_.rbegin(); t != terms_.rend(); ++t) {
      const ValueId inner = sum == ValueId::none ? number(0) : sum;
      sum = t->as_written.where    ? edit_.node("Where", {kept(*t), inner, number(t->fill)})
            : sum == ValueId::none ? biased(*t)
                                   : edit_.node("Add", {sum, biased(*t)});
    }
    site_.mask = sum;
    site_.may_hide_all = true;
  }

  ValueId kept(const Term& t) {
    const ValueId v = fitted(t.keep, t.as_written.frame);
    return t.negated ? edit_.node("Not", {v}) : v;
  }
  ValueId biased(const Term& t) {
    ValueId v = edit_.cast(t.as_written.value, s_.type);
    if (t.as_written.number != 1) v = edit_.node("Mul", {v, edit_.scalar_like(v, t.as_written.number)});
    return fitted(v, t.as_written.frame);
  }

  // A mask that broadcasts to scores of shape `frame` [..., rows, columns], as one that broadcasts to [B, H, rows,
  // columns] and has all columns.
  ValueId fitted(ValueId v, const Shape& frame) {
    Shape m = *edit_.shape(v);
    while (m.size() < frame.size()) m.insert(m.begin(), 1);
    const std::size_t leading = frame.size() - 2;
    const auto product = [](const Shape& s, std::size_t from, std::size_t to) {
      std::int64_t n = 1;
      for (std::size_t i = from; i < to; ++i) n *= s[i];
      return n;
    };
    std::size_t cut = 0;
    while (cut < leading && product(frame, 0, cut) < s_.batch) ++cut;
    const bool splits = product(frame, 0, cut) == s_.batch;
    const std::int64_t before = product(m, 0, cut), after = product(m, cut, leading), all = before * after;
    Shape to{before, after, m[leading], m[leading + 1]};
    const bool whole = splits ? (before == 1 || before == s_.batch) && (after == 1 || after == s_.heads)
                              : all == 1 || all == s_.batch * s_.heads;
    if (!splits) to[0] = all == 1 ? 1 : s_.batch, to[1] = all == 1 ? 1 : s_.heads;
    if (!whole || m[leading + 1] != s_.columns) {
      Shape expanded = m;
      if (!whole) std::copy_n(frame.begin(), leading, expanded.begin()), to[0] = s_.batch, to[1] = s_.heads;
      expanded[leading + 1] = to[3] = s_.columns;
      v = edit_.node("Expand", {v, edit_.ints(expanded)});
    }
    const Shape now = *edit_.shape(v);
    return now.size() >= 2 && broadcasts_to(now, to) && count(now) == count(to) && now.size() <= 4
               ? v
               : reshaped(edit_, v, to);
  }

  const Graph& g_;
  Edit& edit_;
  const MaskSizes& s_;
  std::vector<Term> terms_;
  SiteMask site_;
};

}  // namespace

std::optional<SiteMask> site_mask(const Graph& g, Edit& edit, const std::vector<MaskTerm>& terms,
                                  const MaskSizes& sizes, std::string& reason) {
  return MaskWriter(g, edit, sizes).write(terms, reason);
}

}  // namespace tessera
