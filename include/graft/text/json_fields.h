#pragma once
// Reading tokenizer.json's objects: each fault names the part and the key. The file's maps hold up to some hundred thousand
// tokens, so it is parsed into sorted maps, not into core's Json, which looks keys up one by one.
#include <nlohmann/json.hpp>

#include <optional>
#include <string>
#include <string_view>

#include "graft/core/error.h"

namespace graft {

using TokenizerJson = nlohmann::json;

/// The value of a key; nullptr where it is absent or null.
inline const TokenizerJson* find_field(const TokenizerJson& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

inline const TokenizerJson& need_field(const TokenizerJson& object, const char* key, std::string_view where) {
  const TokenizerJson* value = find_field(object, key);
  require(value != nullptr, "{}: '{}' is missing", where, key);
  return *value;
}

inline std::string as_string(const TokenizerJson& value, const char* key, std::string_view where) {
  require(value.is_string(), "{}: '{}' must be a string, not {}", where, key, value.type_name());
  return value.get<std::string>();
}

inline std::string need_string(const TokenizerJson& object, const char* key, std::string_view where) {
  return as_string(need_field(object, key, where), key, where);
}

inline std::optional<std::string> find_string(const TokenizerJson& object, const char* key, std::string_view where) {
  const TokenizerJson* value = find_field(object, key);
  return value ? std::optional(as_string(*value, key, where)) : std::nullopt;
}

inline bool bool_field(const TokenizerJson& object, const char* key, bool otherwise, std::string_view where) {
  const TokenizerJson* value = find_field(object, key);
  if (!value) return otherwise;
  require(value->is_boolean(), "{}: '{}' must be true or false, not {}", where, key, value->type_name());
  return value->get<bool>();
}

/// A whole number in [0, limit].
inline int64_t as_count(const TokenizerJson& value, std::string_view name, int64_t limit, std::string_view where) {
  const bool whole = value.is_number_integer() && value.get<int64_t>() >= 0 && value.get<int64_t>() <= limit;
  require(whole, "{}: '{}' must be a whole number from 0 to {}, not {}", where, name, limit,
          value.is_number() ? value.dump() : value.type_name());
  return value.get<int64_t>();
}

/// The object's "type", and its check that there is an object.
inline std::string type_of(const TokenizerJson& object, std::string_view where) {
  require(object.is_object(), "{}: must be an object, not {}", where, object.type_name());
  return need_string(object, "type", where);
}

/// The items of a Sequence.
inline const TokenizerJson& need_list(const TokenizerJson& object, const char* key, std::string_view where) {
  const TokenizerJson& list = need_field(object, key, where);
  require(list.is_array(), "{}: '{}' must be a list, not {}", where, key, list.type_name());
  return list;
}

}  // namespace graft
