#include "runtime/policy/trail.h"

namespace tessera {

std::string numbers(const std::vector<std::int64_t>& sorted) {
  std::string text;
  for (std::size_t i = 0, end = 0; i < sorted.size(); i = end) {
    end = i + 1;
    while (end < sorted.size() && sorted[end] == sorted[end - 1] + 1) ++end;
    text += concat(text.empty() ? "" : ", ", sorted[i]);
    if (end > i + 1) text += concat("-", sorted[end - 1]);
  }
  return text;
}

}  // namespace tessera
