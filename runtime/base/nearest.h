#pragma once
// Words in error messages: the known names closest to a misspelt one, and lists of them.
#include <string>
#include <string_view>
#include <vector>

namespace tessera {

// Levenshtein distance with unit costs, ASCII case ignored. O(|a| |b|).
int edit_distance(std::string_view a, std::string_view b);

// At most `limit` of `known`, nearest first, none farther than a third of the longer word plus one.
std::vector<std::string> nearest(std::string_view name, const std::vector<std::string>& known, std::size_t limit = 3);

// "a, b or c" of strings or views of them.
template <class Words>
std::string either(const Words& words) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) text += i + 1 == words.size() ? " or " : ", ";
    text += words[i];
  }
  return text;
}

// "; did you mean 'a' or 'b'?", or nothing when no name is near.
std::string did_you_mean(std::string_view name, const std::vector<std::string>& known);

// The same, or where no name is near what there is: "; there is 'a', 'b', 'c'", the first twelve of many.
std::string nearest_or_all(std::string_view name, const std::vector<std::string>& known);

}  // namespace tessera
