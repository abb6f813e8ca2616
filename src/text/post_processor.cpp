#include "graft/text/post_processor.h"

#include <algorithm>
#include <utility>

namespace graft {
namespace {

constexpr int depth_limit = 8;
constexpr size_t piece_limit = 1 << 16;  // a short file can ask for a long list many times

class Reader {
 public:
  explicit Reader(int32_t id_end) : id_end_(id_end) {}

  void read(const TokenizerJson& json, const std::string& where, int depth) {
    const std::string type = type_of(json, where);
    if (type == "ByteLevel") return;  // trims offsets, which graft does not
    if (type == "Sequence") {
      require(depth < depth_limit, "{}: Sequences nested deeper than {}", where, depth_limit);
      const TokenizerJson& list = need_list(json, "processors", where);
      for (size_t i = 0; i < list.size(); ++i) read(list[i], fmt::format("{}.processors[{}]", where, i), depth + 1);
      return;
    }
    if (type == "TemplateProcessing") {
      read_template(json, where);
    } else if (type == "BertProcessing") {
      read_bert(json, where);
    } else if (type == "RobertaProcessing") {
      read_roberta(json, where);
    } else {
      refuse("{}: graft does not do the post-processor '{}'", where, type);
    }
    require(!std::exchange(is_read_, true), "{}: graft does only one post-processor that adds tokens", where);
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

  /// [CLS] A [SEP] B [SEP], where the second part has type 1.
  void read_bert(const TokenizerJson& json, const std::string& where) {
    const int32_t cls = pair_id(json, "cls", where), sep = pair_id(json, "sep", where);
    result.single = {{cls, -1, 0}, {-1, 0, 0}, {sep, -1, 0}};
    result.pair = result.single;
    result.pair.insert(result.pair.end(), {{-1, 1, 1}, {sep, -1, 1}});
  }

  /// <s> A </s></s> B </s>, all of type 0.
  void read_roberta(const TokenizerJson& json, const std::string& where) {
    const int32_t cls = pair_id(json, "cls", where), sep = pair_id(json, "sep", where);
    result.single = {{cls, -1, 0}, {-1, 0, 0}, {sep, -1, 0}};
    result.pair = result.single;
    result.pair.insert(result.pair.end(), {{sep, -1, 0}, {-1, 1, 0}, {sep, -1, 0}});
    if (bool_field(json, "trim_offsets", true, where))
      result.trim = OffsetTrim{.keeps_first = bool_field(json, "add_prefix_space", true, where)};
  }

  void read_template(const TokenizerJson& json, const std::string& where) {
    result.single = read_pieces(json, "single", where);
    require(std::ranges::count(result.single, 0, &TemplatePiece::sequence) == 1 &&
                std::ranges::count(result.single, 1, &TemplatePiece::sequence) == 0,
            "{}: 'single' must hold the sequence A once, and no other", where);
    if (find_field(json, "pair")) result.pair = read_pieces(json, "pair", where);
    for (const int sequence : {0, 1})
      require(std::ranges::count(result.pair, sequence, &TemplatePiece::sequence) <= 1, "{}: 'pair' holds a sequence twice",
              where);
  }

  std::vector<TemplatePiece> read_pieces(const TokenizerJson& json, const char* key, const std::string& where) const {
    std::vector<TemplatePiece> pieces;
    for (const TokenizerJson& item : need_list(json, key, where)) {
      require(item.is_object() && item.size() == 1, "{}: '{}' holds {{\"Sequence\": ...}} and {{\"SpecialToken\": ...}}", where,
              key);
      const bool is_sequence = item.contains("Sequence");
      const TokenizerJson& part = need_field(item, is_sequence ? "Sequence" : "SpecialToken", where);
      require(part.is_object(), "{}: a part of '{}' must be an object", where, key);
      const std::string name = need_string(part, "id", where);
      const TokenizerJson* type = find_field(part, "type_id");
      const auto type_id = static_cast<uint8_t>(type ? as_count(*type, "type_id", UINT8_MAX, where) : 0);
      if (is_sequence) {
        require(name == "A" || name == "B", "{}: a sequence of '{}' must be A or B, not '{}'", where, key, name);
        pieces.push_back({-1, name == "A" ? 0 : 1, type_id});
      } else {
        for (const int32_t token : special_ids(json, name, where)) pieces.push_back({token, -1, type_id});
      }
      require(pieces.size() <= piece_limit, "{}: '{}' has over {} pieces", where, key, piece_limit);
    }
    return pieces;
  }

  std::vector<int32_t> special_ids(const TokenizerJson& json, const std::string& name, const std::string& where) const {
    const TokenizerJson& tokens = need_field(json, "special_tokens", where);
    const TokenizerJson* token = tokens.is_object() ? find_field(tokens, name.c_str()) : nullptr;
    require(token != nullptr && token->is_object(), "{}: special_tokens has no '{}'", where, name);
    std::vector<int32_t> ids;
    for (const TokenizerJson& value : need_list(*token, "ids", where)) ids.push_back(id(value, "ids", where));
    return ids;
  }

  int32_t id_end_;
  bool is_read_ = false;
};

auto place_of_text(const std::vector<TemplatePiece>& single) { return std::ranges::find(single, 0, &TemplatePiece::sequence); }

}  // namespace

std::vector<int32_t> PostProcessor::prefix() const {
  std::vector<int32_t> ids;
  for (auto piece = single.begin(); piece != place_of_text(single); ++piece) ids.push_back(piece->id);
  return ids;
}

std::vector<int32_t> PostProcessor::suffix() const {
  std::vector<int32_t> ids;
  for (auto piece = place_of_text(single) + 1; piece != single.end(); ++piece) ids.push_back(piece->id);
  return ids;
}

PostProcessor read_post_processor(const TokenizerJson& json, int32_t id_end) {
  Reader reader(id_end);
  reader.read(json, "post_processor", 0);
  return std::move(reader.result);
}

}  // namespace graft
