// tessera_bench_peak THREADS: prints the machine's limit (peak.h) in GFLOP/s.
#include <cstdio>
#include <cstdlib>

#include "tests/bench/peak.h"

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 1;
  if (threads < 1 || threads > 4096) return std::fputs("usage: tessera_bench_peak THREADS\n", stderr), 2;
  std::printf("%.1f\n", tessera::peak_gflops(threads, 300));
}
