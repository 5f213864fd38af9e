// Products and other whole-matrix operations, shared out among the team of threads: products in the
// run's profile, everything else in float32. What a piece computes depends on neither the team nor
// the cuts (kernels/training.h).
#pragma once

#include <cstdint>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/kernels.h"
#include "kernels/training.h"
#include "train/compute_profile.h"

namespace reckon::train {

class FloatOps {
 public:
  FloatOps(const kernels::KernelTable& table, ThreadPool& pool, ComputeProfile profile);

  ThreadPool& pool() const { return pool_; }
  const kernels::KernelTable& rows() const { return table_; }
  const kernels::TrainingKernels& training() const { return training_; }

  // Whether the processor has instructions for the profile's products.
  bool is_native() const { return gemm_ == training_.gemm || kernels::has_native_bf16(table_); }

  // One product in the profile, on all threads; args.scratch is set here.
  void gemm(const kernels::FloatGemmArgs& args) const;
  // One product on the calling piece's thread.
  void gemm_here(kernels::FloatGemmArgs args, int thread) const;

  // A matrix w [rows, columns] packed as the second operand of products (FloatGemmArgs::b): of
  // x w, panel_floats(rows, columns) floats, or turned, of x w^T, panel_floats(columns, rows).
  void pack(const float* w, int64_t rows, int64_t columns, float* panels) const;
  void pack_turned(const float* w, int64_t rows, int64_t columns, float* panels) const;

  // sum of x[i]^2 in double: chains of 4096 elements in float, joined in ascending order.
  double sum_of_squares(const float* x, int64_t n) const;
  void clear(float* x, int64_t n) const;

 private:
  const kernels::KernelTable& table_;
  const kernels::TrainingKernels& training_;
  void (*gemm_)(const kernels::FloatGemmArgs&) noexcept;  // the profile's
  ThreadPool& pool_;
  mutable std::vector<float> scratch_;  // [n_threads, kFloatGemmScratch]
};

// Floats of [depth, columns] in panels.
inline int64_t panel_floats(int64_t depth, int64_t columns) {
  return (columns + kernels::kPanelColumns - 1) / kernels::kPanelColumns * kernels::kPanelColumns *
         depth;
}
// The same two on the calling thread, of a matrix whose rows lie stride apart.
void pack_here(const float* w, int64_t stride, int64_t rows, int64_t columns, float* panels);
void pack_turned_here(const float* w, int64_t stride, int64_t rows, int64_t columns, float* panels);

}  // namespace reckon::train
