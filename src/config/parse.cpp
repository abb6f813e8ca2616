// The only file that sees yaml-cpp. Its events are used, not its nodes: aliases are written out here, under a budget.
#include "parse.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <sstream>
#include <unordered_map>

#include "graft/config/yaml.h"
#include "utf8.h"

namespace graft {
namespace {

constexpr size_t most_faults = 50;

struct Size {
  int nodes = 0;
  size_t bytes = 0;
  size_t depth = 0;
};

Size size_of(const ConfigNode& node) {
  Size total{1, node.text.size() + node.key.size(), node.children.empty() ? size_t{0} : size_t{1}};
  for (const auto& child : node.children) {
    const Size size = size_of(child);
    total.nodes += size.nodes;
    total.bytes += size.bytes;
    total.depth = std::max(total.depth, size.depth + 1);
  }
  return total;
}

class TreeBuilder final : public YAML::EventHandler {
 public:
  TreeBuilder(const std::string& name, bool numbered, ConfigBudget& budget)
      : file_(std::make_shared<const std::string>(name)), numbered_(numbered), budget_(budget) {}

  ConfigNode take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    require(documents_++ == 0, "{}: a second document begins here; a config is one document", at(mark).text());
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { finish(made(ConfigNode::Kind::null, mark), anchor); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    require(found != anchors_.end(), "{}: an alias inside what it stands for", at(mark).text());
    const Size size = size_of(found->second);
    check_depth(frames_.size() + size.depth, mark);
    budget_.spend(size.nodes, size.bytes, at(mark).text());
    attach(found->second);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, const std::string& value) override {
    constexpr std::string_view text_tag = "tag:yaml.org,2002:str";
    require(tag == "?" || tag == "!" || tag.empty() || tag == text_tag, "{}: tags are not supported, found !<{}>",
            at(mark).text(), tag);
    ConfigNode node = made(ConfigNode::Kind::scalar, mark);
    node.text = with_whole_escapes(value);
    node.quoted = tag == "!" || tag == text_tag;
    budget_.spend(0, value.size(), at(mark).text());
    finish(std::move(node), anchor);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(ConfigNode::Kind::list, mark, tag, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    open(ConfigNode::Kind::map, mark, tag, anchor);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Frame {
    ConfigNode node;
    YAML::anchor_t anchor = 0;
    bool has_key = false;
    std::string key;
    ConfigMark key_mark;
    std::unordered_map<std::string, ConfigMark> keys;
  };

  ConfigMark at(const YAML::Mark& mark) const {
    if (!numbered_) return {file_, 0, 0};
    return {file_, std::max(mark.line, 0) + 1, std::max(mark.column, 0) + 1};
  }

  void check_depth(size_t depth, const YAML::Mark& mark) const {
    require(depth <= ConfigLimits::depth, "{}: nested deeper than {} levels", at(mark).text(), ConfigLimits::depth);
  }

  ConfigNode made(ConfigNode::Kind kind, const YAML::Mark& mark) {
    ConfigNode node;
    node.kind = kind;
    node.mark = at(mark);
    budget_.spend(1, 0, node.mark.text());
    return node;
  }

  void open(ConfigNode::Kind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    require(tag == "?" || tag.empty(), "{}: tags are not supported, found !<{}>", at(mark).text(), tag);
    check_depth(frames_.size() + 1, mark);
    Frame frame;
    frame.node = made(kind, mark);
    frame.anchor = anchor;
    frames_.push_back(std::move(frame));
  }

  void close() {
    Frame frame = std::move(frames_.back());
    frames_.pop_back();
    finish(std::move(frame.node), frame.anchor);
  }

  void finish(ConfigNode node, YAML::anchor_t anchor) {
    if (anchor != 0) {
      const Size size = size_of(node);
      budget_.spend(size.nodes, size.bytes, node.mark.text());
      anchors_[anchor] = node;
    }
    attach(std::move(node));
  }

  void attach(ConfigNode node) {
    if (frames_.empty()) {
      root_ = std::move(node);
      return;
    }
    Frame& frame = frames_.back();
    if (frame.node.kind == ConfigNode::Kind::map && !frame.has_key) return take_key(frame, node);
    if (frame.node.kind == ConfigNode::Kind::map) {
      node.key = std::move(frame.key);
      node.key_mark = frame.key_mark;
      if (node.kind == ConfigNode::Kind::null) node.mark = frame.key_mark;  // yaml-cpp marks what comes after
      frame.has_key = false;
    }
    frame.node.children.push_back(std::move(node));
  }

  void take_key(Frame& frame, const ConfigNode& node) {
    const std::string where = node.mark.text();
    require(node.kind == ConfigNode::Kind::scalar, "{}: expected a key, got {}", where, node.described());
    check_key(node.text, where);
    require(node.quoted || node.text != "<<", "{}: merge keys (<<) are not supported; use include: for shared parts", where);
    const auto [first, is_new] = frame.keys.emplace(node.text, node.mark);
    if (!is_new) {
      budget_.faults.push_back(
          fmt::format("{}: key {} is given twice, first on {}", where, node.described(), first->second.text()));
      require(budget_.faults.size() < most_faults, "{} (and {} more keys given twice)", budget_.faults.front(), most_faults - 1);
    }
    frame.key = node.text;
    frame.key_mark = node.mark;
    frame.has_key = true;
  }

  std::shared_ptr<const std::string> file_;
  bool numbered_;
  ConfigBudget& budget_;
  int documents_ = 0;
  std::vector<Frame> frames_;
  std::unordered_map<YAML::anchor_t, ConfigNode> anchors_;
  ConfigNode root_;
};

}  // namespace

ConfigNode parse_yaml(std::string_view text, const std::string& name, bool numbered, ConfigBudget& budget) {
  check_config_text(text, name);
  TreeBuilder builder(name, numbered, budget);
  try {
    std::istringstream in{std::string(text)};
    YAML::Parser parser(in);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const YAML::Exception& e) {
    const std::string where =
        numbered && e.mark.line >= 0 ? fmt::format("{}:{}:{}", name, e.mark.line + 1, e.mark.column + 1) : name;
    refuse("{}: not valid YAML: {}", where, e.msg);
  }
  return builder.take();
}

}  // namespace graft
