// llama.cpp as oracle: what it makes of a GGUF and an adapter that graft wrote. Computes in fp32 where the weights allow it.
//   llama_oracle greedy MODEL COUNT IDS [LORA]          IDS: a file, a text's ids a line; prints as many ids after each, a line a
//   text llama_oracle loss MODEL IDS [LORA]                  mean loss of the next token over each line's ids llama_oracle
//   tokenize MODEL TEXTS                   TEXTS: a file, a text a line; prints its ids, special tokens recognised and added
//   llama_oracle quantize IN OUT q8_0|q4_0|q4_k         its own quantiser's usual mixture
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "llama.h"

namespace {

using Ids = std::vector<llama_token>;

std::vector<std::string> lines_of(const std::string& file) {
  std::ifstream in(file);
  if (!in) throw std::runtime_error(file + ": cannot be read");
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::vector<Ids> ids_of(const std::string& file) {
  std::vector<Ids> texts;
  for (const std::string& line : lines_of(file)) {
    std::istringstream in(line);
    texts.emplace_back();
    for (llama_token id; in >> id;) texts.back().push_back(id);
  }
  return texts;
}

void print(const Ids& ids) {
  for (size_t i = 0; i < ids.size(); ++i) std::printf("%s%d", i ? " " : "", ids[i]);
  std::printf("\n");
}

class Model {
 public:
  Model(const std::string& file, const char* lora, int context) {
    llama_model_params params = llama_model_default_params();
    model_.reset(llama_model_load_from_file(file.c_str(), params));
    if (!model_) throw std::runtime_error(file + ": llama.cpp does not load it");
    if (lora && !(lora_ = llama_adapter_lora_init(model_.get(), lora)))
      throw std::runtime_error(std::string(lora) + ": llama.cpp does not load it");
    if (context == 0) return;
    llama_context_params options = llama_context_default_params();
    options.n_ctx = options.n_batch = options.n_ubatch = static_cast<uint32_t>(context);
    options.n_threads = options.n_threads_batch = 1;  // others wait for each other on a busy machine
    options.type_k = options.type_v = GGML_TYPE_F32;
    options.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
    context_.reset(llama_init_from_model(model_.get(), options));
    if (!context_) throw std::runtime_error(file + ": no context");
    float scale = 1;
    if (lora_ && llama_set_adapters_lora(context_.get(), &lora_, 1, &scale) != 0)
      throw std::runtime_error("the adapter does not fit");
  }
  const llama_vocab* vocab() const { return llama_model_get_vocab(model_.get()); }
  void forget() { llama_memory_clear(llama_get_memory(context_.get()), true), length_ = 0; }
  /// Takes tokens in; logits of all of them are there until the next call.
  void take(const Ids& ids) {
    llama_batch batch = llama_batch_init(static_cast<int32_t>(ids.size()), 0, 1);
    batch.n_tokens = static_cast<int32_t>(ids.size());
    for (int32_t i = 0; i < batch.n_tokens; ++i) {
      batch.token[i] = ids[static_cast<size_t>(i)], batch.pos[i] = length_++, batch.n_seq_id[i] = 1;
      batch.seq_id[i][0] = 0, batch.logits[i] = true;
    }
    const int status = llama_decode(context_.get(), batch);
    llama_batch_free(batch);
    if (status != 0) throw std::runtime_error("llama_decode failed");
  }
  const float* logits(size_t i) const { return llama_get_logits_ith(context_.get(), static_cast<int32_t>(i)); }
  int32_t size() const { return llama_vocab_n_tokens(vocab()); }

 private:
  struct Free {
    void operator()(llama_model* model) const { llama_model_free(model); }
    void operator()(llama_context* context) const { llama_free(context); }
  };
  std::unique_ptr<llama_model, Free> model_;
  std::unique_ptr<llama_context, Free> context_;
  llama_adapter_lora* lora_ = nullptr;
  llama_pos length_ = 0;
};

int longest(const std::vector<Ids>& texts, int more) {
  size_t length = 0;
  for (const Ids& ids : texts) length = std::max(length, ids.size());
  return static_cast<int>(length) + more;
}

void greedy(const std::string& file, int count, const std::string& prompts, const char* lora) {
  const auto texts = ids_of(prompts);
  Model model(file, lora, longest(texts, count + 1));
  for (Ids ids : texts) {
    model.forget();
    Ids made;
    while (static_cast<int>(made.size()) < count) {
      model.take(ids);
      const float* logits = model.logits(ids.size() - 1);
      llama_token best = 0;
      for (llama_token id = 1; id < model.size(); ++id)
        if (logits[id] > logits[best]) best = id;
      made.push_back(best), ids = {best};
    }
    print(made);
  }
}

void loss(const std::string& file, const std::string& given, const char* lora) {
  const auto texts = ids_of(given);
  Model model(file, lora, longest(texts, 0));
  double sum = 0;
  size_t count = 0;
  for (const Ids& ids : texts) {
    model.forget(), model.take(ids);
    for (size_t i = 0; i + 1 < ids.size(); ++i, ++count) {
      const float* logits = model.logits(i);
      double largest = logits[0], total = 0;
      for (int32_t id = 1; id < model.size(); ++id) largest = std::max(largest, double{logits[id]});
      for (int32_t id = 0; id < model.size(); ++id) total += std::exp(logits[id] - largest);
      sum += largest + std::log(total) - logits[ids[i + 1]];
    }
  }
  std::printf("%.6f\n", sum / static_cast<double>(count));
}

void tokenize(const std::string& file, const std::string& texts) {
  const Model model(file, nullptr, 0);
  for (const std::string& text : lines_of(texts)) {
    Ids ids(text.size() + 8);
    const int count = llama_tokenize(model.vocab(), text.data(), static_cast<int32_t>(text.size()), ids.data(),
                                     static_cast<int32_t>(ids.size()), true, true);
    if (count < 0) throw std::runtime_error("too many tokens");
    ids.resize(static_cast<size_t>(count));
    print(ids);
  }
}

void quantize(const std::string& in, const std::string& out, const std::string& type) {
  llama_model_quantize_params params = llama_model_quantize_default_params();
  params.nthread = 2;
  const std::map<std::string, llama_ftype> types = {
      {"q8_0", LLAMA_FTYPE_MOSTLY_Q8_0}, {"q4_0", LLAMA_FTYPE_MOSTLY_Q4_0}, {"q4_k", LLAMA_FTYPE_MOSTLY_Q4_K_S}};
  params.ftype = types.at(type);
  if (llama_model_quantize(in.c_str(), out.c_str(), &params) != 0) throw std::runtime_error("llama_model_quantize failed");
}

}  // namespace

int main(int argc, char** argv) {
  llama_log_set(
      [](ggml_log_level level, const char* text, void*) {
        if (level == GGML_LOG_LEVEL_ERROR) std::fputs(text, stderr);
      },
      nullptr);
  try {
    const std::string verb = argc > 1 ? argv[1] : "";
    if (verb == "greedy" && argc >= 5) return greedy(argv[2], std::stoi(argv[3]), argv[4], argc > 5 ? argv[5] : nullptr), 0;
    if (verb == "loss" && argc >= 4) return loss(argv[2], argv[3], argc > 4 ? argv[4] : nullptr), 0;
    if (verb == "tokenize" && argc == 4) return tokenize(argv[2], argv[3]), 0;
    if (verb == "quantize" && argc == 5) return quantize(argv[2], argv[3], argv[4]), 0;
    std::fputs("usage: llama_oracle greedy|loss|tokenize|quantize ...\n", stderr);
    return 2;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
