// tessera generate dit: models of known architectures with seeded weights, to measure and test with.
#include <fmt/format.h>
#include <filesystem>

#include "tools/command.h"
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
  check_shape(shape);
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

void add_dit(Command& app) {
  auto f = std::make_shared<GenerateFlags>();
  Command sub = app.subcommand("dit", "A video diffusion transformer of the Wan2.1 kind");
  sub.option("--layers N", f->shape.layers, "Blocks").shows_default();
  sub.option("--hidden C", f->shape.hidden, "Channels of a token").shows_default();
  sub.option("--heads H", f->shape.heads, "Heads of each attention; hidden / heads must be even").shows_default();
  sub.option("--ffn F", f->shape.ffn, "Inner channels of the feed-forward part").shows_default();
  sub.option("--grid T,H,W", f->grid, "Tokens in time, height and width; the latent is [1, channels, T, 2H, 2W]")
      .shows_default();
  sub.option("--text L", f->shape.text, "Tokens of the text").shows_default();
  sub.option("--text-dim N", f->text_dim, "Channels of the text; 4096, or 64 when hidden is below 1024").positive();
  sub.option("--channels N", f->shape.channels, "Channels of the latent").shows_default();
  sub.option("--attention onnx|decomposed", f->attention,
             "onnx: Attention nodes (opset 23); decomposed: MatMul and Softmax (opset 17)")
      .shows_default();
  sub.option("--seed S", f->seed, "Seed of the weights; equal seeds give equal files").shows_default();
  sub.option("-o,--out DIR", f->folder, "Folder for model.onnx and its data; made if need be").required();
  add_quiet(sub);
  sub.does([f] { return generate(*f); });
}

}  // namespace

void add_generate(Command& app) {
  Command sub = app.subcommand("generate", "Write a model of a known architecture with seeded weights");
  add_dit(sub);
}

}  // namespace tessera
