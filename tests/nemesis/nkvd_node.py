"""A node of nkvd in this process: its routes and its mesh, as nkvd 0.0.1 does them.

What was recorded of a single one is in tests/conformance/nkvd.rows. Of the mesh:

- a node pings the address that it was given and every node that it knows and that is not down,
  each 1.5 s, with ?nodes= of these; it takes in whom the answers name, unless they are down;
- names in ?nodes= of others are taken in by the first releases and passed over by 0.0.1
  (`takes_names`);
- a node that refuses a connection is down, and is not asked again, ever;
- a successful /set, /rm or /clear without noReplicate is repeated, with noReplicate=true, at every
  node that is not down, itself included; nobody looks at the answers;
- nothing is kept, and nothing is copied from others.
"""

import http.client
import http.server
import json
import threading
import urllib.parse

PING_SECONDS = 1.5
REQUEST_SECONDS = 1
KEY_LENGTH_MAX = 64
VALUE_LENGTH_MAX = 256


def utf16_length(text):
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def ask(address, target, seconds=REQUEST_SECONDS):
    """Status and body of a GET."""
    connection = http.client.HTTPConnection(*address, timeout=seconds)
    try:
        connection.request("GET", target)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_):
        """Clients that went away are no news."""


class NkvdNode:
    """Serves from its making until stop()."""

    def __init__(self, url=None, port=0, takes_names=False, has_mesh=True):
        self.url = url  # (host, port) of a node, or of a load balancer.
        self.takes_names = takes_names
        self.has_mesh = has_mesh
        self.records = {}
        self.requests = []  # (path, parameters) of everything that came, pings left out.
        self.lock = threading.Lock()
        self.over = threading.Event()
        node = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                node.serve(self)

            def log_message(self, *_):
                pass

        self.server = _Server(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        self.nodes = [{"host": "127.0.0.1", "port": self.port, "isDown": False, "source": "init"}]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        if has_mesh and url is not None:
            threading.Thread(target=self.ping_for_ever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """As a process that is killed: connections are refused from now on."""
        self.over.set()
        self.server.shutdown()
        self.server.server_close()

    @property
    def address(self):
        return ("127.0.0.1", self.port)

    @property
    def name(self):
        return f"127.0.0.1:{self.port}"

    # --- Requests.

    def serve(self, request):
        if self.over.is_set():
            request.close_connection = True
            return
        parsed = urllib.parse.urlsplit(request.path)
        fields = {}
        for name, value in urllib.parse.parse_qsl(parsed.query, keep_blank_values=True):
            fields[name] = f"{fields[name]},{value}" if name in fields else value
        if parsed.path != "/ping":
            with self.lock:
                self.requests.append((parsed.path, fields))
        status, answer = self.answer(parsed.path, fields)
        if parsed.path in ("/set", "/rm", "/clear") and status == 200:
            self.replicate(parsed.path, fields)
        body = json.dumps(answer, ensure_ascii=False).encode()
        request.send_response(status)
        request.send_header("Content-Type", "text/json")
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        request.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))

    def answer(self, path, fields):
        route = getattr(self, "route_" + path[1:], None)
        if route is None or (path == "/ping" and not self.has_mesh):
            return 404, {"error": f"No register handler for [{path}]"}
        with self.lock:
            return route(fields)

    def key_error(self, fields):
        if "k" not in fields:
            return "MISSING_KEY_PARAM"
        if not fields["k"]:
            return "EMPTY_KEY"
        if utf16_length(fields["k"]) >= KEY_LENGTH_MAX:
            return "MAXIMUM_KEY_LENGTH_REACHED"
        return None

    def route_set(self, fields):
        error = self.key_error(fields)
        if error is None and "v" not in fields:
            error = "MISSING_VALUE_PARAM"
        if error is None and utf16_length(fields["v"]) >= VALUE_LENGTH_MAX:
            error = "MAXIMUM_VALUE_LENGTH_REACHED"
        if error is not None:
            return 400, {"error": error}
        self.records[fields["k"]] = fields["v"]
        return 200, {"success": True}

    def route_rm(self, fields):
        error = self.key_error(fields)
        if error is not None:
            return 400, {"error": error}
        if self.records.pop(fields["k"], None) is None:
            return 404, {"error": "MISSING_RECORD"}
        return 200, {"success": True}

    def route_clear(self, _):
        self.records.clear()
        return 200, {"success": True}

    def route_get(self, fields):
        found = self.records.get(fields.get("k"))
        return (200, found) if found is not None else (404, {"error": "MISSING_RECORD"})

    def route_getAll(self, _):
        return 200, [{"k": key, "v": value} for key, value in self.records.items()]

    def route_status(self, _):
        return 200, {"version": "0.0.1", "hostname": "127.0.0.1", "port": self.port,
                     "maxKeyLength": 64, "maxValueLength": 256,
                     "availableRecords": len(self.records)}

    def route_ping(self, fields):
        if self.takes_names:
            for name in fields.get("nodes", "").split("|"):
                host, _, port = name.partition(":")
                if port.isdigit():
                    self.join({"host": host, "port": int(port), "isDown": False}, "passed")
        return 200, {"nodes": [dict(node) for node in self.nodes]}

    # --- The mesh.

    def join(self, node, source):
        same = (n for n in self.nodes if (n["host"], n["port"]) == (node["host"], node["port"]))
        if not node["isDown"] and not any(same):
            self.nodes.append({**node, "source": source})

    def working(self):
        with self.lock:
            return [node for node in self.nodes if not node["isDown"]]

    def replicate(self, path, fields):
        if fields.get("noReplicate") or not self.has_mesh:
            return
        target = f"{path}?{urllib.parse.urlencode({**fields, 'noReplicate': 'true'})}"
        for node in self.working():
            threading.Thread(target=self.tell, args=((node["host"], node["port"]), target),
                             daemon=True).start()

    def tell(self, address, target):
        try:
            ask(address, target)
        except (OSError, http.client.HTTPException):
            pass

    def ping_for_ever(self):
        while not self.over.is_set():
            working = self.working()
            names = "|".join(f"{node['host']}:{node['port']}" for node in working)
            target = "/ping?" + urllib.parse.urlencode({"nodes": names})
            self.ping(self.url, None, target)
            for node in working[1:]:
                self.ping((node["host"], node["port"]), node, target)
            self.over.wait(PING_SECONDS)

    def ping(self, address, node, target):
        try:
            named = json.loads(ask(address, target)[1]).get("nodes", [])
        except ConnectionRefusedError:
            if node is not None:
                node["isDown"] = True
            return
        except (OSError, ValueError, http.client.HTTPException):
            return
        with self.lock:
            for other in named:
                self.join(other, "ping")

    # --- What tests ask.

    def knows(self, address):
        return any((n["host"], n["port"]) == address and not n["isDown"] for n in self.nodes)

    def count(self, path, **fields):
        """How many requests came with these fields, whatever else they had."""
        with self.lock:
            return sum(path == came and fields.items() <= had.items()
                       for came, had in self.requests)

    def client(self, target):
        """What a client of this node asks."""
        return ask(self.address, target, seconds=20)
