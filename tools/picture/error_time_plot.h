#pragma once
// Policies as points: time against error, as SVG.
#include <string>
#include <vector>

namespace tessera {

struct PlotPoint {
  std::string name;
  double seconds, error;  // error > 0 is drawn on a logarithmic axis; 0 (the reference) stands at its lower end
};

// The whole file. Both axes are labelled; points carry their names, moved apart where they would overlap.
std::string error_time_plot(const std::string& title, const std::vector<PlotPoint>& points);

}  // namespace tessera
