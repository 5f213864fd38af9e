// One piece of work is a document's part of one KV head: its sums over queries run in one thread,
// in ascending order.
#include "train/attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/check.h"

namespace reckon::train {
namespace {

// Queries of a block: enough to use a panel of keys well, few enough that half of a block's
// products above the diagonal, which are wasted, stay small.
constexpr int64_t kQueries = 48;
constexpr int64_t kPanel = kernels::kPanelColumns;

}  // namespace

struct Attention::Piece {
  int64_t begin = 0;  // the document's first row
  int64_t length = 0;
  int64_t kv_head = 0;
  int64_t n = 0;  // rows of the batch
  int thread = 0;
  // Keys and values in panels, as they are and turned.
  float* keys = nullptr;
  float* turned_keys = nullptr;
  float* values = nullptr;
  float* turned_values = nullptr;
  float* scores = nullptr;  // [kQueries, length]
  float* dscores = nullptr;
};

Attention::Attention(const NetworkShape& shape, const FloatOps& ops)
    : shape_(shape),
      ops_(ops),
      scale_(static_cast<float>(1.0 / std::sqrt(static_cast<double>(shape.config.head_dim)))) {}

int64_t Attention::scratch_floats(int64_t max_document) const {
  const int64_t hd = shape_.config.head_dim;
  return 2 * (panel_floats(max_document, hd) + panel_floats(hd, max_document) +
              kQueries * max_document);
}

void Attention::reserve(int64_t max_document) {
  if (max_document <= max_document_) return;
  max_document_ = max_document;
  scratch_.resize(static_cast<size_t>(ops_.pool().n_threads() * scratch_floats(max_document)));
}

Attention::Piece Attention::piece_of(std::span<const int64_t> begins, int64_t index, int thread) {
  const auto document = static_cast<size_t>(index / shape_.config.n_kv_heads);
  Piece piece;
  piece.begin = begins[document];
  piece.length = begins[document + 1] - piece.begin;
  piece.kv_head = index % shape_.config.n_kv_heads;
  piece.n = begins.back();
  piece.thread = thread;
  const int64_t hd = shape_.config.head_dim;
  piece.keys = scratch_.data() + thread * scratch_floats(max_document_);
  piece.values = piece.keys + panel_floats(max_document_, hd);
  piece.turned_keys = piece.values + panel_floats(max_document_, hd);
  piece.turned_values = piece.turned_keys + panel_floats(hd, max_document_);
  piece.scores = piece.turned_values + panel_floats(hd, max_document_);
  piece.dscores = piece.scores + kQueries * max_document_;
  RECKON_CHECK(piece.length <= max_document_);
  return piece;
}

void Attention::forward(std::span<const int64_t> begins, const float* qkv, float* out,
                        float* row_stats) {
  const auto n_documents = static_cast<int64_t>(begins.size()) - 1;
  ops_.pool().parallel_for(n_documents * shape_.config.n_kv_heads, [&](int64_t i, int thread) {
    forward_piece(piece_of(begins, i, thread), qkv, out, row_stats);
  });
}

void Attention::backward(std::span<const int64_t> begins, const float* qkv, const float* row_stats,
                         const float* dout, float* dqkv) {
  const auto n_documents = static_cast<int64_t>(begins.size()) - 1;
  ops_.pool().parallel_for(n_documents * shape_.config.n_kv_heads, [&](int64_t i, int thread) {
    backward_piece(piece_of(begins, i, thread), qkv, row_stats, dout, dqkv);
  });
}

void Attention::forward_piece(const Piece& p, const float* qkv, float* out, float* row_stats) {
  const ModelConfig& c = shape_.config;
  const int64_t hd = c.head_dim;
  const int64_t stride = shape_.qkv_dim();
  const int64_t group = c.n_heads / c.n_kv_heads;
  const float* rows = qkv + p.begin * stride;
  const float* keys = rows + c.q_dim() + p.kv_head * hd;
  pack_turned_here(keys, stride, p.length, hd, p.turned_keys);
  pack_here(keys + c.kv_dim(), stride, p.length, hd, p.values);
  for (int64_t first = 0; first < p.length; first += kQueries) {
    const int64_t n_queries = std::min(kQueries, p.length - first);
    const int64_t n_keys = first + n_queries;
    for (int64_t head = p.kv_head * group; head < (p.kv_head + 1) * group; ++head) {
      ops_.gemm_here({.a = rows + first * stride + head * hd,
                      .a_row_stride = stride,
                      .a_depth_stride = 1,
                      .b = p.turned_keys,
                      .b_stride = kPanel,
                      .b_panel_stride = kPanel * hd,
                      .out = p.scores,
                      .out_stride = n_keys,
                      .rows = n_queries,
                      .columns = n_keys,
                      .depth = hd,
                      .accumulate = false,
                      .scratch = nullptr},
                     p.thread);
      float* stats = row_stats + 2 * (head * p.n + p.begin + first);
      for (int64_t q = 0; q < n_queries; ++q) {
        ops_.training().softmax(p.scores + q * n_keys, scale_, first + q + 1, n_keys, stats + 2 * q,
                                stats + 2 * q + 1);
      }
      ops_.gemm_here({.a = p.scores,
                      .a_row_stride = n_keys,
                      .a_depth_stride = 1,
                      .b = p.values,
                      .b_stride = kPanel,
                      .b_panel_stride = kPanel * p.length,
                      .out = out + (p.begin + first) * c.q_dim() + head * hd,
                      .out_stride = c.q_dim(),
                      .rows = n_queries,
                      .columns = hd,
                      .depth = n_keys,
                      .accumulate = false,
                      .scratch = nullptr},
                     p.thread);
    }
  }
}

void Attention::backward_piece(const Piece& p, const float* qkv, const float* row_stats,
                               const float* dout, float* dqkv) {
  const ModelConfig& c = shape_.config;
  const int64_t hd = c.head_dim;
  const int64_t stride = shape_.qkv_dim();
  const int64_t group = c.n_heads / c.n_kv_heads;
  const float* rows = qkv + p.begin * stride;
  const int64_t key_column = c.q_dim() + p.kv_head * hd;
  const float* keys = rows + key_column;
  float* drows = dqkv + p.begin * stride;
  float* dkeys = drows + key_column;
  float* dvalues = dkeys + c.kv_dim();
  pack_here(keys, stride, p.length, hd, p.keys);
  pack_turned_here(keys, stride, p.length, hd, p.turned_keys);
  pack_turned_here(keys + c.kv_dim(), stride, p.length, hd, p.turned_values);
  for (int64_t i = 0; i < p.length; ++i) {
    std::memset(dkeys + i * stride, 0, static_cast<size_t>(hd) * sizeof(float));
    std::memset(dvalues + i * stride, 0, static_cast<size_t>(hd) * sizeof(float));
  }
  for (int64_t first = 0; first < p.length; first += kQueries) {
    const int64_t n_queries = std::min(kQueries, p.length - first);
    const int64_t n_keys = first + n_queries;
    for (int64_t head = p.kv_head * group; head < (p.kv_head + 1) * group; ++head) {
      const float* queries = rows + first * stride + head * hd;
      const float* dblock = dout + (p.begin + first) * c.q_dim() + head * hd;
      // [n_queries, n_keys] = rows of head_dim times turned keys or values.
      const auto scores_of = [&](const float* a, int64_t a_stride, const float* b, float* scores) {
        ops_.gemm_here({a, a_stride, 1, b, kPanel, kPanel * hd, scores, n_keys, n_queries, n_keys,
                        hd, false, nullptr},
                       p.thread);
      };
      // [n_keys, head_dim] += scores^T times rows of head_dim.
      const auto add_turned = [&](const float* scores, const float* b, int64_t b_stride,
                                  float* to) {
        ops_.gemm_here({scores, 1, n_keys, b, b_stride, kPanel, to, stride, n_keys, hd, n_queries,
                        true, nullptr},
                       p.thread);
      };
      scores_of(queries, stride, p.turned_keys, p.scores);
      scores_of(dblock, c.q_dim(), p.turned_values, p.dscores);
      const float* stats = row_stats + 2 * (head * p.n + p.begin + first);
      for (int64_t q = 0; q < n_queries; ++q) {
        float* probabilities = p.scores + q * n_keys;
        ops_.training().softmax_again(probabilities, scale_, stats[2 * q], stats[2 * q + 1],
                                      first + q + 1, n_keys);
        ops_.training().softmax_backward(probabilities, scale_, n_keys, p.dscores + q * n_keys);
      }
      add_turned(p.scores, dblock, c.q_dim(), dvalues);
      add_turned(p.dscores, queries, stride, dkeys);
      ops_.gemm_here(
          {p.dscores, n_keys, 1, p.keys, kPanel, kPanel * p.length,
           drows + first * stride + head * hd, stride, n_queries, hd, n_keys, false, nullptr},
          p.thread);
    }
  }
}

}  // namespace reckon::train
