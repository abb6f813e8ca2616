#pragma once
// Bottleneck adapters: up(act(down(.))) round a sub-layer. Where it reads and where its sum lands is what tells the methods apart:
//   houlsby   Houlsby et al. 2019, "Parameter-efficient transfer learning for NLP", section 2.1: after attention and after the feed-forward,
//             x + adapter(x), before the block's own sum (and norm)
//   pfeiffer  Pfeiffer et al. 2020, "AdapterFusion", section 3.1: after the feed-forward alone; reads the sum (through the norm), adds to x
//   parallel  He et al. 2021, "Towards a unified view of parameter-efficient transfer learning", section 3.3: beside the feed-forward; reads
//             the residual stream, its output scaled
// Names and defaults are AdapterHub's (double_seq_bn, seq_bn, par_bn), whose folders are read and written.
#include <string>

#include "graft/config/visit.h"
#include "graft/peft/method.h"

namespace graft {

struct BottleneckOptions {
  double reduction_factor = 16;
  std::string non_linearity = "relu";
  std::string init_weights = "bert";
  bool ln_before = false, ln_after = false;
  double scaling = 1;
  bool learn_scaling = false;
  bool train_norms = false;
  void visit(auto& v) {
    v("reduction_factor", reduction_factor, "the model's width over the bottleneck's", MoreThan(0));
    v("non_linearity", non_linearity, "between down and up", Choices{"relu", "gelu", "gelu_new", "swish", "silu", "tanh", "leakyrelu"});
    v("init_weights", init_weights, "first values: normal 0.02, truncated normal 0.01, or an exact no-op", Choices{"bert", "houlsby", "mam_adapter"});
    v("ln_before", ln_before, "a new LayerNorm before the bottleneck");
    v("ln_after", ln_after, "a new LayerNorm behind it");
    v("scaling", scaling, "factor on what the adapter adds");
    v("learn_scaling", learn_scaling, "train that factor; it starts at 1");
    v("train_norms", train_norms, "train the model's own norms beside it, as Houlsby et al. did");
  }
};

struct HoulsbyOptions : BottleneckOptions {
  HoulsbyOptions() { non_linearity = "swish", init_weights = "houlsby"; }
};
struct PfeifferOptions : BottleneckOptions {};
struct ParallelOptions : BottleneckOptions {
  ParallelOptions() { reduction_factor = 2, scaling = 4, init_weights = "mam_adapter"; }
};

}  // namespace graft
