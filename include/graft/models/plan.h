#pragma once
// What a training step will take: bytes by kind at its fullest moment, and floating point operations. From shapes alone: the
// model is an outline. A step is played through: what a fused block makes and keeps (plan_fused.cpp), or what the plain path's
// autograd nodes keep, tensor by tensor (plan_block.cpp); a test compares that with what training allocates. Non-goals: what the
// program itself holds (LibTorch's code, the tokenizer, the data), the allocator's fragmentation.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "graft/models/load.h"
#include "graft/peft/adapter_options.h"

namespace graft {

/// A micro-batch and how it is computed.
struct StepShape {
  int64_t rows = 1, columns = 2048;  // texts, and tokens of the longest; virtual tokens are added
  int64_t shared = 0;                // of them so many, in front, are all texts' and lie there once, in one row with what each goes on with
  int64_t targets = -1;              // positions with a target; -1: all
  at::ScalarType dtype = at::kFloat;
  bool on_cpu = true;        // the CPU's kernels keep other tensors than the readable text, which a GPU runs
  bool fused = !on_cpu;      // blocks run as one node each, where the model has such
  bool packed = false;       // rows of several samples
  bool fp8 = false, fp8_outer_layers = false;  // frozen products of fused blocks in 8 bits, from copies
  bool moments_in_8_bits = false;              // the optimizer's (train.optimizer: adamw_8bit)
  Recompute recompute = Recompute::none;
  int64_t tokens() const { return shared + rows * (columns - shared); }
};

struct PlannedBytes {
  std::string kind;
  int64_t bytes;
};

struct StepPlan {
  std::vector<PlannedBytes> memory;  // at the fullest moment
  int64_t between_steps = 0;         // of them what is there always
  std::string moment;                // which: "the loss", "the backward pass of layer 31"
  int64_t trained = 0, weights = 0;  // numbers trained; numbers of the base
  int64_t fused_layers = 0, hidden_size = 0;
  bool replays = false;  // passes can be captured as CUDA graphs, where they are small (train/step_graphs)
  double token_flops = 0;            // of a token that has a target
  int64_t bytes() const;
  int64_t bytes(const std::string& kind) const;  // 0: none of them
};

/// How the weight of a module is kept; nullopt: dense in the dtype that it computes in. Of a model's files, storage_of.
using Storage = std::function<std::optional<Scheme>(const std::string& module)>;

/// Plans steps of one model, adapter and storage. `config` is the outline's; its seats are used to see what the adapter is and which
/// layers are fused with it, and left empty again.
struct PlanSubject;
class StepPlanner {
 public:
  StepPlanner(Transformer& outline, Json config, Storage storage, AdapterOptions adapter, QuantizationOptions quantization);
  ~StepPlanner();
  StepPlan plan(const StepShape& shape) const;
  /// Parameters, gradients and moments: what lies there while others have their turn.
  int64_t adapter_bytes() const;

 private:
  std::unique_ptr<const PlanSubject> subject_;
};

StepPlan plan_step(Transformer& outline, const Json& config, const Storage& storage, const AdapterOptions& adapter,
                   const QuantizationOptions& quantization, const StepShape& shape);

}  // namespace graft
