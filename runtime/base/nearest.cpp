#include "runtime/base/nearest.h"

#include <algorithm>
#include <cctype>
#include <numeric>

namespace tessera {

int edit_distance(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return std::tolower(static_cast<unsigned char>(c)); };
  std::vector<int> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    int diagonal = row[0];
    row[0] = static_cast<int>(i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const int replaced = diagonal + (lower(a[i - 1]) != lower(b[j - 1]));
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

std::vector<std::string> nearest(std::string_view name, const std::vector<std::string>& known, std::size_t limit) {
  std::vector<std::pair<int, std::string>> near;
  for (const auto& k : known) {
    const int d = edit_distance(name, k);
    if (d <= static_cast<int>(std::max(name.size(), k.size()) / 3 + 1)) near.emplace_back(d, k);
  }
  std::sort(near.begin(), near.end());
  near.erase(std::unique(near.begin(), near.end()), near.end());
  std::vector<std::string> names;
  for (std::size_t i = 0; i < std::min(limit, near.size()); ++i) names.push_back(near[i].second);
  return names;
}

std::string did_you_mean(std::string_view name, const std::vector<std::string>& known) {
  auto names = nearest(name, known);
  for (auto& n : names) n = "'" + n + "'";
  return names.empty() ? "" : "; did you mean " + either(names) + "?";
}

std::string nearest_or_all(std::string_view name, const std::vector<std::string>& known) {
  constexpr std::size_t most = 12;
  if (known.empty()) return "; there is none";
  std::string text = did_you_mean(name, known);
  if (!text.empty()) return text;
  for (std::size_t i = 0; i < std::min(most, known.size()); ++i)
    text += (i == 0 ? "; there is '" : ", '") + known[i] + "'";
  return known.size() > most ? text + " and " + std::to_string(known.size() - most) + " more" : text;
}

}  // namespace tessera
