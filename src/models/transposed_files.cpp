// Files whose family keeps some matrices as [in, out], seen as [out, in]. Codes are of [out, in] already: bitsandbytes' come of
// transposed weights in transformers too, and ours of what is seen here.
#include "forwarding_files.h"
#include "graft/models/family.h"

namespace graft {
namespace {

class TransposedFiles : public ForwardingFiles {
 public:
  TransposedFiles(std::unique_ptr<ModelFiles> files, const Family& family) : ForwardingFiles(std::move(files)), family_(family) {}
  std::vector<int64_t> shape(const std::string& name) const override {
    const std::vector<int64_t> stored = files_->shape(name);
    return turns(name) ? std::vector<int64_t>(stored.rbegin(), stored.rend()) : stored;
  }
  Tensor read(const std::string& name, at::ScalarType dtype) const override {
    const Tensor stored = files_->read(name, dtype);
    return turns(name) ? stored.t().contiguous() : stored;
  }

 private:
  bool turns(const std::string& name) const {
    return family_.transposed(name) && !files_->stored_scheme(name) && files_->shape(name).size() == 2;
  }
  const Family& family_;
};

}  // namespace

std::unique_ptr<ModelFiles> open_transposed_files(std::unique_ptr<ModelFiles> files) {
  for (const Family* family : families())
    if (family->transposed && files->config().value("model_type", Json()) == family->name)
      return std::make_unique<TransposedFiles>(std::move(files), *family);
  return files;
}

Tensor as_in_files(const Json& config, const std::string& name, const Tensor& tensor) {
  const Family& family = family_of(config);
  return family.transposed && family.transposed(name) ? tensor.t().contiguous() : tensor;
}

}  // namespace graft
