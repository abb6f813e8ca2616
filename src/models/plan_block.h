#pragma once
// What the backward pass of one block keeps: each tensor once, by its name in the block, however many nodes hold it.
#include <map>
#include <string>
#include <vector>

#include "graft/models/plan.h"
#include "graft/peft/keeps.h"

namespace graft {

/// Of a model, as far as its blocks' activations depend on it.
struct ModelFacts {
  int64_t heads = 0, kv_heads = 0, head_dim = 0, window = 0;
  bool encoder = false, rotary = true, silu = true, wide_gain = false;  // wide_gain: a norm's gain is fp32 (1 + w)
  bool drops = false, caps = false;  // attention's weights, its scores: then the readable text runs
  bool text_attention() const { return drops || caps; }
};

/// A seat that is taken: by the method, or by the site's own values.
enum class Taken { no, method, values };

struct SeatedSite {
  const Site* site;
  Taken taken = Taken::no;
  int64_t rank = 0;        // of an update that can be folded into the weight: ...
  bool drops = false;      // ... whether it sees its input dropped ...
  bool gains = false;      // ... whether its sum's rows have trained lengths or gains ...
  bool in_gains = false;   // ... and its input has
};

struct BlockBytes {
  std::map<std::string, int64_t> kept;           // by kind
  int64_t mlp = 0;                               // of them what goes before attention's turn comes in the backward pass
  int64_t backward = 0, attention_backward = 0;  // what its backward pass holds besides, at its fullest
  int64_t total() const;
};

struct BlockSetting {
  const ModelFacts& facts;
  const AdapterOptions& adapter;
  const QuantizationOptions& quantization;
  const Storage& storage;
  const StepShape& shape;  // virtual tokens added
  int64_t prefix;          // keys in front of each attention's own
};

/// Whether attention is told by a mask who sees whom.
bool masked(const BlockSetting& setting);

/// Whether keys and values are repeated, so that there are as many heads of each: where the scores are a matrix, and for a GPU's kernels of fp32.
bool equal_heads(const BlockSetting& setting);

/// What a layer keeps of the mask: on a GPU SDPA turns it into numbers.
int64_t kept_mask(const BlockSetting& setting);

/// `flows`: whether a gradient is wanted of what comes in; afterwards of what comes out.
BlockBytes plan_block(const std::vector<SeatedSite>& sites, const BlockSetting& setting, bool& flows);

}  // namespace graft
