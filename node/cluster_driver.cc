#include "node/cluster_driver.h"

#include <algorithm>
#include <utility>

#include "node/log.h"
#include "protocol/peer_codec.h"
#include "storage/base/system_clock.h"

namespace dhrt {

namespace {

// A closed link may take this long to send what was queued, the reason of a refusal for one.
constexpr Duration finish_timeout{1000};
constexpr Duration malformed_log_interval{1000};
constexpr std::size_t calls_max = 4096;

bool is_anti_entropy(MessageType type) {
  switch (type) {
    case MessageType::resynced:
    case MessageType::pull:
    case MessageType::pull_reply:
    case MessageType::audit:
    case MessageType::audit_reply:
    case MessageType::fetch:
    case MessageType::fetch_reply:
    case MessageType::summary:
    case MessageType::summary_reply:
    case MessageType::mend:
    case MessageType::mended:
    case MessageType::compared:
    case MessageType::report:
      return true;
    default:
      return false;
  }
}

// What the node would not do if live writes always arrived. A tick is for other things, too.
bool is_anti_entropy(const Input& input) {
  if (const auto* message = std::get_if<MessageIn>(&input))
    return is_anti_entropy(type_of(message->message));
  return std::holds_alternative<Tick>(input) || std::holds_alternative<Applied>(input) ||
         std::holds_alternative<Walked>(input) || std::holds_alternative<Ranged>(input);
}

}  // namespace

ClusterDriver::ClusterDriver(EventLoop& loop, Core& core, StoreDriver& store, NodeFigures& figures,
                             const Options& options, Hooks hooks)
    : loop_(loop),
      core_(core),
      store_(store),
      figures_(figures),
      options_(options),
      hooks_(std::move(hooks)),
      refused_(figures),
      pacer_(loop, figures, options.join_delay_max,
             {.pass = [this](MessageIn request) { input(std::move(request)); },
              .requests = hooks_.requests}) {}

void ClusterDriver::announce() {
  std::vector<Input> inputs;
  store_.announce(inputs);
  for (Input& known : inputs)
    input(std::move(known));
}

void ClusterDriver::input(Input input) {
  inputs_.push_back(std::move(input));
  pump();
}

void ClusterDriver::pump() {
  if (pumping_) return;  // Whoever pumps will come to it.
  pumping_ = true;
  Actions actions;
  while (!inputs_.empty()) {
    const Input next = std::move(inputs_.front());
    inputs_.pop_front();
    const bool is_measured = is_anti_entropy(next);
    const std::uint64_t began = is_measured ? uv_hrtime() : 0;
    core_.step(monotonic_now(), next, actions);
    for (Action& action : actions)
      perform(action);
    actions.clear();
    if (is_measured) figures_.anti_entropy_nanoseconds_total += uv_hrtime() - began;
  }
  pumping_ = false;
}

void ClusterDriver::perform(Action& action) {
  std::vector<Input> answers;
  if (store_.perform(action, wall_now(), answers)) {
    std::ranges::move(answers, std::back_inserter(inputs_));
  } else if (const auto* sending = std::get_if<Send>(&action)) {
    send(*sending);
  } else if (const auto* connect = std::get_if<Connect>(&action)) {
    dial(*connect);
  } else if (const auto* closing = std::get_if<Close>(&action)) {
    close(closing->connection, "closed by this node");
  } else if (auto* reply = std::get_if<FanoutReply>(&action)) {
    hooks_.fanout_reply(std::move(*reply));
  } else if (const auto* waited = std::get_if<Waited>(&action)) {
    hooks_.waited(*waited);
  } else if (const auto* reached = std::get_if<LevelReached>(&action)) {
    hooks_.level_reached(*reached);
  } else if (auto* published = std::get_if<Published>(&action)) {
    hooks_.published(std::move(published->said));
  } else if (auto* persist = std::get_if<Persist>(&action)) {
    hooks_.persist(std::move(*persist));
  } else if (auto* note = std::get_if<NoteLayout>(&action)) {
    inputs_.emplace_back(LayoutNoted{note->number, hooks_.note_layout(std::move(note->notes))});
  } else if (const auto* log = std::get_if<Log>(&action)) {
    log_line(log->level, log->text);
  } else if (std::holds_alternative<Left>(action)) {
    hooks_.left();
  }
}

void ClusterDriver::tick() {
  drop_finished();
  const Time now = monotonic_now();
  std::vector<ConnectionId> silent;
  for (const auto& [id, link] : links_) {
    if (now - link->since() > options_.handshake_timeout && !core_.greeted(id))
      silent.push_back(id);
  }
  for (const ConnectionId id : silent) {
    log_warning("a peer link did not greet in time; it is closed",
                {{"peer", links_.at(id)->remote_host()}});
    close(id, "it did not greet in time");
  }
  input(Tick{wall_now()});
}

Position ClusterDriver::collect() {
  std::vector<Input> inputs;
  const Position durable = store_.collect(inputs);
  for (Input& next : inputs) {
    if (const auto* changed = std::get_if<StoreChanged>(&next))
      hooks_.changed(changed->collection.name);
    else if (const auto* gone = std::get_if<CollectionGone>(&next))
      hooks_.changed(gone->collection.name);
    inputs_.push_back(std::move(next));
  }
  pump();
  return durable;
}

std::size_t ClusterDriver::unsent() const {
  std::size_t bytes = 0;
  for (const auto& [id, link] : links_)
    bytes += link->unsent();
  for (const Finished& last : finished_)
    bytes += last.link->unsent();
  return bytes;
}

// --- Links ----------------------------------------------------------------------------------

std::uint32_t ClusterDriver::cluster_tag() const {
  return static_cast<std::uint32_t>(core_.belonging().id.low);
}

void ClusterDriver::send(const Send& send) {
  const auto payload = encode_message(*send.message);
  if (!payload) {
    log_error("a message could not be written", {{"reason", payload.error().message}});
    return;
  }
  if (payload->size() > frame_bytes_max(value_bytes_ceiling)) {
    log_error("a message was not sent, it is too large",
              {{"bytes", std::to_string(payload->size())}});
    return;
  }
  const MessageType type = type_of(*send.message);
  for (const ConnectionId id : send.connections) {
    const auto link = links_.find(id);
    if (link != links_.end()) link->second->send(type, cluster_tag(), *payload);
  }
}

void ClusterDriver::dial(const Connect& connect) {
  const auto address = parse_remote_address(connect.address);
  if (!address) {
    inputs_.emplace_back(
        ConnectFailed{connect.address, connect.link_class, address.error().message});
    return;
  }
  const std::uint64_t number = ++numbers_;
  // The core calls a few addresses, again and again; what peers make up must not fill the table.
  if (calls_.size() > calls_max) calls_.clear();
  dials_[number] = {
      connect,
      std::make_unique<Dial>(
          loop_, *address, Dial::Options{.first = calls_[{connect.address, connect.link_class}]++},
          [this, number](Result<std::unique_ptr<StreamConnection>> result) {
            dialled(number, std::move(result));
          })};
}

void ClusterDriver::dialled(std::uint64_t number,
                            Result<std::unique_ptr<StreamConnection>> result) {
  const auto found = dials_.find(number);
  const Dialling dialling = std::move(found->second);  // The dial ends with this function.
  dials_.erase(found);
  const Connect& connect = dialling.connect;
  if (result)
    add_link(std::move(*result), connect.link_class, connect.address, {});
  else
    input(ConnectFailed{connect.address, connect.link_class, result.error().message});
}

void ClusterDriver::accept(std::unique_ptr<StreamConnection> connection, LinkClass link_class,
                           Bytes rest) {
  add_link(std::move(connection), link_class, {}, rest);
}

void ClusterDriver::add_link(std::unique_ptr<StreamConnection> connection, LinkClass link_class,
                             const std::string& dialled_address, Bytes rest) {
  const ConnectionId id = ++numbers_;
  const bool dialled = !dialled_address.empty();
  if (!dialled) make_room_for_a_stranger();
  if (dialled && options_.tls != nullptr) connection->begin_tls(options_.tls->connect_peer());
  auto link = std::make_unique<PeerLink>(std::move(connection),
                                         PeerLink::Options{.id = id,
                                                           .link_class = link_class,
                                                           .dialled = dialled,
                                                           .address = dialled_address,
                                                           .keys = options_.keys,
                                                           .now = monotonic_now()},
                                         *this, figures_);
  PeerLink& added = *link;
  links_[id] = std::move(link);
  added.start();  // The preface goes out before anything that the core says.
  if (added.ready()) link_is_up(added);
  if (!rest.empty() && links_.contains(id)) added.take(rest);
}

void ClusterDriver::link_is_up(const PeerLink& link) {
  input(ConnectionUp{.connection = link.id(),
                     .link_class = link.link_class(),
                     .dialled = link.dialled(),
                     .address = link.address(),
                     .local_host = link.local_host()});
}

// A member's handshake takes milliseconds; who is there for longest means no good.
void ClusterDriver::make_room_for_a_stranger() {
  const auto is_stranger = [this](const auto& entry) {
    return !entry.second->dialled() && !core_.greeted(entry.first);
  };
  if (static_cast<std::size_t>(std::ranges::count_if(links_, is_stranger)) < strangers_max) return;
  const PeerLink& first = *std::ranges::find_if(links_, is_stranger)->second;
  refused_.note("a caller was cut off: too many call and do not greet", first.remote_host(),
                "it came first");
  close(first.id(), {});
}

std::string ClusterDriver::name_of(const PeerLink& link) {
  return link.dialled() ? link.address() : link.remote_host();
}

void ClusterDriver::close(ConnectionId connection, const std::string& reason) {
  const auto found = links_.find(connection);
  if (found == links_.end()) return;
  PeerLink& link = *found->second;
  const bool was_up = link.ready();
  pacer_.drop(connection);
  std::optional<ConnectFailed> failed;
  if (!was_up && link.dialled()) failed = {link.address(), link.link_class(), reason};
  link.finish();
  finished_.push_back({std::move(found->second), monotonic_now() + finish_timeout});
  links_.erase(found);
  if (was_up)
    input(ConnectionDown{connection});
  else if (failed)
    input(*std::move(failed));
}

void ClusterDriver::keys_changed() {
  std::vector<ConnectionId> old;
  for (const auto& [id, link] : links_) {
    if (link->key() != nullptr && !options_.keys->have(*link->key())) old.push_back(id);
  }
  for (const ConnectionId id : old)
    close(id, "its key is no more");
}

void ClusterDriver::link_ready(PeerLink& link) {
  link_is_up(link);
}

void ClusterDriver::link_refused(PeerLink& link, LinkRefusal refusal, bool ours) {
  const bool said_by_peer = link.dialled() && !ours;
  const std::string reason(explain(refusal, ours));
  refused_.note(said_by_peer ? "a peer wants no link to this node" : "a peer was refused",
                name_of(link), reason);
  if (link.dialled()) key_was_refused_ = true;
  close(link.id(), reason);
}

// Of a peer that has nothing yet, and will ask for all there is.
bool ClusterDriver::asks_for_a_slice(ConnectionId connection, const Message& message) const {
  const bool is_one = std::holds_alternative<Pull>(message) ||
                      std::holds_alternative<Audit>(message) ||
                      std::holds_alternative<Fetch>(message);
  const auto peer = is_one ? core_.peer_of(connection) : std::nullopt;
  return peer && state_of(core_.members().at(*peer)) == MemberState::joining;
}

void ClusterDriver::link_received(PeerLink& link, Message message) {
  if (asks_for_a_slice(link.id(), message)) return pacer_.take({link.id(), std::move(message)});
  input(MessageIn{link.id(), std::move(message)});
  if (!core_.greeted(link.id())) return;
  link.greeted();
  key_was_refused_ = false;
}

void ClusterDriver::link_ended(PeerLink& link, const std::string& reason) {
  log_line(LogLevel::debug, "a peer link ended",
           {{"peer", link.remote_host()}, {"reason", reason}});
  if (link.tls_failed()) {
    refused_.note("nodes did not come to terms about TLS", name_of(link), reason);
    if (link.dialled()) key_was_refused_ = true;
  }
  close(link.id(), reason);
}

void ClusterDriver::link_malformed(PeerLink& link, const std::string& reason) {
  ++figures_.peer_frames_malformed;
  // Whoever throws garbage at the port must not fill the log with it.
  const Time now = monotonic_now();
  if (!malformed_logged_ || now - *malformed_logged_ > malformed_log_interval) {
    malformed_logged_ = now;
    log_warning("a peer sent what is no message; the link is closed",
                {{"peer", link.remote_host()},
                 {"reason", reason},
                 {"so_far", std::to_string(figures_.peer_frames_malformed)}});
  }
  close(link.id(), "it sent what is no message");
}

void ClusterDriver::drop_finished() {
  const Time now = monotonic_now();
  std::erase_if(finished_, [now](const Finished& last) { return now >= last.until; });
}

}  // namespace dhrt
