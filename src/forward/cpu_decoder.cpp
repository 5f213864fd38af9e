// The layers, in the order of the paper's equations: norm, attention, norm, SwiGLU (Touvron et al.
// 2023, section 2.2). Every loop is cut into pieces whose arithmetic is fixed; the pool only
// decides who takes which.
#include "forward/cpu_decoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "base/check.h"
#include "kernels/scalar_math.h"
#include "quants/codec.h"

namespace reckon {
namespace {

using kernels::activation_format;
using kernels::activation_row_bytes;
using kernels::ActivationFormat;

// Rows of a product one piece computes. For one column: a few hundred kilobytes of weights at the
// model's widths, so that handing out costs nothing and slow cores still get their share. For many,
// as many as share a fetch of the activations, as long as every thread still gets some pieces.
constexpr int64_t kRowsPerPiece = 32;
constexpr int64_t kMostRowsPerPiece = 128;
constexpr int64_t kPiecesPerThread = 6;
// Elements one piece adds.
constexpr int64_t kAddPerPiece = 16384;
constexpr size_t kAlignment = 64;
// Queries that one piece of attention holds: what a tile of keys and values is fetched for. Their
// sums (48 of 128 floats) stay in a core's second cache beside the tile.
constexpr int64_t kQueriesPerPiece = 48;
// States of one token and segment at most, when threads share out what a few tokens look back on.
constexpr int64_t kMostStates = 1024;

// Memory aligned for the widest vectors.
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(size_t bytes) {
    const size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    data_.reset(
        static_cast<std::byte*>(std::aligned_alloc(kAlignment, std::max(rounded, kAlignment))));
    if (data_ == nullptr) throw std::bad_alloc();
  }
  std::byte* bytes() const { return data_.get(); }
  float* floats() const { return reinterpret_cast<float*>(data_.get()); }

 private:
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  std::unique_ptr<std::byte, Free> data_;
};

int64_t widest_input(const ModelConfig& config) {
  return std::max({config.d_model, config.q_dim(), config.ffn_dim});
}

// Floats of each scratch buffer, by one table so that prediction and allocation can't differ.
struct ScratchPlan {
  int64_t hidden, normed, queries, keys, values, attended, gate, up, rotary, attention, states;
  int64_t low_rank, added;  // of adapters
  int64_t packed_bytes;     // of one activation format

  ScratchPlan(const ModelConfig& c, int64_t adapter_rank, int64_t n_tokens, int n_threads)
      : hidden(n_tokens * c.d_model),
        normed(n_tokens * c.d_model),
        queries(n_tokens * c.q_dim()),
        keys(n_tokens * c.kv_dim()),
        values(n_tokens * c.kv_dim()),
        attended(n_tokens * c.q_dim()),
        gate(n_tokens * c.ffn_dim),
        up(n_tokens * c.ffn_dim),
        rotary(n_tokens * c.n_rotated),
        attention(attention_floats(c) * n_threads),
        states(kMostStates * state_floats(c)),
        low_rank(n_tokens * adapter_rank),
        added(adapter_rank == 0 ? 0 : n_tokens * widest_input(c)),
        packed_bytes(n_tokens * packed_row_bytes(widest_input(c))) {}

  // A quantised row takes at most what its elements and a generous share of scales take.
  static int64_t packed_row_bytes(int64_t n) {
    const int64_t padded = (n + 255) / 256 * 256;
    return static_cast<int64_t>(std::max(activation_row_bytes(ActivationFormat::kQ8_32, padded),
                                         activation_row_bytes(ActivationFormat::kQ8_256, padded)));
  }

  // A thread's scratch and state for one piece of attention.
  static int64_t attention_floats(const ModelConfig& c) {
    const int64_t n_queries = tokens_per_piece(c) * (c.n_heads / c.n_kv_heads);
    return static_cast<int64_t>(kernels::attention_scratch_floats(n_queries, c.head_dim) +
                                kernels::attention_state_floats(n_queries, c.head_dim));
  }
  static int64_t tokens_per_piece(const ModelConfig& c) {
    return std::max<int64_t>(1, kQueriesPerPiece / (c.n_heads / c.n_kv_heads));
  }
  // The state of one token's segment.
  static int64_t state_floats(const ModelConfig& c) {
    return static_cast<int64_t>(
        kernels::attention_state_floats(c.n_heads / c.n_kv_heads, c.head_dim));
  }

  int64_t total_bytes() const {
    return (hidden + normed + queries + keys + values + attended + gate + up + rotary + attention +
            states + low_rank + added) *
               static_cast<int64_t>(sizeof(float)) +
           2 * packed_bytes;
  }
};

}  // namespace

// Consecutive tokens of one sequence that attend together.
struct CpuDecoder::AttentionPiece {
  int64_t sequence;
  int64_t first_token;  // of the batch
  int64_t n_tokens;
  int64_t first_position;
  int64_t first_state;  // of one token each, when threads share out its segments
};

struct CpuDecoder::Scratch {
  AlignedBuffer hidden;     // [n_tokens, d_model], the residual stream
  AlignedBuffer normed;     // [n_tokens, d_model]; also a block's output before it is added
  AlignedBuffer queries;    // [n_tokens, n_heads, head_dim]
  AlignedBuffer keys;       // [n_tokens, n_kv_heads, head_dim]
  AlignedBuffer values;     // [n_tokens, n_kv_heads, head_dim]
  AlignedBuffer attended;   // [n_tokens, n_heads, head_dim]
  AlignedBuffer gate;       // [n_tokens, ffn_dim]
  AlignedBuffer up;         // [n_tokens, ffn_dim]
  AlignedBuffer rotary;     // [n_tokens, n_rotated]: cosines, then sines
  AlignedBuffer attention;  // scratch and a state for each thread
  AlignedBuffer states;     // [kMostStates] of one token each
  AlignedBuffer low_rank;   // [n_tokens, rank], a x of an adapter
  AlignedBuffer added;      // [n_tokens, rows], b (a x)
  AlignedBuffer packed_32;  // quantised input, kQ8_32
  AlignedBuffer packed_256;
  // Tiles of the layer at hand: [sequence][kv_head][K, V][page].
  std::vector<const std::byte*> tiles;
  std::vector<size_t> first_tile;  // of each sequence, into tiles
  std::vector<AttentionPiece> pieces;
  int64_t n_states;                  // of one token each, that the pieces' segments take
  std::vector<int64_t> output_rows;  // batch tokens whose logits are wanted

  explicit Scratch(const ScratchPlan& plan)
      : hidden(floats(plan.hidden)),
        normed(floats(plan.normed)),
        queries(floats(plan.queries)),
        keys(floats(plan.keys)),
        values(floats(plan.values)),
        attended(floats(plan.attended)),
        gate(floats(plan.gate)),
        up(floats(plan.up)),
        rotary(floats(plan.rotary)),
        attention(floats(plan.attention)),
        states(floats(plan.states)),
        low_rank(floats(plan.low_rank)),
        added(floats(plan.added)),
        packed_32(static_cast<size_t>(plan.packed_bytes)),
        packed_256(static_cast<size_t>(plan.packed_bytes)) {}

  static size_t floats(int64_t n) { return static_cast<size_t>(n) * sizeof(float); }
};

int64_t cpu_decoder_scratch_bytes(const ModelConfig& config, int64_t adapter_rank,
                                  int64_t max_batch_tokens, int n_threads) {
  return ScratchPlan(config, adapter_rank, max_batch_tokens, n_threads).total_bytes();
}

Result<std::unique_ptr<CpuDecoder>> CpuDecoder::create(std::shared_ptr<const Model> model,
                                                       const CpuDecoderOptions& options) try {
  RECKON_CHECK(options.kernels != nullptr && options.max_batch_tokens >= 1);
  RECKON_ASSIGN(KvCache cache, KvCache::create(model->config(), options.kv_type, options.n_pages));
  return std::unique_ptr<CpuDecoder>(new CpuDecoder(std::move(model), options, std::move(cache)));
} catch (const std::bad_alloc&) {
  return failed("out of memory for the decoder's working buffers");
}

CpuDecoder::CpuDecoder(std::shared_ptr<const Model> model, const CpuDecoderOptions& options,
                       KvCache cache)
    : model_(std::move(model)),
      kernels_(*options.kernels),
      pool_(options.n_threads),
      cache_(std::move(cache)) {
  const ModelConfig& config = model_->config();
  shape_ = {.vocab_size = config.vocab_size,
            .page_positions = kPagePositions,
            .n_pages = options.n_pages,
            .context_length = config.context_length,
            .max_batch_tokens = options.max_batch_tokens};
  places_.reserve(static_cast<size_t>(options.max_batch_tokens));
  scratch_ = std::make_unique<Scratch>(
      ScratchPlan(config, model_->adapter_rank(), options.max_batch_tokens, options.n_threads));
}

CpuDecoder::~CpuDecoder() = default;

Status CpuDecoder::step(std::span<const SequenceStep> batch, std::span<float> logits) {
  const int64_t n_logits = place_tokens(batch);
  RECKON_CHECK(static_cast<int64_t>(logits.size()) == n_logits * shape_.vocab_size);
  if (places_.empty()) return {};
  embed();
  for (int64_t layer = 0; layer < model_->config().n_layers; ++layer) {
    attention_block(layer, batch);
    ffn_block(layer);
  }
  RECKON_RETURN_IF_ERROR(output_logits(logits));
  // Weights that somebody shortened or wrote to meanwhile have given no logits worth having.
  for (const MappedFile& shard : model_->file().shards()) {
    RECKON_RETURN_IF_ERROR(shard.check_unchanged());
  }
  return {};
}

int64_t CpuDecoder::place_tokens(std::span<const SequenceStep> batch) {
  places_.clear();
  scratch_->output_rows.clear();
  for (size_t s = 0; s < batch.size(); ++s) {
    const SequenceStep& sequence = batch[s];
    const auto n_tokens = static_cast<int64_t>(sequence.tokens.size());
    const int64_t end = sequence.first_position + n_tokens;
    RECKON_CHECK(sequence.first_position >= 0 && sequence.n_logits <= n_tokens &&
                 end <= static_cast<int64_t>(sequence.pages.size()) * kPagePositions);
    for (const PageId page : sequence.pages) RECKON_CHECK(page >= 0 && page < shape_.n_pages);
    for (int64_t i = 0; i < n_tokens; ++i) {
      const TokenId token = sequence.tokens[static_cast<size_t>(i)];
      RECKON_CHECK(token >= 0 && token < shape_.vocab_size);
      if (i >= n_tokens - sequence.n_logits) {
        scratch_->output_rows.push_back(static_cast<int64_t>(places_.size()));
      }
      places_.push_back({token, sequence.first_position + i, static_cast<int64_t>(s)});
    }
  }
  RECKON_CHECK(static_cast<int64_t>(places_.size()) <= shape_.max_batch_tokens);
  return static_cast<int64_t>(scratch_->output_rows.size());
}

void CpuDecoder::embed() {
  const ModelConfig& config = model_->config();
  const Matrix& table = model_->token_embedding();
  const std::vector<double>& frequencies = model_->rope_frequencies();
  pool_.parallel_for(static_cast<int64_t>(places_.size()), [&](int64_t t, int) {
    const TokenPlace& place = places_[static_cast<size_t>(t)];
    decode_row(table.type, table.data + place.token * table.row_bytes,
               scratch_->hidden.floats() + t * config.d_model, config.d_model);
    float* cosines = scratch_->rotary.floats() + t * config.n_rotated;
    float* sines = cosines + config.n_rotated / 2;
    for (size_t i = 0; i < frequencies.size(); ++i) {
      double sine = 0.0;
      double cosine = 0.0;
      exact_sin_cos(static_cast<double>(place.position) * frequencies[i], &sine, &cosine);
      cosines[i] = static_cast<float>(cosine);
      sines[i] = static_cast<float>(sine);
    }
  });
}

void CpuDecoder::attention_block(int64_t layer, std::span<const SequenceStep> batch) {
  const ModelConfig& config = model_->config();
  const LayerWeights& weights = model_->layers()[static_cast<size_t>(layer)];
  const auto n_tokens = static_cast<int64_t>(places_.size());
  float* hidden = scratch_->hidden.floats();
  float* normed = scratch_->normed.floats();

  normalise(hidden, weights.attn_norm, n_tokens, normed);
  const std::array<Product, 3> projections = {Product{&weights.attn_q, scratch_->queries.floats()},
                                              Product{&weights.attn_k, scratch_->keys.floats()},
                                              Product{&weights.attn_v, scratch_->values.floats()}};
  multiply(normed, n_tokens, projections);
  rotate_and_store(layer, batch);
  attend(layer, batch);
  const Product output = {&weights.attn_output, normed};
  multiply(scratch_->attended.floats(), n_tokens, {&output, 1});
  add_rows(hidden, normed, n_tokens * config.d_model);
}

// Adds the biases, rotates queries and keys to their positions and puts keys and values into the
// cache, from which even this chunk reads them back: a token's attention sees the same bits whether
// its neighbours came in the same chunk or earlier.
void CpuDecoder::rotate_and_store(int64_t layer, std::span<const SequenceStep> batch) {
  const ModelConfig& config = model_->config();
  const LayerWeights& weights = model_->layers()[static_cast<size_t>(layer)];
  const auto rotate = config.rope_layout == RopeLayout::kHalfSplit ? kernels_.rope_half_split
                                                                   : kernels_.rope_interleaved;
  const auto add_bias = [&](float* x, const Vector& bias) {
    if (!bias.empty()) kernels_.add(x, bias.data(), static_cast<int64_t>(bias.size()));
  };
  pool_.parallel_for(static_cast<int64_t>(places_.size()), [&](int64_t t, int) {
    const TokenPlace& place = places_[static_cast<size_t>(t)];
    float* q = scratch_->queries.floats() + t * config.q_dim();
    float* k = scratch_->keys.floats() + t * config.kv_dim();
    float* v = scratch_->values.floats() + t * config.kv_dim();
    const float* cos_sin = scratch_->rotary.floats() + t * config.n_rotated;
    add_bias(q, weights.attn_q_bias);
    add_bias(k, weights.attn_k_bias);
    add_bias(v, weights.attn_v_bias);
    for (int64_t h = 0; h < config.n_heads; ++h) {
      rotate(q + h * config.head_dim, cos_sin, config.n_rotated);
    }
    const SequenceStep& sequence = batch[static_cast<size_t>(place.sequence)];
    const PageId page = sequence.pages[static_cast<size_t>(place.position / kPagePositions)];
    const int64_t at = place.position % kPagePositions;
    for (int64_t h = 0; h < config.n_kv_heads; ++h) {
      const int64_t offset = h * config.head_dim;
      rotate(k + offset, cos_sin, config.n_rotated);
      kernels_.store_k(cache_.type(), k + offset, config.head_dim, at,
                       cache_.k_tile(page, layer, h));
      kernels_.store_v(cache_.type(), v + offset, config.head_dim, at,
                       cache_.v_tile(page, layer, h));
    }
  });
}

void CpuDecoder::list_tiles(int64_t layer, std::span<const SequenceStep> batch) {
  std::vector<const std::byte*>& tiles = scratch_->tiles;
  tiles.clear();
  scratch_->first_tile.clear();
  for (const SequenceStep& sequence : batch) {
    scratch_->first_tile.push_back(tiles.size());
    for (int64_t h = 0; h < model_->config().n_kv_heads; ++h) {
      for (const PageId page : sequence.pages) tiles.push_back(cache_.k_tile(page, layer, h));
      for (const PageId page : sequence.pages) tiles.push_back(cache_.v_tile(page, layer, h));
    }
  }
}

// Cuts the batch into pieces; returns the most segments that one of them looks back on.
int64_t CpuDecoder::list_pieces(std::span<const SequenceStep> batch) {
  const int64_t tokens_per_piece = ScratchPlan::tokens_per_piece(model_->config());
  scratch_->pieces.clear();
  scratch_->n_states = 0;
  int64_t first_token = 0;
  int64_t most_segments = 0;
  for (size_t s = 0; s < batch.size(); ++s) {
    const auto n_tokens = static_cast<int64_t>(batch[s].tokens.size());
    for (int64_t t = 0; t < n_tokens; t += tokens_per_piece) {
      scratch_->pieces.push_back({.sequence = static_cast<int64_t>(s),
                                  .first_token = first_token + t,
                                  .n_tokens = std::min(tokens_per_piece, n_tokens - t),
                                  .first_position = batch[s].first_position + t,
                                  .first_state = scratch_->n_states});
      const AttentionPiece& piece = scratch_->pieces.back();
      const int64_t n_segments = segments_of(piece);
      scratch_->n_states += n_segments * model_->config().n_kv_heads * piece.n_tokens;
      most_segments = std::max(most_segments, n_segments);
    }
    first_token += n_tokens;
  }
  return most_segments;
}

int64_t CpuDecoder::segments_of(const AttentionPiece& piece) {
  return (piece.first_position + piece.n_tokens + kernels::kAttentionSegment - 1) /
         kernels::kAttentionSegment;
}

kernels::AttentionArgs CpuDecoder::attention_args(const AttentionPiece& piece, int64_t kv_head,
                                                  std::span<const SequenceStep> batch, int thread) {
  const ModelConfig& config = model_->config();
  const int64_t group = config.n_heads / config.n_kv_heads;
  const size_t n_pages = batch[static_cast<size_t>(piece.sequence)].pages.size();
  const std::byte* const* tiles = scratch_->tiles.data() +
                                  scratch_->first_tile[static_cast<size_t>(piece.sequence)] +
                                  static_cast<size_t>(kv_head) * 2 * n_pages;
  const int64_t first_query =
      piece.first_token * config.q_dim() + kv_head * group * config.head_dim;
  float* scratch = scratch_->attention.floats() + thread * ScratchPlan::attention_floats(config);
  const int64_t n_queries = piece.n_tokens * group;
  return {.queries = scratch_->queries.floats() + first_query,
          .out = scratch_->attended.floats() + first_query,
          .token_stride = config.q_dim(),
          .n_tokens = piece.n_tokens,
          .n_heads = group,
          .head_dim = config.head_dim,
          .scale = 1.0f / std::sqrt(static_cast<float>(config.head_dim)),
          .kv_type = cache_.type(),
          .k_tiles = tiles,
          .v_tiles = tiles + n_pages,
          .first_position = piece.first_position,
          .segment_begin = 0,
          .segment_end = segments_of(piece),
          .states = scratch,
          .scratch = scratch + kernels::attention_state_floats(n_queries, config.head_dim)};
}

void CpuDecoder::attend(int64_t layer, std::span<const SequenceStep> batch) {
  const int64_t n_kv_heads = model_->config().n_kv_heads;
  list_tiles(layer, batch);
  const int64_t most_segments = list_pieces(batch);
  const int64_t n_pieces = static_cast<int64_t>(scratch_->pieces.size()) * n_kv_heads;
  // Too few pieces to keep every thread busy to the end: segments are shared out as well.
  if (n_pieces < 2 * pool_.n_threads() && most_segments > 1 && scratch_->n_states <= kMostStates) {
    return attend_by_segments(batch, most_segments);
  }
  pool_.parallel_for(n_pieces, [&](int64_t i, int thread) {
    const AttentionPiece& piece = scratch_->pieces[static_cast<size_t>(i / n_kv_heads)];
    const kernels::AttentionArgs args = attention_args(piece, i % n_kv_heads, batch, thread);
    kernels_.attention(args);
    kernels_.attention_output(args, 1);
  });
}

void CpuDecoder::attend_by_segments(std::span<const SequenceStep> batch, int64_t most_segments) {
  const ModelConfig& config = model_->config();
  const int64_t n_kv_heads = config.n_kv_heads;
  const auto n_pieces = static_cast<int64_t>(scratch_->pieces.size()) * n_kv_heads;
  // The state of a piece's segment, for one KV head.
  const auto state_at = [&](const AttentionPiece& piece, int64_t h, int64_t segment) {
    const auto floats = static_cast<int64_t>(kernels::attention_state_floats(
        piece.n_tokens * (config.n_heads / n_kv_heads), config.head_dim));
    return scratch_->states.floats() + piece.first_state * ScratchPlan::state_floats(config) +
           (h * segments_of(piece) + segment) * floats;
  };
  pool_.parallel_for(n_pieces * most_segments, [&](int64_t i, int thread) {
    const AttentionPiece& piece =
        scratch_->pieces[static_cast<size_t>(i / most_segments / n_kv_heads)];
    const int64_t h = i / most_segments % n_kv_heads;
    const int64_t segment = i % most_segments;
    if (segment >= segments_of(piece)) return;
    kernels::AttentionArgs args = attention_args(piece, h, batch, thread);
    args.segment_begin = segment;
    args.segment_end = segment + 1;
    args.states = state_at(piece, h, segment);
    kernels_.attention(args);
  });
  pool_.parallel_for(n_pieces, [&](int64_t i, int thread) {
    const AttentionPiece& piece = scratch_->pieces[static_cast<size_t>(i / n_kv_heads)];
    kernels::AttentionArgs args = attention_args(piece, i % n_kv_heads, batch, thread);
    args.states = state_at(piece, i % n_kv_heads, 0);
    kernels_.attention_output(args, segments_of(piece));
  });
}

void CpuDecoder::ffn_block(int64_t layer) {
  const ModelConfig& config = model_->config();
  const LayerWeights& weights = model_->layers()[static_cast<size_t>(layer)];
  const auto n_tokens = static_cast<int64_t>(places_.size());
  float* hidden = scratch_->hidden.floats();
  float* normed = scratch_->normed.floats();
  float* gate = scratch_->gate.floats();
  float* up = scratch_->up.floats();

  normalise(hidden, weights.ffn_norm, n_tokens, normed);
  const std::array<Product, 2> projections = {Product{&weights.ffn_gate, gate},
                                              Product{&weights.ffn_up, up}};
  multiply(normed, n_tokens, projections);
  pool_.parallel_for(n_tokens, [&](int64_t t, int) {
    float* row = gate + t * config.ffn_dim;
    kernels_.silu_mul(row, up + t * config.ffn_dim, config.ffn_dim, row);
  });
  const Product down = {&weights.ffn_down, normed};
  multiply(gate, n_tokens, {&down, 1});
  add_rows(hidden, normed, n_tokens * config.d_model);
}

Status CpuDecoder::output_logits(std::span<float> logits) {
  const int64_t d = model_->config().d_model;
  const std::vector<int64_t>& rows = scratch_->output_rows;
  if (rows.empty()) return {};
  // The wanted rows move up to the front, where they lie together; row i never comes from before i.
  float* hidden = scratch_->hidden.floats();
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto row = static_cast<int64_t>(i);
    if (rows[i] != row) {
      std::memcpy(hidden + row * d, hidden + rows[i] * d, static_cast<size_t>(d) * sizeof(float));
    }
  }
  const auto n_rows = static_cast<int64_t>(rows.size());
  normalise(hidden, model_->output_norm(), n_rows, scratch_->normed.floats());
  const Product head = {&model_->output(), logits.data()};
  multiply(scratch_->normed.floats(), n_rows, {&head, 1});

  std::atomic<bool> all_finite = true;
  pool_.parallel_for(n_rows, [&](int64_t i, int) {
    const float* row = logits.data() + i * shape_.vocab_size;
    // x - x is 0 for every finite x and NaN otherwise.
    float difference = 0.0f;
    for (int64_t v = 0; v < shape_.vocab_size; ++v) difference += row[v] - row[v];
    if (difference != 0.0f || std::isnan(difference)) all_finite = false;
  });
  if (!all_finite) {
    return bad_file(fmt::format("{}: its logits are not finite: the weights are damaged",
                                model_->file().path()));
  }
  return {};
}

void CpuDecoder::normalise(const float* x, const Vector& weight, int64_t n_rows, float* out) {
  const ModelConfig& config = model_->config();
  pool_.parallel_for(n_rows, [&](int64_t t, int) {
    kernels_.rms_norm(x + t * config.d_model, weight.data(), config.rms_epsilon, config.d_model,
                      out + t * config.d_model);
  });
}

void CpuDecoder::multiply(const float* input, int64_t n_columns,
                          std::span<const Product> products) {
  const int64_t depth = products[0].matrix->cols;
  bool wants_32 = false;
  bool wants_256 = false;
  int64_t n_rows = 0;
  for (const Product& product : products) {
    const ActivationFormat format = activation_format(product.matrix->type);
    wants_32 |= format == ActivationFormat::kQ8_32;
    wants_256 |= format == ActivationFormat::kQ8_256;
    n_rows += product.matrix->rows;
  }
  int64_t rows_per_piece = n_columns == 1 ? kRowsPerPiece : kMostRowsPerPiece;
  while (rows_per_piece > kRowsPerPiece &&
         n_rows / rows_per_piece < kPiecesPerThread * pool_.n_threads()) {
    rows_per_piece /= 2;
  }
  const auto pieces_of = [&](const Product& product) {
    return (product.matrix->rows + rows_per_piece - 1) / rows_per_piece;
  };
  int64_t n_pieces = 0;
  for (const Product& product : products) n_pieces += pieces_of(product);
  std::byte* packed_32 = scratch_->packed_32.bytes();
  std::byte* packed_256 = scratch_->packed_256.bytes();
  if (wants_32 || wants_256) {
    pool_.parallel_for(n_columns, [&](int64_t c, int) {
      const float* row = input + c * depth;
      if (wants_32) {
        const size_t bytes = activation_row_bytes(ActivationFormat::kQ8_32, depth);
        kernels_.quantize_q8_32(row, depth, packed_32 + static_cast<size_t>(c) * bytes);
      }
      if (wants_256) {
        const size_t bytes = activation_row_bytes(ActivationFormat::kQ8_256, depth);
        kernels_.quantize_q8_256(row, depth, packed_256 + static_cast<size_t>(c) * bytes);
      }
    });
  }
  pool_.parallel_for(n_pieces, [&](int64_t piece, int) {
    const Product* product = products.data();
    for (;; ++product) {
      if (piece < pieces_of(*product)) break;
      piece -= pieces_of(*product);
    }
    const Matrix& matrix = *product->matrix;
    const ActivationFormat format = activation_format(matrix.type);
    const void* activations = input;
    if (format == ActivationFormat::kQ8_32) activations = packed_32;
    if (format == ActivationFormat::kQ8_256) activations = packed_256;
    const int64_t first_row = piece * rows_per_piece;
    kernels_.gemm(matrix.type)({.weights = matrix.data,
                                .weight_row_bytes = matrix.row_bytes,
                                .activations = activations,
                                .out = product->out,
                                .out_stride = matrix.rows,
                                .depth = depth,
                                .row_begin = first_row,
                                .row_end = std::min(first_row + rows_per_piece, matrix.rows),
                                .n_columns = n_columns,
                                .n_packed_rows = matrix.n_packed_rows});
  });
  for (const Product& product : products) {
    if (product.matrix->low_rank != nullptr) add_low_rank(input, n_columns, product);
  }
}

void CpuDecoder::add_low_rank(const float* input, int64_t n_columns, const Product& product) {
  const LowRank& low = *product.matrix->low_rank;
  const Product down = {&low.a, scratch_->low_rank.floats()};
  multiply(input, n_columns, {&down, 1});
  const Product up = {&low.b, scratch_->added.floats()};
  multiply(down.out, n_columns, {&up, 1});
  add_rows(product.out, up.out, n_columns * low.b.rows);
}

void CpuDecoder::add_rows(float* x, const float* y, int64_t n_values) {
  const int64_t n_pieces = (n_values + kAddPerPiece - 1) / kAddPerPiece;
  pool_.parallel_for(n_pieces, [&](int64_t piece, int) {
    const int64_t begin = piece * kAddPerPiece;
    kernels_.add(x + begin, y + begin, std::min(kAddPerPiece, n_values - begin));
  });
}

}  // namespace reckon
