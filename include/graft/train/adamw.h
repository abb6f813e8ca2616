#pragma once
// AdamW (Loshchilov & Hutter 2019, "Decoupled weight decay regularization"), a step equal to torch.optim.AdamW's. fp32 state, named, one
// TensorMap: what a checkpoint holds is what the optimizer is.
#include <string>
#include <vector>

#include "graft/core/tensor.h"

namespace graft {

struct AdamWOptions {
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weight_decay = 0;
};

struct OptimizedParameter {
  std::string name;
  Tensor tensor;          // fp32
  double lr_scale = 1;
};

class AdamW {
 public:
  AdamW(std::vector<OptimizedParameter> parameters, AdamWOptions options);
  /// One step with the gradients that the parameters hold; a parameter without a gradient is left alone.
  void step(double learning_rate);
  void zero_grad();
  /// <name>.exp_avg, <name>.exp_avg_sq, <name>.step: the live tensors.
  TensorMap state() const;
  void load_state(const TensorMap& state);   // strict: all names, all shapes

  /// The gradients' global norm, in fp32; scales them down to `max_norm` if it is larger (0: never). As torch's clip_grad_norm_.
  double clip(double max_norm);
  /// Multiplies every gradient (loss scaling).
  void scale_gradients(double factor);
  const std::vector<OptimizedParameter>& parameters() const { return parameters_; }

 private:
  std::vector<Tensor> gradients() const;
  std::vector<OptimizedParameter> parameters_;
  std::vector<Tensor> average_, square_, steps_;
  AdamWOptions options_;
};

}  // namespace graft
