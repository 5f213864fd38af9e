// Decides which sequences run in the next step and with how many tokens, and which KV pages they
// use: continuous batching, where prefill chunks and single decoded tokens share a step. Knows
// nothing of text, sampling or requests. docs/decisions/0004-scheduling.md gives the reasons.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/page_pool.h"
#include "engine/prefix_cache.h"
#include "forward/decoder.h"
#include "tokenizer/token.h"

namespace reckon {

// A sequence as the scheduler sees it. The owner appends to tokens between steps.
struct Sequence {
  uint64_t order = 0;  // lower is older; unique
  uint64_t salt = 0;   // whose prefixes it may share
  std::vector<TokenId> tokens;
  // What may follow, computed along where a batch has room; the owner's, set before plan().
  std::vector<TokenId> guess;

  // The scheduler's:
  int64_t n_computed = 0;  // tokens whose KV stands in pages
  int64_t n_reused = 0;    // of those, how many came from the prefix cache when it first ran
  std::vector<PageId> pages;
  CacheNode tail = kCacheRoot;  // node of its last full page; the cache knows all full ones
  int64_t n_known_pages = 0;
  uint64_t last_turn = 0;  // when it last took part
  bool running = false;
  bool prompt_known = false;  // the cache knows its last, partial page as of the prefill's end
  bool has_run = false;

  int64_t n_tokens() const { return static_cast<int64_t>(tokens.size()); }
  int64_t n_pending() const { return n_tokens() - n_computed; }
};

struct SchedulerOptions {
  int64_t max_batch_tokens = 256;
  int64_t max_running = 64;  // sequences that hold pages at once
};

class Scheduler {
 public:
  // The decoder must outlive the scheduler. options.max_batch_tokens is at most the decoder's.
  Scheduler(Decoder& decoder, const SchedulerOptions& options);

  // Takes part from now on, until removed; the pointer stays valid that long. The sequence needs
  // at most all pages: n_tokens <= n_pages * page_positions, always.
  void add(Sequence* sequence);
  void remove(Sequence* sequence);
  // Makes known what a running sequence has computed so far, for others that begin like it; it goes
  // on in the same pages.
  void publish(Sequence* sequence);

  struct Share {
    Sequence* sequence = nullptr;
    int64_t n_tokens = 0;       // tokens [n_computed, n_computed + n_tokens)
    bool wants_logits = false;  // they are the last it has
    int64_t n_guessed = 0;      // of sequence->guess, behind them
  };
  // The next step's batch, at most one share a sequence; empty only when there are no sequences.
  // Pages are ready to be written.
  const std::vector<Share>& plan();
  // The planned batch has been computed. (A batch that failed is not committed.)
  void commit();
  // After commit(): the first token of what was guessed, or the next one, has come true. It joins
  // the sequence, and needn't be computed again.
  void accept(Sequence* sequence, TokenId token);

  int64_t n_waiting() const { return static_cast<int64_t>(waiting_.size()); }
  int64_t n_running() const { return static_cast<int64_t>(running_.size()); }
  const PagePool& pool() const { return pool_; }
  const PrefixCache& cache() const { return cache_; }
  int64_t n_preemptions() const { return n_preemptions_; }

 private:
  void admit();
  bool worth_waiting(const Sequence& candidate) const;
  bool start(Sequence* sequence);
  void share_out();
  void reserve_pages();
  void share_out_guesses();
  bool ensure_pages(Sequence* sequence, int64_t n_positions);
  PageId take_page();
  void preempt(Sequence* sequence);
  void release_pages(Sequence* sequence);
  void publish_full_pages(Sequence* sequence);
  void publish_partial_page(Sequence* sequence);
  int64_t pages_for(int64_t n_positions) const;

  Decoder& decoder_;
  const SchedulerOptions options_;
  const int64_t page_positions_;
  PagePool pool_;
  PrefixCache cache_;
  std::vector<Sequence*> waiting_;  // oldest first
  std::vector<Sequence*> running_;  // oldest first
  std::vector<Share> batch_;        // oldest first
  uint64_t turn_ = 0;               // counts the shares given
  int64_t n_preemptions_ = 0;
};

}  // namespace reckon
