#include "runtime/op/scratch.h"

#include <gtest/gtest.h>

#include <thread>

namespace tessera {
namespace {

// So large that the system gives such memory as zeros, and takes it back when it is freed.
constexpr std::int64_t kLarge = std::int64_t{40} << 20;

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

TEST(Scratch, keeps_what_was_used_last_and_drops_what_was_used_before) {
  mark(kLarge, 'a');
  mark(9 * kLarge, 'b');
  mark(4 * kLarge, 'c');
  EXPECT_EQ(mark_of(4 * kLarge), 'c');
  EXPECT_EQ(mark_of(kLarge), 0);
}

}  // namespace
}  // namespace tessera
