#include "graft/config/shape.h"

namespace graft {
namespace {

Shape shape_of_slot(const Slot& slot);

class Describer final : public FieldVisitor {
 public:
  std::vector<ShapeField> fields;

 protected:
  void field(const FieldInfo& info, const Slot& slot) override {
    ShapeField described{std::string(info.key), std::string(info.help), info.bounds, {}, shape_of_slot(slot)};
    described.choices.assign(info.choices.begin(), info.choices.end());
    fields.push_back(std::move(described));
  }
};

Shape shape_of_container(Container& container) {
  constexpr Shape::Kind kinds[] = {Shape::Kind::list, Shape::Kind::map, Shape::Kind::optional};
  Shape shape;
  shape.kind = kinds[static_cast<int>(container.kind())];
  for (const auto& [key, slot] : container.items()) shape.fields.push_back({key, "", {}, {}, shape_of_slot(slot)});
  const SampleSlot sample = container.sample();
  shape.element.push_back({"", "", {}, {}, shape_of_slot(sample.slot)});
  return shape;
}

struct SlotDescriber {
  Shape operator()(const bool* value) const { return {Shape::Kind::boolean, *value, {}, {}}; }
  Shape operator()(const int* value) const { return {Shape::Kind::integer, int64_t{*value}, {}, {}}; }
  Shape operator()(const int64_t* value) const { return {Shape::Kind::integer, *value, {}, {}}; }
  Shape operator()(const uint64_t* value) const { return {Shape::Kind::integer, *value, {}, {}}; }
  Shape operator()(const double* value) const { return {Shape::Kind::number, *value, {}, {}}; }
  Shape operator()(const std::string* value) const { return {Shape::Kind::string, *value, {}, {}}; }
  Shape operator()(const Names* value) const {
    Shape shape{Shape::Kind::names, {}, {}, {}};
    std::visit([&](const auto& names) { shape.value = names; }, *value);
    return shape;
  }
  Shape operator()(const SectionRef& section) const { return shape_of(section); }
  Shape operator()(const std::shared_ptr<Container>& container) const { return shape_of_container(*container); }
};

Shape shape_of_slot(const Slot& slot) { return std::visit(SlotDescriber{}, slot); }

void add_paths(const Shape& shape, const std::string& path, std::vector<std::string>& paths) {
  const std::string prefix = path.empty() ? "" : path + ".";
  if (shape.kind == Shape::Kind::section) {
    for (const auto& field : shape.fields) {
      paths.push_back(prefix + field.key);
      add_paths(field.shape, prefix + field.key, paths);
    }
  } else if (shape.kind == Shape::Kind::optional) {
    add_paths(shape.fields.empty() ? shape.element[0].shape : shape.fields[0].shape, path, paths);
  } else if (!shape.element.empty()) {
    add_paths(shape.element[0].shape, prefix + (shape.kind == Shape::Kind::list ? "*" : "<name>"), paths);
  }
}

}  // namespace

Shape shape_of(SectionRef section) {
  Describer describer;
  section.visit(section.object, describer);
  return {Shape::Kind::section, {}, std::move(describer.fields), {}};
}

std::vector<std::string> field_paths(const Shape& shape) {
  std::vector<std::string> paths;
  add_paths(shape, "", paths);
  return paths;
}

}  // namespace graft
