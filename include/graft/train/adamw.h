#pragma once
// AdamW (Loshchilov & Hutter 2019, "Decoupled weight decay regularization"), a step equal to torch.optim.AdamW's. fp32 state, named, one
// TensorMap: what a checkpoint holds is what the optimizer is. Parameters, gradients and moments each lie in one flat tensor, of which those that
// have names are views: a step is a few launches whatever their number, and nothing in it waits for the device.
#include <map>
#include <string>
#include <vector>

#include "graft/core/tensor.h"

namespace graft {

struct AdamWOptions {
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weight_decay = 0;
};

struct OptimizedParameter {
  std::string name;
  Tensor tensor;          // fp32; its storage moves into the flat tensor
  double lr_scale = 1;
};

/// What is done to the gradients before they are used.
struct GradientRule {
  double max_norm = 0;    // their global norm is brought down to it, as torch's clip_grad_norm_ does; 0: never
  double loss_scale = 1;  // they come so much larger
  Tensor loss = {};       // the step's; undefined, or ...
};

class AdamW {
 public:
  AdamW(std::vector<OptimizedParameter> parameters, AdamWOptions options);
  /// One step with the gradients that the parameters hold (one that was never touched counts as zeros). Where the loss or a gradient is not finite, all
  /// stays as it is. Returns the gradients' norm before it was brought down, fp32 on the device.
  Tensor step(double learning_rate, const GradientRule& rule = {});
  void zero_grad();
  /// <name>.exp_avg, <name>.exp_avg_sq, <name>.step: the live tensors.
  TensorMap state() const;
  void load_state(const TensorMap& state);   // strict: all names, all shapes
  const std::vector<OptimizedParameter>& parameters() const { return parameters_; }

 private:
  struct Place {
    int64_t begin, end;
  };
  Tensor view(const Tensor& flat, size_t parameter) const;
  void gather_gradients();
  std::vector<OptimizedParameter> parameters_;
  std::vector<Place> places_;              // of each parameter
  std::map<double, Place> groups_;         // by lr_scale
  Tensor values_, gradients_, average_, square_, steps_;
  AdamWOptions options_;
};

}  // namespace graft
