// Where two keys part, in sentences: "here" is the first of them, "there" the second.
#include <algorithm>
#include <map>
#include <optional>

#include "core/cat.h"
#include "ir/key.h"
#include "ir/structure.h"
#include "ir/text.h"

namespace fusible {
namespace {

constexpr size_t kNamed = 3;         // so many of a kind are named, the others counted
constexpr size_t kDigestShown = 12;  // of the 64 digits of a digest

using Lines = std::vector<std::string>;

Lines Split(std::string_view text) {
  Lines lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

// A line without the indent, and without most of the digest at its end.
std::string Brief(std::string line) {
  line.erase(0, line.find_first_not_of(' '));
  const size_t word = line.find_last_of(" :") + 1;
  const bool digest = line.size() - word == 64 &&
                      line.find_first_not_of("0123456789abcdef", word) == std::string::npos;
  return digest ? line.substr(0, word + kDigestShown) : line;
}

std::string Join(const Lines& items, std::string_view between) {
  std::string text;
  for (size_t i = 0; i < std::min(items.size(), kNamed); ++i) {
    text += Cat(i == 0 ? "" : between, items[i]);
  }
  return items.size() <= kNamed ? text : Cat(text, " and ", items.size() - kNamed, " more");
}

std::string HereAndThere(const std::string& here, const std::string& there) {
  return Cat(here.empty() ? "none" : here, " here, ", there.empty() ? "none" : there, " there");
}

// The lines of one that the other has not, or not as often.
Lines OnlyIn(const Lines& one, const Lines& other) {
  std::map<std::string, int> left;
  for (const std::string& line : other) ++left[line];
  Lines only;
  for (const std::string& line : one) {
    if (left[line]-- <= 0) only.push_back(Brief(line));
  }
  return only;
}

std::string LinesSentence(const std::string& here, const std::string& there) {
  const Lines ours = Split(here), theirs = Split(there);
  const Lines only_here = OnlyIn(ours, theirs), only_there = OnlyIn(theirs, ours);
  if (only_here.empty() && only_there.empty()) return "the same lines in another order";
  return HereAndThere(Join(only_here, "; "), Join(only_there, "; "));
}

// A graph whose key is known, read again from its text.
class Read {
 public:
  explicit Read(const Key& key) : graph_(ParseGraph(key.graph)), structure_(graph_) {}
  Read(const Read&) = delete;
  Read& operator=(const Read&) = delete;

  const Structure& structure() const { return structure_; }
  std::string InputName(size_t i) const {
    return i < graph_.inputs.size() ? graph_.values[graph_.inputs[i].value].name : "";
  }
  std::string OutputName(size_t i) const {
    return i < graph_.outputs.size() ? graph_.values[graph_.outputs[i]].name : "";
  }

  // The live nodes that the other graph has not, or not as often, though it has all that they read:
  // where the difference begins. The nodes behind them differ for that reason alone.
  Lines FirstNotIn(const Read& other) const {
    std::map<Digest, int> left;
    for (const Structure::LiveNode& node : other.structure_.live()) ++left[node.hash];
    const auto& live = structure_.live();
    std::vector<bool> differs(live.size());
    Lines first;
    for (size_t i = 0; i < live.size(); ++i) {
      if (left[live[i].hash]-- > 0) continue;
      differs[i] = true;
      const bool follows =
          std::ranges::any_of(structure_.ReadsOf(live[i]), [&](int32_t j) { return differs[j]; });
      if (!follows) first.push_back(StatementText(*live[i].graph, *live[i].node));
    }
    return first;
  }

 private:
  Graph graph_;
  Structure structure_;
};

std::string NodesSentence(const Read& here, const Read& there) {
  const Lines first_here = here.FirstNotIn(there), first_there = there.FirstNotIn(here);
  const std::string counts = HereAndThere(Cat(here.structure().live().size(), " nodes"),
                                          Cat(there.structure().live().size()));
  if (first_here.empty() && first_there.empty()) {
    return Cat(counts, "; opaque nodes have other sizes in common");
  }
  return Cat(counts, "; it begins with ",
             HereAndThere(Join(first_here, "; "), Join(first_there, "; ")));
}

// "number 2 (w)", or both names where they differ.
std::string Numbered(size_t number, const std::string& here, const std::string& there) {
  if (here.empty() || there.empty() || here == there) {
    return Cat("number ", number, " (", here.empty() ? there : here, ")");
  }
  return Cat("number ", number, " (", HereAndThere(here, there), ")");
}

std::string InputsSentence(const Read& here, const Read& there) {
  const Lines ours = Split(here.structure().inputs()), theirs = Split(there.structure().inputs());
  Lines places;
  for (size_t i = 0; i < std::max(ours.size(), theirs.size()); ++i) {
    const std::string mine = i < ours.size() ? ours[i] : "";
    const std::string other = i < theirs.size() ? theirs[i] : "";
    if (mine == other) continue;
    places.push_back(
        Cat(Numbered(i, here.InputName(i), there.InputName(i)), " is ", HereAndThere(mine, other)));
  }
  return Join(places, "; ");
}

std::string OutputsSentence(const Read& here, const Read& there) {
  const Lines ours = Split(here.structure().outputs()), theirs = Split(there.structure().outputs());
  if (ours.size() != theirs.size()) {
    return HereAndThere(Cat(ours.size(), " results"), Cat(theirs.size()));
  }
  if (OnlyIn(ours, theirs).empty()) return "the same results in another order";
  Lines places;
  for (size_t i = 0; i < ours.size(); ++i) {
    if (ours[i] == theirs[i]) continue;
    places.push_back(Numbered(i, here.OutputName(i), there.OutputName(i)));
  }
  return Cat(places.size(), " of ", ours.size(),
             " results are computed in another way: ", Join(places, ", "));
}

std::string GraphSentence(const std::string& part, const Read& here, const Read& there) {
  if (part == "inputs") return InputsSentence(here, there);
  return part == "outputs" ? OutputsSentence(here, there) : NodesSentence(here, there);
}

const std::string* Find(const Key& key, const std::string& part) {
  const auto found =
      std::ranges::find(key.parts, part, &std::pair<std::string, std::string>::first);
  return found == key.parts.end() ? nullptr : &found->second;
}

// The names of the parts that differ: those of one key, then those that only the other has.
Lines Differing(const Key& here, const Key& there) {
  Lines names;
  for (const auto& [name, content] : here.parts) {
    const std::string* other = Find(there, name);
    if (!other || *other != content) names.push_back(name);
  }
  for (const auto& [name, content] : there.parts) {
    if (!Find(here, name)) names.push_back(name);
  }
  return names;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> Diff(const Key& here, const Key& there) {
  std::optional<Read> ours, theirs;
  std::vector<std::pair<std::string, std::string>> sentences;
  for (const std::string& part : Differing(here, there)) {
    const std::string* mine = Find(here, part);
    const std::string* other = Find(there, part);
    const bool of_graph = part == "inputs" || part == "outputs" || part == "structure";
    if (!of_graph || !mine || !other) {
      sentences.emplace_back(part, LinesSentence(mine ? *mine : "", other ? *other : ""));
      continue;
    }
    if (!ours) {
      ours.emplace(here);
      theirs.emplace(there);
    }
    sentences.emplace_back(part, GraphSentence(part, *ours, *theirs));
  }
  return sentences;
}

}  // namespace fusible
