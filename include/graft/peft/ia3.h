#pragma once
// IA3 (Liu et al. 2022, "Few-shot parameter-efficient fine-tuning is better and cheaper than in-context learning", section 3.3): trained
// vectors rescale keys, values and the feed-forward's inner activations. At a feed-forward module the vector scales its input, elsewhere
// its output, bias included (PEFT). They start at one.
#include "graft/peft/method.h"
#include "graft/peft/target_patterns.h"

namespace graft {

struct Ia3Options {
  NamesOrPattern feedforward_modules = "auto";
  void visit(auto& v) {
    v("feedforward_modules", feedforward_modules, "which of the target modules have their input scaled: auto (the feed-forward's last), names or one regex");
  }
};

}  // namespace graft
