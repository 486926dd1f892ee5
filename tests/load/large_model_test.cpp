// Models beyond protobuf's 2 GB. The files are sparse: they take no space and their weights are never touched.
#include <gtest/gtest.h>

#include "runtime/load/load.h"
#include "tests/support/model_text.h"
#include "tests/support/scratch_folder.h"
#include "tests/support/wire.h"

namespace tessera {
namespace {

constexpr std::int64_t elements = 700'000'000;  // f32: 2.8 GB
constexpr std::uint64_t size = 4 * elements;

TEST(LargeModel, raw_data_beyond_2_gb_stays_in_the_file) {
  const ScratchFolder folder;
  const std::string opset = wire::bytes(8, wire::number(2, 17)), output = wire::bytes(12, wire::bytes(1, "w"));
  std::string head, bytes;
  for (std::string name = "w", note;; note += 'n') {  // until the data are aligned
    const std::string meta = wire::number(1, elements) + wire::number(2, 1) + wire::bytes(8, name) +
                             wire::bytes(12, note) + wire::varint(9 << 3 | 2) + wire::varint(size);
    head = wire::varint(5 << 3 | 2) + wire::varint(meta.size() + size) + meta;
    bytes = wire::number(1, 8) + opset + wire::varint(7 << 3 | 2) + wire::varint(output.size() + head.size() + size) +
            output + head;
    if (bytes.size() % 4 == 0) break;
  }
  const std::string path = folder.write("m.onnx", bytes);
  std::filesystem::resize_file(path, bytes.size() + size);
  const Graph g = load(path, builtin_registry());
  const Tensor& w = g.find("w")->constant;
  EXPECT_EQ(w.size(), elements);
  EXPECT_EQ(w.read<float>()[elements - 1], 0.0f);
}

TEST(LargeModel, external_data_beyond_2_gb) {
  const ScratchFolder folder;
  std::filesystem::resize_file(folder.write("w.bin", "x"), size + 4096);
  const std::string path = folder.write(
      "m.textproto", model_text("initializer { name: \"w\" data_type: 1 dims: " + std::to_string(elements) + R"(
          data_location: EXTERNAL external_data { key: "location" value: "w.bin" } external_data { key: "offset" value: "4096" } }
          output { name: "w" })"));
  EXPECT_EQ(load(path, builtin_registry()).find("w")->constant.size(), elements);
}

}  // namespace
}  // namespace tessera
