#pragma once
// VeRA (Kopiczko et al. 2023, "VeRA: vector-based random matrix adaptation", section 3): y = W x + b * (B (d * (A x))), with one random,
// frozen pair A, B that all layers share (each takes the first rows and columns that it needs), and two trained vectors a layer. The pair
// is PEFT's: kaiming-uniform from PyTorch's CPU generator seeded by `projection_prng_key`.
#include "graft/peft/lora.h"

namespace graft {

struct VeraOptions {
  int rank = 256;
  double d_initial = 0.1;
  double dropout = 0;
  uint64_t projection_prng_key = 0;
  bool save_projection = true;
  void visit(auto& v) {
    v("rank", rank, "width of the shared pair", AtLeast(1));
    v("d_initial", d_initial, "first value of the vector between A and B");
    v("dropout", dropout, "share of the update's input that is dropped in training", Between(0, 0.99));
    v("projection_prng_key", projection_prng_key, "seed of the shared pair");
    v("save_projection", save_projection, "write the shared pair into the adapter's file");
  }
};

}  // namespace graft
