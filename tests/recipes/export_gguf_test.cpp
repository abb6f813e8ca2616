// GGUF files of golden models with their adapters: read back, they are the merged models.
#include "../recipes/export_gguf.h"

#include <ATen/ATen.h>

#include "graft/core/error.h"
#include "graft/io/atomic_file.h"
#include "graft/io/gguf_writer.h"
#include "graft/io/tensors.h"
#include "graft/models/gguf_form.h"
#include "support/models.h"

namespace graft::testing {
namespace {

namespace fs = std::filesystem;

/// Byte-level BPE of letters alone, with as many tokens as the smallest golden model has.
std::string letters_tokenizer() {
  Json vocab = Json::object();
  for (const char* token : {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n",  "o",
                            "p", "q", "r", "s", "t", "u", "v", "w", "x", "y", "z", "Ġ", ".", "th", "the"})
    vocab[token] = vocab.size();
  return Json{{"version", "1.0"},
              {"normalizer", nullptr},
              {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}}},
              {"decoder", {{"type", "ByteLevel"}}},
              {"post_processor", nullptr},
              {"added_tokens", Json::array({{{"id", 30},
                                             {"content", "<end>"},
                                             {"special", true},
                                             {"single_word", false},
                                             {"lstrip", false},
                                             {"rstrip", false},
                                             {"normalized", false}}})},
              {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", {"t h", "th e"}}}}}
      .dump();
}

/// The golden model's config with what a GGUF has no key for at the values that its reader takes for granted.
Json sayable(const std::string& name, Json config) {
  if (config.contains("query_pre_attn_scalar")) config["query_pre_attn_scalar"] = config["head_dim"];
  if (name == "gemma3_text")
    config["layer_types"] = std::vector<std::string>(config["num_hidden_layers"].get<size_t>(), "sliding_attention");
  if (name == "smollm3") config["no_rope_layers"] = nullptr;
  if (name != "llama3_rope") return config;
  Json& rope = config.contains("rope_parameters") ? config["rope_parameters"] : config["rope_scaling"];
  rope.update({{"factor", 8.0}, {"low_freq_factor", 1.0}, {"high_freq_factor", 4.0}, {"original_max_position_embeddings", 8192}});
  return config;
}

class GgufTest : public ::testing::Test {
 protected:
  /// The golden model with a tokenizer.
  std::string model(const std::string& name) const {
    const fs::path folder = folder_ / name;
    fs::create_directories(folder);
    fs::copy_file(golden(name) / "model.safetensors", folder / "model.safetensors", fs::copy_options::skip_existing);
    write_file(folder / "config.json", sayable(name, read_json(golden(name) / "config.json")).dump());
    write_file(folder / "tokenizer.json", letters_tokenizer());
    write_file(folder / "tokenizer_config.json", R"({"eos_token": "<end>", "chat_template": "{{ messages[0]['content'] }}"})");
    return folder.string();
  }
  Target target(const std::string& name) const { return open_target(model(name), (golden(name) / "adapter").string(), "", {}); }
  GgufReport write(const Target& what, const std::string& file, const std::string& type = "f32") const {
    return export_gguf(what, folder_ / file, {.type = type}, {});
  }
  std::string refusal(const std::string& name) const {
    try {
      write(open_target(model(name), "", "", {}), "refused.gguf");
    } catch (const RequestError& e) {
      EXPECT_EQ(std::distance(fs::directory_iterator(folder_.path()), {}), 1) << "only the model's folder is left";
      return e.what();
    }
    return "";
  }
  TemporaryFolder folder_;
};

class ExportGguf : public GgufTest, public ::testing::WithParamInterface<const char*> {};

Tensor tensor_of(const GgufFile& file, const std::string& name) {
  Tensor values = at::empty(file.tensor(name).shape, at::kFloat);
  dequantize(file.tensor(name), 0, {values.mutable_data_ptr<float>(), static_cast<size_t>(values.numel())});
  return values;
}

TEST_P(ExportGguf, ReadBackItIsTheMergedModel) {
  const GgufReport report = write(target(GetParam()), "m.gguf");
  EXPECT_GT(report.merged, 0);
  EXPECT_LT(report.largest_difference, 2e-5);
  EXPECT_TRUE(report.fallbacks.empty());
}

/// llama.cpp adds alpha / rank * B A to the base's rows in its own order: so base.gguf and lora.gguf must make merged.gguf.
void expect_sum(const TemporaryFolder& folder, double bound) {
  const GgufFile merged(folder / "merged.gguf"), base(folder / "base.gguf"), lora(folder / "lora.gguf");
  EXPECT_EQ(lora.string("general.type"), "adapter");
  EXPECT_EQ(lora.string("general.architecture"), merged.string("general.architecture"));
  const double alpha = lora.real("adapter.lora.alpha").value();
  size_t changed = 0;
  for (const std::string& name : merged.tensor_names()) {
    const Tensor before = tensor_of(base, name), after = tensor_of(merged, name);
    changed += !at::equal(before, after);
    if (!lora.contains(name + ".lora_a")) {
      EXPECT_TRUE(at::equal(before, after)) << name;
      continue;
    }
    const Tensor a = tensor_of(lora, name + ".lora_a"), b = tensor_of(lora, name + ".lora_b");
    const Tensor update = name == "token_embd.weight" ? at::mm(a, b.t()) : at::mm(b, a);
    EXPECT_LT(difference(before + update * (alpha / static_cast<double>(b.size(1))), after), bound) << name;
  }
  EXPECT_EQ(lora.tensor_names().size(), 2 * changed);
}

TEST_P(ExportGguf, TheAdapterAloneMakesTheMergedTensors) {
  const Target trained = target(GetParam());
  write(trained, "merged.gguf"), write(open_target(model(GetParam()), "", "", {}), "base.gguf");
  export_gguf_adapter(trained, folder_ / "lora.gguf", {});
  expect_sum(folder_, 1e-6);
}

/// Where ranks and scales differ from site to site, and an embedding's A is looked up by rows.
TEST_F(GgufTest, ScalesAndTheEmbeddingsFactorsAreFoldedIn) {
  const std::string base = model("llama_untied_bias");
  Target trained = open_target(base, "", "", {});
  LoraOptions options;
  options.rank = 4, options.alpha = 6, options.rslora = true;
  options.rank_pattern = {{"k_proj", 2}}, options.alpha_pattern = {{"v_proj", 11}};
  trained.adapter = AdapterOptions{.target_modules = std::vector<std::string>{"q_proj", "k_proj", "v_proj", "embed_tokens"},
                                   .options = options};
  const auto outline = outline_model(*open_model_files(base));
  graft_adapter(*outline, "default", *trained.adapter, 1);
  for (auto& [name, value] : parameters(*outline, "default")) trained.values[name] = at::randn(value.sizes());
  export_gguf(trained, folder_ / "merged.gguf", {.type = "f32", .verify = false}, {});
  export_gguf(open_target(base, "", "", {}), folder_ / "base.gguf", {.type = "f32", .verify = false}, {});
  export_gguf_adapter(trained, folder_ / "lora.gguf", {});
  expect_sum(folder_, 1e-4);
}

INSTANTIATE_TEST_SUITE_P(Families, ExportGguf,
                         ::testing::Values("llama", "llama_untied_bias", "llama3_rope", "llama_linear_rope", "llama_yarn",
                                           "qwen2", "qwen3", "mistral", "gemma", "gemma2", "gemma3_text", "phi3", "phi3_longrope",
                                           "gpt2", "olmo2", "smollm3"),
                         [](const auto& info) { return std::string(info.param); });

TEST_F(GgufTest, WhatTheFormatCannotSayIsRefusedByName) {
  const std::pair<const char*, const char*> cases[] = {{"llama_dynamic", "what layer 0 sees"},
                                                       {"mistral_window", "what layer 0 sees"},
                                                       {"qwen2_window", "sees"},
                                                       {"ministral", "no form of ministral"},
                                                       {"bert_base", "no form of bert"}};
  for (const auto& [name, reason] : cases) {
    TemporaryFolder fresh;
    EXPECT_NE(refusal(name).find(reason), std::string::npos) << name << ": " << refusal(name);
    fs::remove_all(folder_ / name);
  }
}

TEST_F(GgufTest, ValuesThatATypeCannotHoldAreRefused) {
  const fs::path weights = fs::path(model("llama")) / "model.safetensors";
  const auto said = [&](double value, const std::string& type) {
    TensorMap tensors = load_tensors(golden("llama") / "model.safetensors");
    for (auto& [name, tensor] : tensors) tensor = tensor.clone();
    tensors.at("model.layers.1.mlp.up_proj.weight")[3][5] = value;
    save_tensors(weights, tensors);
    try {
      export_gguf(open_target(weights.parent_path().string(), "", "", {}), folder_ / "m.gguf", {.type = type, .verify = false},
                  {});
    } catch (const RequestError& e) {
      EXPECT_FALSE(fs::exists(folder_ / "m.gguf"));
      return std::string(e.what());
    }
    return std::string();
  };
  EXPECT_NE(said(std::nan(""), "q8_0").find("blk.1.ffn_up.weight: 1 of its"), std::string::npos);
  EXPECT_NE(said(7e4, "f16").find("does not fit f16"), std::string::npos);
  EXPECT_EQ(said(7e4, "bf16"), "");
}

TEST_F(GgufTest, RowsThatBlocksDoNotDivideAreCounted) {
  const GgufReport q8 = write(target("llama"), "q8.gguf", "q8_0");  // rows of 48 and 64
  const GgufFile file(folder_ / "q8.gguf");
  int64_t halves = 0;
  for (const std::string& name : file.tensor_names()) {
    const GgufTensor& tensor = file.tensor(name);
    const uint32_t expected = tensor.shape.size() == 1 ? ggml_f32 : tensor.shape.back() % 32 == 0 ? ggml_q8_0 : ggml_f16;
    EXPECT_EQ(tensor.type, expected) << name;
    halves += tensor.type == ggml_f16;
  }
  EXPECT_EQ(q8.fallbacks, (std::map<std::string, int64_t>{{"f16", halves}}));
  EXPECT_EQ(file.integer("general.file_type"), 7);
}

std::vector<GgufKey> tokenizer_keys(const GgufFile& file) {
  std::vector<GgufKey> keys;
  for (const auto& [name, bytes] : file.raw_keys())
    if (name.starts_with("tokenizer.")) keys.push_back({name, {reinterpret_cast<const char*>(bytes.data()), bytes.size()}});
  return keys;
}

/// The same file with a tokenizer key in front that graft knows nothing of.
void with_a_key_more(const fs::path& from, const fs::path& to) {
  const GgufFile file(from);
  std::vector<GgufKey> keys = {gguf_key("tokenizer.ggml.of_its_maker", "x")};
  for (const auto& [name, bytes] : file.raw_keys())
    keys.push_back({name, {reinterpret_cast<const char*>(bytes.data()), bytes.size()}});
  std::vector<GgufWriter::Entry> entries;
  for (const std::string& name : file.tensor_names()) entries.push_back({name, file.tensor(name).type, file.tensor(name).shape});
  GgufWriter out(to, keys, entries);
  for (const std::string& name : file.tensor_names()) out.write(name, file.tensor(name).bytes);
  out.finish();
}

TEST_F(GgufTest, AGgufsOwnTokenizerAndTemplateAreKeptByteForByte) {
  write(target("llama"), "written.gguf"), with_a_key_more(folder_ / "written.gguf", folder_ / "first.gguf");
  write(open_target((folder_ / "first.gguf").string(), (golden("llama") / "adapter").string(), "", {}), "second.gguf", "f16");
  const auto first = tokenizer_keys(GgufFile(folder_ / "first.gguf")), second = tokenizer_keys(GgufFile(folder_ / "second.gguf"));
  ASSERT_EQ(first.size(), second.size());
  for (size_t i = 0; i < first.size(); ++i) {
    EXPECT_EQ(first[i].name, second[i].name);
    EXPECT_EQ(first[i].bytes, second[i].bytes) << first[i].name;
  }
  EXPECT_EQ(GgufFile(folder_ / "second.gguf").string("tokenizer.chat_template"), "{{ messages[0]['content'] }}");
  EXPECT_THROW(write(open_target((folder_ / "first.gguf").string(), "", "", {}), "first.gguf"), RequestError) << "onto its base";
}

}  // namespace
}  // namespace graft::testing
