// tessera_bench_models FOLDER [NAME...]: writes the models of peers.py, all or those named. Float32, opset 17.
//   call            y = x + z on 16 elements: what one call costs
//   chain1000       1000 of them in a row
//   wide1000        1000 sums of one x with a constant each, and a Concat
//   two_chains      two chains of 12 products of 512 x 512 that share nothing
//   big1g           114 products with weights of 1536 x 1536: 1.08 GB of external data, little work
//   block_mha_4096  a block of a diffusion transformer on 4096 tokens, attention by MultiHeadAttention
//   block_dec_4096  the same with attention in its parts
//   block_*_8192    both on 8192 tokens
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <map>

#include "tests/bench/dit_block.h"

namespace tessera {
namespace {

constexpr std::int64_t tiny = 16;

void write_chain(ModelWriter& m, int nodes) {
  std::string x = m.input("x", {tiny});
  const std::string z = m.input("z", {tiny});
  for (int i = 0; i < nodes; ++i) x = m.node("Add", {x, z});
  m.output(x, {tiny});
}

void write_wide(ModelWriter& m) {
  const std::string x = m.input("x", {tiny});
  std::vector<std::string> sums;
  for (int i = 0; i < 1000; ++i) {
    Tensor c(DType::f32, {tiny});
    for (float& element : c.write<float>()) element = static_cast<float>(i) * 1e-3f;
    sums.push_back(m.node("Add", {x, m.constant(c)}));
  }
  m.output(m.node("Concat", sums, {{"axis", 0}}), {1000 * tiny});
}

// x [rows, size] times `count` square weights; the deviation keeps the products' size.
void write_products(ModelWriter& m, const std::string& input, std::int64_t rows, std::int64_t size, int count) {
  std::string x = m.input(input, {rows, size});
  for (int i = 0; i < count; ++i)
    x = m.node("MatMul", {x, m.weight({size, size}, 1 / std::sqrt(static_cast<double>(size)))});
  m.output(x, {rows, size});
}

const std::map<std::string, std::function<void(ModelWriter&)>> models = {
    {"call", [](ModelWriter& m) { write_chain(m, 1); }},
    {"chain1000", [](ModelWriter& m) { write_chain(m, 1000); }},
    {"wide1000", write_wide},
    {"two_chains",
     [](ModelWriter& m) {
       write_products(m, "x", 512, 512, 12);
       write_products(m, "z", 512, 512, 12);
     }},
    {"big1g", [](ModelWriter& m) { write_products(m, "x", 8, 1536, 114); }},
    {"block_mha_4096", [](ModelWriter& m) { write_dit_block(m, 4096, AttentionForm::fused); }},
    {"block_dec_4096", [](ModelWriter& m) { write_dit_block(m, 4096, AttentionForm::decomposed); }},
    {"block_mha_8192", [](ModelWriter& m) { write_dit_block(m, 8192, AttentionForm::fused); }},
    {"block_dec_8192", [](ModelWriter& m) { write_dit_block(m, 8192, AttentionForm::decomposed); }},
};

int make_models(const std::string& folder, std::vector<std::string> names) {
  if (names.empty())
    for (const auto& [name, write] : models) names.push_back(name);
  std::filesystem::create_directories(folder);
  for (const auto& name : names) {
    const auto it = models.find(name);
    check(it != models.end(), "there is no model '", name, "'");
    ModelWriter m(folder + "/" + name + ".onnx");
    it->second(m);
    m.finish();
    std::printf("%s/%s.onnx\n", folder.c_str(), name.c_str());
  }
  return 0;
}

}  // namespace
}  // namespace tessera

int main(int argc, char** argv) {
  if (argc < 2) return std::fputs("usage: tessera_bench_models FOLDER [NAME...]\n", stderr), 2;
  try {
    return tessera::make_models(argv[1], {argv + 2, argv + argc});
  } catch (const std::exception& error) {
    return std::fprintf(stderr, "tessera_bench_models: %s\n", error.what()), 1;
  }
}
