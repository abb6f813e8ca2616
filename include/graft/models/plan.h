#pragma once
// What a training step will take: bytes by kind at its fullest moment, and floating point operations. From shapes alone: the
// model is an outline. The activations are those that the plain path's autograd nodes keep, tensor by tensor (plan_block.cpp); a
// test compares them with what training allocates. Non-goals: what the program itself holds (LibTorch's code, the tokenizer, the
// data), the allocator's fragmentation.
#include <functional>
#include <string>
#include <vector>

#include "graft/models/load.h"
#include "graft/peft/adapter_options.h"

namespace graft {

/// A micro-batch and how it is computed.
struct StepShape {
  int64_t rows = 1, columns = 2048;  // texts, and tokens of the longest; virtual tokens are added
  int64_t targets = -1;              // positions with a target; -1: all
  at::ScalarType dtype = at::kFloat;
  bool on_cpu = true;        // the CPU's kernels keep other tensors than the readable text, which a GPU runs
  bool recompute = false;    // each layer's input alone is kept
  bool accumulates = false;  // gradients of an earlier micro-batch are there already
};

struct PlannedBytes {
  std::string kind;
  int64_t bytes;
};

struct StepPlan {
  std::vector<PlannedBytes> memory;  // at the fullest moment
  std::string moment;                // which: "loss", "backward"
  int64_t trained = 0, weights = 0;  // numbers trained; numbers of the base
  double token_flops = 0;            // of a token that has a target
  int64_t bytes() const;
  int64_t bytes(const std::string& kind) const;  // 0: none of them
};

/// How the weight of a module is kept; nullopt: dense in the dtype that it computes in. Of a model's files, storage_of.
using Storage = std::function<std::optional<Scheme>(const std::string& module)>;

/// `config` is the outline's. The adapters are made, to count what they train, and let go.
StepPlan plan_step(const Transformer& outline, const Json& config, const Storage& storage, const AdapterOptions& adapter,
                   const QuantizationOptions& quantization, const StepShape& shape);

}  // namespace graft
