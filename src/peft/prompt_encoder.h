#pragma once
// The MLP of P-tuning (PEFT p_tuning/model.py): embedding -> Linear, ReLU, Linear, ReLU, Linear.
#include "graft/nn/site.h"

namespace graft {

class PromptEncoder : public torch::nn::Module {
 public:
  PromptEncoder(const Site& site, int64_t length, int64_t dim, int64_t hidden, uint64_t seed);
  Tensor forward() const;   // [length, dim]
  int64_t length() const { return embedding_.size(0); }

 private:
  Tensor embedding_;
  Tensor weights_[3], biases_[3];
};

}  // namespace graft
