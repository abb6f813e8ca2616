#include "graft/quant/options.h"

#include <fmt/format.h>

#include <algorithm>

#include "graft/core/error.h"

namespace graft {
namespace {

Grouping grouping_of(const QuantizationOptions& options, const Format& format) {
  if (options.granularity == "row") return Grouping::row;
  if (options.granularity == "tensor") return Grouping::tensor;
  return options.granularity == "block" ? Grouping::block : format.usual;
}

bool skips(const QuantizationOptions& options, std::string_view path) {
  return std::any_of(options.skip_modules.begin(), options.skip_modules.end(), [&](const std::string& name) {
    return path == name || (path.ends_with(name) && path[path.size() - name.size() - 1] == '.');
  });
}

bool is_power_of_two(int64_t n) { return n > 0 && (n & (n - 1)) == 0; }

}  // namespace

std::optional<Scheme> scheme_of(const QuantizationOptions& options) {
  if (options.format == "none") {
    require(!options.double_quantization && options.clip == "none", "quantization: double_quantization and clip need a format");
    return std::nullopt;
  }
  const Format& format = format_of(options.format);
  Scheme scheme{&format, grouping_of(options, format), options.block_size, options.double_quantization, Scheme::Clip::none, options.clip_percentile};
  scheme.clip = options.clip == "mse" ? Scheme::Clip::mse : options.clip == "percentile" ? Scheme::Clip::percentile : Scheme::Clip::none;
  ErrorList errors;
  if (format.only_usual && scheme.grouping != format.usual)
    errors.add("quantization.granularity: {} goes by {}", format.name, format.usual == Grouping::row ? "row" : "block");
  if (scheme.grouping == Grouping::block && !(is_power_of_two(options.block_size) && options.block_size >= 32 && options.block_size <= 4096))
    errors.add("quantization.block_size {}: expected 32, 64, 128, 256, 512, 1024, 2048 or 4096", options.block_size);
  if (options.double_quantization && scheme.grouping != Grouping::block)
    errors.add("quantization.double_quantization is for constants by block; {} goes by {} here", format.name, scheme.grouping == Grouping::row ? "row" : "tensor");
  if (scheme.clip != Scheme::Clip::none && !format.clips)
    errors.add("quantization.clip is for integer formats; {} has points of its own", format.name);
  errors.raise("the quantisation cannot be done:");
  if (scheme.grouping != Grouping::block) scheme.block_size = 0;
  return scheme;
}

std::optional<Scheme> scheme_of(const QatOptions& options) {
  QuantizationOptions as_base;
  as_base.format = options.format;
  as_base.block_size = options.block_size;
  return scheme_of(as_base);
}

std::optional<Scheme> scheme_for(const QuantizationOptions& options, std::string_view path) {
  return skips(options, path) ? std::nullopt : scheme_of(options);
}
std::optional<Scheme> scheme_for_qat(const QuantizationOptions& options, std::string_view path) {
  return skips(options, path) ? std::nullopt : scheme_of(options.qat);
}

std::string describe(const Scheme& scheme) {
  std::string text(scheme.format->name);
  text += scheme.grouping == Grouping::block ? fmt::format(", blocks of {}", scheme.block_size) : scheme.grouping == Grouping::row ? ", by row" : ", by tensor";
  if (scheme.double_quantization) text += ", double quantisation";
  if (scheme.clip == Scheme::Clip::mse) text += ", clipped by mse";
  if (scheme.clip == Scheme::Clip::percentile) text += fmt::format(", clipped to {} %", scheme.clip_percentile);
  return text;
}

}  // namespace graft
