#pragma once
// The equation of Einsum, "ij,jk->ik": labels of the axes of each operand and of the result.
#include <string>
#include <vector>

#include "ops/contraction.h"

namespace tessera {

// A label is a letter (A..Z are 0..25, a..z 26..51) or an axis under the ellipsis (52 for its last, 53 for the one
// before).
struct Equation {
  std::vector<Labels> in;           // one label per axis; repeated ones mean a diagonal
  Labels out;                       // distinct
  std::vector<std::int64_t> sizes;  // by label; -1 for labels that do not occur

  std::int64_t size(int label) const { return sizes[static_cast<std::size_t>(label)]; }
  Shape dims(const Labels& labels) const;
};

// Reads the equation for operands of these shapes. Blanks are ignored. Without "->" the result has the ellipsis, then
// the letters that occur once, capitals first. An axis of one element broadcasts against others of its label. An
// ellipsis that the result leaves out is summed over. Error(bad_input) when the text is malformed or the shapes do not
// fit.
Equation parse_equation(std::string_view text, const std::vector<Shape>& shapes);

// A dense operand, its repeated labels read along the diagonal, its axes of one element left out.
Labelled diagonal_view(const Labels& labels, const Shape& dims);

}  // namespace tessera
