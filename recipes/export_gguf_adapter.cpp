// llama.cpp's LoRA file: NAME.lora_a [rank, in] and NAME.lora_b [out, rank], and one alpha for all (W + alpha / rank * B A).
#include <ATen/ATen.h>

#include "export_gguf.h"
#include "graft/core/error.h"
#include "graft/io/gguf_writer.h"
#include "graft/io/tensors.h"
#include "graft/models/gguf_export.h"
#include "loaders.h"
#include "task.h"

namespace graft {
namespace {

/// The site's update, in llama.cpp's form. The embedding's A is looked up by rows, so that it lies transposed.
LowRank update_of(const Site& site, const Adapter& adapter, const AdapterOptions& options) {
  if (const auto update = adapter.low_rank()) return *update;
  const auto named = adapter.named_parameters();
  const auto* lora = std::get_if<LoraOptions>(&options.options);
  check(lora && named.contains("lora_embedding_A"), "{}: this adapter is no low-rank update", site.path());
  return {named["lora_embedding_A"].t(), named["lora_embedding_B"], lora->scale_at(site.path())};
}

/// Scales differ by patterns of alpha and rank: the first site's stands in the file, the others' ratio to it goes into B.
struct Factors {
  double alpha = 0;
  TensorMap tensors;
  void add(const GgufModel& model, const Site& site, const LowRank& update) {
    const bool words = site.kind() == SiteKind::embedding;
    const auto rank = static_cast<double>(update.b.size(1));
    if (alpha == 0) alpha = update.scale * rank;
    const double ratio = update.scale * rank / alpha;
    const std::string weight = site.path() + ".weight", name = gguf_name(model.form, weight);
    const Tensor b = ratio == 1 ? update.b.detach() : update.b.detach() * ratio;
    tensors[name + ".lora_a"] = update.a.detach().contiguous();
    tensors[name + ".lora_b"] = (words ? b : gguf_rows(model, weight, b)).contiguous();
  }
};

}  // namespace

void export_gguf_adapter(const Target& target, const std::filesystem::path& file, const Log& log) {
  require(target.adapter.has_value(), "{} has no adapter to export", target.what);
  check_gguf_place(file, target);
  const Base base = open_base(target.model);
  const auto outline = outline_model(*base.files, task_of(target, *base.files));
  const std::string name = seat_target(*outline, target, {});
  const auto loaders = loaders_of(target, base.files->config(), *outline, name);
  require(loaders.back().reasons.empty(), "llama.cpp cannot load the adapter of {}: {}", target.what,
          fmt::join(loaders.back().reasons, "; "));
  const GgufModel model(base.files->config(), *outline);
  Factors factors;
  for (const Site* site : outline->sites())
    if (const auto adapter = site->adapter(name)) factors.add(model, *site, update_of(*site, *adapter, *target.adapter));
  std::vector<GgufWriter::Entry> entries;
  for (const auto& [tensor, values] : factors.tensors) {
    check(at::isfinite(values).all().item<bool>(), "{}: its values are not finite; nothing was written", tensor);
    entries.push_back({tensor, ggml_f32, values.sizes().vec()});
  }
  GgufWriter out(file,
                 {gguf_key("general.architecture", model.family.gguf_architecture), gguf_key("general.type", "adapter"),
                  gguf_key("general.name", std::filesystem::path(target.model.path).stem().string()),
                  gguf_key("adapter.type", "lora"), gguf_key("adapter.lora.alpha", static_cast<float>(factors.alpha))},
                 entries);
  for (const auto& [tensor, values] : factors.tensors) out.write(tensor, bytes_of(values));
  out.finish();
  log.info("the adapter of {} is in {} (llama.cpp's format, {} modules, alpha {})", target.what, file.string(),
           entries.size() / 2, factors.alpha);
}

}  // namespace graft
