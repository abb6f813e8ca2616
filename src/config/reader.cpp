#include "reader.h"

#include <algorithm>
#include <unordered_set>

#include "graft/core/table.h"
#include "scalars.h"
#include "text.h"

namespace graft {
namespace {

using Kind = ConfigNode::Kind;

std::string joined(const std::string& path, std::string_view key) {
  return path.empty() ? std::string(key) : path + "." + std::string(key);
}

class Reader final : public FieldVisitor {
 public:
  Reader(Reading& reading, const ConfigNode& node, std::string path) : reading_(reading), node_(node), path_(std::move(path)) {}

  void report_unknown() const {
    const std::unordered_set<std::string> known(seen_.begin(), seen_.end());
    const auto names = std::make_shared<const std::vector<std::string>>(seen_);
    for (const auto& child : node_.children)
      if (!known.contains(child.key)) reading_.unknown.push_back({&child, path_, names});
  }

 protected:
  void field(const FieldInfo& info, const Slot& slot) override {
    seen_.emplace_back(info.key);
    const ConfigNode* child = node_.find(info.key);
    if (child) return read_value(reading_, info, *child, joined(path_, info.key), slot);
    // A section that is not there is visited too: its visit() may decide something.
    static const ConfigNode nothing{Kind::null, "", false, {}, "", {}, {}};
    if (std::holds_alternative<SectionRef>(slot)) read_value(reading_, info, nothing, joined(path_, info.key), slot);
  }

 private:
  Reading& reading_;
  const ConfigNode& node_;
  std::string path_;
  std::vector<std::string> seen_;
};

/// A list item that is only a text sets the first field of its section, if that is a text: `train: [file.jsonl]`.
class FirstField final : public FieldVisitor {
 public:
  FirstField(Reading& reading, const ConfigNode& node, const std::string& path) : reading_(reading), node_(node), path_(path) {}
  bool is_read = false;

 protected:
  void field(const FieldInfo& info, const Slot& slot) override {
    if (is_first_ && std::holds_alternative<std::string*>(slot)) {
      read_value(reading_, info, node_, joined(path_, info.key), slot);
      is_read = true;
    }
    is_first_ = false;
  }

 private:
  Reading& reading_;
  const ConfigNode& node_;
  const std::string& path_;
  bool is_first_ = true;
};

class SlotReader {
 public:
  SlotReader(Reading& reading, const FieldInfo& info, const ConfigNode& node, const std::string& path)
      : reading_(reading), info_(info), node_(node), path_(path) {}

  void operator()(bool* out) const { report(read_bool(node_, *out)); }
  void operator()(int* out) const { read_bounded(*out); }
  void operator()(int64_t* out) const { read_bounded(*out); }
  void operator()(uint64_t* out) const { read_bounded(*out); }
  void operator()(double* out) const { read_bounded(*out); }
  void operator()(std::string* out) const {
    std::string value;
    std::string fault = read_string(node_, value);
    if (fault.empty()) fault = choice_fault(value);
    if (fault.empty()) *out = std::move(value);
    report(fault);
  }
  void operator()(Names* out) const {
    if (node_.kind != Kind::list && node_.kind != Kind::scalar)
      return report("expected text or a list of text, got " + node_.described());
    Names value;
    const size_t faults = reading_.errors.errors().size();
    if (node_.kind == Kind::list)
      read_value(reading_, info_, node_, path_, slot_of(value.emplace<std::vector<std::string>>()));
    else
      read_value(reading_, info_, node_, path_, slot_of(value.emplace<std::string>()));
    if (reading_.errors.errors().size() == faults) *out = std::move(value);
  }
  void operator()(const SectionRef& section) const {
    if (node_.kind != Kind::map && node_.kind != Kind::null) return reading_.misread.push_back({&node_, path_});
    Reader reader(reading_, node_, path_);
    section.visit(section.object, reader);
    reader.report_unknown();
  }
  void operator()(const std::shared_ptr<Container>& container) const {
    switch (container->kind()) {
      case Container::Kind::optional:
        return read_optional(*container);
      case Container::Kind::list:
        return read_list(*container);
      case Container::Kind::map:
        return read_map(*container);
    }
  }

 private:
  void report(const std::string& fault) const {
    if (!fault.empty()) reading_.errors.add("{}: {}: {}", node_.mark.text(), path_, fault);
  }

  template <class T>
  void read_bounded(T& out) const {
    T value{};
    std::string fault;
    if constexpr (std::is_same_v<T, double>)
      fault = read_number(node_, value);
    else
      fault = read_integer(node_, value);
    if (fault.empty()) fault = bounds_fault(static_cast<double>(value), info_.bounds, node_.text);
    if (fault.empty()) out = value;
    report(fault);
  }

  std::string choice_fault(const std::string& value) const {
    if (info_.choices.empty() || std::find(info_.choices.begin(), info_.choices.end(), value) != info_.choices.end()) return "";
    const std::vector<std::string> names(info_.choices.begin(), info_.choices.end());
    return fmt::format("expected one of {}; got {}{}", join(names), node_.described(), did_you_mean(value, names));
  }

  void read_optional(Container& optional) const {
    if (node_.kind == Kind::null) return optional.clear();
    const bool was_empty = optional.items().empty();
    const size_t faults = reading_.errors.errors().size();
    read_value(reading_, info_, node_, path_, optional.add(""));
    if (was_empty && reading_.errors.errors().size() > faults) optional.clear();
  }

  void read_list(Container& list) const {
    if (node_.kind != Kind::list) {
      const bool is_null = node_.kind == Kind::null;
      return report("expected a list, got " + node_.described() +
                    (is_null ? " (an empty list is [])" : " (write [...] round it)"));
    }
    list.clear();
    for (size_t i = 0; i < node_.children.size(); ++i) read_item(list, node_.children[i], joined(path_, std::to_string(i)));
  }

  void read_item(Container& list, const ConfigNode& item, const std::string& path) const {
    const Slot slot = list.add("");
    const SectionRef* section = std::get_if<SectionRef>(&slot);
    if (section && item.kind == Kind::scalar) {
      FirstField first(reading_, item, path);
      section->visit(section->object, first);
      if (first.is_read) return;
    }
    read_value(reading_, info_, item, path, slot);
  }

  void read_map(Container& map) const {
    if (node_.kind != Kind::map) {
      const bool is_null = node_.kind == Kind::null;
      return report("expected names and values, got " + node_.described() + (is_null ? " (an empty map is {})" : ""));
    }
    map.clear();
    for (const auto& child : node_.children)
      read_value(reading_, info_, child, joined(path_, quoted_text(child.key)), map.add(child.key));
  }

  Reading& reading_;
  const FieldInfo& info_;
  const ConfigNode& node_;
  const std::string& path_;
};

}  // namespace

void read_value(Reading& reading, const FieldInfo& info, const ConfigNode& node, const std::string& path, const Slot& slot) {
  std::visit(SlotReader(reading, info, node, path), slot);
}

}  // namespace graft
