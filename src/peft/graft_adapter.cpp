#include "graft/peft/graft_adapter.h"

#include <algorithm>
#include <functional>
#include <set>

#include "graft/core/error.h"
#include "graft/core/table.h"
#include "graft/peft/token_rows.h"
#include "base_in_file.h"

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

/// Whether `name` names the path, or a module that it lies in: classifier, of classifier.dense.
bool is_in_module(std::string_view path, std::string_view name) {
  for (; !path.empty(); path = path.substr(0, std::min(path.rfind('.'), path.size()))) {
    if (ends_with_name(path, name)) return true;
    if (path.find('.') == std::string_view::npos) break;
  }
  return false;
}

bool is_auto(const NamesOrPattern& targets) {
  const auto* word = std::get_if<std::string>(&targets);
  return word && *word == "auto";
}

/// Every entry of a list must name something real.
void check_entries(const Transformer& model, const std::vector<std::string>& names, std::string_view key, const std::function<bool(const Site&)>& fits,
                   bool (*is_named)(std::string_view path, std::string_view name), std::string_view what) {
  ErrorList errors;
  std::set<std::string> real;
  for (const Site* site : model.sites())
    if (fits(*site)) real.insert(last_name(site->path()));
  const std::vector<std::string> candidates(real.begin(), real.end());
  for (const auto& name : names) {
    const auto named = [&](const Site* s) { return is_named(s->path(), name); };
    const auto hit = std::find_if(model.sites().begin(), model.sites().end(), named);
    const bool usable = std::any_of(model.sites().begin(), model.sites().end(), [&](const Site* s) { return named(s) && fits(*s); });
    if (usable) continue;
    if (hit == model.sites().end()) {
      const bool regex = name.find_first_of("*+?[](){}^$|\\") != std::string::npos;
      errors.add("{}: '{}' matches no module{}{}; there are: {}", key, name, did_you_mean(name, candidates),
                 regex ? " (in a list, entries are names; a regex is given as one string)" : "", join(candidates));
    } else {
      errors.add("{}: '{}' is {}, a kind of module that {} does not adapt", key, name, (*hit)->path(), what);
    }
  }
  errors.raise("the adapter does not fit the model:");
}

bool is_saved_head(const Transformer& model, const Site& site) { return site.role() == Role::head && model.task().kind != TaskKind::causal_lm; }

}  // namespace

std::vector<Site*> target_sites(const Transformer& model, const AdapterOptions& options) {
  const auto method = make_method(options);
  if (const auto* names = std::get_if<std::vector<std::string>>(&options.target_modules))
    check_entries(model, *names, "adapter.target_modules", [&](const Site& site) { return method->adapts(site); }, ends_with_name, options.method);
  const auto wanted = [&](const Site& site) {
    if (is_auto(options.target_modules)) return method->usual(site);
    if (!method->adapts(site)) return false;
    return is_all_linear(options.target_modules) ? site.kind() == SiteKind::linear && site.role() != Role::head : matches(site.path(), options.target_modules);
  };
  std::vector<Site*> sites;
  for (Site* site : model.sites())
    if (wanted(*site) && !excluded(*site, options)) sites.push_back(site);
  require(!sites.empty(), "the adapter does not fit the model: adapter.target_modules, exclude_modules and layers_to_transform leave no module for {}", options.method);
  return sites;
}

std::vector<Site*> saved_sites(const Transformer& model, const AdapterOptions& options) {
  check_entries(model, options.modules_to_save, "adapter.modules_to_save", has_values, is_in_module, "modules_to_save");
  std::vector<Site*> sites;
  for (Site* site : model.sites())
    if (has_values(*site) && (is_saved_head(model, *site) || std::any_of(options.modules_to_save.begin(), options.modules_to_save.end(),
                                                                        [&](const auto& name) { return is_in_module(site->path(), name); })))
      sites.push_back(site);
  return sites;
}

std::vector<Site*> token_sites(const Transformer& model, const AdapterOptions& options) {
  if (options.trainable_token_indices.empty()) return {};
  const auto method = make_method(options);
  require(method->file_form() != FileForm::adapter_hub, "adapter.trainable_token_indices: AdapterHub's folders, which {} is kept in, have no place for them", options.method);
  const auto taken = target_sites(model, options), whole = saved_sites(model, options);
  const auto holds = [](const std::vector<Site*>& list, const Site* site) { return std::find(list.begin(), list.end(), site) != list.end(); };
  std::vector<Site*> sites;
  for (Site* site : model.sites()) {
    const bool is_head = site->role() == Role::head && model.task().kind == TaskKind::causal_lm;
    if (site->role() != Role::words && !is_head) continue;
    if (holds(whole, site) || (holds(taken, site) && method->trains_whole())) continue;
    require(!holds(taken, site), "adapter.trainable_token_indices: {} holds an adapter of {} already", site->path(), options.method);
    if (!site->shares_weight()) sites.push_back(site);
  }
  return sites;
}

void graft_adapter(Transformer& model, const std::string& name, const AdapterOptions& options, const GraftSetting& setting, const Log& log) {
  const auto method = make_method(options);
  const auto sites = target_sites(model, options);
  method->prepare(model, sites, setting);
  std::map<std::string, int> counts;
  try {
    for (Site* site : sites) site->seat(name, method->make(*site, setting)), ++counts[last_name(site->path())];
    for (Site* site : saved_sites(model, options)) {
      if (site->adapter(name) && is_saved_head(model, *site)) continue;   // the method trains the head itself
      require(!site->adapter(name), "adapter.modules_to_save: {} holds an adapter of {} already", site->path(), options.method);
      site->seat(name, std::make_shared<ReplaceAdapter>(*site)), ++counts[last_name(site->path()) + " (whole)"];
    }
    for (Site* site : token_sites(model, options))
      site->seat(name, std::make_shared<TokenRows>(*site, options.trainable_token_indices)), ++counts[last_name(site->path()) + " (rows of tokens)"];
  } catch (...) {
    remove_adapter(model, name);
    throw;
  }
  std::vector<std::string> summary;
  for (const auto& [module, count] : counts) summary.push_back(fmt::format("{} x{}", module, count));
  log.info("grafted {}: {} trainable parameters on {}", options.method, trainable_elements(model, name), join(summary));
  if (setting.fresh && !method->first_effect().empty()) log.info("at first the model does not say just what the base says: {}", method->first_effect());
  const bool in_peft_alone = method->file_form() == FileForm::peft && !dynamic_cast<const LowRankMethod*>(method.get());
  if (in_peft_alone && !token_sites(model, options).empty()) log.warn("PEFT trains tokens beside its LoRA alone; of this adapter it passes them over");
  if (in_peft_alone && ties_head(model, options))
    log.warn("the head follows the embedding that is trained whole; PEFT knows that of its LoRA alone, and beside {} its head stays the base's", options.method);
  if (model.tied_head() && counts.contains("lm_head"))
    log.warn("lm_head shares its weight with the embedding; the adapter changes the head alone, and a merged export stores both apart");
}

void remove_adapter(Transformer& model, const std::string& name) {
  for (Site* site : model.sites()) site->unseat(name);
}

std::vector<NamedParameter> parameters(const Transformer& model, const std::string& name) {
  std::vector<NamedParameter> all;
  std::set<const void*> seen;   // what several sites share is listed at the first
  for (const Site* site : model.sites())
    if (const auto adapter = site->adapter(name))
      for (const auto& item : adapter->named_parameters())
        if (seen.insert(item.value().unsafeGetTensorImpl()).second) all.push_back({site->path() + "." + item.key(), item.value()});
  return all;
}

int64_t trainable_elements(const Transformer& model, const std::string& name) {
  int64_t count = 0;
  for (const auto& parameter : parameters(model, name)) count += parameter.tensor.requires_grad() ? parameter.tensor.numel() : 0;
  return count;
}

TensorMap parameter_values(const Transformer& model, const std::string& name) {
  TensorMap values;
  for (const auto& [key, tensor] : parameters(model, name)) values[key] = tensor.detach();
  return values;
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
