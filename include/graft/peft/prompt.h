#pragma once
// Soft prompts at the input. The batcher lays out slots for virtual tokens in front of each sample (batch.h); these adapters, seated at the
// embedding, fill them.
//   prompt_tuning  Lester et al. 2021, "The power of scale for parameter-efficient prompt tuning", section 2: the vectors themselves are
//                  trained; they start uniform in [-0.5, 0.5], as sampled tokens, as a text, or as the task's class labels
//   p_tuning       Liu et al. 2021, "GPT understands, too", as PEFT has it: an MLP of three layers makes the vectors from trained
//                  embeddings; what it makes is exported
#include <string>

#include "graft/config/visit.h"
#include "graft/peft/method.h"

namespace graft {

struct PromptTuningOptions {
  int num_virtual_tokens = 20;
  std::string init = "vocab";
  std::string init_text;
  void visit(auto& v) {
    v("num_virtual_tokens", num_virtual_tokens, "length of the prompt", AtLeast(1));
    v("init", init, "first values: uniform noise, sampled tokens, init_text's tokens, or the task's labels", Choices{"random", "vocab", "text", "labels"});
    v("init_text", init_text, "with init: text; repeated or cut to the length");
  }
};

struct PTuningOptions {
  int num_virtual_tokens = 20;
  int encoder_hidden_size = 128;
  void visit(auto& v) {
    v("num_virtual_tokens", num_virtual_tokens, "length of the prompt", AtLeast(1));
    v("encoder_hidden_size", encoder_hidden_size, "inner width of the MLP; 0: none, the vectors are trained themselves", AtLeast(0));
  }
};

}  // namespace graft
