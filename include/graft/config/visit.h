#pragma once
// A section of a job lists its fields once:
//
//   struct LoraOptions {
//     int rank = 8;
//     void visit(auto& v) { v("rank", rank, "width of the update"); }
//   };
//
// Reading YAML (yaml.h), writing it, `--help` text and the JSON schema all come from that list. A field is a bool, an integer, a double,
// a string, another section, or std::optional, std::vector, std::map<std::string, .> of these, or
// std::variant<std::string, std::vector<std::string>> ("names or one pattern"). A fourth argument limits a string's values:
// v("overlong", overlong, "...", {"drop", "truncate"}); for numbers use v("rank", rank, "...", AtLeast{1}) or Between{0, 1}.
// A field may decide what later fields there are (adapter.method): visitors are called in order and the Reader fills as it goes.
#include <concepts>
#include <initializer_list>
#include <limits>
#include <string_view>
#include <type_traits>
#include <vector>

namespace graft {

/// The allowed range of a number.
struct Bounds {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool low_excluded = false;
};
struct AtLeast : Bounds {
  explicit AtLeast(double at) { low = at; }
};
struct Between : Bounds {
  Between(double least, double most) { low = least, high = most; }
};
struct MoreThan : Bounds {
  explicit MoreThan(double than) { low = than, low_excluded = true; }
};

/// The allowed values of a string.
using Choices = std::vector<std::string_view>;

namespace detail {
struct AnyVisitor {
  template <class T> void operator()(std::string_view, T&, std::string_view) {}
  template <class T> void operator()(std::string_view, T&, std::string_view, Bounds) {}
  template <class T> void operator()(std::string_view, T&, std::string_view, Choices) {}
};
}  // namespace detail

/// A struct that lists its fields.
template <class T>
concept Section = std::is_class_v<T> && requires(T& t, detail::AnyVisitor& v) { t.visit(v); };

}  // namespace graft
