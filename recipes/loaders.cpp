// vLLM: vllm/lora/peft_helper.py (what it refuses of an adapter_config.json), config/lora.py (ranks), its table of models with
// LoRA. llama.cpp: src/llama-adapter.cpp, convert_lora_to_gguf.py, and issues 9065 and 11554 (tied heads).
#include "loaders.h"

#include <algorithm>
#include <set>

#include "graft/core/error.h"
#include "graft/models/gguf_export.h"
#include "graft/peft/graft_adapter.h"

namespace graft {
namespace {

constexpr int64_t vllm_ranks[] = {8, 16, 32, 64, 128, 256, 320, 512};  // of --max-lora-rank
constexpr std::string_view vllm_families[] = {"llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "phi3"};

/// What an adapter consists of.
struct Parts {
  std::set<int64_t> ranks;
  std::vector<std::string> vocabulary, others;  // sites with LoRA at the embedding or the head; with more than a low-rank update
};

Parts parts_of(const Transformer& outline, const std::string& name) {
  Parts parts;
  for (const Site* site : outline.sites()) {
    const auto adapter = site->adapter(name);
    if (!adapter) continue;
    const auto update = adapter->low_rank();
    const bool of_words = site->role() == Role::words && adapter->named_parameters().contains("lora_embedding_A");
    if (update) parts.ranks.insert(update->a.size(0));
    if (!update && !of_words)
      parts.others.push_back(site->path());
    else if (of_words || site->role() == Role::head)
      parts.vocabulary.push_back(site->path());
  }
  return parts;
}

std::string listed(const std::vector<std::string>& names) {
  return names.size() <= 3 ? fmt::format("{}", fmt::join(names, ", "))
                           : fmt::format("{}, {} and {} more", names[0], names[1], names.size() - 2);
}

Loader vllm(const Target& target, const Json& config, const Parts& parts) {
  Loader loader{"vLLM", "", {}};
  const auto refuse_if = [&](bool wrong, std::string reason) {
    if (wrong) loader.reasons.push_back(std::move(reason));
  };
  const std::string family = config.value("model_type", "");
  const int64_t rank = parts.ranks.empty() ? 0 : *parts.ranks.rbegin();
  refuse_if(std::ranges::find(vllm_families, family) == std::end(vllm_families),
            fmt::format("graft does not know that it takes LoRA for {}", family));
  refuse_if(target.adapter->method != "lora" && target.adapter->method != "pissa" && target.adapter->method != "loftq",
            fmt::format("it takes plain LoRA, not {}", target.adapter->method));
  refuse_if(!target.adapter->modules_to_save.empty(),
            fmt::format("it takes no modules_to_save ({})", fmt::join(target.adapter->modules_to_save, ", ")));
  refuse_if(!parts.others.empty() && target.adapter->modules_to_save.empty() && target.adapter->method == "lora",
            fmt::format("{} hold more than LoRA", listed(parts.others)));
  refuse_if(!parts.vocabulary.empty(), fmt::format("it takes no LoRA on the vocabulary ({})", listed(parts.vocabulary)));
  refuse_if(parts.ranks.size() > 1,
            fmt::format("it scales all modules alike, and here ranks are {}", fmt::join(parts.ranks, ", ")));
  refuse_if(rank > 512, fmt::format("its largest rank is 512, this one is {}", rank));
  const auto* room = std::ranges::find_if(vllm_ranks, [&](int64_t limit) { return limit >= rank; });
  if (rank > 0 && room != std::end(vllm_ranks)) loader.how = fmt::format("--enable-lora --max-lora-rank {}", *room);
  return loader;
}

Loader llama_cpp(const Json& config, const Transformer& outline, const Parts& parts) {
  Loader loader{"llama.cpp", "--lora FILE (graft export --gguf-adapter FILE)", {}};
  try {
    GgufModel(config, outline);
  } catch (const RequestError& e) {
    loader.reasons.emplace_back(e.what());
  }
  if (!parts.others.empty()) loader.reasons.push_back(fmt::format("{} hold more than a low-rank update", listed(parts.others)));
  if (outline.tied_head() && !parts.vocabulary.empty())
    loader.reasons.push_back(fmt::format("the head is the embedding: it has one tensor for both, and LoRA on {} is for one",
                                         listed(parts.vocabulary)));
  return loader;
}

}  // namespace

std::vector<Loader> loaders_of(const Target& target, const Json& config, const Transformer& outline, const std::string& name) {
  const Parts parts = parts_of(outline, name);
  return {vllm(target, config, parts), llama_cpp(config, outline, parts)};
}

void log_loaders(const std::vector<Loader>& loaders, const Log& log) {
  for (const Loader& loader : loaders) {
    if (loader.reasons.empty())
      log.info("{} can load this adapter: {}", loader.tool, loader.how);
    else
      log.info("{} cannot load this adapter: {}", loader.tool, fmt::join(loader.reasons, "; "));
  }
}

}  // namespace graft
