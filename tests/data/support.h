#pragma once
// A tokenizer whose ids are bytes (plus one merge and four markers), a ChatML template, and a folder to write data into.
#include <gtest/gtest.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "graft/core/error.h"
#include "graft/data/dataset.h"

namespace graft::test {

inline constexpr int32_t bos = 256, eos = 257, im_start = 258, im_end = 259, cd = 260;
inline constexpr int64_t vocab = 261;

inline std::string utf8(int point) {
  if (point < 0x80) return {static_cast<char>(point)};
  return {static_cast<char>(0xC0 | point >> 6), static_cast<char>(0x80 | (point & 63))};
}

// Byte-level BPE's spelling of a byte.
inline std::string spelling(int byte) {
  const auto printable = [](int b) { return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255); };
  if (printable(byte)) return utf8(byte);
  int rank = 0;
  for (int b = 0; b < byte; ++b) rank += !printable(b);
  return utf8(256 + rank);
}

enum class Adds { nothing, bos, bos_and_eos };

inline Tokenizer byte_tokenizer(Adds adds = Adds::nothing, bool has_eos = true) {
  Json vocabulary = Json::object(), added = Json::array(), single = Json::array();
  for (int byte = 0; byte < 256; ++byte) vocabulary[spelling(byte)] = byte;
  const std::vector<std::string> markers{"<s>", "</s>", "<|im_start|>", "<|im_end|>"};
  for (size_t i = 0; i < markers.size(); ++i) {
    vocabulary[markers[i]] = 256 + i;
    added.push_back({{"id", 256 + i},
                     {"content", markers[i]},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  }
  vocabulary["cd"] = cd;
  const auto special = [](const char* token) { return Json{{"SpecialToken", {{"id", token}, {"type_id", 0}}}}; };
  const auto declared = [](const char* token, int id) { return Json{{"id", token}, {"ids", {id}}, {"tokens", {token}}}; };
  if (adds != Adds::nothing) single.push_back(special("<s>"));
  single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
  if (adds == Adds::bos_and_eos) single.push_back(special("</s>"));
  const auto text = [](const char* name, int type) { return Json{{"Sequence", {{"id", name}, {"type_id", type}}}}; };
  const auto typed = [](const char* token, int type) { return Json{{"SpecialToken", {{"id", token}, {"type_id", type}}}}; };
  const Json pair{typed("<s>", 0), text("A", 0), typed("</s>", 0), text("B", 1), typed("</s>", 1)};
  Json post = nullptr;
  if (adds != Adds::nothing)
    post = {{"type", "TemplateProcessing"},
            {"single", single},
            {"pair", pair},
            {"special_tokens", {{"<s>", declared("<s>", bos)}, {"</s>", declared("</s>", eos)}}}};
  const Json level{{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}};
  const Json file{{"version", "1.0"},
                  {"truncation", nullptr},
                  {"padding", nullptr},
                  {"added_tokens", added},
                  {"normalizer", nullptr},
                  {"pre_tokenizer", level},
                  {"post_processor", post},
                  {"decoder", level},
                  {"model",
                   {{"type", "BPE"},
                    {"dropout", nullptr},
                    {"unk_token", nullptr},
                    {"continuing_subword_prefix", nullptr},
                    {"end_of_word_suffix", nullptr},
                    {"fuse_unk", false},
                    {"byte_fallback", false},
                    {"vocab", vocabulary},
                    {"merges", {"c d"}}}}};
  Json config{{"bos_token", "<s>"}};
  if (has_eos) config["eos_token"] = "</s>";
  return Tokenizer::from_json(file.dump(), config);
}

inline ChatTemplate chatml() {
  return ChatTemplate(
      "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + "
      "'\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
      "<s>", "</s>");
}

/// A folder of its own for each test.
class DataTest : public testing::Test {
 protected:
  DataTest() {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::temp_directory_path() / fmt::format("graft_data_{}_{}", getpid(), info->name());
    std::filesystem::create_directories(folder_);
  }
  ~DataTest() override { std::filesystem::remove_all(folder_); }

  std::string write(const std::string& name, const std::string& text) {
    const std::string path = (folder_ / name).string();
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }

  std::string write_gz(const std::string& name, const std::string& text) {
    const std::string path = (folder_ / name).string();
    gzFile file = gzopen(path.c_str(), "wb");
    gzwrite(file, text.data(), static_cast<unsigned>(text.size()));
    gzclose(file);
    return path;
  }

  static DataOptions train_on(const std::string& path, const std::string& format = "auto") {
    DataOptions options;
    options.train = {{path, format, {}, {}, 1}};
    return options;
  }

  PreparedData prepare(const DataOptions& options, int64_t vocab_size = vocab, const Task& task = {}) {
    const Log log([this](LogLevel, const std::string& line) { logged_ += line + "\n"; });
    return prepare_data(options, tokenizer_, chat_ ? &*chat_ : nullptr, vocab_size, folder_ / "cache", log, {}, task);
  }

  /// The text of the error that preparing must end in.
  std::string refusal(const DataOptions& options, int64_t vocab_size = vocab, const Task& task = {}) {
    try {
      prepare(options, vocab_size, task);
    } catch (const RequestError& e) {
      return e.what();
    }
    ADD_FAILURE() << "expected a RequestError";
    return "";
  }

  std::filesystem::path folder_;
  Tokenizer tokenizer_ = byte_tokenizer();
  std::optional<ChatTemplate> chat_ = chatml();
  std::string logged_;
};

/// A sample as text, what is learnt in brackets: "<s>ab[cd</s>]".
inline std::string shown(const Tokenizer& tokenizer, const SampleView& sample) {
  std::string text;
  for (size_t i = 0; i < sample.ids.size(); ++i) {
    const bool learnt = sample.learn[i], before = i > 0 && sample.learn[i - 1];
    if (learnt != before) text += learnt ? "[" : "]";
    text += tokenizer.decode(sample.ids.subspan(i, 1));
  }
  return text + (!sample.learn.empty() && sample.learn.back() ? "]" : "");
}

inline std::vector<std::string> all_shown(const Tokenizer& tokenizer, const Dataset& data) {
  std::vector<std::string> texts;
  for (int64_t i = 0; i < data.size(); ++i) texts.push_back(shown(tokenizer, data.sample(i)));
  return texts;
}

}  // namespace graft::test
