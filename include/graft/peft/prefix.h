#pragma once
// Trained keys and values in front of every attention's own.
//   prefix_tuning  Li & Liang 2021, "Prefix-tuning: optimizing continuous prompts for generation", section 4: made by an MLP from a small
//                  trained matrix (the reparameterisation of section 4.3), which is dropped after training
//   p_tuning_v2    Liu et al. 2021, "P-tuning v2", section 3.2: deep prompts, trained themselves at every layer
// As PEFT counts: the prefix gets no rotary position, and the tokens' own positions begin behind it. Grouped heads: a prefix holds key/value
// heads, not query heads. Both are PEFT's PREFIX_TUNING in a file, already projected.
#include "graft/config/visit.h"
#include "graft/peft/method.h"

namespace graft {

struct PrefixTuningOptions {
  int num_virtual_tokens = 20;
  int encoder_hidden_size = 512;
  void visit(auto& v) {
    v("num_virtual_tokens", num_virtual_tokens, "length of the prefix", AtLeast(1));
    v("encoder_hidden_size", encoder_hidden_size, "inner width of the MLP", AtLeast(1));
  }
};

struct DeepPromptOptions {
  int num_virtual_tokens = 20;
  void visit(auto& v) { v("num_virtual_tokens", num_virtual_tokens, "length of the prompts", AtLeast(1)); }
};

}  // namespace graft
