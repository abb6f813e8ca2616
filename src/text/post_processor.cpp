#include "graft/text/post_processor.h"

namespace graft {
namespace {

constexpr int depth_limit = 8;

class Reader {
 public:
  explicit Reader(int32_t id_end) : id_end_(id_end) {}

  void read(const TokenizerJson& json, const std::string& where, int depth) {
    const std::string type = type_of(json, where);
    if (type == "ByteLevel") return;  // trims offsets, which graft does not
    if (type == "TemplateProcessing") return read_template(json, where);
    if (type == "BertProcessing" || type == "RobertaProcessing") {
      result.prefix.insert(result.prefix.begin(), pair_id(json, "cls", where));
      result.suffix.push_back(pair_id(json, "sep", where));
    } else if (type == "Sequence") {
      require(depth < depth_limit, "{}: Sequences nested deeper than {}", where, depth_limit);
      const TokenizerJson& list = need_list(json, "processors", where);
      for (size_t i = 0; i < list.size(); ++i) read(list[i], fmt::format("{}.processors[{}]", where, i), depth + 1);
    } else {
      refuse("{}: graft does not do the post-processor '{}'", where, type);
    }
  }

  PostProcessor result;

 private:
  int32_t id(const TokenizerJson& value, std::string_view name, std::string_view where) const {
    return static_cast<int32_t>(as_count(value, name, id_end_ - 1, where));
  }

  /// ["[CLS]", 101]
  int32_t pair_id(const TokenizerJson& json, const char* key, const std::string& where) const {
    const TokenizerJson& pair = need_list(json, key, where);
    require(pair.size() == 2, "{}: '{}' must be [token, id]", where, key);
    return id(pair[1], key, where);
  }

  void read_template(const TokenizerJson& json, const std::string& where) {
    std::vector<int32_t> before, behind;
    bool seen = false;
    for (const TokenizerJson& item : need_list(json, "single", where)) {
      require(item.is_object() && item.size() == 1, "{}: 'single' holds {{\"Sequence\": ...}} and {{\"SpecialToken\": ...}}",
              where);
      const bool is_sequence = item.contains("Sequence");
      const TokenizerJson& part = need_field(item, is_sequence ? "Sequence" : "SpecialToken", where);
      require(part.is_object(), "{}: a part of 'single' must be an object", where);
      const std::string name = need_string(part, "id", where);
      if (is_sequence) {
        require(name == "A" && !seen, "{}: 'single' must hold the sequence A once", where);
        seen = true;
        continue;
      }
      const TokenizerJson& tokens = need_field(json, "special_tokens", where);
      const TokenizerJson* token = tokens.is_object() ? find_field(tokens, name.c_str()) : nullptr;
      require(token != nullptr && token->is_object(), "{}: special_tokens has no '{}'", where, name);
      for (const TokenizerJson& value : need_list(*token, "ids", where))
        (seen ? behind : before).push_back(id(value, "ids", where));
    }
    require(seen, "{}: 'single' does not hold the sequence A", where);
    result.prefix.insert(result.prefix.begin(), before.begin(), before.end());
    result.suffix.insert(result.suffix.end(), behind.begin(), behind.end());
  }

  int32_t id_end_;
};

}  // namespace

PostProcessor read_post_processor(const TokenizerJson& json, int32_t id_end) {
  Reader reader(id_end);
  reader.read(json, "post_processor", 0);
  return std::move(reader.result);
}

}  // namespace graft
