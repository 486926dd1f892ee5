#include "runtime/op/scratch.h"

#include <gtest/gtest.h>

#include <thread>

namespace tessera {
namespace {

// So large that malloc asks the system for it, which gives zeros: what it keeps for itself is 64 MB at most (the
// largest M_TRIM_THRESHOLD it sets), whatever ran before in this process.
constexpr std::int64_t kLarge = std::int64_t{80} << 20;

void mark(std::int64_t bytes, char with) {
  const Scratch<char> block(bytes);
  block[bytes / 2] = with;
}
char mark_of(std::int64_t bytes) {
  const Scratch<char> block(bytes);
  return block[bytes / 2];
}

TEST(Scratch, given_back_serves_whoever_asks_next) {
  std::thread([] { mark(kLarge, 'a'); }).join();
  EXPECT_EQ(mark_of(kLarge), 'a');
  char found = 0;
  std::thread([&] { found = mark_of(kLarge); }).join();
  EXPECT_EQ(found, 'a');
}

// Together 650 of the 512 MB that are kept; the last is too large to serve whoever asks for kLarge.
TEST(Scratch, keeps_what_was_used_last_and_drops_what_was_used_before) {
  constexpr std::int64_t kOther = std::int64_t{170} << 20;
  mark(kLarge, 'a');
  mark(5 * kLarge, 'b');
  mark(kOther, 'c');
  EXPECT_EQ(mark_of(kOther), 'c');
  EXPECT_EQ(mark_of(kLarge), 0);
}

}  // namespace
}  // namespace tessera
