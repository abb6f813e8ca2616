#pragma once
// A method says where its adapters sit and makes them. Methods know nothing of families and storage formats: they see sites.
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "graft/core/json.h"
#include "graft/nn/transformer.h"
#include "graft/text/tokenizer.h"

namespace graft {

/// What a method brings of its own: with another method's rate it learns nothing.
struct LearningRate {
  double usual = 1e-4;
  double low = 0, high = 1;   // outside of these a warning is due
};

/// What first values may be a function of.
struct GraftSetting {
  uint64_t seed = 0;
  bool fresh = true;                                          // false: values are loaded next, first ones need not be made
  const Tokenizer* tokenizer = nullptr;                       // prompts that begin as text; null: there is none
  std::vector<std::string> labels;                            // prompts that begin as the task's labels
  std::function<Tensor(const std::string& tensor)> original;  // the base's value before it was quantised, fp32; empty: not at hand
};

/// PEFT's and AdapterHub's forms are read by their tools too; graft's own, for what neither has, names the method and its options.
enum class FileForm { peft, adapter_hub, graft };

class Method {
 public:
  virtual ~Method() = default;
  /// Whether it sits here when the job names no target_modules; and whether target_modules may put it here.
  virtual bool usual(const Site& site) const = 0;
  virtual bool adapts(const Site& site) const { return usual(site); }
  /// Called once with all sites, before the first make().
  virtual void prepare(const Transformer& model, const std::vector<Site*>& sites, const GraftSetting& setting) {}
  virtual std::shared_ptr<Adapter> make(const Site& site, const GraftSetting& setting) = 0;
  /// Whether its sites' values are what it trains, all of them.
  virtual bool trains_whole() const { return false; }
  /// How much faster a parameter learns than the run's learning rate says (LoRA+).
  virtual double lr_scale(std::string_view parameter) const { return 1; }
  virtual double dropout() const { return 0; }
  /// Whether what it learned can be put into the base's weights.
  virtual bool merges() const { return true; }
  /// Why a fresh adapter already changes what the base says; "": it does not.
  virtual std::string_view first_effect() const { return ""; }

  /// Whose folder form its files have, and its own part of adapter_config.json (PEFT's: peft_type among it).
  virtual FileForm file_form() const { return FileForm::graft; }
  virtual Json file_config(const Transformer& model, const std::string& name) const { return Json::object(); }
  /// What PEFT's names of the base's modules begin with: where it wraps the model as a whole, for prompts, "base_model.".
  virtual std::string_view file_prefix() const { return "base_model.model."; }
  /// The file's tensors. By default the parameters, by PEFT's names.
  virtual TensorMap exported(const Transformer& model, const std::string& name) const;
  /// Takes the file's tensors over; all faults in one RequestError.
  virtual void import(Transformer& model, const std::string& name, const TensorMap& tensors, const std::string& what) const;
};

/// Takes fields out of an adapter_config.json; what no one took is refused unless it changes nothing.
class PeftFields {
 public:
  PeftFields(const Json& config, std::string where) : config_(config), where_(std::move(where)) {}
  /// False and `out` as it was if the field is absent or null.
  template <class T>
  bool take(const char* key, T& out) {
    taken_.emplace_back(key);
    if (!config_.contains(key) || config_[key].is_null()) return false;
    out = config_[key].get<T>();
    return true;
  }
  const Json& config() const { return config_; }
  const std::string& where() const { return where_; }
  bool was_taken(const std::string& key) const;

 private:
  const Json& config_;
  std::string where_;
  std::vector<std::string> taken_;
};

}  // namespace graft
