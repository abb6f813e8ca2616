// Schemes side by side: the errors of every matrix, and what they do to the model.
#include <ATen/ATen.h>

#include <cmath>

#include "graft/core/error.h"
#include "graft/core/runtime.h"
#include "graft/io/line_reader.h"
#include "quantize.h"

namespace graft {
namespace {

constexpr int64_t window = 512;   // tokens seen at once

std::vector<Scheme> schemes_of(const ReportOptions& options) {
  std::vector<Scheme> schemes;
  const auto add = [&](const QuantizationOptions& one) {
    const Scheme scheme = *scheme_of(one);
    if (std::find(schemes.begin(), schemes.end(), scheme) == schemes.end()) schemes.push_back(scheme);
  };
  for (const Format* format : formats()) {
    if (!options.formats.empty() && std::find(options.formats.begin(), options.formats.end(), format->name) == options.formats.end()) continue;
    QuantizationOptions one;
    one.format = format->name;
    for (const auto& clip : format->clips ? options.clips : std::vector<std::string>{"none"}) {
      one.clip = clip;
      for (const int block : options.block_sizes) {
        one.block_size = block, one.double_quantization = false;
        add(one);
        if (!options.double_quantization || format->usual != Grouping::block) continue;
        one.double_quantization = true;
        add(one);
      }
    }
  }
  for (const auto& name : options.formats) format_of(name);   // an unknown one is refused
  return schemes;
}

QuantizationOptions options_of(const Scheme& scheme, const std::vector<std::string>& skip_modules) {
  QuantizationOptions options;
  options.format = scheme.format->name, options.double_quantization = scheme.double_quantization, options.skip_modules = skip_modules;
  if (scheme.block_size) options.block_size = static_cast<int>(scheme.block_size);
  options.clip = scheme.clip == Scheme::Clip::mse ? "mse" : scheme.clip == Scheme::Clip::percentile ? "percentile" : "none";
  options.clip_percentile = scheme.clip_percentile;
  return options;
}

std::vector<int64_t> tokens_of(const Base& base, const ReportOptions& options) {
  std::string text;
  LineReader reader(options.text);
  for (std::string_view line; text.size() < static_cast<size_t>(options.tokens) * 16 && reader.next(line);) text.append(line), text += '\n';
  const auto ids = base.tokenizer.encode(text, {.add_special_tokens = true});
  require(ids.size() >= 2, "{}: holds no text", options.text);
  return {ids.begin(), ids.begin() + std::min<int64_t>(static_cast<int64_t>(ids.size()), options.tokens)};
}

/// log p of every next token's distribution, window by window: [tokens, vocab] in pieces.
std::vector<Tensor> log_probabilities(Transformer& model, const std::vector<int64_t>& ids) {
  at::NoGradGuard no_grad;
  std::vector<Tensor> pieces;
  for (int64_t begin = 0; begin + 1 < static_cast<int64_t>(ids.size()); begin += window) {
    const int64_t end = std::min(static_cast<int64_t>(ids.size()), begin + window);
    Batch batch;
    batch.ids = at::tensor(std::vector<int64_t>(ids.begin() + begin, ids.begin() + end), at::kLong).unsqueeze(0).to(model.device());
    batch.positions = at::arange(end - begin, batch.ids.options()).unsqueeze(0);
    batch.segments = at::zeros_like(batch.ids);
    pieces.push_back(at::log_softmax(logits(model, batch)[0], -1));
  }
  return pieces;
}

double perplexity_of(const std::vector<Tensor>& pieces, const std::vector<int64_t>& ids) {
  double sum = 0;
  int64_t count = 0;
  for (size_t i = 0; i < pieces.size(); ++i) {
    const auto first = static_cast<int64_t>(i) * window + 1, last = std::min<int64_t>(static_cast<int64_t>(ids.size()), first + pieces[i].size(0) - 1);
    if (last <= first) continue;
    const Tensor next = at::tensor(std::vector<int64_t>(ids.begin() + first, ids.begin() + last), at::kLong).to(pieces[i].device());
    sum -= pieces[i].slice(0, 0, last - first).gather(1, next.unsqueeze(1)).sum().item<double>();
    count += last - first;
  }
  return std::exp(sum / static_cast<double>(count));
}

double kl_of(const std::vector<Tensor>& exact, const std::vector<Tensor>& other) {
  double sum = 0;
  int64_t count = 0;
  for (size_t i = 0; i < exact.size(); ++i) sum += (exact[i].exp() * (exact[i] - other[i])).sum().item<double>(), count += exact[i].size(0);
  return sum / static_cast<double>(count);
}

void measure_model(ModelReport& report, const Base& base, const ReportOptions& options, const Log& log, const std::stop_token& stop) {
  const at::Device device = device_from_name(options.device);
  const at::ScalarType dtype = dtype_from_name(options.dtype, device);
  const auto ids = tokens_of(base, options);
  report.text = options.text, report.tokens = static_cast<int64_t>(ids.size());
  const auto exact = log_probabilities(*load_model(*base.files, {device, dtype, {}}, {}, stop), ids);
  report.perplexity = perplexity_of(exact, ids);
  log.info("dense: perplexity {:.3f} on {} tokens of {}", *report.perplexity, ids.size(), options.text);
  for (auto& scheme : report.schemes) {
    const auto found = log_probabilities(*load_model(*base.files, {device, dtype, options_of(scheme.scheme, options.skip_modules)}, {}, stop), ids);
    scheme.perplexity = perplexity_of(found, ids), scheme.kl = kl_of(exact, found);
    log.info("{}: perplexity {:.3f}, KL divergence {:.4f}", describe(scheme.scheme), *scheme.perplexity, *scheme.kl);
  }
}

}  // namespace

ModelReport report_quantization(const Base& base, const ReportOptions& options, const Log& log, std::stop_token stop) {
  require(!base.files->config().contains("quantization_config"), "{}: is quantised already; its errors are against weights that are not here", base.files->where());
  outline_model(*base.files);
  const at::Device device = device_from_name(options.device);
  ModelReport report{.model = base.files->where()};
  for (const Scheme& scheme : schemes_of(options)) report.schemes.push_back({.scheme = scheme});
  QuantizationOptions skips;
  skips.skip_modules = options.skip_modules, skips.format = "nf4";
  for (const auto& name : base.files->tensor_names()) {
    if (stop.stop_requested()) throw Stopped("stopped; nothing was written");
    const bool quantized = name.ends_with(".weight") && base.files->shape(name).size() == 2 && scheme_for(skips, module_of(name));
    (quantized ? report.parameters : report.dense_parameters) += c10::multiply_integers(base.files->shape(name));
    if (!quantized) continue;
    const Tensor x = base.files->read(name, base.files->stored_dtype(name)).to(device);
    const Histogram bins = normalized_histogram(x, 64);
    for (size_t i = 0; i < bins.size(); ++i) report.histogram[i] += bins[i];
    for (auto& scheme : report.schemes) {
      scheme.tensors.push_back({name, measure(x, scheme.scheme, name)});
      scheme.total.add(scheme.tensors.back().error);
    }
  }
  if (!options.text.empty()) measure_model(report, base, options, log, stop);
  return report;
}

std::string report_table(const ModelReport& report) {
  std::string text = fmt::format("{:<44} {:>9} {:>9} {:>8} {:>11} {:>11} {:>9}", "scheme", "bits", "MiB", "SNR dB", "MSE", "largest", "clipping");
  text += report.perplexity ? fmt::format(" {:>11} {:>9}\n", "perplexity", "KL") : "\n";
  if (report.perplexity) text += fmt::format("{:<44} {:>9} {:>9.1f} {:>62.3f} {:>9}\n", "dense", "16", static_cast<double>(report.parameters) / (1 << 19), *report.perplexity, 0);
  for (const auto& scheme : report.schemes) {
    const QuantizationError& e = scheme.total;
    text += fmt::format("{:<44} {:>9.3f} {:>9.1f} {:>8.2f} {:>11.3e} {:>11.3e} {:>7.1f} %", describe(scheme.scheme), e.bits(), static_cast<double>(e.bytes) / (1 << 20),
                        e.signal_to_noise(), e.mean_squared_error(), e.largest, 100 * e.clipping_share());
    text += scheme.perplexity ? fmt::format(" {:>11.3f} {:>9.4f}\n", *scheme.perplexity, *scheme.kl) : "\n";
  }
  return text;
}

Json report_json(const ModelReport& report) {
  const auto error_json = [](const QuantizationError& e) {
    return Json{{"parameters", e.count}, {"bytes", e.bytes}, {"bits", e.bits()}, {"mse", e.mean_squared_error()}, {"snr_db", std::isfinite(e.signal_to_noise()) ? Json(e.signal_to_noise()) : Json()},
                {"largest", e.largest}, {"clipping_share", e.clipping_share()}, {"rounding_share", 1 - e.clipping_share()}};
  };
  Json schemes = Json::array();
  for (const auto& scheme : report.schemes) {
    Json tensors = Json::object();
    for (const auto& tensor : scheme.tensors) tensors[tensor.name] = error_json(tensor.error);
    schemes.push_back({{"scheme", describe(scheme.scheme)}, {"total", error_json(scheme.total)}, {"tensors", tensors}});
    if (scheme.perplexity) schemes.back()["perplexity"] = *scheme.perplexity, schemes.back()["kl"] = *scheme.kl;
  }
  Json json = {{"model", report.model}, {"parameters", report.parameters}, {"dense_parameters", report.dense_parameters}, {"histogram", report.histogram}, {"schemes", schemes}};
  if (report.perplexity) json["perplexity"] = *report.perplexity, json["text"] = report.text, json["tokens"] = report.tokens;
  return json;
}

}  // namespace graft
