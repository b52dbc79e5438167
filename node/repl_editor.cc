#include "node/repl_editor.h"

#include <algorithm>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <histedit.h>

#include "node/cli_interrupt.h"
#include "node/repl_history.h"

namespace dhrt {

namespace {

// libedit counts what stands between two of these as no columns wide.
constexpr char escape_mark = '\1';
constexpr std::size_t listing_columns = 78;

std::string coloured(const std::string& text, const char* code) {
  const std::string mark(1, escape_mark);
  return mark + "\x1b[" + code + "m" + mark + text + mark + "\x1b[0m" + mark;
}

std::string before_cursor(EditLine* editor) {
  const LineInfo* line = el_line(editor);
  return std::string(line->buffer, line->cursor);
}

void list_candidates(const std::vector<std::string>& candidates) {
  std::size_t width = 0;
  for (const auto& candidate : candidates)
    width = std::max(width, candidate.size() + 2);
  std::size_t column = 0;
  std::fputc('\n', stdout);
  for (const auto& candidate : candidates) {
    if (column > 0 && column + width > listing_columns) {
      std::fputc('\n', stdout);
      column = 0;
    }
    std::fprintf(stdout, "%-*s", static_cast<int>(width), candidate.c_str());
    column += width;
  }
  std::fputc('\n', stdout);
}

}  // namespace

struct LineEditor::State {
  EditorOptions options;
  std::string shown_prompt;
  std::string shown_hint;
  EditLine* editor = nullptr;
  History* history = nullptr;

  static State& of(EditLine* editor) {
    void* data = nullptr;
    el_get(editor, EL_CLIENTDATA, &data);
    return *static_cast<State*>(data);
  }

  static char* prompt(EditLine* editor) { return of(editor).shown_prompt.data(); }

  static char* hint(EditLine* editor) {
    State& state = of(editor);
    const std::string text = state.options.hint(before_cursor(editor));
    state.shown_hint = text.empty() || !state.options.colours ? text : coloured(text, "2");
    return state.shown_hint.data();
  }

  // libedit draws the right edge anew only when it refreshes; after a word is when it matters.
  static unsigned char space(EditLine* editor, int) {
    return el_insertstr(editor, " ") == 0 ? CC_REFRESH : CC_ERROR;
  }

  static unsigned char complete(EditLine* editor, int) {
    const std::string line = before_cursor(editor);
    const State& state = of(editor);
    const Completion found = state.options.complete(line);
    const std::string typed = line.substr(std::min(found.begin, line.size()));
    if (found.candidates.empty()) return show_usage(state, line);
    std::string word = common_prefix(found.candidates);
    if (found.candidates.size() == 1) word += ' ';
    if (word.size() > typed.size() || word != typed) {
      // Commands are completed in lower case whatever was typed.
      el_deletestr(editor, static_cast<int>(typed.size()));
      return el_insertstr(editor, word.c_str()) == 0 ? CC_REFRESH : CC_ERROR;
    }
    list_candidates(found.candidates);
    return CC_REDISPLAY;
  }

  static unsigned char show_usage(const State& state, const std::string& line) {
    const std::string usage = state.options.hint(line);
    if (usage.empty()) return CC_REFRESH_BEEP;
    std::fprintf(stdout, "\n%s\n", usage.c_str());
    return CC_REDISPLAY;
  }

  void bind(const char* key, const char* function) {
    el_set(editor, EL_BIND, key, function, nullptr);
  }

  void set_up();
};

void LineEditor::State::set_up() {
  std::setlocale(LC_CTYPE, "");
  // Keys are often UTF-8 where the locale is not: a container has none.
  if (MB_CUR_MAX == 1) std::setlocale(LC_CTYPE, "C.UTF-8");
  editor = el_init("dhrt", stdin, stdout, stderr);
  history = history_init();
  if (editor == nullptr || history == nullptr) return;
  HistEvent event;
  ::history(history, &event, H_SETSIZE, static_cast<int>(history_lines_max));
  ::history(history, &event, H_SETUNIQUE, 1);
  el_set(editor, EL_CLIENTDATA, this);
  el_set(editor, EL_HIST, ::history, history);
  el_set(editor, EL_EDITOR, "emacs");
  el_set(editor, EL_PROMPT_ESC, &State::prompt, escape_mark);
  el_set(editor, EL_RPROMPT_ESC, &State::hint, escape_mark);
  el_set(editor, EL_ADDFN, "dhrt-complete", "Complete the word", &State::complete);
  el_set(editor, EL_ADDFN, "dhrt-space", "Insert a space", &State::space);
  bind("^R", "em-inc-search-prev");
  bind("\\e[3~", "ed-delete-next-char");
  bind("\\e[1;5C", "em-next-word");
  bind("\\e[1;5D", "ed-prev-word");
  el_source(editor, nullptr);  // ~/.editrc, if the user has one.
  bind("^I", "dhrt-complete");
  bind(" ", "dhrt-space");
}

LineEditor::LineEditor(EditorOptions options) : state_(std::make_unique<State>()) {
  state_->options = std::move(options);
  const std::string& prompt = state_->options.prompt;
  state_->shown_prompt = state_->options.colours ? coloured(prompt, "1;36") : prompt;
  state_->set_up();
}

LineEditor::~LineEditor() {
  if (state_->history != nullptr) history_end(state_->history);
  if (state_->editor != nullptr) el_end(state_->editor);
}

std::optional<std::string> LineEditor::read() {
  if (state_->editor == nullptr || state_->history == nullptr) return std::nullopt;
  el_resize(state_->editor);
  int count = 0;
  const char* line = el_gets(state_->editor, &count);
  if (interrupt_signal() == SIGINT) {
    forget_interrupt();
    std::fputs("^C\n", stdout);
    std::fflush(stdout);
    el_reset(state_->editor);
    return std::string();
  }
  if (line == nullptr || count <= 0 || interrupted()) return std::nullopt;
  std::string text(line, static_cast<std::size_t>(count));
  while (text.ends_with('\n') || text.ends_with('\r'))
    text.pop_back();
  return text;
}

void LineEditor::remember(const std::string& line) {
  HistEvent event;
  if (state_->history != nullptr) history(state_->history, &event, H_ENTER, line.c_str());
}

}  // namespace dhrt
