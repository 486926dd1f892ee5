// Damaged policies: read, or refused with a place; never anything else.
#include <gtest/gtest.h>

#include <filesystem>
#include <random>
#include <regex>

#include "tests/fuzz/mutate.h"
#include "tests/support/policy_model.h"
#include "tests/support/runner.h"

namespace tessera {
namespace {

std::vector<std::string> examples() {
  std::vector<std::string> texts;
  for (const auto& file : std::filesystem::directory_iterator(source_path("runtime/policy/examples")))
    texts.push_back(file_text(file.path().string()));
  std::sort(texts.begin(), texts.end());
  return texts;
}

// Words of the language where they do not belong.
std::string mutate_words(std::string text, std::mt19937& random) {
  static const char* const words[] = {
      "rules",  "match", "use",   "with", "self", "dense", "nearby", "0-9",  "0%-25%",        "[",
      "]",      "{",     "}",     ": ",   ", ",   "- ",    "&a ",    "*a",   "1e9",           "-1",
      "\n    ", "share", "heads", "true", "''",   "? ",    "| ",     "!!x ", "grid: [4, 4]\n"};
  const std::size_t at = random() % (text.size() + 1);
  text.erase(at, random() % 8);
  return text.insert(at, words[random() % std::size(words)]);
}

TEST(MutatedPolicy, is_read_or_refused_with_its_place) {
  std::mt19937 random(7);
  const std::regex place("^p\\.yaml(:\\d+:\\d+)?: ");
  const auto texts = examples();
  int read = 0, refused = 0;
  for (int i = 0; i < 6000; ++i) {
    std::string text = texts[random() % texts.size()];
    for (std::size_t n = random() % 4 + 1; n > 0; --n)
      text = random() % 3 ? mutate_words(text, random) : mutate_bytes(text, random);
    try {
      parse_policy(text, "p.yaml");
      ++read;
    } catch (const Error& e) {
      ++refused;
      EXPECT_EQ(e.code(), Code::policy) << text;
      EXPECT_TRUE(std::regex_search(e.what(), place)) << e.what() << "\n" << text;
    }
  }
  EXPECT_GT(read, 100);
  EXPECT_GT(refused, 1000);
}

TEST(MutatedPolicy, is_applied_or_refused) {
  std::mt19937 random(8);
  const std::string good =
      "version: 1\ngrid: [4, 4]\nrules:\n"
      "  - {match: {role: self, layers: 0-1, heads: 0-3}, use: nearby, with: {share: 0.5, tile: [2, 2]}, else: dense}\n"
      "  - {match: {name: '*attn1*', heads: [1, 3], steps: 0%-50%, when: tokens > 3}, use: nearby, optional: true}\n"
      "  - {match: {role: cross}, use: dense, precision: bf16}\n"
      "linear: [{match: {name: '*.ffn'}, precision: bf16}]\n";
  int applied = 0;
  for (int i = 0; i < 1500; ++i) {
    std::string text = good;
    for (std::size_t n = random() % 2 + 1; n > 0; --n) text = mutate_words(text, random);
    try {
      const Policy policy = parse_policy(text, "p.yaml");
      check_policy(policy, registry_with_nearby());
      PolicyModel model;
      apply_policy(model.g, policy, registry_with_nearby(), step_class(policy, {0, 4}));
      ++applied;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), Code::policy) << e.what() << "\n" << text;
    }
  }
  EXPECT_GT(applied, 5);
}

}  // namespace
}  // namespace tessera
