#include "runtime/plan_store.h"

#include <algorithm>
#include <utility>

#include "runtime/plan_memory.h"
#include "runtime/row_draft.h"

namespace fusible {
PlanStore::PlanStore(const Graph& graph, std::span<const TensorView> inputs,
                     std::span<const TensorView> weights, WeightCopies& copies,
                     Executable::Plan& plan)
    : graph_(graph),
      copies_(copies),
      plan_(plan),
      constants_(PlaceConstants(graph, weights, copies)),
      stored_(graph.values.size()) {
  plan.bases = {.inputs = static_cast<int>(inputs.size()),
                .weights = static_cast<int>(weights.size()),
                .results = static_cast<int>(graph.outputs.size())};
  int plain = 0, constant = 0;
  for (const Input& input : graph.inputs) {
    const bool is_weight = input.kind == InputKind::kConstant;
    const int base = is_weight ? plan.bases.Weight(constant) : plan.bases.Input(plain);
    const TensorView& array = is_weight ? weights[constant++] : inputs[plain++];
    stored_[input.value] = {.block = AddBlock(BytesOf(input.value), base),
                            .strides = array.strides};
    if (is_weight) {
      source_blocks_[constant - 1] = stored_[input.value].block;
      continue;
    }
    plan.inputs.push_back(LayoutOf(input.value));
    plan.input_names.push_back(graph.values[input.value].name);
  }
}

int64_t PlanStore::BytesOf(ValueId value) const {
  return Product(ShapeOf(value)) * static_cast<int64_t>(Bytes(graph_.TypeOf(value).dtype));
}

ArrayLayout PlanStore::LayoutOf(ValueId value) const {
  return {.dtype = graph_.TypeOf(value).dtype,
          .shape = ShapeOf(value),
          .strides = stored_[value].strides};
}

bool PlanStore::IsContiguous(ValueId value) const {
  return IsPacked(ShapeOf(value), stored_[value].strides, 0);
}

bool PlanStore::Fills(ValueId value) const {
  const Stored& at = stored_[value];
  return at.offset == 0 && BytesOf(value) == blocks_[at.block].bytes && IsContiguous(value);
}

std::optional<int> PlanStore::InputOf(ValueId value) const {
  const int base = blocks_[stored_[value].block].home.base;
  if (base < plan_.bases.Input(0) || base >= plan_.bases.Weight(0)) return std::nullopt;
  return base - plan_.bases.Input(0);
}

int PlanStore::AddBlock(int64_t bytes, int base) {
  blocks_.push_back({.bytes = bytes, .home = {.base = base}});
  return static_cast<int>(blocks_.size()) - 1;
}

void PlanStore::AddOwn(ValueId value, int64_t column_alignment) {
  const Sizes shape = ShapeOf(value), strides = LayoutStrides(shape, column_alignment);
  const auto item = static_cast<int64_t>(Bytes(graph_.TypeOf(value).dtype));
  stored_[value] = {.block = AddBlock(Span(shape, strides) * item), .strides = strides};
}

void PlanStore::AddShared(ValueId value, ValueId operand) {
  stored_[value] = {.block = stored_[operand].block, .strides = ContiguousStrides(ShapeOf(value))};
}

int PlanStore::AddCopyBlock(const WeightCopies::Copy& copy) {
  plan_.weight_copies.push_back(copy);
  return AddBlock(copy.bytes, plan_.bases.Copy(plan_.bases.copies++));
}

int PlanStore::BlockOf(const ConstantPlace& place) {
  const auto found = source_blocks_.find(place.source);
  if (found != source_blocks_.end()) return found->second;
  return source_blocks_[place.source] = AddCopyBlock(place.copy);
}

void PlanStore::AddView(const Node& node) {
  const ValueId in = node.inputs[0], out = node.outputs[0];
  if (constants_[in]) {
    const auto& place = constants_[out];
    if (!place) return;  // nobody reads it
    stored_[out] = {
        .block = BlockOf(*place), .offset = place->offset, .strides = place->layout.strides};
    return;
  }
  auto seen = View(node);
  if (!seen.strides) {
    MakeContiguous(in);
    seen = View(node);
  }
  const auto bytes = static_cast<int64_t>(Bytes(graph_.TypeOf(in).dtype));
  stored_[out] = {.block = stored_[in].block,
                  .offset = stored_[in].offset + seen.offset * bytes,
                  .strides = seen.strides.value()};
}

ViewResult PlanStore::View(const Node& node) const {
  const ValueId in = node.inputs[0];
  return node.op->view()(graph_.TypeOf(in).shape, &stored_[in].strides, node.attrs);
}

void PlanStore::Touch(int block) {
  const auto step = static_cast<int>(plan_.steps.size());
  if (blocks_[block].first < 0) blocks_[block].first = step;
  blocks_[block].last = step;
}

Memory PlanStore::Use(ValueId value) {
  const Stored& at = stored_[value];
  Touch(at.block);
  return {.base = at.block, .offset = at.offset};
}

Memory PlanStore::UseScratch(int64_t bytes) {
  const int block = AddBlock(bytes);
  Touch(block);
  return {.base = block};
}

void PlanStore::MakeContiguous(ValueId value) {
  if (IsContiguous(value)) return;
  const Stored from = stored_[value];
  const auto& place = constants_[value];
  if (!place) {
    const Stored to{.block = AddBlock(BytesOf(value)),
                    .strides = ContiguousStrides(ShapeOf(value))};
    AddCopyStep(value, from, to);
    stored_[value] = to;
    return;
  }
  const auto copy = copies_.Get(place->source, place->offset, place->layout, place->data);
  stored_[value] = {.block = AddCopyBlock(copy), .strides = ContiguousStrides(ShapeOf(value))};
}

std::optional<Memory> PlanStore::UsePacked(ValueId value) {
  const auto& place = constants_[value];
  if (!place) return std::nullopt;
  const int block =
      AddCopyBlock(copies_.GetPacked(place->source, place->offset, place->layout, place->data));
  Touch(block);
  return Memory{.base = block};
}

void PlanStore::AddCopy(ValueId from, ValueId to) { AddCopyStep(from, stored_[from], stored_[to]); }

void PlanStore::AddCopyStep(ValueId value, const Stored& from, const Stored& to) {
  Touch(from.block);
  Touch(to.block);
  const Type& type = graph_.TypeOf(value);
  plan_.steps.push_back(
      {.run = CopyRun{.plan = PlanCopy(type.dtype, ShapeOf(value), from.strides, to.strides),
                      .from = {.base = from.block, .offset = from.offset},
                      .to = {.base = to.block, .offset = to.offset}},
       .name = "copy",
       .result = graph_.values[value].name,
       .bytes = 2 * BytesOf(value)});
}

bool PlanStore::IsWhole(ValueId value) const {
  const Sizes shape = ShapeOf(value);
  const Stored& at = stored_[value];
  const auto item = static_cast<int64_t>(Bytes(graph_.TypeOf(value).dtype));
  if (at.offset != 0 || Span(shape, at.strides) * item != blocks_[at.block].bytes) return false;
  return IsContiguous(value) || at.strides == LayoutStrides(shape, 1) ||
         at.strides == LayoutStrides(shape, 4);
}

Executable::ResultSpec PlanStore::AddResult(ValueId value, int k, bool is_input) {
  const Stored at = stored_[value];
  Executable::ResultSpec spec{
      .dtype = graph_.TypeOf(value).dtype, .shape = ShapeOf(value), .strides = at.strides};
  Block& block = blocks_[at.block];
  const bool whole = IsWhole(value);
  if (whole && block.home.base < 0) {
    block.home.base = plan_.bases.Result(k);
  } else if (whole && is_input) {
    spec.updates = *InputOf(value);
  } else {
    spec.strides = ContiguousStrides(spec.shape);
    const Stored copy{.block = AddBlock(BytesOf(value), plan_.bases.Result(k)),
                      .strides = spec.strides};
    AddCopyStep(value, at, copy);
  }
  return spec;
}

void PlanStore::Finish() {
  PlaceBlocks();
  for (PlanStep& step : plan_.steps) Resolve(step);
}

void PlanStore::PlaceBlocks() {
  std::vector<MemoryNeed> needs;
  std::vector<Block*> owners;
  for (Block& block : blocks_) {
    if (block.home.base >= 0 || block.first < 0) continue;
    needs.push_back({.bytes = block.bytes, .first = block.first, .last = block.last});
    owners.push_back(&block);
  }
  const MemoryPlan memory = PlanMemory(needs);
  for (size_t i = 0; i < owners.size(); ++i) {
    owners[i]->home = {.base = PlanBases::kArena, .offset = memory.offsets[i]};
  }
  plan_.arena_bytes = memory.bytes;
}

void PlanStore::Resolve(Memory& memory) const {
  if (memory.base < 0) return;
  const Memory& home = blocks_[memory.base].home;
  memory = {.base = home.base, .offset = home.offset + memory.offset};
}

void PlanStore::Resolve(BlocksRun& run) const {
  for (BlocksRun::Array& array : run.inputs) Resolve(array.memory);
  for (BlocksRun::Array& array : run.results) Resolve(array.memory);
  Resolve(run.arena);
}

void PlanStore::Resolve(PlanStep& step) const {
  if (auto* blocks = std::get_if<BlocksRun>(&step.run)) return Resolve(*blocks);
  if (auto* copy = std::get_if<CopyRun>(&step.run)) {
    Resolve(copy->from);
    Resolve(copy->to);
    return;
  }
  auto* rows = std::get_if<RowsRun>(&step.run);
  for (Memory& memory : rows ? rows->memory : std::get<KernelRun>(step.run).memory) {
    Resolve(memory);
  }
}

}  // namespace fusible
