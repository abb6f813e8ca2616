#pragma once
// How a family lies in a GGUF file, where that differs from Llama's way.
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "graft/core/json.h"
#include "graft/io/gguf.h"

namespace graft {

/// A part of a tensor's name in the GGUF, and in transformers: "attn_q" and "self_attn.q_proj"; "blk" is where the layers lie.
using GgufName = std::pair<std::string_view, std::string_view>;

/// llama.cpp has a family's head as a tensor of its own, as the embedding where there is none, or only one of the two.
enum class GgufHead { either, tied, own };

struct GgufForm {
  std::span<const GgufName> names = {};   // before Llama's
  GgufHead head = GgufHead::either;
  bool norms_plus_one = false;            // a norm's weight is stored as 1 + w
  /// The family's config.json of the file's keys and of what Llama's would be.
  Json (*config)(const GgufFile& file, Json llama) = nullptr;
};

/// transformers' name of a GGUF's tensor; "" for one that is no weight (rope_freqs.weight). RequestError: a tensor that graft does not know.
std::string transformers_name(const GgufForm& form, const std::string& tensor);

/// The GGUF's name of transformers' tensor. RequestError: one that the format has no name for.
std::string gguf_name(const GgufForm& form, const std::string& tensor);

/// config.json of a file's keys, in Llama's terms. `architecture` stands in front of its keys.
Json llama_config_of(const GgufFile& file, const std::string& architecture);
/// One value a pair of columns (rope_freqs.weight, rope_factors_long.weight), in fp32.
std::vector<double> gguf_values(const GgufFile& file, std::string_view tensor);

}  // namespace graft
