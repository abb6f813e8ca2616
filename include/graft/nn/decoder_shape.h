#pragma once
// What differs between the families of decoders, as plain data. The first values are Llama's.
#include <optional>
#include <string>
#include <vector>

#include "graft/nn/norm.h"
#include "graft/ops/activation.h"
#include "graft/ops/attention.h"
#include "graft/ops/rope.h"

namespace graft {

/// Modules' names, by which files, transformers and PEFT know them.
struct DecoderNames {
  std::string words = "model.embed_tokens", positions = "model.wpe", layers = "model.layers", last_norm = "model.norm";
  std::string attention = "self_attn", mlp = "mlp";
  std::vector<std::string> qkv = {"q_proj", "k_proj", "v_proj"};       // one: fused
  std::string attention_output = "o_proj";
  std::vector<std::string> mlp_input = {"gate_proj", "up_proj"};       // one: fused, or a layer without a gate
  std::string mlp_output = "down_proj";
  std::string before_attention = "input_layernorm", after_attention;   // norms: of a sub-layer's input, and of its output before the sum; "": none
  std::string before_mlp = "post_attention_layernorm", after_mlp;
  std::string token_classifier = "score";
};

/// What the attention of a layer sees: keys at the last `window` positions (0: all), turned by their positions or not.
struct LayerView {
  int64_t window = 0;
  std::optional<RopeSpec> rope;
  bool operator==(const LayerView&) const = default;
};

enum class PositionKind { rotary, table };
enum class QkNorm { none, head, width };   // of q and k: each head's, or over all heads

/// The model's own, in training.
struct DecoderDropout {
  double embedding = 0, attention = 0, residual = 0;
};

struct DecoderShape {
  int64_t vocab_size = 0, hidden_size = 0, intermediate_size = 0, layers = 0, heads = 0, kv_heads = 0, head_dim = 0;
  int64_t max_positions = 0;
  DecoderNames names;
  PositionKind positions = PositionKind::rotary;
  std::vector<LayerView> views;            // one a layer
  NormKind norm = NormKind::rms;
  double norm_eps = 1e-6;
  QkNorm qk_norm = QkNorm::none;
  ScoreRule scores;
  bool gated_mlp = true;
  Activation activation = Activation::silu;
  bool qkv_bias = false, output_bias = false, mlp_bias = false;
  double embedding_scale = 1;
  double logit_cap = 0;                    // logits become cap * tanh(logit / cap); 0: none
  bool tied_head = false;
  DecoderDropout dropout;
  double classifier_dropout = 0.1;         // in front of a token classifier's matrix
  bool fan_in_fan_out = false;             // files hold the blocks' matrices as [in, out]
};

}  // namespace graft
