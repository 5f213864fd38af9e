// One model from several.
#pragma once

#include <span>
#include <string>

#include "base/result.h"
#include "base/thread_pool.h"

namespace reckon::train {

// Writes a float32 model file whose weights are the means of the given models' (Wortsman et al.
// 2022, section 2, the uniform soup): of runs that began with the same weights and went apart.
// Metadata is the first's. A mean is summed in double in the order of the paths and rounded once.
// Errors: kUsage for less than two, kBadFile for another architecture, shape or tokenizer than the
// first's, kFailed when the file can't be written.
Status write_average(std::span<const std::string> paths, const std::string& out, ThreadPool& pool);

}  // namespace reckon::train
