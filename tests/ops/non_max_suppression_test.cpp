// NonMaxSuppression against its definition: the best box is taken, all that overlap with it go, and so on.
#include <gmock/gmock.h>

#include <random>

#include "runtime/op/evaluate.h"
#include "runtime/op/registry.h"
#include "runtime/tensor/text.h"
#include "tests/support/interpret.h"
#include "tests/support/model_text.h"

namespace tessera {
namespace {

std::string run(const Attributes& attributes, const std::vector<Tensor>& in) {
  std::vector<const Tensor*> pointers;
  for (const auto& t : in) pointers.push_back(t ? &t : nullptr);
  try {
    return to_text(evaluate(builtin_registry().at("NonMaxSuppression"), attributes, pointers, 1)[0], 10000);
  } catch (const Error& e) {
    return e.what();
  }
}

// Intersection over union of boxes y1, x1, y2, x2 with y1 < y2 and x1 < x2.
double overlap(const float* a, const float* b) {
  const auto area = [](const float* x) { return double(x[2] - x[0]) * double(x[3] - x[1]); };
  const double height = std::min(a[2], b[2]) - std::max(a[0], b[0]),
               width = std::min(a[3], b[3]) - std::max(a[1], b[1]);
  if (height <= 0 || width <= 0) return 0;
  return height * width / (area(a) + area(b) - height * width);
}

TEST(NonMaxSuppression, follows_its_definition) {
  constexpr std::int64_t batches = 2, classes = 3, n = 60;
  std::mt19937 engine(5);
  const auto eighths = [&](int low, int high) {
    return static_cast<float>(low + static_cast<int>(engine() % static_cast<unsigned>(high - low))) / 8;
  };
  Tensor boxes(DType::f32, {batches, n, 4}), scores(DType::f32, {batches, classes, n}),
      centres(DType::f32, {batches, n, 4});
  for (std::int64_t i = 0; i < batches * n; ++i) {
    float* const b = boxes.write<float>().data() + i * 4;
    float* const c = centres.write<float>().data() + i * 4;
    b[0] = eighths(0, 40), b[1] = eighths(0, 40), b[2] = b[0] + eighths(2, 30), b[3] = b[1] + eighths(2, 30);
    c[0] = (b[0] + b[2]) / 2, c[1] = (b[1] + b[3]) / 2, c[2] = b[2] - b[0], c[3] = b[3] - b[1];
  }
  for (float& s : scores.write<float>()) s = static_cast<float>(engine() % 50) / 50;  // many are equal
  for (const float threshold : {0.0f, 0.3f, 0.7f})
    for (const std::int64_t most : {0, 4, 1000}) {
      std::vector<std::int64_t> expected;
      for (std::int64_t batch = 0; batch < batches; ++batch)
        for (std::int64_t c = 0; c < classes; ++c) {
          const float* s = scores.read<float>().data() + (batch * classes + c) * n;
          std::vector<bool> gone(n);
          for (std::int64_t taken = 0; taken < most;) {
            std::int64_t best = -1;
            for (std::int64_t i = 0; i < n; ++i)
              if (!gone[static_cast<std::size_t>(i)] && s[i] > 0.5f && (best < 0 || s[i] > s[best])) best = i;
            if (best < 0) break;
            expected.insert(expected.end(), {batch, c, best}), ++taken;
            const float* const all = boxes.read<float>().data() + batch * n * 4;
            for (std::int64_t i = 0; i < n; ++i)
              if (i == best || overlap(all + i * 4, all + best * 4) > double(threshold))
                gone[static_cast<std::size_t>(i)] = true;
          }
        }
      const std::string text = to_text(Tensor::of<std::int64_t>({std::ssize(expected) / 3, 3}, expected), 10000);
      const std::vector<Tensor> limits{Tensor::scalar(most), Tensor::scalar(threshold), Tensor::scalar(0.5f)};
      EXPECT_EQ(run({}, {boxes, scores, limits[0], limits[1], limits[2]}), text) << threshold << " " << most;
      EXPECT_EQ(run({{"center_point_box", std::int64_t{1}}}, {centres, scores, limits[0], limits[1], limits[2]}), text);
    }
}

TEST(NonMaxSuppression, passes_over_what_has_no_score_or_area) {
  const Tensor boxes = tensor_from_text("{{{0, 0, 1, 1}, {0, 0, 1, 1}, {0, 0, 0, 1}, {0, 0, 0, 1}}}"),
               most = Tensor::scalar<std::int64_t>(9);
  EXPECT_EQ(run({}, {boxes, tensor_from_text("{{{nan, 1, 2, 3}}}"), most}), "i64{{0, 0, 3}, {0, 0, 2}, {0, 0, 1}}");
}

TEST(NonMaxSuppression, sizes_what_follows_while_it_runs) {
  const Tensor boxes = tensor_from_text("{{{0, 0, 1, 1}, {0, 0, 1, 1}, {2, 2, 3, 3}}}"),
               scores = tensor_from_text("{{{1, 3, 2}}}");
  const Graph g = load_text(
      "node { op_type: \"NonMaxSuppression\" input: \"boxes\" input: \"scores\" input: \"most\" output: \"found\" } "
      "node { op_type: \"Shape\" input: \"found\" output: \"y\" } "
      "initializer { name: \"most\" data_type: 7 dims: 1 int64_data: 5 } " +
      input_text("boxes", boxes) + input_text("scores", scores) + "output { name: \"y\" }");
  EXPECT_EQ(to_text(interpret(g, std::map<std::string, Tensor>{{"boxes", boxes}, {"scores", scores}}).at("y")),
            "i64{2, 3}");
}

TEST(NonMaxSuppression, says_what_does_not_fit) {
  using testing::HasSubstr;
  const Tensor box = tensor_from_text("{{{0, 0, 1, 1}}}"), score = tensor_from_text("{{{1}}}");
  EXPECT_THAT(run({}, {score, score}), HasSubstr("boxes must be [batch x boxes x 4], got [1x1x1]"));
  EXPECT_THAT(run({}, {box, box}), HasSubstr("scores must be [1 x classes x 1], got [1x1x4]"));
  EXPECT_THAT(run({}, {box, score, Tensor(), tensor_from_text("2")}),
              HasSubstr("iou_threshold must be between 0 and 1"));
}

}  // namespace
}  // namespace tessera
