// Functions that every template may call.
#include <ctime>

#include "graft/core/error.h"
#include "jinja_values.h"

namespace graft::python {
namespace {

constexpr int64_t range_limit = 100000;  // a sandboxed jinja2's

value range(const Call& call) {
  const bool one = !call.get(1, "stop");
  const int64_t start = one ? 0 : call.integer(0, "start", 0);
  const int64_t stop = one ? call.need(0, "stop"), call.integer(0, "stop", 0) : call.integer(1, "stop", 0);
  const int64_t step = call.integer(2, "step", 1);
  if (step == 0) type_error("range() step must not be zero");
  std::vector<value> items;
  // In 128 bits: no overflow whatever the bounds.
  for (__int128 i = start; step > 0 ? i < stop : i > stop; i += step) {
    if (items.size() >= range_limit) type_error(fmt::format("range() of more than {} items", range_limit));
    items.push_back(make_int(static_cast<int64_t>(i)));
  }
  return make_array(std::move(items));
}

std::shared_ptr<jinja::value_object_t> filled(const Call& call) {
  auto out = jinja::mk_val<jinja::value_object>();
  if (const value from = call.positional().empty() ? nullptr : call.positional()[0]) {
    if (is_object(from)) {
      for (const auto& [key, item] : from->val_obj) out->insert(key, item);
    } else {
      for (const value& pair : items_of(from)) {
        if (!is_sequence(pair) || pair->val_arr.size() != 2) type_error("dict() needs pairs");
        out->insert(pair->val_arr[0], pair->val_arr[1]);
      }
    }
  }
  for (const auto& [key, item] : call.named()) out->insert(key, item);
  return out;
}

value make_dict(const Call& call) { return filled(call); }

value make_namespace(const Call& call) {
  auto out = filled(call);
  out->has_builtins = false;
  return out;
}

value raise_exception(const Call& call) { throw std::runtime_error(str(call.need(0, "message")).str()); }

value strftime_now(const Call& call) {
  const std::string format = call.text(0, "format");
  if (format.empty()) return make_string("");
  if (format.size() > 256) type_error("strftime_now() with a format of more than 256 bytes");
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  std::string out(4096, '\0');
  out.resize(std::strftime(out.data(), out.size(), format.c_str(), &local));
  return make_string(out);
}

constexpr Row globals[] = {
    {"range", range},
    {"dict", make_dict},
    {"namespace", make_namespace},
    {"raise_exception", raise_exception},
    {"strftime_now", strftime_now},
};

}  // namespace

Function find_global(std::string_view name) {
  for (const Row& row : globals)
    if (row.name == name) return row.function;
  return nullptr;
}

}  // namespace graft::python
