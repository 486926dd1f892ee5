#pragma once
// What `tessera compare` found, as plain data, and how it is shown.
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "tools/json_fwd.h"
#include "tools/table.h"

namespace tessera {

// How far a tensor is from the reference's.
struct Difference {
  double relative = 0;  // L2
  double greatest = 0;  // |a - b|
  double cosine = 1;
};

struct ComparedSiteReport {
  std::string name, method, precision;  // precision: the type of its operands
  Difference isolated, cumulative;
  double density = 1;          // pairs computed by all pairs, over batch and heads
  std::optional<double> mass;  // dense attention mass on the keys that were kept; nothing: the reference is not dense
  double dense_density = 1;    // of the reference, where a mask hides keys or the file has methods of its own
  double flops = 0;            // of the pairs computed, both products
  double all_flops = 0;        // of all pairs
  double dense_seconds = 0, seconds = 0;
  double speedup() const { return dense_seconds / seconds; }
  double predicted() const { return density > 0 ? dense_density / density : INFINITY; }
};

struct ComparedPolicyReport {
  std::string name;
  double seconds = 0, attention_seconds = 0;  // of the whole model; of its sites, as they run in it
  std::vector<ComparedSiteReport> sites;
  std::vector<Difference> outputs;  // as CompareReport::outputs

  double density() const;           // of all sites, each by its dense FLOPs
  Difference worst_output() const;  // the largest errors, the smallest cosine; NaN where one is NaN
};

struct CompareReport {
  std::string model;
  std::string reference = "dense";  // what the policies are compared with
  int threads = 1, runs = 1;
  double dense_density = 1;
  std::vector<std::string> outputs;
  double dense_seconds = 0, dense_attention_seconds = 0;
  std::vector<ComparedPolicyReport> policies;
};

std::string compare_text(const CompareReport& report, Format format);
Json compare_json(const CompareReport& report);

}  // namespace tessera
