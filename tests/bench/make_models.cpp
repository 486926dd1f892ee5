// tessera_bench_models FOLDER [NAME...]: writes the models of peers.py, all or those named. Float32, opset 17.
//   call            y = x + z on 16 elements: what one call costs
//   chain1000       1000 of them in a row
//   wide1000        1000 sums of one x with a constant each, and a Concat
//   elementwise     12 sums and products of 4096 x 1536 elements with a row or a column each, in a chain
//   two_chains      two chains of 12 products of 512 x 512 that share nothing
//   products64      64 products of 64 x 64 that share one operand
//   products256     the same of 256 x 256
//   big1g           114 products with weights of 1536 x 1536: 1.08 GB of external data, little work
//   block_mha_4096  a block of a diffusion transformer on 4096 tokens, attention by MultiHeadAttention
//   block_dec_4096  the same with attention in its parts
//   block_*_8192    both on 8192 tokens; block_mha_16384, block_mha_32760: one on as many
//   attention_*     MultiHeadAttention of 12 heads of 128 on so many tokens; attention_1x29120: of one head
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <map>

#include "tests/bench/dit_block.h"

namespace tessera {
namespace {

constexpr std::int64_t tiny = 16;

void write_chain(BenchModel& m, int nodes) {
  std::string x = m.input("x", {tiny});
  const std::string z = m.input("z", {tiny});
  for (int i = 0; i < nodes; ++i) x = m.node("Add", {x, z});
  m.output(x, {tiny});
}

void write_wide(BenchModel& m) {
  const std::string x = m.input("x", {tiny});
  std::vector<std::string> sums;
  for (int i = 0; i < 1000; ++i) {
    Tensor c(DType::f32, {tiny});
    for (float& element : c.write<float>()) element = static_cast<float>(i) * 1e-3f;
    sums.push_back(m.node("Add", {x, m.constant(c)}));
  }
  m.output(m.node("Concat", sums, {{"axis", 0}}), {1000 * tiny});
}

// y = (x * row + column) * row + column ...; the last node sums over rows, so little leaves the model.
void write_elementwise(BenchModel& m) {
  std::string y = m.input("x", {4096, 1536});
  const std::string row = m.input("row", {1, 1536}), column = m.input("column", {4096, 1});
  for (int i = 0; i < 6; ++i) y = m.node("Add", {m.node("Mul", {y, row}), column});
  m.output(m.node("ReduceMax", {y}, {{"axes", std::vector<std::int64_t>{0}}}), {1, 1536});
}

// x [rows, size] times `count` square weights; the deviation keeps the products' size.
void write_products(BenchModel& m, const std::string& input, std::int64_t rows, std::int64_t size, int count) {
  std::string x = m.input(input, {rows, size});
  for (int i = 0; i < count; ++i)
    x = m.node("MatMul", {x, m.weight({size, size}, 1 / std::sqrt(static_cast<double>(size)))});
  m.output(x, {rows, size});
}

std::string index(BenchModel& m, std::int64_t i) { return m.constant(Tensor::vector({i})); }

// q, k, v [1, tokens, heads * 128]. Only the first token's output leaves the model: the other side's binding copies
// outputs, which is not attention.
void write_attention(BenchModel& m, std::int64_t heads, std::int64_t tokens) {
  constexpr std::int64_t head_dim = 128;
  const Shape shape{1, tokens, heads * head_dim};
  const std::string q = m.input("q", shape), k = m.input("k", shape), v = m.input("v", shape);
  const std::string y = m.node("com.microsoft::MultiHeadAttention", {q, k, v}, {{"num_heads", heads}});
  m.output(m.node("Slice", {y, index(m, 0), index(m, 1), index(m, 1)}), {1, 1, heads * head_dim});
}

// x times each of 64 weights: independent products. Their first rows leave the model, as one output: the other side's
// binding copies outputs, and takes its time for each of them.
void write_independent(BenchModel& m, std::int64_t size) {
  constexpr std::int64_t products = 64;
  const std::string x = m.input("x", {size, size});
  const std::string begin = index(m, 0), end = index(m, 1), axis = index(m, 0);
  std::vector<std::string> rows;
  for (std::int64_t i = 0; i < products; ++i) {
    const std::string weight = m.weight({size, size}, 1 / std::sqrt(static_cast<double>(size)));
    rows.push_back(m.node("Slice", {m.node("MatMul", {x, weight}), begin, end, axis}));
  }
  m.output(m.node("Concat", rows, {{"axis", 0}}), {products, size});
}

const std::map<std::string, std::function<void(BenchModel&)>> models = {
    {"call", [](BenchModel& m) { write_chain(m, 1); }},
    {"chain1000", [](BenchModel& m) { write_chain(m, 1000); }},
    {"wide1000", write_wide},
    {"elementwise", write_elementwise},
    {"two_chains",
     [](BenchModel& m) {
       write_products(m, "x", 512, 512, 12);
       write_products(m, "z", 512, 512, 12);
     }},
    {"products64", [](BenchModel& m) { write_independent(m, 64); }},
    {"products256", [](BenchModel& m) { write_independent(m, 256); }},
    {"big1g", [](BenchModel& m) { write_products(m, "x", 8, 1536, 114); }},
    {"block_mha_4096", [](BenchModel& m) { write_dit_block(m, 4096, BlockAttention::fused); }},
    {"block_dec_4096", [](BenchModel& m) { write_dit_block(m, 4096, BlockAttention::decomposed); }},
    {"block_mha_8192", [](BenchModel& m) { write_dit_block(m, 8192, BlockAttention::fused); }},
    {"block_dec_8192", [](BenchModel& m) { write_dit_block(m, 8192, BlockAttention::decomposed); }},
    {"block_mha_16384", [](BenchModel& m) { write_dit_block(m, 16384, BlockAttention::fused); }},
    {"block_mha_32760", [](BenchModel& m) { write_dit_block(m, 32760, BlockAttention::fused); }},
    {"attention_2048", [](BenchModel& m) { write_attention(m, 12, 2048); }},
    {"attention_4096", [](BenchModel& m) { write_attention(m, 12, 4096); }},
    {"attention_8192", [](BenchModel& m) { write_attention(m, 12, 8192); }},
    {"attention_16384", [](BenchModel& m) { write_attention(m, 12, 16384); }},
    {"attention_1x29120", [](BenchModel& m) { write_attention(m, 1, 29120); }},
};

int make_models(const std::string& folder, std::vector<std::string> names) {
  if (names.empty())
    for (const auto& [name, write] : models) names.push_back(name);
  std::filesystem::create_directories(folder);
  for (const auto& name : names) {
    const auto it = models.find(name);
    check(it != models.end(), "there is no model '", name, "'");
    BenchModel m(folder + "/" + name + ".onnx");
    it->second(m);
    m.finish();
    std::printf("%s/%s.onnx\n", folder.c_str(), name.c_str());
  }
  return 0;
}

}  // namespace
}  // namespace tessera

int main(int argc, char** argv) {
  if (argc < 2 || argv[1][0] == '-') return std::fputs("usage: tessera_bench_models FOLDER [NAME...]\n", stderr), 2;
  try {
    return tessera::make_models(argv[1], {argv + 2, argv + argc});
  } catch (const std::exception& error) {
    return std::fprintf(stderr, "tessera_bench_models: %s\n", error.what()), 1;
  }
}
