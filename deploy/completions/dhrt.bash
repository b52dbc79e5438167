# Completion of dhrt's command line for bash: source this file, or put it into
# /usr/share/bash-completion/completions/ under the name dhrt.

_dhrt_flags_of() {
  local node="--bind --advertise --name --allow-public --token-file --auth-file --tls-cert --tls-key --tls-client-ca
    --tls-self-signed --tls-only
    --listen --cors-origin --tcp --tcp-tls --tcp-host --tcp-port --rpc --rpc-host --rpc-port --hermod
    --hermod-port --hermod-terminator --hermod-config --hermod-anonymous --resp --resp-port --http --http-port
    --join --nkvd-mesh --mesh-network-url --join-timeout --found-if-alone --leave-timeout --fast --lan --wan
    --probe-interval --suspicion-multiplier --max-clock-offset --cluster-key-file --peer-tls
    --peer-tls-cert --peer-tls-key --peer-tls-ca --data-dir --memory
    --backup-dir --durability --sync-interval --log-segment-bytes --checkpoint-bytes --checkpoint-age
    --unflushed-max --cache-bytes --cache-evict --memory-limit --evict --evict-after --remember-deletes
    --join-delay-max --replace --scrub-rate --read-timeout --write-timeout
    --handshake-timeout --timeout --max-value-bytes --max-clients --max-collections --output-buffer-max
    --cpu-num --notify-keyspace-events --log-level --log-requests
    --log-requests-format --config --print-config --help"
  local client="--host --token-file --tls --tls-ca --timeout --json --help"
  case "$1" in
    start | join) echo "$node" ;;
    repl) echo "--host --token-file --tls --tls-ca --timeout --help" ;;
    export) echo "--collection --resume $client" ;;
    verify) echo "--json --help" ;;
    import) echo "--collection --format --pipeline $client" ;;
    set) echo "--ttl --if-version --if-absent --type --ack $client" ;;
    get) echo "--read --raw $client" ;;
    has) echo "--read $client" ;;
    del) echo "--ack $client" ;;
    scan) echo "--from --limit --prefix --full $client" ;;
    watch) echo "--since $client" ;;
    create) echo "--memory --disk --ttl --replicas --on --partitions --on-conflict --miss $client" ;;
    help) ;;
    *) echo "$client" ;;
  esac
}

# Names of collections, from the node that the line would ask; silent if there is none.
_dhrt_collections() {
  local arguments=() i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "${COMP_WORDS[i]}" in
      --tls) arguments+=(--tls) ;;
      --host | --token-file | --tls-ca) arguments+=("${COMP_WORDS[i]}" "${COMP_WORDS[i + 1]}") ;;
    esac
  done
  dhrt collections --timeout 500ms "${arguments[@]}" 2>/dev/null | awk 'NR > 1 { print $1 }'
}

_dhrt() {
  local commands="start join repl export import verify backup collections count create del drop evict flush get has
    keys leave nodes ping reload scan set stats watch help"
  local word="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD - 1]}"
  local command="${COMP_WORDS[1]}"
  local candidates=""
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    candidates="$commands --help --version --node"
  elif [[ $word == -* ]]; then
    candidates="$(_dhrt_flags_of "$command")"
  else
    case "$previous" in
      --format) candidates="ndjson words" ;;
      --hermod-terminator) candidates="none 4 17 23" ;;
      --log-level) candidates="trace debug info warning error" ;;
      --config | --hermod-config | --token-file | --auth-file | --tls-cert | --tls-key | --tls-client-ca | --tls-ca \
        | --cluster-key-file | --peer-tls-cert | --peer-tls-key | --peer-tls-ca \
        | export | import) mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
      --data-dir | --backup-dir | verify) mapfile -t COMPREPLY < <(compgen -d -- "$word"); return ;;
      --collection) candidates="$(_dhrt_collections)" ;;
      help) candidates="$commands" ;;
      count | del | drop | flush | get | has | keys | scan | set | watch)
        candidates="$(_dhrt_collections)" ;;
    esac
  fi
  mapfile -t COMPREPLY < <(compgen -W "$candidates" -- "$word")
}

complete -F _dhrt dhrt
