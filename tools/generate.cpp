// tessera generate dit: models of known architectures with seeded weights, to measure and test with.
#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <filesystem>

#include "tools/command_line.h"
#include "tools/flags.h"
#include "tools/generate/dit.h"
#include "tools/terminal.h"

namespace tessera {
namespace {

struct GenerateFlags {
  DitShape shape;
  std::string grid = "4,4,4", attention = "onnx", folder;
  std::int64_t text_dim = 0;
  std::uint64_t seed = 0;
};

// "T,H,W"
void read_grid(const std::string& text, DitShape& shape) {
  const auto first = text.find(','), second = text.find(',', first + 1);
  const bool three =
      first != std::string::npos && second != std::string::npos && text.find(',', second + 1) == std::string::npos;
  check(three, "--grid ", text, ": expected T,H,W, as 8,16,16");
  shape.frames = parse_count(text.substr(0, first), "--grid");
  shape.height = parse_count(text.substr(first + 1, second - first - 1), "--grid");
  shape.width = parse_count(text.substr(second + 1), "--grid");
}

int generate(const GenerateFlags& f) {
  DitShape shape = f.shape;
  read_grid(f.grid, shape);
  shape.text_dim = f.text_dim > 0 ? f.text_dim : shape.hidden >= 1024 ? 4096 : 64;
  check(f.attention == "onnx" || f.attention == "decomposed", "--attention must be onnx or decomposed, got '",
        f.attention, "'");
  const auto form = f.attention == "onnx" ? AttentionForm::onnx : AttentionForm::decomposed;
  std::error_code error;
  std::filesystem::create_directories(f.folder, error);
  check(!error, Code::run_time, "cannot make folder '", f.folder, "': ", error.message());
  const std::string path = (std::filesystem::path(f.folder) / "model.onnx").string();
  const DitReport r = generate_dit(shape, form, f.seed, path);
  print(fmt::format("wrote       {} and {}.data ({} of weights)\n", path, path,
                    readable_bytes(static_cast<double>(r.bytes))));
  print(fmt::format("model       {} layers, hidden {}, {} heads of {}, ffn {}; {} nodes, {} parameters\n", shape.layers,
                    shape.hidden, shape.heads, shape.hidden / shape.heads, shape.ffn, r.nodes,
                    with_commas(r.parameters)));
  print(fmt::format("tokens      {} = {} x {} x {}, text {}\n", with_commas(shape.tokens()), shape.frames, shape.height,
                    shape.width, shape.text));
  print(fmt::format("one run     {} in matrix products\n", readable_count(r.flops, "FLOP")));
  print(fmt::format("inputs      latent [1x{}x{}x{}x{}], t [1], context [1x{}x{}]\n", shape.channels, shape.frames,
                    2 * shape.height, 2 * shape.width, shape.text, shape.text_dim));
  return 0;
}

void add_dit(CLI::App& app, Action& action) {
  auto f = std::make_shared<GenerateFlags>();
  CLI::App& sub = *app.add_subcommand("dit", "A video diffusion transformer of the Wan2.1 kind");
  sub.add_option("--layers", f->shape.layers, "Blocks")->type_name("N")->capture_default_str();
  sub.add_option("--hidden", f->shape.hidden, "Channels of a token")->type_name("C")->capture_default_str();
  sub.add_option("--heads", f->shape.heads, "Heads of each attention; hidden / heads must be even")
      ->type_name("H")
      ->capture_default_str();
  sub.add_option("--ffn", f->shape.ffn, "Inner channels of the feed-forward part")
      ->type_name("F")
      ->capture_default_str();
  sub.add_option("--grid", f->grid, "Tokens in time, height and width; the latent is [1, channels, T, 2H, 2W]")
      ->type_name("T,H,W")
      ->capture_default_str();
  sub.add_option("--text", f->shape.text, "Tokens of the text")->type_name("L")->capture_default_str();
  sub.add_option("--text-dim", f->text_dim, "Channels of the text; 4096, or 64 when hidden is below 1024")
      ->type_name("N");
  sub.add_option("--channels", f->shape.channels, "Channels of the latent")->type_name("N")->capture_default_str();
  sub.add_option("--attention", f->attention,
                 "onnx: Attention nodes (opset 23); decomposed: MatMul and Softmax (opset 17)")
      ->type_name("onnx|decomposed")
      ->capture_default_str();
  sub.add_option("--seed", f->seed, "Seed of the weights; equal seeds give equal files")
      ->type_name("S")
      ->capture_default_str();
  sub.add_option("-o,--out", f->folder, "Folder for model.onnx and its data; made if need be")
      ->type_name("DIR")
      ->required();
  add_quiet(sub);
  sub.callback([f, &action] { action = [f] { return generate(*f); }; });
}

}  // namespace

void add_generate(CLI::App& app, Action& action) {
  CLI::App& sub = *app.add_subcommand("generate", "Write a model of a known architecture with seeded weights");
  sub.require_subcommand(1);
  add_dit(sub, action);
}

}  // namespace tessera
