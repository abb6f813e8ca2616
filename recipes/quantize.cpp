#include "quantize.h"

#include "graft/core/error.h"
#include "graft/core/hash.h"
#include "graft/core/runtime.h"
#include "graft/io/file_hash.h"
#include "graft/models/quantized_files.h"
#include "model_writer.h"

namespace graft {
namespace {

namespace fs = std::filesystem;

constexpr int64_t shard_bytes = int64_t{2} << 30;

}  // namespace

void quantize_model(const ModelFiles& files, const Base& base, const QuantizationOptions& options, std::optional<at::ScalarType> dense, at::Device device,
                    const fs::path& out, const Log& log, std::stop_token stop) {
  const auto scheme = scheme_of(options);
  require(scheme.has_value(), "quantize: name a format: --to {}", fmt::join(format_names(), ", "));
  require(!files.config().contains("quantization_config"), "{}: is quantised already", files.where());
  outline_model(files);
  int64_t before = 0, after = 0, quantized = 0;
  write_folder_aside(out, [&](const fs::path& aside) {
    ShardedWriter writer(aside, shard_bytes);
    for (const auto& name : files.tensor_names()) {
      if (stop.stop_requested()) throw Stopped("stopped while quantising; nothing was written");
      const at::ScalarType stored = files.stored_dtype(name);
      const Tensor x = files.read(name, stored);
      before += x.numel() * 2;
      const auto own = x.dim() == 2 && name.ends_with(".weight") ? scheme_for(options, module_of(name)) : std::nullopt;
      TensorMap tensors{{name, as_in_files(files.config(), name, x.to(dense.value_or(stored)))}};
      if (own) tensors = file_tensors(name, quantize(x.to(device), *own, name), at::kBFloat16), ++quantized;
      for (const auto& [part, value] : tensors) after += static_cast<int64_t>(value.nbytes());
      writer.add(tensors);
    }
    writer.finish();
    Json config = files.config();
    config["quantization_config"] = quantization_config(*scheme, at::kBFloat16, options.skip_modules);
    if (dense) config["torch_dtype"] = torch_name(*dense);
    write_text_files(aside, base, config);
  });
  log.info("{}: {} matrices as {}, {:.1f} MiB (16 bits: {:.1f} MiB); {}", out.string(), quantized, describe(*scheme), static_cast<double>(after) / (1 << 20),
           static_cast<double>(before) / (1 << 20),
           fits_bitsandbytes(*scheme) ? "transformers with bitsandbytes loads it, and graft" : "graft loads it; transformers has no such format");
}

std::unique_ptr<ModelFiles> stored_base(const Base& base, const QuantizationOptions& options, at::Device device, const Log& log, std::stop_token stop) {
  Hash hash;
  for (const auto& file : base.files->weight_files()) hash.add(file_hash(file));
  hash.add(describe(*scheme_of(options)));
  for (const auto& name : options.skip_modules) hash.add(name);
  const fs::path folder = cache_folder() / "bases" / fmt::format("{:016x}", hash.value());
  if (fs::exists(folder / "config.json")) {
    log.info("the quantised base comes from {}", folder.string());
  } else {
    fs::create_directories(folder.parent_path());
    quantize_model(*base.files, base, options, std::nullopt, device, folder, log, std::move(stop));
  }
  return open_folder_files(folder.string());
}

}  // namespace graft
