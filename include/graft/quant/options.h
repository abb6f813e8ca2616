#pragma once
// The `quantization:` section: how the frozen base is stored.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "graft/quant/format.h"

namespace graft {

/// Fake quantisation in training (Jacob et al. 2018, section 3): what is merged and quantised afterwards was trained for it.
struct QatOptions {
  std::string format = "none";
  int block_size = 64;
  int start_step = 0;
  void visit(auto& v) {
    v("format", format, "what base and update together are rounded to in the forward pass", Choices{"none", "int8_absmax", "int8_zero_point", "int4_affine"});
    v("block_size", block_size, "numbers that share constants (formats by block)", Between(32, 4096));
    v("start_step", start_step, "the steps before it train without rounding", AtLeast(0));
  }
};

struct QuantizationOptions {
  std::string format = "none";
  std::string granularity = "auto";
  int block_size = 64;
  bool double_quantization = false;
  std::string clip = "none";
  double clip_percentile = 99.9;
  std::vector<std::string> skip_modules = {"embed_tokens", "lm_head", "word_embeddings", "position_embeddings", "token_type_embeddings", "wte", "wpe"};
  std::string cache = "none";
  bool store = false;
  QatOptions qat;
  void visit(auto& v) {
    v("format", format, "how the frozen base's matrices are kept", format_names());
    v("granularity", granularity, "which numbers share constants; auto: the format's own", Choices{"auto", "row", "tensor", "block"});
    v("block_size", block_size, "numbers in a block, a power of two", Between(32, 4096));
    v("double_quantization", double_quantization, "the blocks' constants in 8 bits (QLoRA)");
    v("clip", clip, "integer formats: cut a group's range to gain resolution", Choices{"none", "percentile", "mse"});
    v("clip_percentile", clip_percentile, "for clip percentile: the share of a group, in %, inside its range", Between(50, 100));
    v("skip_modules", skip_modules, "modules that stay in 16 bits: names (the end of the path)");
    v("cache", cache, "auto: dense copies of what fits in the device's free memory (same results, faster)", Choices{"none", "auto"});
    v("store", store, "keep the quantised base on disk, so that the next run loads it instead of quantising again");
    v("qat", qat, "quantisation-aware training");
  }
};

/// How one matrix is quantised.
struct Scheme {
  const Format* format = nullptr;
  Grouping grouping = Grouping::block;
  int64_t block_size = 64;
  bool double_quantization = false;
  enum class Clip { none, percentile, mse } clip = Clip::none;
  double clip_percentile = 99.9;
  bool operator==(const Scheme&) const = default;
};

/// The options' scheme, checked (all faults in one RequestError): a block size that is a power of two in [32, 4096], a grouping that the
/// format has, double quantisation by block only, clipping of integer formats only. nullopt: none.
std::optional<Scheme> scheme_of(const QuantizationOptions& options);
std::optional<Scheme> scheme_of(const QatOptions& options);

/// The scheme of the weight of module `path`; nullopt if it stays dense. For qat: what an export quantises it to.
std::optional<Scheme> scheme_for(const QuantizationOptions& options, std::string_view path);
std::optional<Scheme> scheme_for_qat(const QuantizationOptions& options, std::string_view path);

/// "nf4, blocks of 64, double quantisation".
std::string describe(const Scheme& scheme);

}  // namespace graft
