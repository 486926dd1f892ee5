#pragma once
// The masks of decomposed scores as inputs and attributes of one attention node that gives the same answers.
#include <cmath>

#include "runtime/graph/edit.h"
#include "runtime/pass/attention/scores.h"

namespace tessera {

struct SiteMask {
  ValueId mask = ValueId::none;     // bool or float, broadcasts to [B, H, Lq, Lk]
  ValueId lengths = ValueId::none;  // i64 [B]: all keys, for a causal mask that ends at the last key
  bool causal = false;
  double hidden_score = -INFINITY;
  bool may_hide_all = false;  // a query may be left without keys
};

// -inf hides keys for good. A finite number that is filled in replaces scores, which hidden_score does exactly; where
// that does not fit (several masks), numbers <= -1e30 are added instead: any score vanishes in their rounding. Masks
// that hide or change nothing are dropped. Writes nodes through `edit`. Nothing when masks cannot be brought together;
// `reason` then says which.
struct MaskSizes {
  std::int64_t batch, heads, rows, columns;
  DType type;  // of the softmax
};
std::optional<SiteMask> site_mask(const Graph& g, Edit& edit, const std::vector<MaskTerm>& terms,
                                  const MaskSizes& sizes, std::string& reason);

}  // namespace tessera
