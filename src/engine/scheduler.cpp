// No deadlock: only running sequences hold pages; the oldest running one is never preempted, and
// alone it fits the pool; so it ends, and with it the wait of the next.
#include "engine/scheduler.h"

#include <algorithm>
#include <new>

#include "base/check.h"

namespace reckon {
namespace {

// A sequence waits for another's prefill when that will save it at least so many tokens.
constexpr int64_t kWorthWaiting = 4;

void insert_by_age(std::vector<Sequence*>& list, Sequence* sequence) {
  const auto place =
      std::lower_bound(list.begin(), list.end(), sequence,
                       [](const Sequence* a, const Sequence* b) { return a->order < b->order; });
  list.insert(place, sequence);
}

// A sequence's last token must be computed even if all of it is cached: its logits are wanted.
std::span<const TokenId> reusable(const Sequence& sequence) {
  return std::span(sequence.tokens).first(sequence.tokens.size() - 1);
}

}  // namespace

Scheduler::Scheduler(Decoder& decoder, const SchedulerOptions& options)
    : decoder_(decoder),
      options_(options),
      page_positions_(decoder.shape().page_positions),
      pool_(decoder.shape().n_pages),
      cache_(pool_, page_positions_) {
  RECKON_CHECK(options.max_running >= 1 && options.max_batch_tokens >= 1 &&
               options.max_batch_tokens <= decoder.shape().max_batch_tokens);
}

void Scheduler::add(Sequence* sequence) {
  RECKON_CHECK(!sequence->tokens.empty() && pages_for(sequence->n_tokens()) <= pool_.n_pages());
  // Sequences move between the lists later, when memory may be short.
  const size_t n_sequences = waiting_.size() + running_.size() + 1;
  waiting_.reserve(n_sequences);
  running_.reserve(n_sequences);
  insert_by_age(waiting_, sequence);
}

void Scheduler::remove(Sequence* sequence) {
  std::erase_if(batch_, [&](const Share& share) { return share.sequence == sequence; });
  if (sequence->running) {
    try {
      publish_partial_page(sequence);
    } catch (const std::bad_alloc&) {
      // Then it is not known to others.
    }
  }
  release_pages(sequence);  // of one that waits too: memory may have run out while it was started
  sequence->running = false;
  std::erase(waiting_, sequence);
  std::erase(running_, sequence);
}

void Scheduler::publish(Sequence* sequence) {
  if (sequence->running) publish_partial_page(sequence);
}

const std::vector<Scheduler::Share>& Scheduler::plan() {
  admit();
  // A batch may lose all its members when pages run out while the oldest sequence, which never
  // loses its own, has no turn in it; the rest then is shared out anew.
  do {
    share_out();
    reserve_pages();
  } while (batch_.empty() && !running_.empty());
  RECKON_CHECK(!batch_.empty() || (waiting_.empty() && running_.empty()));
  share_out_guesses();
  return batch_;
}

// Strictly by age: a younger sequence doesn't take the pages that an older one waits for. Only one
// that waits for another's prefill lets younger ones pass.
void Scheduler::admit() {
  for (size_t i = 0; i < waiting_.size();) {
    if (n_running() >= options_.max_running) return;
    Sequence* candidate = waiting_[i];
    if (worth_waiting(*candidate)) {
      ++i;
      continue;
    }
    if (!start(candidate)) return;
    waiting_.erase(waiting_.begin() + static_cast<ptrdiff_t>(i));
  }
}

// Whether a running sequence is still prefilling a beginning that this one shares: n samples of one
// question then compute their prompt once.
bool Scheduler::worth_waiting(const Sequence& candidate) const {
  int64_t known = -1;
  for (const Sequence* other : running_) {
    if (other->salt != candidate.salt || other->n_pending() <= 1) continue;
    const std::span<const TokenId> wanted = reusable(candidate);
    const auto end =
        std::mismatch(wanted.begin(), wanted.end(), other->tokens.begin(), other->tokens.end());
    int64_t n_shared = end.first - wanted.begin();
    // Pages become known when they are full, and the last one at the prefill's end.
    const bool ends_in_last_page =
        n_shared / page_positions_ == other->n_tokens() / page_positions_;
    if (!ends_in_last_page) n_shared -= n_shared % page_positions_;
    if (n_shared < kWorthWaiting) continue;
    if (known < 0) known = cache_.match_length(candidate.salt, wanted);
    if (n_shared >= known + kWorthWaiting) return true;
  }
  return false;
}

// Gives a waiting sequence the pages for all its tokens, known ones first. False if there are not
// enough without taking them from running sequences.
bool Scheduler::start(Sequence* sequence) {
  PrefixCache::Match match = cache_.match(sequence->salt, reusable(*sequence));
  const int64_t n_known = static_cast<int64_t>(match.pages.size());
  const int64_t n_missing = pages_for(sequence->n_tokens()) - n_known;
  const auto n_available = [&] { return pool_.n_free() + cache_.n_evictable(); };
  if (match.partial_page != kNoPage && n_available() < n_missing) {
    // The page to copy from is one that has to be given up.
    pool_.release(match.partial_page);
    match.partial_page = kNoPage;
    match.partial_positions = 0;
  }
  // Every running sequence may soon need one more.
  if (n_available() < n_missing + n_running()) {
    for (const PageId page : match.pages) pool_.release(page);
    if (match.partial_page != kNoPage) pool_.release(match.partial_page);
    return false;
  }
  sequence->pages = std::move(match.pages);
  sequence->tail = match.tail;
  sequence->n_known_pages = n_known;
  sequence->n_computed = n_known * page_positions_ + match.partial_positions;
  RECKON_CHECK(ensure_pages(sequence, sequence->n_tokens()));
  if (match.partial_page != kNoPage) {
    decoder_.copy_page(match.partial_page, sequence->pages[static_cast<size_t>(n_known)]);
    pool_.release(match.partial_page);
  }
  if (!sequence->has_run) sequence->n_reused = sequence->n_computed;
  sequence->has_run = true;
  sequence->running = true;
  insert_by_age(running_, sequence);
  return true;
}

// Everyone gets one token before anyone gets more, those first who have waited longest; what is
// left goes to prefills, oldest first.
void Scheduler::share_out() {
  batch_.clear();
  const auto give_turn = [&](Sequence* sequence) {
    // Turns are counted one by one, or of those that took part in the same step the oldest would be
    // first again each time.
    sequence->last_turn = ++turn_;
    batch_.push_back({.sequence = sequence, .n_tokens = 1});
  };
  int64_t left = options_.max_batch_tokens;
  if (n_running() <= left) {
    for (Sequence* sequence : running_) give_turn(sequence);
  } else {
    std::vector<Sequence*> by_wait = running_;
    std::stable_sort(by_wait.begin(), by_wait.end(), [](const Sequence* a, const Sequence* b) {
      return a->last_turn < b->last_turn;
    });
    by_wait.resize(static_cast<size_t>(left));
    for (Sequence* sequence : by_wait) give_turn(sequence);
    std::sort(batch_.begin(), batch_.end(),
              [](const Share& a, const Share& b) { return a.sequence->order < b.sequence->order; });
  }
  left -= static_cast<int64_t>(batch_.size());
  for (Share& share : batch_) {
    RECKON_CHECK(share.sequence->n_pending() >= 1);
    const int64_t more = std::min(left, share.sequence->n_pending() - 1);
    share.n_tokens += more;
    left -= more;
    share.wants_logits = share.n_tokens == share.sequence->n_pending();
  }
}

// Pages for every share, oldest first. When they run out the youngest sequence gives its own up and
// waits to be computed again; most of its prefix is likely to be still cached then.
void Scheduler::reserve_pages() {
  for (size_t i = 0; i < batch_.size(); ++i) {
    Sequence* sequence = batch_[i].sequence;
    const int64_t n_positions = sequence->n_computed + batch_[i].n_tokens;
    while (sequence->running && !ensure_pages(sequence, n_positions)) {
      RECKON_CHECK(running_.size() > 1);  // alone, it fits
      preempt(running_.back());
    }
  }
  std::erase_if(batch_, [](const Share& share) { return !share.sequence->running; });
}

// Guesses take what nobody else wants: room in the batch that prefills left, and free pages.
void Scheduler::share_out_guesses() {
  int64_t left = options_.max_batch_tokens;
  for (const Share& share : batch_) left -= share.n_tokens;
  for (Share& share : batch_) {
    Sequence* sequence = share.sequence;
    if (!share.wants_logits || sequence->guess.empty()) continue;
    const int64_t first = sequence->n_tokens();
    const int64_t wanted = std::min(left, static_cast<int64_t>(sequence->guess.size()));
    sequence->pages.reserve(static_cast<size_t>(pages_for(first + wanted)));
    while (static_cast<int64_t>(sequence->pages.size()) < pages_for(first + wanted)) {
      const PageId page = pool_.allocate();
      if (page == kNoPage) break;
      sequence->pages.push_back(page);
    }
    const int64_t room = static_cast<int64_t>(sequence->pages.size()) * page_positions_ - first;
    share.n_guessed = std::min(wanted, room);
    left -= share.n_guessed;
  }
}

bool Scheduler::ensure_pages(Sequence* sequence, int64_t n_positions) {
  sequence->pages.reserve(static_cast<size_t>(pages_for(n_positions)));
  while (static_cast<int64_t>(sequence->pages.size()) < pages_for(n_positions)) {
    const PageId page = take_page();
    if (page == kNoPage) return false;
    sequence->pages.push_back(page);
  }
  return true;
}

PageId Scheduler::take_page() {
  const PageId page = pool_.allocate();
  if (page != kNoPage || !cache_.evict_one()) return page;
  return pool_.allocate();
}

void Scheduler::preempt(Sequence* sequence) {
  ++n_preemptions_;
  release_pages(sequence);
  sequence->running = false;
  std::erase(running_, sequence);
  insert_by_age(waiting_, sequence);
}

void Scheduler::release_pages(Sequence* sequence) {
  for (const PageId page : sequence->pages) pool_.release(page);
  sequence->pages.clear();
  sequence->tail = kCacheRoot;
  sequence->n_known_pages = 0;
  sequence->n_computed = 0;
  sequence->prompt_known = false;
}

void Scheduler::commit() {
  for (const Share& share : batch_) {
    Sequence* sequence = share.sequence;
    sequence->n_computed += share.n_tokens;
    publish_full_pages(sequence);
    // A prompt's last page is known as soon as it is computed, for others with the same prompt.
    if (share.wants_logits && !sequence->prompt_known) {
      publish_partial_page(sequence);
      sequence->prompt_known = true;
    }
  }
  batch_.clear();
}

void Scheduler::accept(Sequence* sequence, TokenId token) {
  RECKON_CHECK(sequence->running && sequence->n_pending() == 0);
  sequence->tokens.push_back(token);
  ++sequence->n_computed;
  publish_full_pages(sequence);
}

void Scheduler::publish_full_pages(Sequence* sequence) {
  while ((sequence->n_known_pages + 1) * page_positions_ <= sequence->n_computed) {
    const int64_t i = sequence->n_known_pages;
    const std::span<const TokenId> tokens = std::span(sequence->tokens)
                                                .subspan(static_cast<size_t>(i * page_positions_),
                                                         static_cast<size_t>(page_positions_));
    sequence->tail = cache_.insert(sequence->salt, sequence->tail, tokens,
                                   sequence->pages[static_cast<size_t>(i)]);
    ++sequence->n_known_pages;
  }
}

void Scheduler::publish_partial_page(Sequence* sequence) {
  const int64_t begin = sequence->n_known_pages * page_positions_;
  const int64_t n = sequence->n_computed - begin;
  if (n <= 0) return;
  const std::span<const TokenId> tokens =
      std::span(sequence->tokens).subspan(static_cast<size_t>(begin), static_cast<size_t>(n));
  cache_.insert(sequence->salt, sequence->tail, tokens,
                sequence->pages[static_cast<size_t>(sequence->n_known_pages)]);
}

int64_t Scheduler::pages_for(int64_t n_positions) const {
  return (n_positions + page_positions_ - 1) / page_positions_;
}

}  // namespace reckon
