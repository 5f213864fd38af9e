// Causal attention within documents, forward and backward, as products of small matrices: for a
// block of queries S = Q K^T, P = softmax(scale S), O = P V (Vaswani et al. 2017, eq. 1), and
// backward dV = P^T dO, dP = dO V^T, dS = P o (dP - rowsum(P o dP)), dQ = scale dS K,
// dK = scale dS^T Q. P is computed anew from the rows' maxima and sums (Dao et al. 2022, alg. 4).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "train/float_ops.h"
#include "train/weights.h"

namespace reckon::train {

class Attention {
 public:
  Attention(const NetworkShape& shape, const FloatOps& ops);

  // Makes room for documents of up to this length.
  void reserve(int64_t max_document);
  int64_t scratch_floats(int64_t max_document) const;  // of one thread

  // qkv [n, qkv_dim], rotated -> out [n, q_dim], row_stats [n_heads, n, 2] (maximum, 1 / sum).
  // begins: of the documents, and n at the end.
  void forward(std::span<const int64_t> begins, const float* qkv, float* out, float* row_stats);
  // dout [n, q_dim] -> dqkv [n, qkv_dim].
  void backward(std::span<const int64_t> begins, const float* qkv, const float* row_stats,
                const float* dout, float* dqkv);

 private:
  struct Piece;
  Piece piece_of(std::span<const int64_t> begins, int64_t piece, int thread);
  void forward_piece(const Piece& piece, const float* qkv, float* out, float* row_stats);
  void backward_piece(const Piece& piece, const float* qkv, const float* row_stats,
                      const float* dout, float* dqkv);

  const NetworkShape& shape_;
  const FloatOps& ops_;
  float scale_;
  int64_t max_document_ = 0;
  std::vector<float> scratch_;
};

}  // namespace reckon::train
