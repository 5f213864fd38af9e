// Every model's weights are decoded to one row of floats each, in the same places.
#include "train/average.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "gguf/gguf_file.h"
#include "model/model.h"
#include "train/weights.h"

namespace reckon::train {
namespace {

bool same(const GgufArray& x, const GgufArray& y) {
  return x.element_type == y.element_type && x.count == y.count && x.strings == y.strings &&
         std::ranges::equal(x.raw, y.raw);
}

bool same(const GgufValue& x, const GgufValue& y) {
  if (x.type != y.type || x.data.index() != y.data.index()) return false;
  return x.array() == nullptr ? x.data == y.data : same(*x.array(), *y.array());
}

// What a file says of the architecture and the tokenizer; not its name or its tensors' types.
bool describes(std::string_view key) {
  return key == "general.architecture" || !key.starts_with("general.");
}

Status check_same(const GgufFile& first, const GgufFile& other) {
  for (const GgufFile* file : {&first, &other}) {
    for (const GgufKeyValue& entry : file->metadata()) {
      if (!describes(entry.key)) continue;
      const GgufValue* here = first.find(entry.key);
      const GgufValue* there = other.find(entry.key);
      if (here != nullptr && there != nullptr && same(*here, *there)) continue;
      return bad_file(
          fmt::format("{}: {}: expected what {} has", other.path(), entry.key, first.path()));
    }
  }
  return {};
}

bool same(const WeightLayout& x, const WeightLayout& y) {
  return x.n_floats == y.n_floats &&
         std::ranges::equal(x.tensors, y.tensors, [](const TensorSlot& a, const TensorSlot& b) {
           return a.name == b.name && a.rows == b.rows && a.cols == b.cols;
         });
}

}  // namespace

Status write_average(std::span<const std::string> paths, const std::string& out, ThreadPool& pool) {
  if (paths.size() < 2) {
    return usage_error(fmt::format("average: expected two models or more, found {}", paths.size()));
  }
  std::shared_ptr<const GgufFile> first;
  WeightLayout layout;
  std::vector<FloatArena> models;
  for (const std::string& path : paths) {
    RECKON_ASSIGN(const std::shared_ptr<const GgufFile> file, GgufFile::open(path));
    RECKON_ASSIGN(const std::shared_ptr<const Model> model, Model::load(file));
    RECKON_ASSIGN(const NetworkShape shape, shape_of(*model));
    WeightLayout here = layout_of(shape);
    if (first == nullptr) {
      first = file;
      layout = std::move(here);
    } else {
      RECKON_RETURN_IF_ERROR(check_same(*first, *file));
      if (!same(layout, here)) {
        return bad_file(
            fmt::format("{}: expected tensors of the names and sizes of {}", path, first->path()));
      }
    }
    RECKON_ASSIGN(FloatArena weights, FloatArena::create(layout.n_floats, "the weights"));
    RECKON_RETURN_IF_ERROR(read_weights(*model, layout, pool, weights.data()));
    models.push_back(std::move(weights));
  }
  const auto n = static_cast<double>(models.size());
  for (int64_t i = 0; i < layout.n_floats; ++i) {
    double sum = 0;
    for (const FloatArena& model : models) sum += static_cast<double>(model.data()[i]);
    models.front().data()[i] = static_cast<float>(sum / n);
  }
  return write_model(*first, layout, models.front().data(), out);
}

}  // namespace reckon::train
