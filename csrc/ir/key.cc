#include "ir/key.h"

#include <map>
#include <set>

#include "core/cat.h"
#include "core/digest.h"
#include "ir/structure.h"
#include "ir/text.h"

namespace fusible {
namespace {

constexpr size_t kShownContent = 200;  // bytes; a longer part counts, and is shown, as its digest

// In the order of names: pointers differ from run to run.
std::string ContractsText(const std::set<const Op*>& ops) {
  std::map<std::string, std::string> contracts;
  for (const Op* op : ops) contracts[op->name()] = OperatorContract(*op);
  std::string text;
  for (const auto& [name, contract] : contracts) text += Cat(name, " ", HashOf({contract}), "\n");
  return text;
}

// Behind a name: on its line, or below it where there are several lines.
std::string Indent(std::string_view content) {
  while (content.ends_with('\n')) content.remove_suffix(1);
  if (content.find('\n') == std::string_view::npos) return Cat(" ", content, "\n");
  std::string text = "\n    ";
  for (const char c : content) {
    text += c;
    if (c == '\n') text += "    ";
  }
  return text + "\n";
}

}  // namespace

std::string Shorten(const std::string& content) {
  return content.size() <= kShownContent ? content : Cat("sha256:", HashOf({content}));
}

std::string Key::uuid() const {
  Sha256 hash;
  for (const auto& [name, content] : parts) {
    hash.UpdateFramed(name);
    hash.UpdateFramed(Shorten(content));
  }
  return Uuid8(hash.Finish());
}

std::string Key::Explain() const {
  std::string text = uuid() + "\n";
  for (const auto& [name, content] : parts) text += Cat("  ", name, ":", Indent(Shorten(content)));
  for (const std::string& what : left_out) text += Cat("  left out: ", what, "\n");
  return text;
}

Key GraphKey(const Graph& graph) {
  const Structure structure(graph);
  return {.parts = {{"inputs", structure.inputs()},
                    {"outputs", structure.outputs()},
                    {"structure", structure.nodes()},
                    {"operators", ContractsText(structure.ops())}},
          .left_out = {},
          .graph = ToText(graph)};
}

std::string OperatorContract(const Op& op) {
  return Cat(op.signature().text, "\n", op.equals(), "\n", op.commutes() ? "commutes" : "", "\n",
             op.view() ? "view" : "");
}

std::string_view BuildId() {
  return
#include "build_id.inc"
      ;
}

}  // namespace fusible
