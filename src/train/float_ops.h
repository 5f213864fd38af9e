// Products and other whole-matrix operations in float32, shared out among the team of threads.
// What a piece computes depends on neither the team nor the cuts (kernels/training.h).
#pragma once

#include <cstdint>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/kernels.h"
#include "kernels/training.h"

namespace reckon::train {

class FloatOps {
 public:
  FloatOps(const kernels::KernelTable& table, ThreadPool& pool);

  ThreadPool& pool() const { return pool_; }
  const kernels::KernelTable& rows() const { return table_; }
  const kernels::TrainingKernels& training() const { return training_; }

  // One product on all threads; args.scratch is set here.
  void gemm(const kernels::FloatGemmArgs& args) const;
  // One product on the calling piece's thread.
  void gemm_here(kernels::FloatGemmArgs args, int thread) const;

  // out [columns, rows] = in [rows, columns] with rows in_stride apart.
  void transpose(const float* in, int64_t in_stride, int64_t rows, int64_t columns,
                 float* out) const;

  // sum of x[i]^2 in double: chains of 4096 elements in float, joined in ascending order.
  double sum_of_squares(const float* x, int64_t n) const;
  void clear(float* x, int64_t n) const;

 private:
  const kernels::KernelTable& table_;
  const kernels::TrainingKernels& training_;
  ThreadPool& pool_;
  mutable std::vector<float> scratch_;  // [n_threads, kFloatGemmScratch]
};

// The same on one thread. out's rows are out_stride apart.
void transpose_here(const float* in, int64_t in_stride, int64_t rows, int64_t columns, float* out,
                    int64_t out_stride);

}  // namespace reckon::train
