#pragma once
// A model on disk as one thing, whether a Hugging Face folder or a GGUF file: a config.json, named tensors, a tokenizer, a template.
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "graft/core/json.h"
#include "graft/core/tensor.h"
#include "graft/data/task.h"
#include "graft/io/gguf.h"
#include "graft/quant/quantized_tensor.h"
#include "graft/text/tokenizer.h"

namespace graft {

class ModelFiles {
 public:
  virtual ~ModelFiles() = default;
  virtual const std::string& where() const = 0;                     // the folder or file
  virtual const Json& config() const = 0;                           // as config.json has it
  virtual const std::vector<std::string>& tensor_names() const = 0; // Hugging Face's names
  virtual bool contains(const std::string& name) const = 0;
  virtual std::vector<int64_t> shape(const std::string& name) const = 0;
  virtual Tensor read(const std::string& name, at::ScalarType dtype) const = 0;  // one tensor, on the CPU
  virtual at::ScalarType stored_dtype(const std::string& name) const = 0;        // fp32 for what has no real type of its own
  /// How the file holds a tensor whose values are codes (a folder written by graft or bitsandbytes), and those codes; read() gives what
  /// they stand for.
  virtual std::optional<Scheme> stored_scheme(const std::string& name) const { return std::nullopt; }
  virtual QuantizedTensor read_quantized(const std::string& name) const;
  virtual const GgufFile* gguf() const { return nullptr; }          // the file itself, where it is one
  virtual Tokenizer tokenizer() const = 0;
  virtual std::string chat_template() const = 0;                    // "" if none
  virtual Json generation_config() const = 0;                       // null if none
  virtual int64_t file_bytes() const = 0;
  virtual std::vector<std::filesystem::path> weight_files() const = 0;
  /// Of the config, the tensors' names and shapes, and samples of their bytes: tells another base from this one.
  uint64_t fingerprint() const;
};

/// `path`: a folder, a .gguf file, or org/name[@revision] in the local Hugging Face cache.
std::unique_ptr<ModelFiles> open_model_files(const std::string& path);

/// The two kinds (folder_files.cpp and gguf_files.cpp), and a folder whose config has a quantization_config (quantized_files.cpp).
std::unique_ptr<ModelFiles> open_folder_files(const std::string& folder);
std::unique_ptr<ModelFiles> open_gguf_files(const std::string& file);
std::unique_ptr<ModelFiles> open_quantized_files(std::unique_ptr<ModelFiles> folder);
/// The same files under the model's own names for tensors, where a family's may have others (renamed_files.cpp).
std::unique_ptr<ModelFiles> open_renamed_files(std::unique_ptr<ModelFiles> files);
/// The same with every matrix as [out, in] (transposed_files.cpp), and a dense tensor as the family's files hold it.
std::unique_ptr<ModelFiles> open_transposed_files(std::unique_ptr<ModelFiles> files);
Tensor as_in_files(const Json& config, const std::string& name, const Tensor& tensor);
/// The same with more tokens (grown_files.cpp): their rows of the embedding, and of a head of its own, are at first the mean of all others, which
/// is where a vocabulary can grow without the model noticing (Hewitt 2021, "Initializing New Word Embeddings for Pretrained Language Models").
std::unique_ptr<ModelFiles> open_grown_files(std::unique_ptr<ModelFiles> files, const std::vector<std::string>& new_tokens);
/// The same with the tensors of a task's head, at their first values where the files lack them, and without other tasks' (headed_files.cpp).
std::unique_ptr<ModelFiles> open_headed_files(std::unique_ptr<ModelFiles> files, const Task& task);

}  // namespace graft
