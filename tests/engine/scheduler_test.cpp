// The scheduler alone: batches, pages and prefixes, driven without an engine.
#include "engine/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <numeric>

#include "tests/engine/scripted_decoder.h"

namespace reckon {
namespace {

using testing::ScriptedDecoder;

constexpr int64_t kPage = 8;

struct Fixture {
  explicit Fixture(int64_t n_pages = 32, int64_t max_batch_tokens = 16, int64_t max_running = 64)
      : decoder({.vocab_size = 300,
                 .page_positions = kPage,
                 .n_pages = n_pages,
                 .context_length = n_pages * kPage,
                 .max_batch_tokens = max_batch_tokens}),
        scheduler(decoder, {.max_batch_tokens = max_batch_tokens, .max_running = max_running}) {}

  Sequence* add(std::vector<TokenId> tokens, uint64_t salt = 0) {
    sequences.emplace_back();
    Sequence& s = sequences.back();
    s.order = ++last_order;
    s.salt = salt;
    s.tokens = std::move(tokens);
    scheduler.add(&s);
    return &s;
  }

  // One step; every sequence whose logits came gets the token `next`. Returns the batch.
  std::vector<Scheduler::Share> step(TokenId next = 250) {
    const std::vector<Scheduler::Share> batch = scheduler.plan();
    if (batch.empty()) return batch;
    std::vector<SequenceStep> steps;
    size_t rows = 0;
    for (const Scheduler::Share& share : batch) {
      const Sequence& s = *share.sequence;
      steps.push_back({.tokens = std::span(s.tokens).subspan(s.n_computed, share.n_tokens),
                       .first_position = s.n_computed,
                       .pages = s.pages,
                       .n_logits = share.wants_logits ? 1 : 0});
      rows += share.wants_logits;
    }
    std::vector<float> logits(rows * 300);
    EXPECT_TRUE(decoder.step(steps, logits).ok());
    scheduler.commit();
    for (const Scheduler::Share& share : batch) {
      if (share.wants_logits) share.sequence->tokens.push_back(next);
    }
    return batch;
  }
  void remove_all() {
    for (Sequence& s : sequences) scheduler.remove(&s);
    sequences.clear();
  }
  void expect_all_pages_idle() {
    EXPECT_EQ(scheduler.pool().n_free() + scheduler.cache().n_nodes(), scheduler.pool().n_pages());
    EXPECT_EQ(scheduler.cache().n_evictable(), scheduler.cache().n_nodes());
  }

  ScriptedDecoder decoder;
  Scheduler scheduler;
  std::list<Sequence> sequences;
  uint64_t last_order = 0;
};

std::vector<TokenId> range(int n, int from = 0) {
  std::vector<TokenId> tokens(static_cast<size_t>(n));
  std::iota(tokens.begin(), tokens.end(), from);
  return tokens;
}

int64_t tokens_of(const std::vector<Scheduler::Share>& batch, const Sequence* s) {
  for (const Scheduler::Share& share : batch) {
    if (share.sequence == s) return share.n_tokens;
  }
  return 0;
}

TEST(Scheduler, PrefillsInChunksThenDecodes) {
  Fixture f;
  Sequence* s = f.add(range(40));
  EXPECT_EQ(tokens_of(f.step(), s), 16);
  EXPECT_EQ(tokens_of(f.step(), s), 16);
  EXPECT_EQ(tokens_of(f.step(), s), 8);
  EXPECT_EQ(s->n_tokens(), 41);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(tokens_of(f.step(), s), 1);
  EXPECT_EQ(s->n_tokens(), 46);
  f.remove_all();
  f.expect_all_pages_idle();
}

TEST(Scheduler, DecodesGoOnDuringAPrefill) {
  Fixture f;
  Sequence* a = f.add(range(4));
  f.step();
  Sequence* b = f.add(range(60, 100));
  for (int i = 0; i < 4; ++i) {
    const auto batch = f.step();
    EXPECT_EQ(tokens_of(batch, a), 1);
    EXPECT_EQ(tokens_of(batch, b), 15);
  }
  EXPECT_EQ(b->n_pending(), 1);
  EXPECT_EQ(a->n_tokens(), 9);
}

TEST(Scheduler, ManyDecodesTakeTurns) {
  Fixture f(64, 4);
  std::vector<Sequence*> all;
  for (int i = 0; i < 10; ++i) all.push_back(f.add({i, i, i}));
  for (int i = 0; i < 100; ++i) {
    int64_t total = 0;
    for (const auto& share : f.step()) total += share.n_tokens;
    EXPECT_LE(total, 4);
  }
  int64_t least = 1000;
  int64_t most = 0;
  for (const Sequence* s : all) {
    least = std::min(least, s->n_tokens());
    most = std::max(most, s->n_tokens());
  }
  EXPECT_GE(least, 3 + 30);
  EXPECT_LE(most - least, 4);
}

TEST(Scheduler, OnlySoManyRunAtOnce) {
  Fixture f(64, 16, 3);
  for (int i = 0; i < 8; ++i) f.add({i});
  f.step();
  EXPECT_EQ(f.scheduler.n_running(), 3);
  EXPECT_EQ(f.scheduler.n_waiting(), 5);
}

TEST(Scheduler, ReusesWholeAndPartialPages) {
  Fixture f;
  Sequence* a = f.add(range(21));
  f.step();
  f.step();
  f.scheduler.remove(a);
  f.decoder.record()->steps.clear();
  // All but the last token is known: two whole pages and four positions of the third.
  Sequence* b = f.add(range(21));
  const auto batch = f.step();
  EXPECT_EQ(b->n_reused, 20);
  EXPECT_EQ(tokens_of(batch, b), 1);
  EXPECT_EQ(f.decoder.record()->n_copies, 1);
  // A prompt of whole pages: the last token is computed again, in a copy.
  Sequence* c = f.add(range(16));
  f.step();
  EXPECT_EQ(c->n_reused, 15);
  EXPECT_EQ(f.decoder.record()->n_copies, 2);
  // One that parts early.
  std::vector<TokenId> other = range(30);
  other[10] = 200;
  Sequence* d = f.add(other);
  f.step();
  EXPECT_EQ(d->n_reused, 10);
  f.remove_all();
  f.expect_all_pages_idle();
}

TEST(Scheduler, OtherSaltsReuseNothing) {
  Fixture f;
  f.scheduler.remove(f.add(range(10), 1));
  Sequence* a = f.add(range(20), 1);
  f.step();
  f.step();
  f.scheduler.remove(a);
  Sequence* b = f.add(range(20), 2);
  f.step();
  EXPECT_EQ(b->n_reused, 0);
}

// A copied page's original stays as it was: both go on with different tokens.
TEST(Scheduler, CopiesOnWrite) {
  Fixture f;
  Sequence* a = f.add(range(12));
  f.step(101);
  Sequence* b = f.add(range(12));
  f.step(102);
  EXPECT_EQ(b->n_reused, 11);
  EXPECT_EQ(a->pages[0], b->pages[0]);
  EXPECT_NE(a->pages[1], b->pages[1]);
  for (int i = 0; i < 20; ++i) {  // the scripted decoder checks every page's contents
    for (const auto& share : f.scheduler.plan()) (void)share;
    f.step(static_cast<TokenId>(103 + i));
  }
  f.remove_all();
  f.expect_all_pages_idle();
}

TEST(Scheduler, SamplesOfOnePromptComputeItOnce) {
  Fixture f(64, 16);
  std::vector<Sequence*> samples;
  for (int i = 0; i < 16; ++i) samples.push_back(f.add(range(45)));
  while (std::any_of(samples.begin(), samples.end(),
                     [](const Sequence* s) { return s->n_tokens() == 45; })) {
    f.step();
  }
  // 45 tokens once, then one each; decodes come on top.
  int64_t prefill = 0;
  for (const Sequence* s : samples) prefill += 45 - s->n_reused;
  EXPECT_EQ(prefill, 45 + 15);
  for (const Sequence* s : samples) {
    for (int page = 0; page < 5; ++page) EXPECT_EQ(s->pages[page], samples[0]->pages[page]);
  }
  f.remove_all();
  f.expect_all_pages_idle();
}

TEST(Scheduler, WaitersForAPrefillGoOnWhenItIsGone) {
  Fixture f(64, 16);
  Sequence* first = f.add(range(60));
  Sequence* second = f.add(range(60));
  f.step();
  EXPECT_EQ(f.scheduler.n_waiting(), 1);
  f.scheduler.remove(first);
  f.step();
  EXPECT_TRUE(second->running);
  EXPECT_EQ(second->n_reused, 16);
  // Others are not held up meanwhile.
  f.add(range(60));
  Sequence* third = f.add(range(5, 200));
  f.step();
  EXPECT_TRUE(third->running);
}

TEST(Scheduler, EqualSequencesEndUpOnTheSamePages) {
  Fixture f(64, 64);
  Sequence* a = f.add(range(12));
  Sequence* b = f.add(range(12));
  // b waits for the prompt, goes on from a copy of its last page, and writes the same as a does.
  f.step();
  f.step();
  ASSERT_EQ(b->pages.size(), 2u);
  EXPECT_EQ(a->pages[0], b->pages[0]);
  EXPECT_NE(a->pages[1], b->pages[1]);
  for (int i = 0; i < 4; ++i) f.step();
  EXPECT_EQ(b->n_computed, 16);
  EXPECT_EQ(a->pages[1], b->pages[1]);
  f.remove_all();
  f.expect_all_pages_idle();
}

TEST(Scheduler, EvictsCachedPagesWhenNeeded) {
  Fixture f(4, 16);
  for (int i = 0; i < 10; ++i) {
    Sequence* s = f.add(range(20, i * 20));
    f.step();
    f.step();
    f.scheduler.remove(s);
  }
  f.expect_all_pages_idle();
}

TEST(Scheduler, PreemptsTheYoungestAndTheOldestNeverWaits) {
  Fixture f(6, 16);
  Sequence* a = f.add(range(8));
  Sequence* b = f.add(range(8, 50));
  Sequence* c = f.add(range(8, 100));
  f.step();
  for (int i = 0; i < 40; ++i) {
    const auto batch = f.step();
    EXPECT_EQ(tokens_of(batch, a), 1) << i;
    if (a->n_tokens() == 6 * kPage) break;
  }
  EXPECT_GT(f.scheduler.n_preemptions(), 0);
  EXPECT_FALSE(c->running);
  EXPECT_FALSE(b->running);
  EXPECT_EQ(static_cast<int64_t>(a->pages.size()), 6);
  f.scheduler.remove(a);
  // The preempted go on with all their tokens, oldest first.
  const int64_t b_tokens = b->n_tokens();
  f.step();
  EXPECT_TRUE(b->running);
  for (int i = 0; i < 5; ++i) f.step();
  EXPECT_GT(b->n_tokens(), b_tokens);
  f.remove_all();
  f.expect_all_pages_idle();
}

TEST(Scheduler, YoungerOnesDontOvertakeForPages) {
  Fixture f(8, 64);
  Sequence* a = f.add(range(40));  // five pages
  f.step();
  Sequence* big = f.add(range(50, 100));  // seven
  Sequence* small = f.add(range(4, 200));
  f.step();
  EXPECT_FALSE(big->running);
  EXPECT_FALSE(small->running);
  f.scheduler.remove(a);
  f.step();
  EXPECT_TRUE(big->running);
}

TEST(Scheduler, GivesUpThePageItWouldCopyWhenThatIsTheLast) {
  Fixture f(2, 16);
  Sequence* a = f.add(range(12));
  f.step();
  f.scheduler.remove(a);
  Sequence* b = f.add({0, 1, 2, 3, 50, 51, 52, 53, 54, 55, 56, 57});
  f.step();
  EXPECT_TRUE(b->running);
  EXPECT_EQ(b->n_tokens(), 13);
  f.remove_all();
  f.expect_all_pages_idle();
}

TEST(Scheduler, RemovalInEveryPhase) {
  Fixture f(16, 8);
  Sequence* waiting = f.add(range(10));
  f.scheduler.remove(waiting);
  Sequence* prefilling = f.add(range(20));
  f.step();
  f.scheduler.remove(prefilling);
  Sequence* decoding = f.add(range(6, 30));
  f.step();
  f.step();
  f.scheduler.remove(decoding);
  EXPECT_TRUE(f.scheduler.plan().empty());
  f.expect_all_pages_idle();
  // Removed between plan and commit.
  Sequence* planned = f.add(range(6, 60));
  Sequence* other = f.add(range(6, 90));
  EXPECT_EQ(f.scheduler.plan().size(), 2u);
  f.scheduler.remove(planned);
  f.scheduler.remove(other);
  f.scheduler.commit();
  f.expect_all_pages_idle();
}

}  // namespace
}  // namespace reckon
