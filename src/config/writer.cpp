#include <algorithm>

#include "graft/config/yaml.h"
#include "graft/core/table.h"
#include "text.h"

namespace graft::detail {
namespace {

using Kind = Shape::Kind;

bool is_block(const Shape& shape) {
  if (shape.kind == Kind::section || shape.kind == Kind::map) return !shape.fields.empty();
  const auto is_nested = [](const ShapeField& field) { return is_block(field.shape); };
  return (shape.kind == Kind::list || shape.kind == Kind::optional) &&
         std::any_of(shape.fields.begin(), shape.fields.end(), is_nested);
}

const ShapeField* find(const Shape* section, const std::string& key) {
  if (!section) return nullptr;
  const auto at =
      std::find_if(section->fields.begin(), section->fields.end(), [&](const ShapeField& field) { return field.key == key; });
  return at == section->fields.end() ? nullptr : &*at;
}

/// Writes lines at an indentation; with comments, in the manner of a file that a person will edit.
class YamlWriter {
 public:
  YamlWriter(bool comments, size_t comment_column) : comments_(comments), comment_column_(comment_column) {}

  std::vector<std::string> lines;

  void write_fields(const Shape& shape, const Shape* defaults, size_t indent) {
    for (const auto& field : shape.fields) {
      const ShapeField* usual = find(defaults, field.key);
      write_field(field, usual ? &usual->shape : nullptr, indent);
    }
  }

 private:
  void write_field(const ShapeField& field, const Shape* usual, size_t indent) {
    const Shape& shape = field.shape;
    const std::string start = std::string(indent, ' ') + quoted_text(field.key) + ":";
    if (!is_block(shape)) {
      add(start + " " + flow_text(shape), comment_of(field, usual));
      if (comments_) write_example(field, indent);
      return;
    }
    add(start, comment_of(field, nullptr));
    write_block(shape, usual, indent + 2);
  }

  void write_block(const Shape& shape, const Shape* usual, size_t indent) {
    if (shape.kind == Kind::list) return write_items(shape, indent);
    if (shape.kind != Kind::optional) return write_fields(shape, shape.kind == Kind::section ? usual : nullptr, indent);
    write_block(shape.fields[0].shape, usual && !usual->fields.empty() ? &usual->fields[0].shape : nullptr, indent);
  }

  void write_items(const Shape& list, size_t indent) {
    for (const auto& item : list.fields) {
      if (item.shape.kind == Kind::list || !is_block(item.shape)) {
        add(std::string(indent, ' ') + "- " + flow_text(item.shape), "");
        continue;
      }
      const size_t first = lines.size();
      write_block(item.shape, nullptr, indent + 2);
      lines[first][indent] = '-';
    }
  }

  /// What an absent section, or an item of an empty list of sections, would look like.
  void write_example(const ShapeField& field, size_t indent) {
    const Shape& shape = field.shape;
    if (shape.element.empty() || !shape.fields.empty() || shape.element[0].shape.kind != Kind::section) return;
    ShapeField example = field;
    example.help.clear();
    example.shape.fields = shape.element;
    if (shape.kind == Kind::map) example.shape.fields[0].key = "name";
    const size_t moved = indent + 2;
    YamlWriter inner(true, comment_column_ > moved ? comment_column_ - moved : 0);
    inner.write_field(example, nullptr, 0);
    for (const auto& line : inner.lines) lines.push_back(std::string(indent, ' ') + "# " + line);
  }

  std::string comment_of(const ShapeField& field, const Shape* usual) const {
    std::string text = field.help;
    const auto add_part = [&](const std::string& part) { text += (text.empty() ? "" : "; ") + part; };
    if (!field.choices.empty()) add_part(join(field.choices, " | "));
    if (const std::string bounds = bounds_text(field.bounds); !bounds.empty()) add_part(bounds);
    if (usual && flow_text(*usual) != flow_text(field.shape)) add_part("default: " + flow_text(*usual));
    std::replace_if(
        text.begin(), text.end(), [](unsigned char c) { return c < 0x20; }, ' ');
    return text;
  }

  void add(std::string line, const std::string& comment) {
    if (comments_ && !comment.empty()) {
      line.resize(std::max(line.size() + 2, comment_column_), ' ');
      line += "# " + comment;
    }
    lines.push_back(std::move(line));
  }

  bool comments_;
  size_t comment_column_;
};

std::string written(const Shape& shape, const Shape* defaults, bool comments) {
  YamlWriter writer(comments, 44);
  writer.write_fields(shape, defaults, 0);
  std::string text;
  for (const auto& line : writer.lines) text += line + "\n";
  return text.empty() ? "{}\n" : text;
}

}  // namespace

std::string yaml_of(const Shape& shape) { return written(shape, nullptr, false); }

std::string commented_yaml_of(const Shape& shape, const Shape& defaults) { return written(shape, &defaults, true); }

}  // namespace graft::detail
