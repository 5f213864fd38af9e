// The tokenizer of a synth file: made up in the exact sizes and with R1's marks at their exact
// places, or copied from another file.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "gguf/gguf_file.h"
#include "gguf/gguf_writer.h"
#include "model/synth.h"

namespace reckon {

// Adds tokenizer.*, in the order of the published files. The text tokens are the 256 bytes and
// merges of Latin letters, so that any text can be encoded and comes back.
void add_made_up_tokenizer(const SynthShape& shape, GgufWriter& writer);

// Copies tokenizer.* from a file, with unused tokens added or dropped at the end to make
// vocab_size. Errors: kBadFile for a file without tokens, kUsage when tokens in use lie beyond
// vocab_size.
Status copy_tokenizer(const GgufFile& from, int64_t vocab_size, GgufWriter& writer);

// The number of tokens in a file's vocabulary. Errors: kBadFile for a file without tokens.
Result<int64_t> count_tokens(const GgufFile& from);

}  // namespace reckon
