// A Decoder without arithmetic: pages remember which token was written at which position after
// which prefix, so that every mistake in page handling shows, and logits follow a script of the
// whole sequence so far, as read back from the pages.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "forward/decoder.h"

namespace reckon::testing {

inline uint64_t mix(uint64_t a, uint64_t b) {
  uint64_t x = a * 0x9E3779B97F4A7C15ull + b + 0x632BE59BD9B4E019ull;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
  return x ^ (x >> 31);
}

class ScriptedDecoder final : public Decoder {
 public:
  // The next token after a sequence; empty: the logits are a hash of the sequence.
  using Script = std::function<TokenId(const std::vector<TokenId>& sequence)>;

  // One step as it was asked for.
  struct Step {
    std::vector<int64_t> first_positions;
    std::vector<int64_t> n_tokens;
    int64_t total = 0;
  };
  // What outlives the decoder, which belongs to an engine in most tests.
  struct Record {
    std::vector<Step> steps;
    int64_t n_copies = 0;
    int64_t n_computed = 0;                // tokens, all steps together
    std::optional<std::string> fail_next;  // the next step fails with this message
    std::function<void()> before_step;
    // Changes the logits that follow a sequence.
    std::function<void(const std::vector<TokenId>&, std::span<float>)> adjust;
  };

  ScriptedDecoder(const DecoderShape& shape, Script script = {})
      : shape_(shape),
        script_(std::move(script)),
        slots_(static_cast<size_t>(shape.n_pages * shape.page_positions)),
        record_(std::make_shared<Record>()) {}

  const DecoderShape& shape() const override { return shape_; }
  const std::shared_ptr<Record>& record() const { return record_; }

  Status step(std::span<const SequenceStep> batch, std::span<float> logits) override {
    if (record_->before_step) record_->before_step();
    Step seen;
    std::set<PageId> written;
    std::set<PageId> read_only;
    size_t row = 0;
    for (const SequenceStep& sequence : batch) {
      seen.first_positions.push_back(sequence.first_position);
      seen.n_tokens.push_back(static_cast<int64_t>(sequence.tokens.size()));
      seen.total += static_cast<int64_t>(sequence.tokens.size());
      check_pages(sequence, written, read_only);
      const std::vector<TokenId> tokens = write(sequence);
      for (int64_t i = sequence.n_logits; i-- > 0; ++row) {
        const std::vector<TokenId> so_far(tokens.begin(), tokens.end() - i);
        const std::span<float> wanted = logits.subspan(row * static_cast<size_t>(shape_.vocab_size),
                                                       static_cast<size_t>(shape_.vocab_size));
        fill(so_far, wanted);
        if (record_->adjust) record_->adjust(so_far, wanted);
      }
    }
    EXPECT_EQ(row * static_cast<size_t>(shape_.vocab_size), logits.size());
    EXPECT_FALSE(batch.empty());
    EXPECT_LE(seen.total, shape_.max_batch_tokens);
    record_->n_computed += seen.total;
    record_->steps.push_back(std::move(seen));
    if (record_->fail_next) {
      const std::string message = *record_->fail_next;
      record_->fail_next.reset();
      return failed(message);
    }
    return {};
  }

  void copy_page(PageId from, PageId to) override {
    ++record_->n_copies;
    EXPECT_NE(from, to);
    for (int64_t i = 0; i < shape_.page_positions; ++i) slot(to, i) = slot(from, i);
  }

  // Logits for a sequence, for references in tests.
  static std::vector<float> hashed_logits(const std::vector<TokenId>& tokens, int64_t vocab_size) {
    uint64_t hash = 1;
    for (const TokenId token : tokens) hash = mix(hash, static_cast<uint64_t>(token));
    std::vector<float> logits(static_cast<size_t>(vocab_size));
    for (size_t i = 0; i < logits.size(); ++i) {
      logits[i] = static_cast<float>(mix(hash, i) % 8001) / 1000.0f - 4.0f;
    }
    return logits;
  }

 private:
  struct Slot {
    int64_t position = -1;
    TokenId token = 0;
    uint64_t prefix = 0;  // hash of all tokens up to this one
  };

  Slot& slot(PageId page, int64_t i) {
    return slots_[static_cast<size_t>(page * shape_.page_positions + i)];
  }

  void check_pages(const SequenceStep& s, std::set<PageId>& written, std::set<PageId>& read_only) {
    ASSERT_FALSE(s.tokens.empty());
    const int64_t end = s.first_position + static_cast<int64_t>(s.tokens.size());
    ASSERT_LE(end, shape_.context_length);
    ASSERT_GE(static_cast<int64_t>(s.pages.size()) * shape_.page_positions, end);
    std::set<PageId> own;
    for (size_t i = 0; i < s.pages.size(); ++i) {
      const PageId page = s.pages[i];
      ASSERT_TRUE(page >= 0 && page < shape_.n_pages);
      ASSERT_TRUE(own.insert(page).second) << "a page twice in one sequence";
      const int64_t begin = static_cast<int64_t>(i) * shape_.page_positions;
      const bool writes = begin < end && begin + shape_.page_positions > s.first_position;
      if (writes) {
        EXPECT_TRUE(written.insert(page).second) << "page " << page << " written twice in a step";
        EXPECT_FALSE(read_only.contains(page)) << "page " << page << " written while shared";
      } else {
        EXPECT_FALSE(written.contains(page)) << "page " << page << " written while shared";
        read_only.insert(page);
      }
    }
  }

  // Writes the tokens; returns the whole sequence as the pages hold it.
  std::vector<TokenId> write(const SequenceStep& s) {
    std::vector<TokenId> tokens;
    uint64_t prefix = 1;
    for (int64_t p = 0; p < s.first_position; ++p) {
      const Slot& cached =
          slot(s.pages[static_cast<size_t>(p / shape_.page_positions)], p % shape_.page_positions);
      EXPECT_EQ(cached.position, p) << "position never computed or of another page";
      prefix = mix(prefix, static_cast<uint64_t>(cached.token));
      EXPECT_EQ(cached.prefix, prefix) << "position " << p << " was computed after other tokens";
      tokens.push_back(cached.token);
    }
    for (size_t i = 0; i < s.tokens.size(); ++i) {
      const int64_t p = s.first_position + static_cast<int64_t>(i);
      EXPECT_TRUE(s.tokens[i] >= 0 && s.tokens[i] < shape_.vocab_size);
      prefix = mix(prefix, static_cast<uint64_t>(s.tokens[i]));
      slot(s.pages[static_cast<size_t>(p / shape_.page_positions)], p % shape_.page_positions) = {
          p, s.tokens[i], prefix};
      tokens.push_back(s.tokens[i]);
    }
    return tokens;
  }

  void fill(const std::vector<TokenId>& tokens, std::span<float> out) const {
    if (!script_) {
      const std::vector<float> logits = hashed_logits(tokens, shape_.vocab_size);
      std::copy(logits.begin(), logits.end(), out.begin());
      return;
    }
    std::fill(out.begin(), out.end(), 0.0f);
    out[static_cast<size_t>(script_(tokens))] = 100.0f;
  }

  const DecoderShape shape_;
  const Script script_;
  std::vector<Slot> slots_;
  std::shared_ptr<Record> record_;
};

}  // namespace reckon::testing
