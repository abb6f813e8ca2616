// A model's files with a larger vocabulary.
#include <algorithm>

#include <ATen/ATen.h>

#include "forwarding_files.h"
#include "graft/core/error.h"
#include "graft/models/load.h"
#include "graft/models/stored_task.h"

namespace graft {
namespace {

class GrownFiles : public ForwardingFiles {
 public:
  GrownFiles(std::unique_ptr<ModelFiles> files, const std::vector<std::string>& tokens)
      : ForwardingFiles(std::move(files)), tokens_(tokens), config_(files_->config()), known_(files_->tokenizer().vocab_size()) {
    const auto outline = outline_model(*files_, stored_task(config_));
    grown_ = {outline->first_site(SiteKind::embedding)->path() + ".weight", "lm_head.weight"};
    // Many models have spare rows behind their last token.
    vocabulary_ = std::max<int64_t>(outline->vocab_size(), known_ + static_cast<int64_t>(tokens.size()));
    require(config_.contains("vocab_size"), "{}: its config.json has no vocab_size of its own to grow (model.new_tokens)",
            where());
    config_["vocab_size"] = vocabulary_;
  }
  const Json& config() const override { return config_; }
  std::vector<int64_t> shape(const std::string& name) const override {
    std::vector<int64_t> shape = files_->shape(name);
    if (is_grown(name)) shape[0] = vocabulary_;
    return shape;
  }
  Tensor read(const std::string& name, at::ScalarType dtype) const override {
    const Tensor own = files_->read(name, dtype);
    if (!is_grown(name)) return own;
    Tensor all = at::zeros({vocabulary_, own.size(1)}, own.options());
    all.narrow(0, 0, own.size(0)).copy_(own);
    all.narrow(0, known_, static_cast<int64_t>(tokens_.size()))
        .copy_(own.narrow(0, 0, std::min(known_, own.size(0))).to(at::kFloat).mean(0));
    return all;
  }
  std::optional<Scheme> stored_scheme(const std::string& name) const override {
    return is_grown(name) ? std::nullopt : files_->stored_scheme(name);
  }
  Tokenizer tokenizer() const override { return files_->tokenizer().with_tokens(tokens_); }

 private:
  bool is_grown(const std::string& name) const { return std::ranges::find(grown_, name) != grown_.end(); }

  std::vector<std::string> tokens_, grown_;
  Json config_;
  int64_t known_, vocabulary_ = 0;  // tokens that have a meaning; rows
};

}  // namespace

std::unique_ptr<ModelFiles> open_grown_files(std::unique_ptr<ModelFiles> files, const std::vector<std::string>& new_tokens) {
  if (new_tokens.empty()) return files;
  try {
    return std::make_unique<GrownFiles>(std::move(files), new_tokens);
  } catch (const RequestError& e) {
    refuse("model.new_tokens: {}", e.what());
  }
}

}  // namespace graft
