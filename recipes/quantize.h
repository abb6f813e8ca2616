#pragma once
// A model in a storage format, and what that costs: `graft quantize`.
#include <filesystem>
#include <stop_token>
#include <string>
#include <vector>

#include "graft/core/log.h"
#include "graft/quant/error_report.h"
#include "session.h"

namespace graft {

/// Writes the model with its matrices quantised, tensor by tensor, and the rest as `dense` (nullopt: as the files have it): a folder that transformers + bitsandbytes load where they know the
/// format, else one that graft loads. The folder appears whole or not at all. RequestErrors: a format "none", a base that is quantised already.
void quantize_model(const ModelFiles& files, const Base& base, const QuantizationOptions& options, std::optional<at::ScalarType> dense, at::Device device,
                    const std::filesystem::path& out, const Log& log, std::stop_token stop);

/// $GRAFT_CACHE/bases/<hash of content and scheme>: quantises there unless it was done before, and opens it.
std::unique_ptr<ModelFiles> stored_base(const Base& base, const QuantizationOptions& options, at::Device device, const Log& log, std::stop_token stop);

struct ReportOptions {
  std::vector<std::string> formats;         // empty: all
  std::vector<int> block_sizes = {64};      // of formats by block
  bool double_quantization = false;         // these too, with their constants in 8 bits
  std::vector<std::string> clips = {"none"};
  std::vector<std::string> skip_modules = QuantizationOptions().skip_modules;
  std::string text;                         // a text file to measure perplexity on; "": errors of the weights alone
  int64_t tokens = 2048;                    // of it
  std::string device = "auto", dtype = "auto";
};

/// Every scheme that the options name, on every matrix that it would quantise.
ModelReport report_quantization(const Base& base, const ReportOptions& options, const Log& log, std::stop_token stop);
std::string report_table(const ModelReport& report);
Json report_json(const ModelReport& report);

}  // namespace graft
