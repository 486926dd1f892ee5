// Truncated and mutated models: whatever the bytes, loading gives a graph or an Error that is not our own fault.
// TESSERA_FUZZ=N tries N times as many mutations, from other seeds.
#include <gmock/gmock.h>
#include <random>

#include "runtime/base/log.h"
#include "runtime/load/load.h"
#include "tests/fuzz/mutate.h"
#include "tests/support/model_text.h"
#include "tests/support/scratch_folder.h"

namespace tessera {
namespace {

struct MutatedModel : testing::Test {
  void SetUp() override { set_log_level(LogLevel::silent); }
  void TearDown() override { set_log_level(LogLevel::warning); }
  ScratchFolder folder;

  // Returns the code, after checking that it is one that a file may cause.
  int outcome(const std::string& bytes) {
    const Failure f = failure_of(folder.write("m.onnx", bytes));
    EXPECT_TRUE(f.code == 0 || f.code == 2 || f.code == 3 || f.code == 6) << f.code << " " << f.text;
    if (HasFailure()) folder.write("failed.onnx", bytes);
    return f.code;
  }
};

TEST_F(MutatedModel, truncation_is_noticed_everywhere) {
  const std::string good = fuzz_seed();
  ASSERT_EQ(outcome(good), 0);
  for (std::size_t size = 0; size < good.size() && !HasFailure(); size += size < 3000 ? 1 : 100)
    EXPECT_NE(outcome(good.substr(0, size)), 0) << size;
}

TEST_F(MutatedModel, mutations_never_do_harm) {
  const char* factor = std::getenv("TESSERA_FUZZ");
  const int rounds = 2000 * (factor ? std::atoi(factor) : 1);
  const std::string good = fuzz_seed();
  int failed = 0;
  for (int i = 0; i < rounds && !HasFailure(); ++i) {
    std::mt19937 random(static_cast<unsigned>(i));
    SCOPED_TRACE(i);
    failed += outcome(i % 2 ? mutate_bytes(good, random) : mutate_fields(good, random)) != 0;
  }
  EXPECT_GT(failed, rounds / 4);
}

}  // namespace
}  // namespace tessera
