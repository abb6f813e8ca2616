#pragma once
// A field without its type. Each section's visit() is compiled once, for FieldVisitor; reading, writing, help, schema and
// comparison are ordinary classes behind it, so a header that includes this costs no more than <variant>.
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "graft/config/visit.h"

namespace graft {

class FieldVisitor;
class Container;

/// One pattern, or a list of names.
using Names = std::variant<std::string, std::vector<std::string>>;

/// A section seen without its type.
struct SectionRef {
  void* object = nullptr;
  void (*visit)(void* object, FieldVisitor& visitor) = nullptr;
};

/// A reference to a field's value.
using Slot =
    std::variant<bool*, int*, int64_t*, uint64_t*, double*, std::string*, Names*, SectionRef, std::shared_ptr<Container>>;

/// A value of its own, for asking what an item of an empty list would be.
struct SampleSlot {
  std::shared_ptr<void> owner;
  Slot slot;
};

/// A list, a map by name, or an optional (at most one item).
class Container {
 public:
  enum class Kind { list, map, optional };

  virtual ~Container() = default;
  virtual Kind kind() const = 0;
  virtual void clear() = 0;
  virtual Slot add(const std::string& key) = 0;                   // a new item with its defaults; valid until the next
  virtual std::vector<std::pair<std::string, Slot>> items() = 0;  // keys are empty outside maps
  virtual SampleSlot sample() const = 0;
};

/// What a field is besides its value.
struct FieldInfo {
  std::string_view key;
  std::string_view help;
  Bounds bounds;
  Choices choices;
};

class FieldVisitor {
 public:
  virtual ~FieldVisitor() = default;
  template <class T>
  void operator()(std::string_view key, T& value, std::string_view help);
  template <class T>
  void operator()(std::string_view key, T& value, std::string_view help, Bounds bounds);
  template <class T>
  void operator()(std::string_view key, T& value, std::string_view help, Choices choices);

 protected:
  virtual void field(const FieldInfo& info, const Slot& slot) = 0;
};

template <Section S>
SectionRef section_ref(S& section) {
  return {&section, [](void* object, FieldVisitor& visitor) { static_cast<S*>(object)->visit(visitor); }};
}
/// For visitors that only look: visit() is one function for reading and writing, so it is not const.
template <Section S>
SectionRef section_ref(const S& section) {
  return section_ref(const_cast<S&>(section));
}

template <class T>
Slot slot_of(T& value);

namespace detail {

template <class C>
struct ListContainer final : Container {
  explicit ListContainer(C& list) : list_(list) {}
  Kind kind() const override { return Kind::list; }
  void clear() override { list_.clear(); }
  Slot add(const std::string&) override { return slot_of(list_.emplace_back()); }
  std::vector<std::pair<std::string, Slot>> items() override {
    std::vector<std::pair<std::string, Slot>> all;
    for (auto& item : list_) all.emplace_back("", slot_of(item));
    return all;
  }
  SampleSlot sample() const override {
    auto item = std::make_shared<typename C::value_type>();
    return {item, slot_of(*item)};
  }
  C& list_;
};

template <class C>
struct MapContainer final : Container {
  explicit MapContainer(C& map) : map_(map) {}
  Kind kind() const override { return Kind::map; }
  void clear() override { map_.clear(); }
  Slot add(const std::string& key) override { return slot_of(map_[key]); }
  std::vector<std::pair<std::string, Slot>> items() override {
    std::vector<std::pair<std::string, Slot>> all;
    for (auto& [key, item] : map_) all.emplace_back(key, slot_of(item));
    return all;
  }
  SampleSlot sample() const override {
    auto item = std::make_shared<typename C::mapped_type>();
    return {item, slot_of(*item)};
  }
  C& map_;
};

template <class C>
struct OptionalContainer final : Container {
  explicit OptionalContainer(C& optional) : optional_(optional) {}
  Kind kind() const override { return Kind::optional; }
  void clear() override { optional_.reset(); }
  Slot add(const std::string&) override {
    if (!optional_) optional_.emplace();
    return slot_of(*optional_);
  }
  std::vector<std::pair<std::string, Slot>> items() override {
    if (!optional_) return {};
    return {{"", slot_of(*optional_)}};
  }
  SampleSlot sample() const override {
    auto item = std::make_shared<typename C::value_type>();
    return {item, slot_of(*item)};
  }
  C& optional_;
};

template <class T>
inline constexpr bool is_list = false;
template <class T>
inline constexpr bool is_list<std::vector<T>> = !std::is_same_v<T, bool>;
template <class T>
inline constexpr bool is_map = false;
template <class T>
inline constexpr bool is_map<std::map<std::string, T>> = true;
template <class T>
inline constexpr bool is_map<std::map<std::string, T, std::less<>>> = true;
template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;
template <class T>
inline constexpr bool is_scalar =
    std::is_same_v<T, bool> || std::is_same_v<T, int> || std::is_same_v<T, int64_t> || std::is_same_v<T, uint64_t> ||
    std::is_same_v<T, double> || std::is_same_v<T, std::string> || std::is_same_v<T, Names>;

}  // namespace detail

template <class T>
Slot slot_of(T& value) {
  if constexpr (detail::is_scalar<T>) {
    return &value;
  } else if constexpr (detail::is_list<T>) {
    return std::make_shared<detail::ListContainer<T>>(value);
  } else if constexpr (detail::is_map<T>) {
    return std::make_shared<detail::MapContainer<T>>(value);
  } else if constexpr (detail::is_optional<T>) {
    return std::make_shared<detail::OptionalContainer<T>>(value);
  } else {
    static_assert(Section<T>, "a field is one of the types that visit.h lists");
    return section_ref(value);
  }
}

template <class T>
void FieldVisitor::operator()(std::string_view key, T& value, std::string_view help) {
  field({key, help, {}, {}}, slot_of(value));
}
template <class T>
void FieldVisitor::operator()(std::string_view key, T& value, std::string_view help, Bounds bounds) {
  field({key, help, bounds, {}}, slot_of(value));
}
template <class T>
void FieldVisitor::operator()(std::string_view key, T& value, std::string_view help, Choices choices) {
  field({key, help, {}, std::move(choices)}, slot_of(value));
}

}  // namespace graft
