#include "node/cluster_keys.h"

#include <filesystem>
#include <fstream>
#include <sys/stat.h>

#include <doctest/doctest.h>

#include "tests/node/temporary_folder.h"

namespace dhrt {

using test::TemporaryFolder;
using namespace std::string_literals;

namespace {

const std::string first_key(64, 'a');
const std::string second_key(32, 'b');

std::string bytes_of(const std::string& hex) {
  std::string out;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    out += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return out;
}

class KeyFolder {
 public:
  std::string write(const std::string& name, const std::string& text) {
    const std::string path = folder_.file(name);
    std::ofstream(path, std::ios::binary) << text;
    ::chmod(path.c_str(), 0600);
    return path;
  }

 private:
  TemporaryFolder folder_;
};

// How many keys files with these texts hold; an error is below 0.
int count(const std::vector<std::string>& texts) {
  KeyFolder folder;
  std::vector<std::string> files;
  for (const std::string& text : texts)
    files.push_back(folder.write("key" + std::to_string(files.size()), text));
  const auto keys = ClusterKeys::load(files);
  return keys ? static_cast<int>(keys->all().size()) : -1;
}

std::string error(const std::string& text) {
  KeyFolder folder;
  const auto keys = ClusterKeys::load({folder.write("key", text)});
  REQUIRE_FALSE(keys);
  CHECK(keys.error().code == ErrorCode::invalid_argument);
  CHECK(keys.error().message.find("--cluster-key-file") != std::string::npos);
  // What is wrong with a key is said without the key.
  CHECK(keys.error().message.find("secret") == std::string::npos);
  return keys.error().message;
}

}  // namespace

TEST_CASE("cluster keys: a file has one in a line, or two in two; or it is one") {
  CHECK(count({}) == 0);
  CHECK(count({first_key}) == 1);
  CHECK(count({first_key + "\n"}) == 1);
  CHECK(count({"# of the test\r\n\n  " + first_key + " \r\n"}) == 1);
  CHECK(count({first_key + "\n" + second_key + "\n"}) == 2);
  CHECK(count({first_key, second_key}) == 2);
  CHECK(count({"\x01\x02 no text \n " + first_key + "\n"}) == 1);
  CHECK(count({std::string(32, '\xff')}) == 1);
}

TEST_CASE("cluster keys: the first in the first file is shown to peers") {
  KeyFolder folder;
  const auto keys = ClusterKeys::load(
      {folder.write("one", second_key + "\n"), folder.write("two", first_key + "\n")});
  REQUIRE(keys);
  CHECK(keys->first()->same_as(ClusterKey(second_key)));
  CHECK(keys->have(ClusterKey(first_key)));
  CHECK_FALSE(keys->have(ClusterKey(std::string(32, 'c'))));
  CHECK(keys->names() == ClusterKey(second_key).name() + "," + ClusterKey(first_key).name());
}

TEST_CASE("cluster keys: what is no key is refused, and what to do is said") {
  CHECK(error("secret-of-31-bytes-is-too-short").find("32 to 1024") != std::string::npos);
  CHECK(error("secret" + std::string(1019, 'x')).find("1025 bytes") != std::string::npos);
  CHECK(error("").find("there is no key in it") != std::string::npos);
  CHECK(error("# secret\n\n").find("openssl rand -hex 32") != std::string::npos);
  CHECK(error(first_key + "\n" + first_key).find("twice") != std::string::npos);
  CHECK(error(first_key + "\n" + second_key + "\n" + std::string(32, 'c')).find("third") !=
        std::string::npos);
  CHECK(count({first_key, first_key}) == -1);
  CHECK_FALSE(ClusterKeys::load({"/nonexistent/key"}));
  CHECK_FALSE(ClusterKeys::load({"/dev/zero"}));
  CHECK_FALSE(ClusterKeys::load({"/tmp"}));
}

TEST_CASE("cluster keys: a file that others may read is named") {
  KeyFolder folder;
  const std::string path = folder.write("key", first_key);
  CHECK(ClusterKeys::load({path})->exposed_files().empty());
  ::chmod(path.c_str(), 0640);
  CHECK(ClusterKeys::load({path})->exposed_files().empty());
  ::chmod(path.c_str(), 0644);
  CHECK(ClusterKeys::load({path})->exposed_files() == std::vector<std::string>{path});
}

TEST_CASE("cluster keys: files are read again, and hold no worse than they did") {
  KeyFolder folder;
  const std::string path = folder.write("key", first_key);
  auto keys = ClusterKeys::load({path});
  REQUIRE(keys);
  const ClusterKeys::Key before = keys->first();
  folder.write("key", second_key + "\n" + first_key);
  REQUIRE(keys->read_again());
  CHECK(keys->first()->same_as(ClusterKey(second_key)));
  CHECK(keys->have(*before));
  folder.write("key", "short");
  CHECK_FALSE(keys->read_again());
  std::filesystem::remove(path);
  CHECK_FALSE(keys->read_again());
  CHECK(keys->all().size() == 2);
  CHECK(keys->first()->same_as(ClusterKey(second_key)));
  folder.write("key", second_key);
  REQUIRE(keys->read_again());
  CHECK_FALSE(keys->have(*before));
}

TEST_CASE("cluster keys: proofs are HMAC-SHA-256") {
  const ClusterKey key("Jefe"s);
  // printf 'label\0what do ya want for nothing?' | openssl dgst -sha256 -hmac Jefe
  CHECK(key.hmac("a", "b") != key.hmac("ab", ""));
  CHECK(key.hmac("a", "b") != ClusterKey("jefe"s).hmac("a", "b"));
  CHECK(key.hmac("label", "what do ya want for nothing?") ==
        bytes_of("e864b67e2ded97fec141f0b8fbd65f9f9bea3aa0b6aca36db11ace8afecca98c"));
}

TEST_CASE("cluster keys: keys of links are made by HKDF (RFC 5869, appendix A.1)") {
  const ClusterKey key(std::string(22, '\x0b'));
  CHECK(key.derive(bytes_of("000102030405060708090a0b0c"), bytes_of("f0f1f2f3f4f5f6f7f8f9"), 42) ==
        bytes_of("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887"
                 "185865"));
}

TEST_CASE("cluster keys: a seal is AES-256-GMAC, by the number of the frame") {
  const auto seal = make_frame_seal(std::string(32, '\0'));
  const auto mac = [&](std::uint64_t sequence, Bytes frame) {
    const FrameSeal::Mac bytes = seal->mac(sequence, frame);
    return std::string(bytes.data(), bytes.size());
  };
  // Test case 13 of "The Galois/Counter Mode of Operation" (McGrew, Viega): all is zero.
  CHECK(mac(0, "") == bytes_of("530f8afbc74536b9a963b4f1c4cb738b"));
  CHECK(mac(1, "frame") == mac(1, "frame"));
  CHECK(mac(1, "frame") != mac(2, "frame"));
  CHECK(mac(1, "frame") != mac(std::uint64_t{1} << 56, "frame"));
  CHECK(mac(1, "frame") != mac(1, "frames"));
  const std::string large(3 << 20, 'x');
  CHECK(seal->matches(7, large, mac(7, large)));
  CHECK_FALSE(seal->matches(8, large, mac(7, large)));
  CHECK_FALSE(seal->matches(7, large, mac(7, large).substr(1)));
  const auto other = make_frame_seal(std::string(31, '\0') + '\1');
  CHECK_FALSE(other->matches(7, large, mac(7, large)));
}

TEST_CASE("cluster keys: a name tells keys apart") {
  CHECK(ClusterKey(first_key).name() == ClusterKey(first_key).name());
  CHECK(ClusterKey(first_key).name() != ClusterKey(second_key).name());
  CHECK(ClusterKey(first_key).name().size() == 8);
}

TEST_CASE("cluster keys: nobody foresees the bytes of a link") {
  const auto one = unforeseen_bytes(32);
  const auto other = unforeseen_bytes(32);
  REQUIRE(one);
  REQUIRE(other);
  CHECK(one->size() == 32);
  CHECK(*one != *other);
}

}  // namespace dhrt
