#pragma once
// The machine's limit that products and attention are held against.

namespace tessera {

// GFLOP/s of float32 multiply-adds on registers, `threads` threads together. The best of `tries` of about 3 ms each,
// since disturbance only ever takes away.
double peak_gflops(int threads, int tries);

}  // namespace tessera
