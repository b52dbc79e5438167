// The handlers of Redis commands, by file; node/redis_table.cc says which is whose.
#pragma once

namespace dhrt {

class RedisCall;

namespace redis {

// redis_connection_commands.cc
void auth(RedisCall& call);
void echo(RedisCall& call);
void hello(RedisCall& call);
void ping(RedisCall& call);
void quit(RedisCall& call);
void reset(RedisCall& call);
void select(RedisCall& call);
// redis_client_commands.cc
void client(RedisCall& call);
// redis_config_command.cc
void config(RedisCall& call);
// redis_watch_commands.cc
void latency(RedisCall& call);
void monitor(RedisCall& call);
void slow_log(RedisCall& call);
// redis_admin_commands.cc
void debug(RedisCall& call);
void last_save(RedisCall& call);
void save(RedisCall& call);
void save_behind(RedisCall& call);
void shut_down(RedisCall& call);
void swap_databases(RedisCall& call);
void wait(RedisCall& call);
void wait_for_disk(RedisCall& call);
// redis_server_commands.cc
void dbsize(RedisCall& call);
void flush_all(RedisCall& call);
void flush_database(RedisCall& call);
void function(RedisCall& call);
void role(RedisCall& call);
void time(RedisCall& call);
// redis_info.cc
void info(RedisCall& call);
// redis_command_docs.cc
void command(RedisCall& call);
// redis_string_commands.cc
void append(RedisCall& call);
void get(RedisCall& call);
void get_and_delete(RedisCall& call);
void get_range(RedisCall& call);
void length(RedisCall& call);
void multi_get(RedisCall& call);
void multi_set(RedisCall& call);
void multi_set_absent(RedisCall& call);
void set_range(RedisCall& call);
// redis_set_command.cc
void get_and_expire(RedisCall& call);
void get_and_set(RedisCall& call);
void set(RedisCall& call);
void set_absent(RedisCall& call);
void set_expiring(RedisCall& call);
// redis_number_commands.cc
void increment(RedisCall& call);
void increment_by(RedisCall& call);
void increment_by_float(RedisCall& call);
// redis_bit_commands.cc
void bit_count(RedisCall& call);
void bit_position(RedisCall& call);
void get_bit(RedisCall& call);
void set_bit(RedisCall& call);
// redis_bit_field_command.cc
void bit_field(RedisCall& call);
// redis_bit_operation_command.cc
void bit_operation(RedisCall& call);
// redis_lcs_command.cc
void longest_common(RedisCall& call);
// redis_dump_commands.cc
void dump(RedisCall& call);
void restore(RedisCall& call);
// redis_key_commands.cc
void copy(RedisCall& call);
void del(RedisCall& call);
void exists(RedisCall& call);
void memory(RedisCall& call);
void move(RedisCall& call);
void object(RedisCall& call);
void rename(RedisCall& call);
void rename_absent(RedisCall& call);
void type(RedisCall& call);
// redis_expire_commands.cc
void expire(RedisCall& call);
void persist(RedisCall& call);
void time_to_live(RedisCall& call);
// redis_scan_commands.cc
void keys(RedisCall& call);
void random_key(RedisCall& call);
void scan(RedisCall& call);
// redis_channel_commands.cc
void channels(RedisCall& call);
void publish(RedisCall& call);
void subscribe(RedisCall& call);
void unsubscribe(RedisCall& call);
// redis_transaction_commands.cc
void discard(RedisCall& call);
void exec(RedisCall& call);
void multi(RedisCall& call);
void unwatch(RedisCall& call);
void watch(RedisCall& call);

}  // namespace redis
}  // namespace dhrt
