// The built-in templates by name, the recogniser of published sources, and prompts as tokens.
#include "tokenizer/chat_template.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <utility>

#include "tokenizer/chat_template_families.h"
#include "tokenizer/chat_template_jinja.h"

namespace reckon {
namespace {

using TemplatePtr = std::shared_ptr<const ChatTemplate>;

struct BuiltIn {
  std::string_view name;
  TemplatePtr (*make)();
};

// In the order in which messages list them.
constexpr std::array<BuiltIn, 7> kBuiltIns = {{
    {"deepseek-r1", [] { return make_deepseek_r1(true); }},
    {"deepseek-r1-older", [] { return make_deepseek_r1(false); }},
    {"chatml", [] { return make_chatml("chatml", ChatMlKind::kPlain, {}); }},
    {"chatml-smollm2",
     [] {
       return make_chatml("chatml-smollm2", ChatMlKind::kDefault, std::string(kSmolLm2System));
     }},
    {"chatml-qwen2.5",
     [] { return make_chatml("chatml-qwen2.5", ChatMlKind::kQwen25, std::string(kQwen25System)); }},
    {"llama3", [] { return make_llama3(); }},
    {"llama3.1", [] { return make_llama3_1(); }},
}};

// How a source of a known normal form is rendered.
enum class Family {
  kR1,
  kR1Older,
  kChatMl,         // no default system turn
  kChatMlDefault,  // with the source's own
  kQwen25,         // with the source's own
  kLlama3,
  kLlama31,
};

// Normal forms of published sources (docs/templates.md lists where they stand); the figures come
// from tools/template_goldens.py, which lexes them with Jinja itself.
struct KnownForm {
  uint64_t hash;
  size_t n_tokens;
  Family family;
};

constexpr KnownForm kKnownForms[] = {
#include "tokenizer/chat_template_known.inc"
    {0x097e985da74e1324u, 77, Family::kR1},  // what model/synth_vocabulary.cpp makes up
};

std::string unknown_template(std::string_view why) {
  return fmt::format(
      "tokenizer.chat_template: {}. Name one with --template NAME ({}), or describe its roles and "
      "separators in a JSON file and pass --template FILE (docs/templates.md)",
      why, fmt::join(chat_template_names(), ", "));
}

TemplatePtr make_family(Family family, const std::optional<std::string>& system) {
  switch (family) {
    case Family::kR1: return make_deepseek_r1(true);
    case Family::kR1Older: return make_deepseek_r1(false);
    case Family::kChatMl: return make_chatml("chatml", ChatMlKind::kPlain, {});
    case Family::kChatMlDefault:
      return make_chatml(system == kSmolLm2System ? "chatml-smollm2" : "chatml",
                         ChatMlKind::kDefault, system.value_or(""));
    case Family::kQwen25:
      return make_chatml("chatml-qwen2.5", ChatMlKind::kQwen25, system.value_or(""));
    case Family::kLlama3: return make_llama3();
    case Family::kLlama31: return make_llama3_1();
  }
  return nullptr;
}

// Text is gathered over scaffold and content alike and encoded with specials off, so that tokens
// fall as they would in the whole prompt; only the scaffold's own special tokens cut it.
class PromptEncoder {
 public:
  explicit PromptEncoder(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  void add(const PromptPiece& piece) {
    if (piece.bos && tokenizer_.bos() != kNoToken) {
      add_special(tokenizer_.bos());
    } else if (piece.scaffold) {
      add_scaffold(piece.text);
    } else {
      text_ += piece.text;
    }
  }

  std::vector<TokenId> take() {
    flush();
    const bool add_bos = tokenizer_.add_bos() && tokenizer_.bos() != kNoToken;
    if (add_bos && (ids_.empty() || ids_[0] != tokenizer_.bos())) {
      ids_.insert(ids_.begin(), tokenizer_.bos());
    }
    return std::move(ids_);
  }

 private:
  void add_scaffold(std::string_view text) {
    scaffold_ids_.clear();
    tokenizer_.encode(text, SpecialTokens::kParse, scaffold_ids_);
    size_t done = 0;
    for (const TokenId id : scaffold_ids_) {
      const TokenKind kind = tokenizer_.kind(id);
      if (kind != TokenKind::kControl && kind != TokenKind::kUserDefined) continue;
      const size_t at = text.find(tokenizer_.bytes(id), done);
      if (at == std::string_view::npos) continue;
      text_ += text.substr(done, at - done);
      add_special(id);
      done = at + tokenizer_.bytes(id).size();
    }
    text_ += text.substr(done);
  }

  void add_special(TokenId id) {
    flush();
    ids_.push_back(id);
  }

  void flush() {
    if (text_.empty()) return;
    tokenizer_.encode(text_, SpecialTokens::kAsText, ids_);
    text_.clear();
  }

  const Tokenizer& tokenizer_;
  std::vector<TokenId> ids_;
  std::vector<TokenId> scaffold_ids_;
  std::string text_;
};

}  // namespace

std::string render_text(const std::vector<PromptPiece>& pieces) {
  std::string text;
  for (const PromptPiece& piece : pieces) text += piece.text;
  return text;
}

bool opens_thought(const std::vector<PromptPiece>& pieces, const ThinkMarks& marks) {
  if (pieces.empty() || !pieces.back().scaffold || marks.open.empty()) return false;
  std::string_view text = pieces.back().text;
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  return text.ends_with(marks.open);
}

std::vector<TokenId> encode_prompt(const Tokenizer& tokenizer,
                                   const std::vector<PromptPiece>& pieces) {
  PromptEncoder encoder(tokenizer);
  for (const PromptPiece& piece : pieces) encoder.add(piece);
  return encoder.take();
}

std::vector<std::string_view> chat_template_names() {
  std::vector<std::string_view> names;
  for (const BuiltIn& entry : kBuiltIns) names.push_back(entry.name);
  return names;
}

Result<TemplatePtr> find_chat_template(std::string_view name) {
  for (const BuiltIn& entry : kBuiltIns) {
    if (entry.name == name) return entry.make();
  }
  return usage_error(
      fmt::format("no chat template is called \"{}\": expected one of {}, or a file "
                  "that describes one (docs/templates.md)",
                  name, fmt::join(chat_template_names(), ", ")));
}

Result<TemplatePtr> recognise_chat_template(std::string_view jinja_source) {
  if (jinja_source.empty()) return bad_file(unknown_template("the file has none"));
  auto tokens = normalise_jinja(jinja_source);
  if (!tokens) return bad_file(unknown_template("its Jinja source can't be read"));
  const std::optional<std::string> system = blank_default_system(*tokens);
  const uint64_t hash = jinja_hash(*tokens);
  for (const KnownForm& form : kKnownForms) {
    if (form.hash == hash && form.n_tokens == tokens->size()) {
      return make_family(form.family, system);
    }
  }
  return bad_file(unknown_template(
      fmt::format("none that reckon knows (normal form {:016x}, {} parts)", hash, tokens->size())));
}

}  // namespace reckon
