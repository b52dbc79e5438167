// The rules of the source tree, as tests: who may include whom, what a test must not do, where a
// clock or a random device may be read, how long a file may be.
//
// Each rule is a function from one file to what is wrong with it, proven on a bad and on a good
// example. The last test applies every rule to every file of the tree.
#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

namespace {

using Findings = std::vector<std::string>;

struct File {
  std::string path;  // From the root of the tree, with '/'.
  std::string text;
};

using Words = std::initializer_list<std::string_view>;

bool starts_with_any(std::string_view text, Words prefixes) {
  return std::ranges::any_of(prefixes, [&](auto prefix) { return text.starts_with(prefix); });
}

bool ends_with_any(std::string_view text, Words suffixes) {
  return std::ranges::any_of(suffixes, [&](auto suffix) { return text.ends_with(suffix); });
}

bool is_any(std::string_view text, Words words) {
  return std::ranges::find(words, text) != words.end();
}

bool is_cpp(std::string_view path) {
  return ends_with_any(path, {".cc", ".h"});
}

bool in_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);)
    lines.push_back(line);
  return lines;
}

// Identifiers, keywords and numbers, in their order.
std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  for (std::size_t i = 0; i < text.size();) {
    std::size_t end = i;
    while (end < text.size() && in_word(text[end]))
      ++end;
    if (end > i) words.emplace_back(text.substr(i, end - i));
    i = std::max(end, i + 1);
  }
  return words;
}

// The end of the literal that opens at `begin` with a quote: behind its closing quote.
std::size_t literal_end(std::string_view text, std::size_t begin) {
  const char quote = text[begin];
  std::size_t i = begin + 1;
  while (i < text.size() && text[i] != quote && text[i] != '\n')
    i += text[i] == '\\' ? 2 : 1;
  return std::min(i + 1, text.size());
}

// The same for a raw literal, whose `R` is at `begin`.
std::size_t raw_literal_end(std::string_view text, std::size_t begin) {
  const std::size_t open = text.find('(', begin);
  if (open == std::string_view::npos) return text.size();
  const std::string close = ")" + std::string(text.substr(begin + 2, open - begin - 2)) + "\"";
  const std::size_t end = text.find(close, open);
  return end == std::string_view::npos ? text.size() : end + close.size();
}

// Where the comment or literal at `i` ends; `i` itself when there is none.
std::size_t skipped_until(std::string_view text, std::size_t i) {
  const std::string_view rest = text.substr(i);
  const bool behind_word = i > 0 && in_word(text[i - 1]);
  if (rest.starts_with("//")) return std::min(text.find('\n', i), text.size());
  if (rest.starts_with("/*")) return std::min(text.find("*/", i), text.size() - 2) + 2;
  if (rest.starts_with("R\"") && !behind_word) return raw_literal_end(text, i);
  if (rest.starts_with('"')) return literal_end(text, i);
  if (rest.starts_with('\'') && !behind_word) return literal_end(text, i);  // Not 10'000.
  return i;
}

// C++ without its comments, strings and characters, so that words are those of the program.
std::string code_of(std::string_view text) {
  std::string code;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t end = skipped_until(text, i);
    code += end > i ? ' ' : text[i];
    i = std::max(end, i + 1);
  }
  return code;
}

bool has_word(const std::vector<std::string>& words, Words wanted) {
  return std::ranges::any_of(words, [&](const auto& word) { return is_any(word, wanted); });
}

struct Include {
  std::string name;
  bool system;  // <...>
};

std::vector<Include> includes_of(const std::string& text) {
  std::vector<Include> includes;
  for (const std::string& line : lines_of(text)) {
    const std::size_t open = line.find_first_of("<\"");
    if (!line.starts_with("#include") || open == std::string::npos) continue;
    const bool system = line[open] == '<';
    const std::size_t close = line.find(system ? '>' : '"', open + 1);
    includes.push_back({line.substr(open + 1, close - open - 1), system});
  }
  return includes;
}

// The standard library's headers are the ones without a dot: <vector>, <cstdint>.
bool is_std(std::string_view name) {
  return name.find('.') == std::string_view::npos;
}

bool is_posix(std::string_view name) {
  return starts_with_any(name, {"sys/", "linux/"}) ||
         is_any(name, {"unistd.h", "fcntl.h", "errno.h", "pthread.h", "dirent.h"});
}

// --- Layers: dependencies go one way, and each library enters through one door.

bool base_may_include(std::string_view path, const Include& include) {
  if (!include.system) return include.name.starts_with("storage/base/");
  return is_std(include.name) || include.name == "tl/expected.hpp" ||
         (include.name == "xxhash.h" && path == "storage/base/hash.cc");
}

bool storage_may_include(std::string_view path, const Include& include) {
  if (!include.system) return include.name.starts_with("storage/");
  return is_std(include.name) || is_posix(include.name) ||
         (include.name == "lmdb.h" && path.starts_with("storage/lmdb_") && path.ends_with(".cc"));
}

bool cluster_may_include(const Include& include) {
  if (include.system) return is_std(include.name);
  return starts_with_any(include.name, {"storage/base/", "cluster/"}) ||
         is_any(include.name, {"storage/record.h", "storage/record_batch.h", "storage/context.h",
                               "storage/counter.h"});
}

bool protocol_may_include(std::string_view path, const Include& include) {
  if (!include.system) {
    return starts_with_any(include.name, {"storage/base/", "protocol/"}) ||
           is_any(include.name, {"storage/record.h", "storage/record_codec.h", "storage/context.h",
                                 "cluster/message.h", "cluster/member.h"});
  }
  return is_std(include.name) ||
         (include.name.starts_with("rapidjson/") && path == "protocol/json.cc") ||
         (include.name == "llhttp.h" && path.starts_with("protocol/http") && path.ends_with(".cc"));
}

bool node_may_include(std::string_view path, const Include& include) {
  return !include.name.starts_with("openssl/") ||
         (path.starts_with("node/tls_") && path.ends_with(".cc")) || path == "node/cluster_keys.cc";
}

bool may_include(std::string_view path, const Include& include) {
  if (path.starts_with("storage/base/")) return base_may_include(path, include);
  if (path.starts_with("storage/")) return storage_may_include(path, include);
  if (path.starts_with("cluster/")) return cluster_may_include(include);
  if (path.starts_with("protocol/")) return protocol_may_include(path, include);
  if (path.starts_with("node/")) return node_may_include(path, include);
  return true;  // tests/ stand above everything.
}

Findings layering(const File& file) {
  Findings findings;
  if (!is_cpp(file.path)) return findings;
  for (const Include& include : includes_of(file.text)) {
    if (may_include(file.path, include)) continue;
    findings.push_back("includes " + include.name + ", which its folder must not know");
  }
  return findings;
}

// --- Language.

Findings using_namespace_in_header(const File& file) {
  if (!file.path.ends_with(".h")) return {};
  const auto words = words_of(code_of(file.text));
  const std::array<std::string_view, 2> banned = {"using", "namespace"};
  const bool found =
      std::search(words.begin(), words.end(), banned.begin(), banned.end()) != words.end();
  if (!found) return {};
  return {"opens a namespace for everyone who includes it; write the names in full"};
}

// The core must give the same transcript for the same seed, on one thread.
Findings pure_core(const File& file) {
  if (!file.path.starts_with("cluster/") || !is_cpp(file.path)) return {};
  Findings findings;
  for (const std::string& word : words_of(code_of(file.text))) {
    const bool impure =
        word.starts_with("unordered_") ||
        is_any(word, {"thread", "jthread", "mutex", "shared_mutex", "atomic", "condition_variable",
                      "future", "cout", "cerr", "clog", "printf", "fprintf", "puts", "spdlog"});
    if (impure) findings.push_back("uses " + word + "; the core is deterministic and silent");
  }
  return findings;
}

bool may_read_clock_or_device(std::string_view path) {
  return starts_with_any(path, {"node/", "tests/bench/", "tests/nemesis/"}) ||
         is_any(path, {"storage/base/system_clock.cc", "storage/base/random_seed.cc"});
}

Findings clock_or_random_device(const File& file) {
  if (!is_cpp(file.path) || may_read_clock_or_device(file.path)) return {};
  Findings findings;
  for (const std::string& word : words_of(code_of(file.text))) {
    if (is_any(word, {"steady_clock", "system_clock", "high_resolution_clock", "clock_gettime",
                      "gettimeofday", "random_device", "getrandom", "getentropy", "arc4random",
                      "srand", "rand", "uv_hrtime", "uv_now"})) {
      findings.push_back("reads " + word + "; take the time or a Random as an argument");
    }
  }
  return findings;
}

// --- Tests.

bool cpp_sleeps(const File& file) {
  return is_cpp(file.path) &&
         has_word(words_of(code_of(file.text)),
                  {"sleep", "sleep_for", "sleep_until", "usleep", "nanosleep", "uv_sleep"});
}

// The one place that may: a function run_for or wait_until of the harness for real processes.
bool python_sleeps(const File& file) {
  const bool harness =
      file.path.starts_with("tests/nemesis/") && file.path.find("harness") != std::string::npos;
  std::string function;
  for (const std::string& line : lines_of(file.text)) {
    const auto words = words_of(std::string_view(line).substr(0, line.find('#')));
    if (words.size() > 1 && words[0] == "def") function = words[1];
    const bool allowed = harness && is_any(function, {"run_for", "wait_until"});
    if (has_word(words, {"sleep"}) && !allowed) return true;
  }
  return false;
}

Findings sleep_in_test(const File& file) {
  if (!file.path.starts_with("tests/")) return {};
  if (!cpp_sleeps(file) && !(file.path.ends_with(".py") && python_sleeps(file))) return {};
  return {"sleeps; move the clock by hand, or wait for what should happen"};
}

// --- The house.

Findings too_long(const File& file) {
  const std::size_t lines_max = 600;
  const std::size_t lines = lines_of(file.text).size();
  if (lines <= lines_max) return {};
  return {"has " + std::to_string(lines) + " lines, more than 600; split it by capability"};
}

Findings leftover(const File& file) {
  for (const std::string& word : words_of(file.text)) {
    if (is_any(word, {"TO"
                      "DO",
                      "FIX"
                      "ME",
                      "X"
                      "XX"})) {
      return {"says " + word + "; do it now or open an issue"};
    }
  }
  return {};
}

// `build` and `data` are made by use and ignored by git.
bool belongs_to_house(std::string_view entry) {
  return entry.starts_with('.') ||
         is_any(entry,
                {"CMakeLists.txt", "CMakePresets.json", "README.md", "docker-compose.yml", "node",
                 "cluster", "storage", "protocol", "tests", "deploy", "build", "data"});
}

using Rule = Findings (*)(const File&);

constexpr std::array<Rule, 7> rules = {
    layering, using_namespace_in_header, pure_core, clock_or_random_device, sleep_in_test, too_long,
    leftover};

// Sources and scripts; corpora, keys and recorded bytes are not ours to judge.
bool is_source(const std::filesystem::path& path) {
  return !path.has_extension() ||
         is_any(path.extension().string(), {".cc", ".h", ".py", ".sh", ".md", ".txt", ".yml"});
}

bool is_skipped(std::string_view path) {
  return path.find("/corpus/") != std::string_view::npos ||
         path.find("/__pycache__/") != std::string_view::npos ||
         path.find("/node_modules/") != std::string_view::npos;
}

std::string read(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

std::vector<File> source_tree() {
  const std::filesystem::path root = DHRT_SOURCE_ROOT;
  std::vector<File> files;
  for (const char* folder : {"storage", "cluster", "protocol", "node", "tests", "deploy"}) {
    if (!std::filesystem::exists(root / folder)) continue;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root / folder)) {
      const std::string path = entry.path().lexically_relative(root).generic_string();
      if (!entry.is_regular_file() || !is_source(entry.path()) || is_skipped(path)) continue;
      files.push_back({path, read(entry.path())});
    }
  }
  return files;
}

struct Case {
  const char* why;
  const char* path;
  const char* text;
  bool fires;
};

void check_rule(Rule rule, std::initializer_list<Case> cases) {
  for (const Case& c : cases) {
    CAPTURE(c.why);
    CAPTURE(c.path);
    CHECK(rule({c.path, c.text}).empty() == !c.fires);
  }
}

}  // namespace

TEST_CASE("layering: an include that breaks the table is found") {
  check_rule(
      layering,
      {
          {"base knows the standard library", "storage/base/a.h", "#include <vector>\n", false},
          {"base knows no system", "storage/base/a.cc", "#include <unistd.h>\n", true},
          {"base knows base", "storage/base/a.h", "#include \"storage/base/b.h\"\n", false},
          {"base knows nothing above", "storage/base/a.h", "#include \"storage/record.h\"\n", true},
          {"base wraps tl::expected", "storage/base/a.h", "#include <tl/expected.hpp>\n", false},
          {"the hash has one door", "storage/base/hash.cc", "#include <xxhash.h>\n", false},
          {"only one", "storage/base/codec.cc", "#include <xxhash.h>\n", true},
          {"the engine writes files", "storage/log.cc", "#include <sys/mman.h>\n", false},
          {"LMDB enters here", "storage/lmdb_env.cc", "#include <lmdb.h>\n", false},
          {"LMDB shows in no header", "storage/lmdb_env.h", "#include <lmdb.h>\n", true},
          {"LMDB enters nowhere else", "storage/catalog.cc", "#include <lmdb.h>\n", true},
          {"storage is the bottom", "storage/a.cc", "#include \"cluster/member.h\"\n", true},
          {"the core speaks of records", "cluster/a.h", "#include \"storage/record.h\"\n", false},
          {"and of numbers", "cluster/a.cc", "#include \"storage/counter.h\"\n", false},
          {"the core reads no store", "cluster/a.h", "#include \"storage/store.h\"\n", true},
          {"the core has no dialect", "cluster/a.cc", "#include \"protocol/text.h\"\n", true},
          {"the core has no library", "cluster/a.cc", "#include <fmt/core.h>\n", true},
          {"peers speak messages", "protocol/p.h", "#include \"cluster/message.h\"\n", false},
          {"parsers know no core", "protocol/p.h", "#include \"cluster/core.h\"\n", true},
          {"JSON has one door", "protocol/json.cc", "#include <rapidjson/reader.h>\n", false},
          {"only one", "protocol/text.cc", "#include <rapidjson/reader.h>\n", true},
          {"HTTP has its files", "protocol/http_parser.cc", "#include <llhttp.h>\n", false},
          {"not in a header", "protocol/http.h", "#include <llhttp.h>\n", true},
          {"TLS has its files", "node/tls_stream.cc", "#include <openssl/ssl.h>\n", false},
          {"keys have theirs", "node/cluster_keys.cc", "#include <openssl/hmac.h>\n", false},
          {"OpenSSL enters nowhere else", "node/access.cc", "#include <openssl/rand.h>\n", true},
          {"parsers do no I/O", "protocol/text.cc", "#include <uv.h>\n", true},
          {"parsers know no node", "protocol/text.cc", "#include \"node/session.h\"\n", true},
          {"node knows everything", "node/a.cc", "#include <uv.h>\n#include \"storage/a.h\"\n",
           false},
          {"tests know everything", "tests/node/a_test.cc", "#include <uv.h>\n", false},
          {"a comment includes nothing", "cluster/a.cc", "// #include <uv.h>\n", false},
      });
}

TEST_CASE("headers: a namespace is never opened for the includer") {
  check_rule(using_namespace_in_header,
             {
                 {"the mistake", "node/a.h", "using namespace std;\n", true},
                 {"over two lines", "node/a.h", "using\n  namespace std;\n", true},
                 {"a source file is its own affair", "node/a.cc", "using namespace std;\n", false},
                 {"one name", "node/a.h", "using Bytes = std::string_view;\n", false},
                 {"a comment", "node/a.h", "// No using namespace here.\n", false},
             });
}

TEST_CASE("cluster: no thread, lock, unordered container or log line") {
  check_rule(pure_core,
             {
                 {"an order that varies", "cluster/a.h", "std::unordered_map<int, int> m;\n", true},
                 {"a lock", "cluster/a.cc", "std::mutex mutex;\n", true},
                 {"a thread", "cluster/a.cc", "std::thread worker;\n", true},
                 {"a log line", "cluster/a.cc", "std::cerr << 1;\n", true},
                 {"another", "cluster/a.cc", "std::printf(\"x\");\n", true},
                 {"an ordered container", "cluster/a.h", "std::map<int, int> m;\n", false},
                 {"a comment", "cluster/a.h", "// Threads: loop thread only.\n", false},
                 {"a word in a text", "cluster/a.cc", "fail(\"a thread died\");\n", false},
                 {"above the core it is fine", "node/a.cc", "std::thread worker;\n", false},
             });
}

TEST_CASE("time and chance: read only where the process meets the machine") {
  const char* const clock = "auto now = std::chrono::steady_clock::now();\n";
  const char* const device = "std::random_device device;\n";
  check_rule(
      clock_or_random_device,
      {
          {"the core is told the time", "cluster/a.cc", clock, true},
          {"so is a test", "tests/cluster/a_test.cc", clock, true},
          {"and the store", "storage/log.cc", clock, true},
          {"node reads it", "node/a.cc", clock, false},
          {"through here", "storage/base/system_clock.cc", clock, false},
          {"a benchmark measures", "tests/bench/a.cc", clock, false},
          {"a seed comes in", "cluster/a.cc", device, true},
          {"from here", "storage/base/random_seed.cc", device, false},
          {"C has one, too", "storage/a.cc", "int r = rand();\n", true},
          {"our own header", "node/a.h", "#include \"storage/base/system_clock.h\"\n", false},
          {"its header name is no reading", "storage/writer.cc",
           "#include \"storage/base/system_clock.h\"\n", false},
      });
}

TEST_CASE("tests: none sleeps, but one function of the process harness") {
  const char* const nap = "def run_for(seconds):\n    time.sleep(seconds)\n";
  check_rule(sleep_in_test,
             {
                 {"C++", "tests/node/a_test.cc", "std::this_thread::sleep_for(1s);\n", true},
                 {"C", "tests/node/a_test.cc", "usleep(10);\n", true},
                 {"Python", "tests/conformance/a.py", "time.sleep(1)\n", true},
                 {"Python, the wrong file", "tests/nemesis/a_test.py", nap, true},
                 {"Python, the wrong function", "tests/nemesis/harness.py",
                  "def start():\n    time.sleep(1)\n", true},
                 {"the one place", "tests/nemesis/harness.py", nap, false},
                 {"a comment", "tests/conformance/a.py", "pass  # no sleep needed\n", false},
                 {"a word in a text", "tests/node/a_test.cc", "run(\"DEBUG sleep_for\");\n", false},
                 {"outside the tests", "node/a.cc", "usleep(10);\n", false},
             });
}

TEST_CASE("files: at most 600 lines, and nothing is left for later") {
  const std::string line = "int x;\n";
  std::string longest;
  for (int i = 0; i < 600; ++i)
    longest += line;
  CHECK(too_long({"node/a.cc", longest}).empty());
  CHECK_FALSE(too_long({"node/a.cc", longest + line}).empty());

  check_rule(leftover, {
                           {"a note to self", "node/a.cc",
                            "// TO"
                            "DO: later\n",
                            true},
                           {"another", "deploy/up",
                            "# FIX"
                            "ME\n",
                            true},
                           {"a third", "tests/run",
                            "# X"
                            "XX\n",
                            true},
                           {"part of a longer word", "deploy/up", "mktemp a.XXXXXX\n", false},
                       });
}

TEST_CASE("house: only the agreed entries stand at the top") {
  for (const char* entry : {"storage", "README.md", "CMakeLists.txt", ".clang-format", "build"}) {
    CAPTURE(entry);
    CHECK(belongs_to_house(entry));
  }
  for (const char* entry : {"src", "include", "main.cc", "scripts", "third_party"}) {
    CAPTURE(entry);
    CHECK_FALSE(belongs_to_house(entry));
  }
}

TEST_CASE("code: comments and literals are not words of the program") {
  struct Example {
    const char* why;
    const char* text;
    const char* words;
  };
  for (const Example& c : {
           Example{"a line comment", "a // b\nc", "a c "},
           Example{"a block comment", "a /* b\nb */ c", "a c "},
           Example{"a string", "a(\"b \\\" b\", c)", "a c "},
           Example{"a raw string", "a(R\"x(b \" b)x\", c)", "a c "},
           Example{"a character", "a('\"', c)", "a c "},
           Example{"a digit separator", "a = 10'000; c", "a 10 000 c "},
           Example{"a comment that never ends", "a /* b", "a "},
       }) {
    CAPTURE(c.why);
    std::string words;
    for (const auto& word : words_of(code_of(c.text)))
      words += word + " ";
    CHECK(words == c.words);
  }
}

TEST_CASE("tree: every file obeys every rule") {
  const auto files = source_tree();
  CHECK(files.size() > 20);  // A wrong root would find nothing wrong.
  for (const File& file : files) {
    for (const Rule rule : rules) {
      for (const std::string& finding : rule(file))
        FAIL_CHECK(file.path << ": " << finding);
    }
  }
}

TEST_CASE("tree: the top has only the agreed entries") {
  for (const auto& entry : std::filesystem::directory_iterator(DHRT_SOURCE_ROOT)) {
    const std::string name = entry.path().filename().string();
    CHECK_MESSAGE(belongs_to_house(name), name << " belongs into one of the folders");
  }
}
