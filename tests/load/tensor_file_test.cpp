#include "runtime/load/tensor_file.h"

#include <gmock/gmock.h>

#include "runtime/tensor/text.h"
#include "tests/support/scratch_folder.h"

namespace tessera {
namespace {

TEST(TensorFile, keeps_name_type_shape_and_elements) {
  const ScratchFolder folder;
  for (const auto* text : {"f32{{1, 2}, {3, 4}}", "i64 7", "bool{true, false}", "f32[0x3]{}", "f16{0.5, -2}",
                           "u8{1, 255}", "f64{0.1}", "bf16{1, 2, 3}", "i8{-1}", "u64{3}"}) {
    const Tensor t = tensor_from_text(text);
    write_tensor_file({"name", t}, folder.at("t.pb"));
    const NamedTensor back = read_tensor_file(folder.at("t.pb"));
    EXPECT_EQ(back.name, "name");
    EXPECT_TRUE(same_bits(back.tensor, t)) << text << " became " << to_text(back.tensor);
  }
}

TEST(TensorFile, large_tensors_alias_the_file_or_are_copied_where_misaligned) {
  const ScratchFolder folder;
  Tensor t(DType::f32, {1000});
  for (int i = 0; auto& x : t.write<float>()) x = static_cast<float>(++i);
  for (const std::string name : {"", "a", "ab", "abc"}) {
    write_tensor_file({name, t}, folder.at("t.pb"));
    EXPECT_TRUE(same_bits(read_tensor_file(folder.at("t.pb")).tensor, t));
  }
}

TEST(TensorFile, failing_to_write_leaves_nothing) {
  const ScratchFolder folder;
  try {
    write_tensor_file({"", Tensor::scalar(1.0f)}, folder.at("missing/t.pb"));
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Code::run_time);
    EXPECT_THAT(e.what(), testing::HasSubstr("missing/t.pb"));
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace tessera
