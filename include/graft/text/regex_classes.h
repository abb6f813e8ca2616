#pragma once
// Oniguruma's named sets of characters, each as the inside of a PCRE2 class ("" for a name that is not known).
#include <string>
#include <string_view>

namespace graft {

/// \s \w \d \h and, for their capitals, the same set.
std::string_view shorthand_class(char letter);
/// \p{name}
std::string property_class(std::string_view name);
/// [:name:]
std::string posix_class(std::string_view name);
/// The opposite of a set that is a single property; "" for others, which a class cannot hold.
std::string opposite_class(std::string_view set);
/// \b or \B: Oniguruma's words are wider than PCRE2's.
std::string word_boundary(bool negated);

}  // namespace graft
