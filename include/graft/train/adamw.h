#pragma once
// AdamW (Loshchilov & Hutter 2019, "Decoupled weight decay regularization"), a step equal to torch.optim.AdamW's. State of fp32, or moments of
// 8 bits; named, one TensorMap: what a checkpoint holds is what the optimizer is. Parameters, gradients and moments each lie in one flat tensor, of
// which those that have names are views: a step is a few launches whatever their number, and nothing in it waits for the device.
#include <string>
#include <vector>

#include "graft/ops/adamw_8bit.h"

namespace graft {

enum class MomentStorage { fp32, dynamic8 };
inline constexpr int64_t fewest_8bit = 4096;   // elements: smaller parameters keep fp32 moments, as bitsandbytes has it

struct AdamWOptions {
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weight_decay = 0;
  MomentStorage moments = MomentStorage::fp32;
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
  /// <name>.exp_avg, <name>.exp_avg_sq, <name>.step; of moments in 8 bits their codes, and <name>.exp_avg.absmax, <name>.exp_avg_sq.absmax: the live
  /// tensors.
  TensorMap state() const;
  void load_state(const TensorMap& state);   // strict: all names, all shapes
  const std::vector<OptimizedParameter>& parameters() const { return parameters_; }

 private:
  struct Place {
    int64_t begin, end;
  };
  /// Parameters that take their steps in one launch.
  struct Group {
    MomentStorage moments;
    double lr_scale;
    Place place;
  };
  MomentStorage moments_of(const OptimizedParameter& parameter) const;
  void lay_out();
  Tensor view(const Tensor& flat, size_t parameter, int64_t origin = 0) const;
  void gather_gradients();
  std::vector<OptimizedParameter> parameters_;
  std::vector<Place> places_;              // of each parameter
  std::vector<Group> groups_;
  int64_t length_ = 0, begin_8bit_ = 0;    // those in 8 bits lie behind the others
  Tensor values_, gradients_, average_, square_, steps_;
  Moments8 moments8_;
  AdamWOptions options_;
};

}  // namespace graft
