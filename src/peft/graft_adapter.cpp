#include "graft/peft/graft_adapter.h"

#include <algorithm>
#include <set>

#include "graft/core/error.h"
#include "graft/core/table.h"

namespace graft {
namespace {

bool is_all_linear(const NamesOrPattern& targets) {
  const auto* word = std::get_if<std::string>(&targets);
  return word && (*word == "all-linear" || *word == "all_linear");
}

std::string last_name(const std::string& path) { return path.substr(path.rfind('.') + 1); }

bool excluded(const Site& site, const AdapterOptions& options) {
  const auto* pattern = std::get_if<std::string>(&options.exclude_modules);
  if (!(pattern && pattern->empty()) && matches(site.path(), options.exclude_modules)) return true;
  const auto& layers = options.layers_to_transform;
  return !layers.empty() && std::find(layers.begin(), layers.end(), layer_of(site.path())) == layers.end();
}

/// Every entry of a list must name something real.
void check_entries(const Transformer& model, const AdapterOptions& options, const Method& method) {
  const auto* names = std::get_if<std::vector<std::string>>(&options.target_modules);
  if (!names) return;
  ErrorList errors;
  std::set<std::string> real;
  for (const Site* site : model.sites())
    if (method.adapts(site->kind())) real.insert(last_name(site->path()));
  const std::vector<std::string> candidates(real.begin(), real.end());
  for (const auto& name : *names) {
    const auto hit = std::find_if(model.sites().begin(), model.sites().end(), [&](const Site* s) { return ends_with_name(s->path(), name); });
    if (hit == model.sites().end()) {
      const bool regex = name.find_first_of("*+?[](){}^$|\\") != std::string::npos;
      errors.add("adapter.target_modules: '{}' matches no module{}{}; there are: {}", name, did_you_mean(name, candidates),
                 regex ? " (in a list, entries are names; a regex is given as one string)" : "", join(candidates));
    } else if (!method.adapts((*hit)->kind())) {
      errors.add("adapter.target_modules: '{}' is {}, a kind of module that {} does not adapt", name, (*hit)->path(), options.method);
    }
  }
  errors.raise("the adapter does not fit the model:");
}

}  // namespace

std::vector<Site*> target_sites(const Transformer& model, const AdapterOptions& options) {
  const auto method = make_method(options);
  check_entries(model, options, *method);
  const bool all_linear = is_all_linear(options.target_modules);
  std::vector<Site*> sites;
  for (Site* site : model.sites()) {
    if (!method->adapts(site->kind()) || excluded(*site, options)) continue;
    const bool wanted = all_linear ? site->kind() == SiteKind::linear && site->path() != "lm_head" : matches(site->path(), options.target_modules);
    if (wanted) sites.push_back(site);
  }
  require(!sites.empty(), "the adapter does not fit the model: adapter.target_modules, exclude_modules and layers_to_transform leave no module");
  return sites;
}

void graft_adapter(Transformer& model, const std::string& name, const AdapterOptions& options, uint64_t seed, const Log& log) {
  const auto method = make_method(options);
  std::map<std::string, int> counts;
  int64_t trainable = 0;
  for (Site* site : target_sites(model, options)) {
    const auto adapter = method->make(*site, seed);
    for (const auto& parameter : adapter->parameters()) trainable += parameter.numel();
    site->seat(name, adapter);
    ++counts[last_name(site->path())];
  }
  std::vector<std::string> summary;
  for (const auto& [module, count] : counts) summary.push_back(fmt::format("{} x{}", module, count));
  log.info("grafted {}: {} trainable parameters on {}", options.method, trainable, join(summary));
  if (model.tied_head() && counts.contains("lm_head"))
    log.warn("lm_head shares its weight with the embedding; the adapter changes the head alone, and a merged export stores both apart");
}

void remove_adapter(Transformer& model, const std::string& name) {
  for (Site* site : model.sites()) site->unseat(name);
}

std::vector<NamedParameter> parameters(const Transformer& model, const std::string& name) {
  std::vector<NamedParameter> all;
  for (const Site* site : model.sites())
    if (const auto adapter = site->adapter(name))
      for (const auto& item : adapter->named_parameters()) all.push_back({site->path() + "." + item.key(), item.value()});
  return all;
}

void load_parameters(const Transformer& model, const std::string& name, const TensorMap& values, const std::string& what) {
  at::NoGradGuard no_grad;
  ErrorList errors;
  std::set<std::string> left;
  for (const auto& [key, value] : values) left.insert(key);
  const auto live = parameters(model, name);
  for (const auto& [key, tensor] : live) {
    left.erase(key);
    const auto it = values.find(key);
    if (it == values.end())
      errors.add("missing: {}", key);
    else if (it->second.sizes() != tensor.sizes())
      errors.add("{}: shape {} in the file, {} in the model", key, fmt::join(it->second.sizes(), "x"), fmt::join(tensor.sizes(), "x"));
    else if (!at::isfinite(it->second).all().item<bool>())
      errors.add("{}: holds values that are not finite", key);
  }
  for (const auto& key : left) errors.add("unexpected: {}", key);
  errors.raise(what + " does not fit:");
  for (const auto& [key, tensor] : live) Tensor(tensor).copy_(values.at(key));
}

}  // namespace graft
