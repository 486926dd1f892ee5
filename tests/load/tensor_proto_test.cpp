// Every way ONNX may store a tensor, and every way it may be wrong.
#include <gmock/gmock.h>

#include "runtime/load/load.h"
#include "runtime/tensor/text.h"
#include "tests/support/model_text.h"
#include "tests/support/scratch_folder.h"

namespace tessera {
namespace {

using testing::HasSubstr;

std::string graph_around(const std::string& tensor) {
  return "initializer { name: \"w\" " + tensor + "} output { name: \"w\" }";
}
std::string read(const std::string& tensor) { return to_text(load_text(graph_around(tensor)).find("w")->constant); }
std::string failure(const std::string& tensor, int code = 2) {
  const Failure f = failure_of_text(graph_around(tensor));
  EXPECT_EQ(f.code, code) << tensor << "\n" << f.text;
  return f.text;
}

TEST(TensorProto, typed_fields_hold_every_executable_type) {
  EXPECT_EQ(read("data_type: 1 dims: 2 float_data: [1, -2]"), "f32{1, -2}");
  EXPECT_EQ(read("data_type: 11 dims: 1 double_data: 0.5"), "f64{0.5}");
  EXPECT_EQ(read("data_type: 7 dims: 1 int64_data: -40000"), "i64{-40000}");
  EXPECT_EQ(read("data_type: 6 dims: 1 int32_data: -7"), "i32{-7}");
  EXPECT_EQ(read("data_type: 5 dims: 1 int32_data: -32768"), "i16{-32768}");
  EXPECT_EQ(read("data_type: 4 dims: 1 int32_data: 65535"), "u16{65535}");
  EXPECT_EQ(read("data_type: 3 dims: 1 int32_data: -128"), "i8{-128}");
  EXPECT_EQ(read("data_type: 2 dims: 1 int32_data: 255"), "u8{255}");
  EXPECT_EQ(read("data_type: 9 dims: 2 int32_data: [0, 2]"), "bool{false, true}");
  EXPECT_EQ(read("data_type: 10 dims: 1 int32_data: 15360"), "f16{1}");
  EXPECT_EQ(read("data_type: 16 dims: 1 int32_data: 49152"), "bf16{-2}");
  EXPECT_EQ(read("data_type: 12 dims: 1 uint64_data: 70000"), "u32{70000}");
  EXPECT_EQ(read("data_type: 13 dims: 1 uint64_data: 70000"), "u64{70000}");
}

TEST(TensorProto, raw_data_is_little_endian_and_bools_are_normalised) {
  EXPECT_EQ(read(R"(data_type: 6 dims: 1 raw_data: "\x01\x02\x00\x00")"), "i32{513}");
  EXPECT_EQ(read(R"(data_type: 9 dims: 3 raw_data: "\x00\x01\xff")"), "bool{false, true, true}");
  EXPECT_EQ(read("data_type: 1 dims: 0 dims: 3"), "f32[0x3]{}");
  EXPECT_EQ(read("data_type: 1 float_data: 5"), "f32 5");
}

TEST(TensorProto, sizes_must_agree) {
  EXPECT_THAT(failure(R"(data_type: 1 dims: 2 raw_data: "1234567")"), HasSubstr("7 bytes of data but f32 [2] takes 8"));
  EXPECT_THAT(failure(R"(data_type: 1 dims: 1 raw_data: "12345")"), HasSubstr("5 bytes of data but f32 [1] takes 4"));
  EXPECT_THAT(failure("data_type: 1 dims: 3 float_data: [1, 2]"),
              HasSubstr("has 2 elements of data but f32 [3] takes 3"));
  EXPECT_THAT(failure("data_type: 1 dims: 3"), HasSubstr("has 0 elements of data"));
  EXPECT_THAT(failure("data_type: 1 dims: 1 int64_data: 1"), HasSubstr("a field that cannot hold f32"));
  EXPECT_THAT(failure(R"(data_type: 1 dims: 1 float_data: 1 raw_data: "1234")"), HasSubstr("both raw and typed"));
  EXPECT_THAT(failure("data_type: 3 dims: 1 int32_data: 128"), HasSubstr("out of the range of i8"));
  EXPECT_THAT(failure("data_type: 1 dims: 1099511627776 dims: 1099511627776"), HasSubstr("too many elements"));
  EXPECT_THAT(failure("data_type: 1 dims: 1099511627776"), HasSubstr("has 0 elements of data"));
  EXPECT_THAT(failure("data_type: 1 dims: -2 float_data: 1"), HasSubstr("-2"));
  EXPECT_THAT(failure("data_type: 0 dims: 1"), HasSubstr("element type 0"));
  EXPECT_THAT(failure("data_type: 99 dims: 1"), HasSubstr("element type 99"));
  EXPECT_THAT(failure("data_type: 1 dims: 1 mapped_offset: 8 mapped_size: 4"), HasSubstr("outside of the file"));
}

TEST(TensorProto, types_that_cannot_be_executed_matter_only_where_used) {
  EXPECT_THAT(failure(R"(data_type: 22 dims: 2 raw_data: "\x12")", 3), HasSubstr("i4"));
  EXPECT_THAT(failure(R"(data_type: 22 dims: 3 raw_data: "\x12")"),
              HasSubstr("1 bytes of data but 3 elements of i4 take 2"));
  EXPECT_THAT(failure(R"(data_type: 8 dims: 1 raw_data: "abc")"), HasSubstr("strings as raw data"));
  const Graph g = load_text(R"(
    initializer { name: "unused" data_type: 21 dims: 2 raw_data: "\x12" }
    node { op_type: "Relu" input: "x" output: "y" }
    input { name: "x" type { tensor_type { elem_type: 1 } } }
    output { name: "y" })");
  EXPECT_EQ(g.find("unused"), nullptr);
}

}  // namespace
}  // namespace tessera
