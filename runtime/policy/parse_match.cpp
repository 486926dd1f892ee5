// Selectors: what stands below `match`.
#include <algorithm>
#include <charconv>
#include <limits>
#include <regex>

#include "runtime/policy/keys.h"
#include "runtime/policy/parse_node.h"

namespace tessera {
namespace {

constexpr std::int64_t largest = 1'000'000'000;

// "FIRST-LAST" or "ONE" as two texts, with the place where the second begins.
struct Ends {
  std::string first, last;
  std::size_t last_at = 0;
};

Ends ends_of(const PolicyNode& node) {
  const std::string text = node.text();
  const auto dash = text.find('-', 1);
  if (dash == std::string::npos) return {text, text, 0};
  const auto trimmed = [](std::string s) {
    while (s.ends_with(' ')) s.pop_back();
    return s.substr(std::min(s.find_first_not_of(' '), s.size()));
  };
  return {trimmed(text.substr(0, dash)), trimmed(text.substr(dash + 1)), dash + 1};
}

std::int64_t end_value(const PolicyNode& node, const std::string& text, std::size_t at) {
  std::int64_t value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0 || value > largest)
    node.fail_at(at, node.what(), " takes numbers from 0 and ranges such as 0-3, got '", text, "'");
  return value;
}

std::vector<IndexRange> ranges(const PolicyNode& node) {
  std::vector<IndexRange> all;
  for (const auto& item : node.items()) {
    const Ends ends = ends_of(item);
    const auto first = end_value(item, ends.first, 0), last = end_value(item, ends.last, ends.last_at);
    if (last < first) item.fail("the range ", first, "-", last, " of ", node.what(), " is empty");
    all.push_back({first, last, item.at()});
  }
  return all;
}

double percent(const PolicyNode& node, const std::string& text, std::size_t at) {
  double value = -1;
  const char* last = text.data() + text.size() - (text.ends_with('%') ? 1 : 0);
  const auto [end, error] = std::from_chars(text.data(), last, value);
  if (!text.ends_with('%') || error != std::errc() || end != last || !(value >= 0 && value <= 100))
    node.fail_at(at, "steps takes numbers as 0-9, or percents of the run as 0%-25%, got '", text, "'");
  return value;
}

std::vector<StepRange> step_ranges(const PolicyNode& node) {
  std::vector<StepRange> all;
  for (const auto& item : node.items()) {
    const Ends ends = ends_of(item);
    StepRange range;
    range.percent = item.text().find('%') != std::string::npos;
    if (range.percent && ends.last_at == 0) item.fail("steps: one percent is no range; write 0%-", ends.first);
    range.first = range.percent ? percent(item, ends.first, 0) : static_cast<double>(end_value(item, ends.first, 0));
    range.last = range.percent ? percent(item, ends.last, ends.last_at)
                               : static_cast<double>(end_value(item, ends.last, ends.last_at));
    if (range.percent ? range.last <= range.first : range.last < range.first)
      item.fail("the range ", ends.first, "-", ends.last, " of steps is empty");
    all.push_back(range);
  }
  return all;
}

// tokens >= 4096 and heads == 12
class Conditions {
 public:
  explicit Conditions(const PolicyNode& node) : node_(node), text_(node.text()) {}
  std::vector<SizeCondition> read() {
    std::vector<SizeCondition> all = {comparison()};
    while (skip_space(), at_ < text_.size()) {
      const std::size_t begin = at_;
      const auto word = take([](char c) { return c >= 'a' && c <= 'z'; });
      if (word != "and") node_.fail_at(begin, "'and' must join the comparisons of when");
      all.push_back(comparison());
    }
    return all;
  }

 private:
  SizeCondition comparison() {
    static constexpr std::string_view quantities[] = {"tokens", "keys", "batch", "heads", "head_dim"},
                                      relations[] = {"<", "<=", ">", ">=", "==", "!="};
    SizeCondition c;
    c.quantity = static_cast<Quantity>(one_of(quantities, "tokens, keys, batch, heads or head_dim",
                                              [](char x) { return std::isalpha(x) || x == '_'; }));
    c.relation = static_cast<Relation>(one_of(relations, "<, <=, >, >=, == or !=", [](char x) {
      return std::string_view("<>=!").find(x) != std::string_view::npos;
    }));
    skip_space();
    const std::size_t begin = at_;
    const std::string digits = take([](char x) { return x != ' '; });
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), c.value);
    if (digits.empty() || error != std::errc() || end != digits.data() + digits.size())
      node_.fail_at(begin, "when compares with whole numbers, got '", digits, "'");
    return c;
  }
  template <class Belongs>
  std::size_t one_of(std::span<const std::string_view> known, const char* list, Belongs belongs) {
    skip_space();
    const std::size_t begin = at_;
    std::string word = take(belongs);
    const auto found = std::find(known.begin(), known.end(), word);
    if (found != known.end()) return static_cast<std::size_t>(found - known.begin());
    if (word.empty()) word = take([](char x) { return x != ' '; });
    node_.fail_at(begin, "when: expected ", list, ", got '", word, "'", did_you_mean(word, strings(known)));
  }
  template <class Belongs>
  std::string take(Belongs belongs) {
    const std::size_t begin = at_;
    while (at_ < text_.size() && belongs(text_[at_])) ++at_;
    return text_.substr(begin, at_ - begin);
  }
  void skip_space() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }
  const PolicyNode& node_;
  const std::string text_;
  std::size_t at_ = 0;
};

std::vector<NamePattern> patterns(const PolicyNode& node, bool regex) {
  constexpr std::size_t longest_pattern = 500;
  std::vector<NamePattern> all;
  for (const auto& item : node.items()) {
    all.push_back({item.text(), regex});
    if (all.back().text.size() > longest_pattern) item.fail("a pattern of more than ", longest_pattern, " characters");
    if (regex) try {
        all.back().matches("");
      } catch (const std::regex_error& e) {
        item.fail("'", all.back().text, "' is no regular expression: ", e.what());
      }
  }
  return all;
}

}  // namespace

RuleMatch parse_match(const PolicyNode& node, std::span<const std::string_view> known) {
  static constexpr std::string_view roles[] = {"self", "cross"};
  RuleMatch m;
  for (const auto& e : node.entries(known)) {
    if (e.name == "role") {
      for (const auto& item : e.value.items()) m.roles.push_back(static_cast<Role>(item.choice(roles)));
    } else if (e.name == "causal") {
      m.causal = e.value.boolean();
    } else if (e.name == "layers") {
      m.layers = ranges(e.value);
    } else if (e.name == "heads") {
      m.heads = ranges(e.value);
    } else if (e.name == "steps") {
      m.steps = step_ranges(e.value);
    } else if (e.name == "when") {
      m.when = Conditions(e.value).read();
      m.when_text = e.value.text();
    } else {
      (e.name == "name" ? m.names : m.regexes) = patterns(e.value, e.name == "regex");
    }
  }
  return m;
}

}  // namespace tessera
