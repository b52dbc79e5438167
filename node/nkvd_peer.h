// One node of nkvd, as a node of dhrt sees it: whether it answers, and what it has not got yet.
//
// Intuition: what is kept is not writes but keys that changed. When a key's turn comes, what is
// held of it now is sent, so that a thousand writes of one key may be one request, and the last
// thing that is sent is what dhrt holds. Where keys were missed - the node was down, too many
// changed at once, another node of dhrt did this before - the whole of both sides is compared
// (resynchronise): its /getAll with our records. Nothing is sent that is equal already.
//
// A record marked attribute_not_for_nkvd is never sent.
//
// Bounds: queued_max keys; the answer of /getAll; slices of work per call. Errors: none; whatever
// the other side does is at worst "down", told once. Threads: loop thread only.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <unordered_set>

#include "node/database.h"
#include "node/http_client.h"
#include "node/nkvd_names.h"

namespace dhrt {

class NkvdPeer {
 public:
  static constexpr Duration ping_interval{1500};    // As nkvd does.
  static constexpr Duration request_timeout{1000};  // The same.
  // What it refused or did not answer is compared so much later.
  static constexpr Duration compare_again_after{60'000};
  static constexpr Duration copy_timeout{30'000};       // Of /getAll.
  static constexpr Duration stranger_interval{15'000};  // For what does not answer as nkvd does.
  static constexpr std::size_t queued_max = 4096;
  static constexpr std::size_t copy_bytes_max = std::size_t{64} << 20;
  static constexpr std::size_t answer_bytes_max = std::size_t{64} << 10;
  static constexpr unsigned failures_max = 3;

  enum class Kind { unknown, nkvd, dhrt };
  struct Parts {
    EventLoop& loop;
    Database& database;
    NodeFigures& figures;
    Dial::Reach reach;
  };
  struct Hooks {
    std::function<std::string()> ping_target;                  // What it is pinged with.
    std::function<void(const std::vector<Address>&)> learned;  // Names in its answer.
    std::function<void()> more;                                // Call work() again soon.
    std::function<void(Bytes why)> refused;                    // A write that nkvd cannot take.
  };
  // What the parts name outlives it.
  NkvdPeer(const Parts& parts, Address address, Hooks hooks);

  const Address& address() const { return address_; }
  Kind kind() const { return kind_; }
  bool is_up() const { return up_; }
  bool was_asked() const { return was_asked_; }
  const std::string& local_host() const { return client_.local_host(); }
  // Its data was taken in, here or by another node.
  bool copied() const { return copied_; }
  void set_copied() { copied_ = true; }
  // When it was named, or answered, last.
  Time alive() const { return alive_; }
  void named(Time now) { alive_ = now; }

  // Whether this node forwards to it; who begins compares everything first.
  void forward(bool forwards);
  void changed(Bytes key);
  // Everything was deleted.
  void cleared();
  // Does what is due. To be called now and then.
  void work(Time now);

 private:
  enum class Resync { none, fetch, compare, scan };
  struct Held {
    bool known = false;  // There is a record, or a tombstone.
    bool visible = false;
    bool marked = false;  // Not for nkvd.
    bool damaged = false;
    WallMilliseconds written = 0;  // Or deleted.
    std::string value;
  };
  bool serves() const { return kind_ == Kind::nkvd && up_ && forwards_; }
  Held held(Bytes key);
  void probe(Time now);
  void identified(const Result<http::Answer>& result);
  void pinged(const Result<http::Answer>& result);
  void failed(const Error& error);
  void go_up();
  void go_down(const std::string& reason);
  void resynchronise();
  // Not everything that changed could be sent: once the rest is, everything is compared.
  void compare_from(Time when);
  void end_resync();
  void fetch();
  void fetched(Result<http::Answer> result);
  void compare_some();
  void compare(const std::string& key, const std::string& value);
  void copy(const std::string& key, const std::string& value);
  void scan_some();
  bool send_some();
  bool send(const std::string& key);
  void sent(const std::string& key, const Result<http::Answer>& result);
  void clear();
  void get(std::string target, std::function<void(Result<http::Answer>)> done);

  const Parts parts_;
  const Address address_;
  const Hooks hooks_;
  HttpClient client_;
  Kind kind_ = Kind::unknown;
  bool up_ = false;
  bool forwards_ = false;
  bool was_asked_ = false;
  bool copied_ = false;
  bool copy_failed_ = false;  // Of this comparison; told once.
  Time alive_{};
  Time next_probe_{};
  unsigned ping_failures_ = 0;
  unsigned write_failures_ = 0;  // Of the key whose turn it is.

  std::deque<std::string> queue_;
  std::unordered_set<std::string> queued_;
  bool clear_first_ = false;
  Resync resync_ = Resync::none;
  std::optional<Time> compare_at_;            // When to begin one anew.
  WallMilliseconds fetched_at_ = 0;           // The list was asked for then.
  std::string copy_;                          // The list that is being compared,
  std::size_t compared_ = 0;                  // up to here.
  std::unordered_set<std::uint64_t> theirs_;  // Hashes of the keys in it.
  std::string scan_from_;
};

}  // namespace dhrt
