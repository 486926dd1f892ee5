#include <algorithm>
#include <cmath>

#include "runtime/op/context.h"

namespace tessera {
namespace {

struct Box {
  float low[2], high[2];
  float area() const { return (high[0] - low[0]) * (high[1] - low[1]); }
};

// Two corners, of any diagonal, or the centre and the sizes.
Box box_of(const float* at, bool by_centre) {
  Box b;
  for (int a = 0; a < 2; ++a) {
    const float half = at[2 + a] / 2;
    b.low[a] = by_centre ? at[a] - half : std::min(at[a], at[2 + a]);
    b.high[a] = by_centre ? at[a] + half : std::max(at[a], at[2 + a]);
  }
  return b;
}

// Intersection over union is beyond the threshold. Boxes without area overlap with none.
bool overlap(const Box& a, const Box& b, float threshold) {
  float both = 1;
  for (int i = 0; i < 2; ++i) {
    const float length = std::min(a.high[i], b.high[i]) - std::max(a.low[i], b.low[i]);
    if (!(length > 0)) return false;
    both *= length;
  }
  const float either = a.area() + b.area() - both;
  return a.area() > 0 && b.area() > 0 && either > 0 && both / either > threshold;
}

struct Limits {
  std::int64_t most = 0;
  float overlap = 0;
  bool has_score = false;
  float score = 0;
};

// The boxes kept of one class: by falling score, equal ones in their order, each that overlaps with none kept before.
std::vector<std::int64_t> kept(const std::vector<Box>& boxes, const float* scores, const Limits& limits) {
  std::vector<std::int64_t> order, keep;
  for (std::int64_t i = 0; i < std::ssize(boxes); ++i)
    if (limits.has_score ? scores[i] > limits.score : !std::isnan(scores[i])) order.push_back(i);
  std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) { return scores[a] > scores[b]; });
  for (const auto i : order) {
    if (std::ssize(keep) >= limits.most) break;
    const Box& box = boxes[static_cast<std::size_t>(i)];
    if (std::none_of(keep.begin(), keep.end(),
                     [&](std::int64_t k) { return overlap(box, boxes[static_cast<std::size_t>(k)], limits.overlap); }))
      keep.push_back(i);
  }
  return keep;
}

void kernel(const KernelContext& k) {
  const Shape &b = k.in(0).shape(), &s = k.in(1).shape();
  check(b.rank() == 3 && b[2] == 4, "boxes must be [batch x boxes x 4], got ", b);
  check(s.rank() == 3 && s[0] == b[0] && s[2] == b[1], "scores must be [", b[0], " x classes x ", b[1], "], got ", s);
  const auto scalar = [&](int i) { return k.has(i) && k.in(i).size() > 0; };
  Limits limits;
  if (scalar(2)) limits.most = k.in(2).read<std::int64_t>()[0];
  if (scalar(3)) limits.overlap = k.in(3).read<float>()[0];
  if (scalar(4)) limits.has_score = true, limits.score = k.in(4).read<float>()[0];
  check(limits.overlap >= 0 && limits.overlap <= 1, "iou_threshold must be between 0 and 1, got ", limits.overlap);
  const bool by_centre = k.attr.flag("center_point_box");
  std::vector<std::int64_t> selected;
  for (std::int64_t batch = 0; batch < b[0]; ++batch) {
    std::vector<Box> boxes;
    for (std::int64_t i = 0; i < b[1]; ++i)
      boxes.push_back(box_of(k.in(0).read<float>().data() + (batch * b[1] + i) * 4, by_centre));
    for (std::int64_t c = 0; c < s[1]; ++c)
      for (const auto i : kept(boxes, k.in(1).read<float>().data() + (batch * s[1] + c) * s[2], limits))
        selected.insert(selected.end(), {batch, c, i});
  }
  k.give(0, Tensor::of<std::int64_t>({std::ssize(selected) / 3, 3}, selected));
}

}  // namespace

extern constinit const OpDef op_non_max_suppression = define({
    .name = "NonMaxSuppression",
    .since = 11,
    .introduced = 10,
    .doc = "The boxes of each class that overlap with no better one, best first, as [batch, class, box].",
    .source = "ONNX NonMaxSuppression-11",
    .inputs = {{"boxes", "f32", "[batch x boxes x 4]"},
               {"scores", "f32", "[batch x classes x boxes]"},
               {"max_output_boxes_per_class", "i64", "one number; default 0: none", Presence::optional},
               {"iou_threshold", "f32", "one number: intersection over union beyond it is an overlap; default 0",
                Presence::optional},
               {"score_threshold", "f32", "one number that scores must exceed; default: any do", Presence::optional}},
    .outputs = {{"selected_indices", "i64", "[boxes kept x 3]"}},
    .attributes = {{"center_point_box", AttributeType::integer, 0,
                    "0: boxes are corners y1, x1, y2, x2; 1: centre and sizes x, y, width, height"}},
    .late = true,
    .kernel = kernel,
    .gradient = no_gradient,
    .examples =
        {"{{{0, 0, 1, 1}, {1, 1, 0, 0.1}, {0, 2, 1, 3}, {0, 2.2, 1, 3}}}; {{{0.5, 0.75, 0.9, 0.9}, {0.9, 0, 0.1, "
         "0.2}}}; "
         "i64 2; 0.5; 0.15 -> i64{{0, 0, 2}, {0, 0, 1}, {0, 1, 0}, {0, 1, 3}}",
         "{{{0.5, 0.5, 1, 1}, {0.5, 0.6, 1, 1}, {0.5, 2, 1, 1}}}; {{{1, 2, 3}}}; i64{9}; {0.9}; center_point_box=1 -> "
         "i64{{0, 0, 2}, {0, 0, 1}, {0, 0, 0}}",
         "{{{0, 0, 1, 1}}}; {{{1}}} -> i64[0x3]{}"},
});

}  // namespace tessera
