#pragma once
// From two labelled products and candidate views of their operands to the four views of one attention node: which axes
// are batch, heads, rows, columns, and how each operand steps along them.
#include "ops/attention/operand_view.h"
#include "runtime/pass/attention/product.h"

namespace tessera {

// Ways to read one operand, best first. The last may be a copy that first has to be made.
struct Candidate {
  StridedView view{};                // axes as `labels` of its operand
  std::vector<std::int64_t> copy{};  // not empty: the value transposed so; view.base is not set
  DType cast = DType::undefined;     // before that, brought to this type
};
struct Operand {
  std::vector<int> labels;
  std::vector<Candidate> candidates;
};

// The attention of a graph as products with labels:
//   scores[batch..., row, column] = sum over depth of q k,   y[..., width] = sum over columns of p v.
struct AttentionProducts {
  // Of the scores, row-major; the last label is the columns' (keys). `row` may be -1: one query.
  std::vector<int> score_labels;
  std::vector<int> depth;  // labels summed over in q k
  int row = -1, column = -1;
  std::vector<std::int64_t> sizes;  // by label
  Operand q, k;
  // In labels of its own: p as a view of the scores (strides in their elements), v, and y.
  Operand p, v, y;  // y: strides of each candidate are those in its own tensor
  int column2 = -1, width = -1;
  std::vector<std::int64_t> sizes2;
  // Where an operator says what heads are: its labels in score_labels for key heads and groups; -1: found out.
  int kv_head = -1, group = -1;
};

struct AttentionLayout {
  OperandView q, k, v, y;
  const Candidate *q_from, *k_from, *v_from, *y_to;
  bool rows_last = false;  // scores lie as [batch, heads, rows, columns]: masks fit as they are
};

// The first choice of candidates that fits. Nothing when none does; `reason` then says why.
std::optional<AttentionLayout> solve_layout(const AttentionProducts& products, std::string& reason);

}  // namespace tessera
