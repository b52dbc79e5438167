#include <doctest/doctest.h>

#include "tests/node/cli_fixture.h"
#include "tests/node/node_fixture.h"
#include "tests/node/temporary_folder.h"

namespace dhrt::test {
namespace {

// A node with keys of every kind, and the program beside it.
struct Place {
  TemporaryDirectory data;
  TemporaryFolder folder;
  RunningNode node{node_options(data.path())};
  Shell shell;

  Ran run(std::vector<std::string> words) const {
    words.insert(words.end(), {"--host", node.address()});
    return shell.run(words);
  }
  void fill(int keys) {
    std::string lines;
    for (int i = 0; i < keys; ++i)
      lines += "{\"collection\":\"many\",\"key\":\"k" + std::to_string(i) + "\",\"value\":\"v" +
               std::to_string(i) + "\"}\n";
    lines += R"({"collection":"few","key":"AP8=","value":"/w==","encoding":"base64"})"
             "\n"
             R"({"collection":"few","key":"mortal","value":"x","ttl":3600000,"type":"text/css"})"
             "\n";
    REQUIRE(run({"import", folder.write("in.ndjson", lines)}).code == exit_code::done);
  }
  // Everything, as export shows it, without the last line.
  std::string content() const {
    REQUIRE(run({"export", folder.file("content.ndjson")}).code == exit_code::done);
    const std::string text = folder.read("content.ndjson");
    std::filesystem::remove(folder.file("content.ndjson"));
    return text;
  }
};

// Deadlines are instants; the import turns them into lifetimes and back.
std::string without_deadline(std::string text) {
  const std::size_t at = text.find("\"deadline\":");
  REQUIRE(at != std::string::npos);
  text.erase(at, text.find(',', at) - at);
  return text.substr(0, text.rfind("{\"dhrt-export-end\""));
}

}  // namespace

TEST_CASE("export: a file can be imported into an empty node, which then exports the same") {
  for (const char* name : {"all.ndjson", "all.zst"}) {
    CAPTURE(name);
    Place from;
    from.fill(3000);
    const Ran ran = from.run({"export", from.folder.file(name), "--json"});
    CHECK(ran.code == exit_code::done);
    CHECK(ran.out.starts_with("{\"exported\":3002,"));

    Place to;
    const Ran back = to.run({"import", from.folder.file(name)});
    CHECK(back.code == exit_code::done);
    CHECK(back.error.starts_with("imported 3002 keys"));
    CHECK(without_deadline(from.content()) == without_deadline(to.content()));
    CHECK(contains(to.content(), "\"type\":\"text/css\""));
  }
}

TEST_CASE("export: what is there already is never written over") {
  Place place;
  const std::string file = place.folder.write("all.ndjson", "precious");
  const Ran ran = place.run({"export", file});
  CHECK(ran.code == exit_code::usage);
  CHECK(contains(ran.error, "is there already"));
  CHECK(place.folder.read("all.ndjson") == "precious");
}

TEST_CASE("export: one that was cut short goes on behind the last whole key") {
  Place place;
  place.fill(2500);
  const std::string whole = place.content();
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{10}, whole.size() / 3, whole.size() - 120, whole.size() - 70}) {
    CAPTURE(size);
    place.folder.write("cut.ndjson.partial", whole.substr(0, size));
    CHECK(place.run({"export", place.folder.file("cut.ndjson")}).code == exit_code::usage);
    const Ran ran = place.run({"export", place.folder.file("cut.ndjson"), "--resume"});
    CHECK(ran.code == exit_code::done);
    CHECK(place.folder.read("cut.ndjson") == whole);
    CHECK(!std::filesystem::exists(place.folder.file("cut.ndjson.partial")));
    std::filesystem::remove(place.folder.file("cut.ndjson"));
  }
}

TEST_CASE("export: wrong words and addresses leave no file behind") {
  const TemporaryFolder folder;
  const Shell shell;
  const Ran nobody = shell.run({"export", folder.file("a.zst"), "--host", "127.0.0.1:1"});
  CHECK(nobody.code == exit_code::cannot_connect);
  CHECK(!std::filesystem::exists(folder.file("a.zst.partial")));
  CHECK(shell.run({"export"}).code == exit_code::usage);
  CHECK(shell.run({"export", folder.file("a"), "--resume"}).code == exit_code::usage);
  Place place;
  const Ran missing = place.run({"export", folder.file("a"), "--collection", "nowhere"});
  CHECK(missing.code == exit_code::usage);
  CHECK(contains(missing.error, "no collection 'nowhere'"));
  CHECK(!std::filesystem::exists(folder.file("a.partial")));
}

TEST_CASE("import: the same file a second time changes nothing") {
  Place from;
  from.fill(3000);
  const std::string file = from.folder.write("all.ndjson", from.content());
  Place to;
  std::string once;
  for (int round = 0; round < 2; ++round) {
    const Ran ran = to.run({"import", file, "--json"});
    CHECK(ran.code == exit_code::done);
    CHECK(ran.out.starts_with("{\"imported\":3002,\"errors\":0,\"expired\":0,"));
    TestClient client(to.node.port());
    CHECK(client.line("count many") == ":3000\r\n");
    CHECK(client.line("count few") == ":2\r\n");
    CHECK(client.bulk("get many k1234") == "v1234");
    CHECK(contains(client.bulk("stats"), "\"keys\":3002,"));
    CHECK(contains(client.bulk("stats"), "\"tombstones\":0,"));
    const std::string content = without_deadline(to.content());
    if (round == 1) CHECK(content == once);
    once = content;
  }
  CHECK(once == without_deadline(from.content()));
}

TEST_CASE("import: an export that lost lines or was changed is noticed") {
  Place place;
  place.fill(20);
  const std::string whole = place.content();
  const std::string headless = whole.substr(0, whole.rfind("{\"dhrt-export-end\""));
  const Ran cut = place.run({"import", place.folder.write("cut.ndjson", headless)});
  CHECK(cut.code == exit_code::server_error);
  CHECK(contains(cut.error, "keys are missing"));
  std::string changed = whole;
  changed.replace(changed.find("\"v7\""), 4, "\"v8\"");
  const Ran other = place.run({"import", place.folder.write("changed.ndjson", changed)});
  CHECK(other.code == exit_code::server_error);
  CHECK(contains(other.error, "checksum"));
}

}  // namespace dhrt::test
